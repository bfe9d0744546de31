"""What one row of the matrix of distributions holds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import scg.distributions as d

LOGITS = np.array([-1.5, 0.0, 0.4, 2.0])
PROBS = 1 / (1 + np.exp(-LOGITS))
ROWS = np.array([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.5, -2.0], [3.0, 1.0, 1.0]])
ROW_PROBS = np.exp(ROWS) / np.exp(ROWS).sum(axis=-1, keepdims=True)
MEAN = np.array([-1.0, 0.0, 0.5, 2.0])
SCALE = np.array([0.5, 1.0, 2.0, 3.0])
BITS = np.array([0.0, 1.0, 1.0, 0.0])
PICKS = np.array([2, 0, 1, 2])
REALS = np.array([0.3, -0.2, 1.7, 2.0])


def curvature_of_categorical() -> Any:
    outer = ROW_PROBS[:, :, None] * ROW_PROBS[:, None, :]
    return outer - ROW_PROBS[:, :, None] * np.eye(3)


@dataclass(frozen=True)
class Case:
    """One family in one parameterisation, with independent answers about it.

    `log_density` and `grid`, points with their weights, are of shape (points, 4); the
    points of a vector have its axis too. `second` is the closed form of the second
    derivative of the log-density in each parameter, elementwise (for rows: the K by K
    matrix of each), where there is one. `levels` are what draws of a continuum become
    by the family's own distribution function: uniform. `score_mean` is the mean of the
    score where that is not 0; `constants` are parameters without a score.
    """

    name: str
    distribution: d.AbstractDistribution
    other: d.AbstractDistribution
    value: Any
    log_density: Callable[[Any], Any]
    grid: tuple[Any, Any]
    second: dict[str, Any] = field(default_factory=dict)
    levels: Callable[[Any], Any] | None = None
    score_mean: dict[str, Any] = field(default_factory=dict)
    constants: tuple[str, ...] = ()
    has_entropy: bool = True

    @property
    def learnt(self) -> dict[str, Any]:
        """The parameters that have a score."""
        every = self.distribution.parameters.items()
        return {k: v for k, v in every if k not in self.constants}

    @property
    def family(self) -> Any:
        return type(self.distribution)

    @property
    def event(self) -> tuple[int, ...]:
        """The axes of one draw over which its density is joint."""
        return self.distribution.shape[1:]

    def mean(self, function: Callable[[Any], Any]) -> Any:
        """Take the mean of a function of draws, by the grid."""
        points, weights = self.grid
        weights = weights * np.exp(self.log_density(points))
        with np.errstate(invalid="ignore"):
            values = function(points)
        weights = weights.reshape(*weights.shape, *(1,) * (values.ndim - weights.ndim))
        # What has no mass does not count, be it infinite.
        return np.sum(weights * np.where(weights > 0, values, 0.0), axis=0)
