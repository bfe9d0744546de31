"""Baselines, small classes: read `base`, then `simple`, `optimal`, `learned`."""

from scg.baselines.base import AbstractBaseline, BaselineInputs
from scg.baselines.learned import LearnedBaseline
from scg.baselines.optimal import OptimalConstant
from scg.baselines.simple import BatchMean, LeaveOneOut, MovingAverage, NoBaseline

__all__ = [
    "AbstractBaseline",
    "BaselineInputs",
    "BatchMean",
    "LearnedBaseline",
    "LeaveOneOut",
    "MovingAverage",
    "NoBaseline",
    "OptimalConstant",
]
