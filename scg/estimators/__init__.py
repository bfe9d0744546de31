"""Estimators, one small class a file.

Read `base` first, then `score_function`, `pathwise`, `enumeration`; then `branches`,
which those with branches share, and any of them.
"""

from scg.estimators.arm import ARM
from scg.estimators.base import (
    READ,
    AbstractEstimator,
    AbstractPathwise,
    Drawn,
    Site,
)
from scg.estimators.disarm import DisARM
from scg.estimators.enumeration import Enumeration
from scg.estimators.gumbel_softmax import GumbelSoftmax
from scg.estimators.importance import ImportanceSampling
from scg.estimators.measure_valued import MeasureValued
from scg.estimators.muprop import MuProp
from scg.estimators.pathwise import Pathwise
from scg.estimators.rebar import REBAR
from scg.estimators.relax import RELAX
from scg.estimators.score_function import ScoreFunction
from scg.estimators.straight_through import StraightThrough
from scg.estimators.unordered_set import UnorderedSet
from scg.estimators.value_gradient import ValueGradient

__all__ = [
    "ARM",
    "READ",
    "REBAR",
    "RELAX",
    "AbstractEstimator",
    "AbstractPathwise",
    "DisARM",
    "Drawn",
    "Enumeration",
    "GumbelSoftmax",
    "ImportanceSampling",
    "MeasureValued",
    "MuProp",
    "Pathwise",
    "ScoreFunction",
    "Site",
    "StraightThrough",
    "UnorderedSet",
    "ValueGradient",
]
