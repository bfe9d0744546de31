"""The straight-through estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.estimators.base import AbstractPathwise, Drawn
from scg.estimators.relaxed import VECTORS, mean, with_slope

__all__ = ["StraightThrough"]


@dataclass(frozen=True, slots=True)
class StraightThrough(AbstractPathwise):
    r"""Draw bits; differentiate as if their probabilities had been handed on.

    .. math:: \nabla_\theta f(b) \approx f'(b)\, \nabla_\theta p

    *Biased*, but for costs that are linear in the bits given all else. The way down
    must be differentiable, and what a cost is between 0 and 1 matters, though it is
    never looked at. The bias on a bit with the cost c(b) is
    :math:`p'\,(p\,c'(1) + (1 - p)\,c'(0) - c(1) + c(0))`, so for
    :math:`(b - t)^2` it is :math:`p' (2p - 1)`.

    References
    ----------
    Bengio, Léonard & Courville 2013, "Estimating or propagating gradients through
    stochastic neurons for conditional computation", section 4.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", 3 * b)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=2,
    ...     estimators={"b": scg.StraightThrough()})
    >>> float(estimate.gradient["theta"])
    0.75
    """

    families: ClassVar[Mapping[type, frozenset[str]]] = VECTORS
    unbiased: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()
    biases: ClassVar[tuple[str, ...]] = ("the derivative is that of the probabilities",)
    summary: ClassVar[str] = "bits, with the derivative of their probabilities"

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw from the distribution; what was drawn is the noise."""
        value = distribution.sample(rng, shape)
        return Drawn(value, noise=value)

    def redraw(self, distribution: Any, noise: Any) -> Any:
        """Return what was drawn, with the derivative of the probabilities."""
        return with_slope(noise, mean(distribution))
