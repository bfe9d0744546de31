"""MuProp: the score function, with a Taylor expansion of the cost as its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.distributions import Normal
from scg.estimators.base import AbstractEstimator, Drawn, Site
from scg.estimators.branches import by_branch, flat, of_rows, on_first, row_weight
from scg.estimators.control import controlled, reads, scaled_score
from scg.estimators.relaxed import VECTORS, mean, pull

__all__ = ["MuProp"]


@dataclass(frozen=True, slots=True)
class MuProp(AbstractEstimator):
    r"""Subtract the cost's expansion about the mean, whose gradient is known.

    .. math:: \nabla \log p(x)\, \bigl(\hat Q(x) - h(x)\bigr)
              + \hat Q'(\bar x)\, \nabla \bar x, \qquad
              h(x) = \hat Q(\bar x) + \hat Q'(\bar x)^\top (x - \bar x)

    with :math:`\bar x` the mean of the distribution. Also known as the delta method to
    first order. There are two branches, the draw, which has all the weight, and the
    mean; every way down must be differentiable. Samples below draw anew in each
    branch; the expansion need not be right for the estimate to be unbiased, as long as
    it does not look at x.

    Parameters
    ----------
    coefficient : float, str or None
        How much of h is subtracted; None for what does best on the other half of the
        rows; the name of a value node for one of each row, trained on the variance.

    References
    ----------
    Gu, Levine, Sutskever & Mnih 2016, "MuProp: unbiased backpropagation for stochastic
    neural networks", section 3; Mohamed et al. 2020, section 7.4.3 (delta method).

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", 3 * b)  # its own expansion
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=1,
    ...     estimators={"b": scg.MuProp()})
    >>> float(estimate.gradient["theta"])
    0.75
    """

    coefficient: float | str | None = 1.0

    pathwise: ClassVar[bool] = True
    looks_down: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    lays_out: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "no loop"})
    families: ClassVar[Mapping[type, frozenset[str]]] = {
        **VECTORS,
        Normal: frozenset({"mean", "scale", "log_scale"}),
    }
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "score function less the cost's expansion about the mean"

    @property
    def reads(self) -> tuple[str, ...]:
        """The value node of the coefficients, where they are learned."""
        return reads(self.coefficient)

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return 2."""
        return 2

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw a value, and put the mean next to it."""
        each = of_rows(distribution, shape, 2)
        value = each.sample(rng, (shape[0] // 2, *shape[1:]))
        centre = np.broadcast_to(_mean(each), value.shape)
        weights = np.tile(np.array([1, 0], value.dtype), len(value))
        return Drawn(flat(np.stack([value, centre], axis=1)), weights=weights)

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return score times cost, less what the expansion has of mean 0."""
        shape = site.value.shape
        each = of_rows(site.distribution, shape, 2)
        both, slope = by_branch(site.value, 2), by_branch(site.slope, 2)[:, 1]
        q = by_branch(site.cost, 2) * row_weight(site)[:, np.newaxis]
        x, step = both[:, 0], both[:, 0] - both[:, 1]
        h = q[:, 1] + (slope * step).reshape(len(x), -1).sum(axis=1)
        a, of_h = (scaled_score(each, x, f) for f in (q[:, 0], h))
        for name, g in _pull_mean(each, slope).items():
            of_h[name] = of_h[name] - g
        found = controlled("MuProp", site, a, [of_h], self.coefficient)
        return {name: on_first(g, 2) for name, g in found.items()}


def _mean(distribution: Any) -> Any:
    if isinstance(distribution, Normal):
        return distribution.mean
    return mean(distribution)


def _pull_mean(distribution: Any, g: Any) -> dict[str, Any]:
    if isinstance(distribution, Normal):
        return {"mean": g}
    return pull(mean, distribution, g)
