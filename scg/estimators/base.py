"""What an estimator is: how one stochastic node is drawn and what it adds to the loss.

An estimator sees its own site (distribution, values, weights, downstream costs), never
the graph. What it needs and what it is stand in its class attributes, from which the
check and the documentation's table are made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

__all__ = [
    "READ",
    "AbstractEstimator",
    "AbstractPathwise",
    "Drawn",
    "Site",
    "per_event",
]

# Where an estimator that `learns` puts the adjoint of what it reads.
READ = "what the estimator reads"


@dataclass(frozen=True, slots=True)
class Drawn:
    """The values of a node in one run.

    Attributes
    ----------
    value : array, shape ``(rows, *event)``
        With branches, the rows are rows times branches, branches innermost.
    weights : array of shape (rows,), or None
        What each branch counts in the expectation of a cost; None where all count the
        same. A branch that only the estimator looks at weighs 0.
    noise : array of shape (rows, ...), or None
        What a pathwise value is redrawn from, or what `adjoints` needs again.
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
    value : array, shape ``(rows, *event)``
        Inside a loop, rows is time times rows.
    weight : float or array of shape (rows,)
        The weight of the branch times 1/rows: what a sum over rows needs to be the
        mean over runs.
    cost : array, shape (rows,)
        ``Q̂``, the sum of the costs the value influences, discounted where asked for.
    advantage : array, shape (rows,)
        ``Q̂`` minus the baseline, or what a critic made of it.
    branches : int
        How many consecutive rows are branches of one.
    noise : array of shape (rows, ...), or None
        That of `Drawn`.
    slope : array like value, or None
        Where the estimator `looks_down`, the derivative of each branch's ``Q̂`` by its
        value, or an unbiased estimate of it, times what the row counts in the mean.
    read : array of shape (rows, ...), or None
        Where the estimator `learns`, the value node that it reads.
    """

    name: str
    distribution: Any
    value: Any
    weight: Any
    cost: Any
    advantage: Any
    branches: int = 1
    noise: Any = None
    slope: Any = None
    read: Any = None


class AbstractEstimator(ABC):
    """How one stochastic node is drawn, and what it adds to the surrogate loss.

    `lays_out` says that the values are not free: they come with weights or noise;
    `any_order` that `scg.surrogate_loss` knows its form for every order of derivative;
    `plain` that values are drawn from the distribution, and scored by it times weight
    and advantage, so that a kernel may do both; `pathwise` that all ways down must be
    differentiable, since gradient goes along them; `looks_down` that it is pathwise
    and yet scored, with ``site.slope`` for what would come up; `learns` that it reads a
    value node as it pleases, and trains it; `differentiates` names the value node,
    fitted to ``Q̂``, whose derivative by the draw comes instead, with `redraw` as in
    `AbstractPathwise`. `families` are the families of distributions it knows, each with
    the parameters it differentiates by; none are all.

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
    looks_down: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    families: ClassVar[Mapping[type, frozenset[str]]] = {}
    summary: ClassVar[str] = ""

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Names of the value nodes that its baseline or critic reads."""

    @property
    @abstractmethod
    def biases(self) -> tuple[str, ...]:
        """Why this estimate is biased; empty where it is not."""

    @property
    def differentiates(self) -> str:
        """The value node whose derivative by the draw it takes, if it does."""
        return ""

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

        Each entry has the shape of the draw (or broadcasts to the parameter's). One
        that `learns` adds the entry ``READ``, of the shape of ``site.read``: the
        adjoint with which what it reads is trained, and nothing else.
        """


class AbstractPathwise(AbstractEstimator):
    """An estimator whose values are functions of noise that gradient passes through.

    What it offers besides: `redraw`, of which the reverse pass takes the derivative.

    Examples
    --------
    >>> import scg
    >>> isinstance(scg.Pathwise(), AbstractPathwise)
    True
    """

    __slots__ = ()

    pathwise: ClassVar[bool] = True
    lays_out: ClassVar[bool] = True

    @abstractmethod
    def redraw(self, distribution: Any, noise: Any) -> Any:
        """Compute the value from the noise again, with autograd's functions."""

    @final
    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return 1: no branching."""
        return 1

    @final
    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return nothing: the gradient comes along the path."""
        return {}


def per_event(factor: Any, value: Any) -> Any:
    """Give a number a row the axes of a value, so that the two multiply."""
    return np.reshape(factor, np.shape(factor) + (1,) * (np.ndim(value) - 1))
