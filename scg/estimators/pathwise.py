"""The pathwise (reparameterisation) estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.estimators.base import AbstractPathwise, Drawn

__all__ = ["Pathwise"]


@dataclass(frozen=True, slots=True)
class Pathwise(AbstractPathwise):
    r"""Differentiate through the draw itself.

    .. math:: z = g(\epsilon, \phi(\theta)), \qquad
              \nabla_\theta \mathbb E[f(z)]
              = \mathbb E[\nabla_\theta f(g(\epsilon, \phi))]

    The node is then deterministic given its noise: *every* deterministic path from it
    to a cost must be differentiable, and `Graph.check` proves that it is.

    References
    ----------
    Mohamed, Rosca, Figurnov & Mnih 2020, "Monte Carlo gradient estimation in machine
    learning", section 5.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> mu = graph.param("mu", 1.0)
    >>> x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    >>> loss = graph.cost("loss", 3 * x)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"mu": 1.0}, rng=np.random.default_rng(0), rows=2,
    ...     estimators={"x": scg.Pathwise()})
    >>> float(estimate.gradient["mu"])
    3.0
    """

    any_order: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"reparameterisation"})
    reads: ClassVar[tuple[str, ...]] = ()
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "derivative of the draw with its noise held fixed"

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw the noise, and the value from it."""
        noise = distribution.noise(rng, shape)
        return Drawn(distribution.reparameterise(noise), noise=noise)

    def redraw(self, distribution: Any, noise: Any) -> Any:
        """Return the reparameterised draw."""
        return distribution.reparameterise(noise)
