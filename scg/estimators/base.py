"""What an estimator is: how one stochastic node is drawn and what it adds to the loss.

An estimator sees its own site (distribution, values, weights, downstream costs), never
the graph. What it needs and what it is stand in its class attributes, from which the
check and the documentation's table are made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

__all__ = ["AbstractEstimator", "Drawn", "Site", "per_event"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The values of a node in one run.

    Attributes
    ----------
    value : array, shape (rows, *event)
        With branches, the rows are rows times branches, branches innermost.
    weights : array of shape (rows,), or None
        The probability weight of each branch; None where all weigh the same.
    noise : array or None
        The base noise of a reparameterised draw.
    """

    value: Any
    weights: Any = None
    noise: Any = None


@dataclass(frozen=True, slots=True)
class Site:
    """A stochastic node of one run, as its estimator sees it.

    Attributes
    ----------
    name : str
    distribution : AbstractDistribution
        With the values of its parameters; where they have rows, one for each value.
    value : array, shape (rows, *event)
        Inside a loop, rows is time times rows.
    weight : float or array of shape (rows,)
        The probability weight of the branch times 1/rows: what a sum over rows
        needs to be the mean over runs.
    cost : array, shape (rows,)
        ``Q̂``, the sum of the costs the value influences, discounted where asked for.
    advantage : array, shape (rows,)
        ``Q̂`` minus the baseline, or what a critic made of it.
    """

    name: str
    distribution: Any
    value: Any
    weight: Any
    cost: Any
    advantage: Any


class AbstractEstimator(ABC):
    """How one stochastic node is drawn, and what it adds to the surrogate loss.

    `lays_out` says that the values are not free: they come with weights or noise;
    `any_order` that `scg.surrogate_loss` knows its form for every order of derivative;
    `plain` that values are drawn from the distribution, and scored by it times weight
    and advantage, so that a kernel may do both.

    Examples
    --------
    >>> import scg
    >>> isinstance(scg.Pathwise(), AbstractEstimator)
    True
    """

    __slots__ = ()

    pathwise: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()
    unbiased: ClassVar[bool] = True
    any_order: ClassVar[bool] = False
    lays_out: ClassVar[bool] = False
    plain: ClassVar[bool] = False
    summary: ClassVar[str] = ""

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Names of the value nodes that its baseline or critic reads."""

    @property
    @abstractmethod
    def biases(self) -> tuple[str, ...]:
        """Why this estimate is biased; empty where it is not."""

    @abstractmethod
    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return how many values are drawn for each row; 1 is no branching."""

    @abstractmethod
    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw the values; parameters are already repeated for each branch."""

    @abstractmethod
    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return the derivative of the surrogate loss with respect to each parameter.

        Each entry has the shape of the draw (or broadcasts to the parameter's).
        """


def per_event(factor: Any, value: Any) -> Any:
    """Give a number a row the axes of a value, so that the two multiply."""
    return np.reshape(factor, np.shape(factor) + (1,) * (np.ndim(value) - 1))
