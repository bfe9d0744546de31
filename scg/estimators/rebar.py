"""REBAR: the score function, with the relaxed cost as its control variate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from scg.errors import EstimatorError
from scg.estimators.base import AbstractEstimator, Drawn, Site
from scg.estimators.branches import by_branch, flat, of_rows, on_first, row_weight
from scg.estimators.control import controlled, reads, scaled_score
from scg.estimators.coupled import given_draw, hard, open_uniform, prior, soft
from scg.estimators.relaxed import VECTORS, pull

__all__ = ["REBAR"]


@dataclass(frozen=True, slots=True)
class REBAR(AbstractEstimator):
    r"""Subtract the cost of a smooth draw, and add its pathwise gradient again.

    .. math:: \bigl(\hat Q(b) - \eta\, c(\tilde z)\bigr) \nabla \log p(b)
              + \eta\, \nabla c(z) - \eta\, \nabla c(\tilde z), \qquad
              c(z) = \hat Q\bigl(\sigma(z / \tau)\bigr)

    with z the draw before its threshold, or argmax, b that, and :math:`\tilde z` drawn
    given b. There are three branches: b, which has all the weight, and the smooth
    draws. Every way down must be differentiable, and costs have a meaning between the
    values of the support; whatever τ and η are, the estimate is unbiased, if those of
    samples below are.

    Parameters
    ----------
    temperature : float
        ``τ``.
    coefficient : float, str or None
        ``η``; None for what has the least variance on the other half of the rows; the
        name of a value node for one of each row, trained on the variance.

    Raises
    ------
    EstimatorError
        When the temperature is not positive.

    References
    ----------
    Tucker, Mnih, Maddison, Lawson & Sohl-Dickstein 2017, "REBAR: low-variance, unbiased
    gradient estimates for discrete latent variable models", section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=100_000,
    ...     estimators={"b": scg.REBAR(temperature=0.5)})
    >>> abs(float(estimate.gradient["theta"]) - 0.025) < 1e-3
    True
    """

    temperature: float = 0.5
    coefficient: float | str | None = None

    pathwise: ClassVar[bool] = True
    looks_down: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    lays_out: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "no loop"})
    families: ClassVar[Mapping[type, frozenset[str]]] = VECTORS
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "score function less the cost of a smooth draw"

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            msg = f"REBAR: expected a temperature above 0, got {self.temperature!r}."
            raise EstimatorError(msg)

    @property
    def reads(self) -> tuple[str, ...]:
        """The value node of the coefficients, where they are learned."""
        return reads(self.coefficient)

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return 3."""
        return 3

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw z, b from it and z̃ given b."""
        each = of_rows(distribution, shape, 3)
        rows = (shape[0] // 3, *shape[1:])
        u, v = (open_uniform(distribution, rows, rng) for _ in range(2))
        b = hard(each, prior(each, u))
        smooth = [self._before(each, u), self._after(each, v=v, b=b)]
        value = np.stack([b, *smooth], axis=1)
        weights = np.tile(np.array([1, 0, 0], value.dtype), len(value))
        return Drawn(flat(value), weights=weights, noise=flat(np.stack([u, u, v], 1)))

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return score times cost, less what has mean 0."""
        each = of_rows(site.distribution, site.value.shape, 3)
        b, slope = by_branch(site.value, 3)[:, 0], by_branch(site.slope, 3)
        noise = by_branch(site.noise, 3)
        q = by_branch(site.cost, 3) * row_weight(site)[:, np.newaxis]
        a, h = (scaled_score(each, b, q[:, k]) for k in (0, 2))
        before = partial(self._before, u=noise[:, 1])
        after = partial(self._after, v=noise[:, 2], b=b)
        ups, downs = pull(before, each, slope[:, 1]), pull(after, each, slope[:, 2])
        h = {name: h[name] - ups[name] + downs[name] for name in a}
        found = controlled("REBAR", site, a, [h], self.coefficient)
        return {name: on_first(g, 3) for name, g in found.items()}

    def _before(self, distribution: Any, u: Any) -> Any:
        return soft(distribution, prior(distribution, u), self.temperature)

    def _after(self, distribution: Any, v: Any, b: Any) -> Any:
        return soft(distribution, given_draw(distribution, v, b), self.temperature)
