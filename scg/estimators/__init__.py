"""Estimators, one small class a file.

Read `base` first, then `score_function`, `pathwise`, `enumeration`.
"""

from scg.estimators.base import AbstractEstimator, Drawn, Site
from scg.estimators.enumeration import Enumeration
from scg.estimators.pathwise import Pathwise
from scg.estimators.score_function import ScoreFunction

__all__ = [
    "AbstractEstimator",
    "Drawn",
    "Enumeration",
    "Pathwise",
    "ScoreFunction",
    "Site",
]
