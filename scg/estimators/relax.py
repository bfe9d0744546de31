"""RELAX: the score function, with functions of a smooth draw as control variates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp

from scg.estimators.base import READ, AbstractEstimator, Drawn, Site
from scg.estimators.branches import is_array, of_rows
from scg.estimators.control import (
    coefficients,
    controlled,
    lesson,
    reads,
    scaled_score,
)
from scg.estimators.coupled import given_draw, hard, open_uniform, prior, soft
from scg.estimators.relaxed import VECTORS, led_by, pull

__all__ = ["RELAX", "entries", "moments"]


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


def entries(soft_draw: Any) -> Any:
    """Return 1 and the entries of a smooth draw, shape (rows, count)."""
    x = anp.reshape(soft_draw, (len(soft_draw), -1))
    return led_by(x, 1.0)


@dataclass(frozen=True, slots=True)
class RELAX(AbstractEstimator):
    r"""Subtract the best combination of functions of a smooth draw.

    .. math:: \bigl(\hat Q(b) - c(\tilde z)\bigr) \nabla \log p(b)
              + \nabla c(z) - \nabla c(\tilde z), \qquad
              c(z) = \sum_m \eta_m\, c_m\bigl(\sigma(z / \tau)\bigr)

    with z the draw before its threshold, or argmax, b that, and :math:`\tilde z` drawn
    given b. The cost itself is looked at for b alone, so that nothing downstream need
    be differentiable, and there is one branch. `REBAR` has the cost of the smooth draw
    for its only function.

    The η are those of the least variance on the other half of the rows, in closed form.
    Or each row has its own, read from a value node, which may be any network of what
    the node does not influence; the squared length of the estimates, whose mean is
    their variance and what η cannot change, trains it. With 1 among the functions this
    has in it a baseline that depends on the row.

    Parameters
    ----------
    functions : callable
        From a smooth draw, shape ``(rows, *event)``, to a list of arrays of shape
        (rows,), or to an array of shape (rows, count), written with
        ``autograd.numpy``. By default 1 and the entries, and where η is fitted their
        products in pairs too.
    temperature : float
        ``τ``.
    coefficient : float, str or None
        In place of all ``η``; or the name of a value node of shape (rows, count).

    Raises
    ------
    EstimatorError
        When a run has fewer than 2 rows, and no coefficient is given; when a value node
        holds another number of coefficients than there are functions.

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

    functions: Callable[[Any], Any] | None = None
    temperature: float = 0.5
    coefficient: float | str | None = None

    lays_out: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "no loop"})
    families: ClassVar[Mapping[type, frozenset[str]]] = VECTORS
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "score function less fitted functions of a smooth draw"

    @property
    def reads(self) -> tuple[str, ...]:
        """The value node of the coefficients, where they are learned."""
        return reads(self.coefficient)

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
        given = np.asarray(self._soft(each, given_draw(each, v, b)))
        if isinstance(self.coefficient, str):
            return self._learned(site, each, weight, given)
        a, h = scaled_score(each, b, weight * site.cost), []
        for m, c in enumerate(self._functions(given).T):
            before = pull(lambda d, m=m: self._before(d, u)[:, m], each, weight)
            after = pull(lambda d, m=m: self._after(d, v, b)[:, m], each, weight)
            score = scaled_score(each, b, weight * c)
            h.append({k: score[k] - before[k] + after[k] for k in a})
        return controlled("RELAX", site, a, h, self.coefficient)

    def _learned(self, site: Site, each: Any, weight: Any, given: Any) -> Any:
        """Return the estimate with the coefficients read, and what trains them."""
        u, v, b = site.noise[:, 0], site.noise[:, 1], site.value
        c = self._functions(given)
        eta = coefficients("RELAX", site, c.shape[1])
        (name, x), *_ = ((k, x) for k, x in each.parameters.items() if is_array(x))
        score = scaled_score(each, b, weight)[name]

        def estimate(eta: Any) -> Any:
            def both(x: Any) -> Any:
                varied = each.replace(**{name: x})
                z = self._before(varied, u), self._after(varied, v, b)
                return anp.sum(eta * (z[0] - z[1]), axis=1)

            left = site.cost - anp.sum(eta * c, axis=1)
            smooth = make_vjp(both)(x)[0](weight)
            return score * anp.reshape(left, (-1, *(1,) * (x.ndim - 1))) + smooth

        vjp, found = make_vjp(estimate)(eta)
        return {name: np.asarray(found, x.dtype), READ: lesson(site, vjp(found))}

    def _functions(self, soft_draw: Any) -> Any:
        """Return the functions' values, shape (rows, count)."""
        learned = isinstance(self.coefficient, str)
        found = (self.functions or (entries if learned else moments))(soft_draw)
        return anp.stack(found, axis=1) if isinstance(found, list | tuple) else found

    def _soft(self, distribution: Any, z: Any) -> Any:
        return soft(distribution, z, self.temperature)

    def _before(self, distribution: Any, u: Any) -> Any:
        return self._functions(self._soft(distribution, prior(distribution, u)))

    def _after(self, distribution: Any, v: Any, b: Any) -> Any:
        return self._functions(self._soft(distribution, given_draw(distribution, v, b)))
