"""Measure-valued derivatives (also known as weak derivatives)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.errors import EstimatorError
from scg.estimators.base import AbstractEstimator, Drawn, Site
from scg.estimators.branches import by_branch, flat, of_rows, on_first, row_weight
from scg.estimators.weak_derivatives import FAMILIES, rule_of

__all__ = ["MeasureValued"]


@dataclass(frozen=True, slots=True)
class MeasureValued(AbstractEstimator):
    r"""Take the difference of costs between draws from two densities.

    .. math:: \nabla_\phi \mathbb E_p[f] = c_\phi \bigl(\mathbb E_{p^+}[f]
              - \mathbb E_{p^-}[f]\bigr), \qquad
              \partial p / \partial \phi = c_\phi (p^+ - p^-)

    Nothing downstream need be differentiable. The first branch of a row is a draw from
    the distribution and carries all the weight; in each of the others one element of
    it is replaced by a draw from a positive or a negative part. There are

    * for a bit 1 and for one of K categories K - 1 others, the rest of the support: no
      variance comes from the element itself;
    * for a normal element 4: :math:`\mu \pm \sigma W` with W Rayleigh for the mean,
      :math:`\mu + \sigma M` and :math:`\mu + \sigma M U` with M two-sided Maxwell and U
      uniform for the scale;
    * for a Poisson element 1, :math:`x + 1`; for an exponential or gamma element (by
      its rate) 1, :math:`x + x'` with :math:`x' \sim \mathrm{Exp}(\beta)`.

    So the work downstream is in proportion to the number of elements.

    Parameters
    ----------
    limit : int
        The largest number of branches.

    Raises
    ------
    EstimatorError
        When more branches are needed than `limit`.

    References
    ----------
    Mohamed, Rosca, Figurnov & Mnih 2020, "Monte Carlo gradient estimation in machine
    learning", section 6; Pflug 1989, "Sampling derivatives of probabilities".

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> mu = graph.param("mu", 1.0)
    >>> x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    >>> loss = graph.cost("loss", np.where(x > 0, 1.0, 0.0))
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"mu": 1.0}, rng=np.random.default_rng(0), rows=100_000,
    ...     estimators={"x": scg.MeasureValued()})
    >>> round(float(estimate.gradient["mu"]), 2)  # the density of 0
    0.24
    """

    limit: int = 4096

    lays_out: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"no loop"})
    families: ClassVar[Mapping[type, frozenset[str]]] = FAMILIES
    reads: ClassVar[tuple[str, ...]] = ()
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "difference between draws from two densities"

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return one more than what replaces the elements, one at a time."""
        rule = rule_of(distribution)
        elements = math.prod(event_shape[:-1] if rule.vector else event_shape)
        count = 1 + elements * rule.count(distribution)
        if count > self.limit:
            msg = (
                f"MeasureValued: expected at most {self.limit} branches, got {count} "
                f"for an event of shape {event_shape}. Raise limit, or use "
                "ScoreFunction(baseline=LeaveOneOut(), samples=...)."
            )
            raise EstimatorError(msg)
        return count

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw a value, and repeat it with one element after the other replaced."""
        n = self.branches(distribution, shape[1:])
        each = of_rows(distribution, shape, n)
        value = each.sample(rng, (shape[0] // n, *shape[1:]))
        rule = rule_of(distribution)
        others = rule.others(each, value, rng).astype(value.dtype)
        tail = value.shape[-1:] if rule.vector else ()
        out = np.repeat(value[:, np.newaxis], n, axis=1)
        whole = out.reshape(len(value), n, -1, *tail)
        many = others.reshape(len(others), len(value), -1, *tail)
        elements = np.arange(many.shape[2])
        for a, each_other in enumerate(many):
            at = 1 + a * len(elements) + elements
            whole[:, at, elements] = each_other
        weights = np.zeros((len(value), n), _float(value.dtype))
        weights[:, 0] = 1
        return Drawn(flat(out), weights=weights.reshape(-1))

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return the weighted changes of the cost."""
        n, rule = site.branches, rule_of(site.distribution)
        each = of_rows(site.distribution, site.value.shape, n)
        value = site.value[::n]
        costs = by_branch(site.cost, n)
        changes = row_weight(site)[:, np.newaxis] * (costs[:, 1:] - costs[:, :1])
        elements = value.shape[1:-1] if rule.vector else value.shape[1:]
        by_element = changes.reshape(len(value), -1, *elements)
        found = rule.adjoints(each, value, np.moveaxis(by_element, 1, 0))
        return {name: on_first(g, n) for name, g in found.items()}


def _float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind == "f" else np.dtype(np.float64)
