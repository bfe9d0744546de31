"""RELAX: the score function, with functions of a smooth draw as control variates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import autograd.numpy as anp
import numpy as np

from scg.estimators.base import AbstractEstimator, Drawn, Site
from scg.estimators.branches import of_rows
from scg.estimators.control import controlled, scaled_score
from scg.estimators.coupled import given_draw, hard, open_uniform, prior, soft
from scg.estimators.relaxed import VECTORS, pull

__all__ = ["RELAX", "moments"]


def moments(soft_draw: Any) -> list[Any]:
    """Return 1, the entries of a smooth draw and their products in pairs.

    Parameters
    ----------
    soft_draw : array, shape ``(rows, *event)``

    Returns
    -------
    list of array, shape (rows,)
    """
    x = anp.reshape(soft_draw, (len(soft_draw), -1))
    d = x.shape[1]
    pairs = [x[:, i] * x[:, j] for i in range(d) for j in range(i + 1)]
    return [0 * x[:, 0] + 1, *(x[:, i] for i in range(d)), *pairs]


@dataclass(frozen=True, slots=True)
class RELAX(AbstractEstimator):
    r"""Subtract the best combination of functions of a smooth draw.

    .. math:: \bigl(\hat Q(b) - c(\tilde z)\bigr) \nabla \log p(b)
              + \nabla c(z) - \nabla c(\tilde z), \qquad
              c(z) = \sum_m \eta_m\, c_m\bigl(\sigma(z / \tau)\bigr)

    with z the draw before its threshold, or argmax, b that, and :math:`\tilde z` drawn
    given b. What is learned are the η, and not by steps: they are those of the least
    variance on the other half of the rows, in closed form. The cost itself is looked at
    for b alone, so that nothing downstream need be differentiable, and there is one
    branch. `REBAR` has the cost of the smooth draw for its only function.

    Parameters
    ----------
    functions : callable
        From a smooth draw, shape ``(rows, *event)``, to a list of arrays of shape
        (rows,), written with ``autograd.numpy``. By default 1, the entries and their
        products in pairs.
    temperature : float
        ``τ``.
    coefficient : float or None
        In place of all ``η``.

    Raises
    ------
    EstimatorError
        When a run has fewer than 2 rows, and no coefficient is given.

    References
    ----------
    Grathwohl, Choi, Wu, Roeder & Duvenaud 2018, "Backpropagation through the void:
    optimizing control variates for black-box gradient estimation", section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", np.where(b > 0, 0.3025, 0.2025))
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=10_000,
    ...     estimators={"b": scg.RELAX()})
    >>> abs(float(estimate.gradient["theta"]) - 0.025) < 1e-3
    True
    """

    functions: Callable[[Any], list[Any]] = field(default=moments)
    temperature: float = 0.5
    coefficient: float | None = None

    lays_out: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "no loop"})
    families: ClassVar[Mapping[type, frozenset[str]]] = VECTORS
    reads: ClassVar[tuple[str, ...]] = ()
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "score function less fitted functions of a smooth draw"

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return 1."""
        return 1

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw from the noise, and noise for z̃."""
        u, v = (open_uniform(distribution, shape, rng) for _ in range(2))
        value = hard(distribution, prior(distribution, u))
        return Drawn(value, noise=np.stack([u, v], axis=1))

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return score times cost, less what has mean 0."""
        each, b = of_rows(site.distribution, site.value.shape, 1), site.value
        u, v = site.noise[:, 0], site.noise[:, 1]
        weight = np.broadcast_to(site.weight, site.cost.shape).astype(b.dtype)
        a = scaled_score(each, b, weight * site.cost)
        at = np.asarray(self._soft(each, given_draw(each, v, b)))
        h = []
        for m, c in enumerate(self.functions(at)):
            before = pull(partial(self._value, m=m, u=u), each, weight)
            after = pull(partial(self._given, m=m, v=v, b=b), each, weight)
            score = scaled_score(each, b, weight * c)
            h.append({k: score[k] - before[k] + after[k] for k in a})
        return controlled("RELAX", site.name, a, h, self.coefficient)

    def _soft(self, distribution: Any, z: Any) -> Any:
        return soft(distribution, z, self.temperature)

    def _value(self, distribution: Any, m: int, u: Any) -> Any:
        return self.functions(self._soft(distribution, prior(distribution, u)))[m]

    def _given(self, distribution: Any, m: int, v: Any, b: Any) -> Any:
        z = given_draw(distribution, v, b)
        return self.functions(self._soft(distribution, z))[m]
