"""Augment, reinforce, merge: two antithetic values of bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.distributions import Bernoulli
from scg.estimators.base import AbstractEstimator, Drawn, Site, per_event
from scg.estimators.branches import (
    by_branch,
    flat,
    of_rows,
    on_first,
    row_weight,
    uniform,
)
from scg.estimators.choices import CHOICES, by_parameter, masses

__all__ = ["ARM"]


@dataclass(frozen=True, slots=True)
class ARM(AbstractEstimator):
    r"""Weigh the difference of two antithetic branches with the noise they share.

    .. math:: \bigl(\hat Q[u > 1 - p] - \hat Q[u < p]\bigr) (u - \tfrac12),
              \qquad u \sim U(0, 1)

    by the log-odds; for several bits, u is a vector and both branches are whole
    vectors, so that there are two whatever their number. Each branch alone has the
    node's distribution, and weighs one half in what is upstream. `DisARM` has less
    variance at the same cost.

    References
    ----------
    Yin & Zhou 2019, "ARM: augment-REINFORCE-merge gradient for stochastic binary
    networks", theorem 1.

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
    ...     estimators={"b": scg.ARM()})
    >>> abs(float(estimate.gradient["theta"]) - 0.025) < 3e-4
    True
    """

    lays_out: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "no loop"})
    families: ClassVar[Mapping[type, frozenset[str]]] = {Bernoulli: CHOICES[Bernoulli]}
    reads: ClassVar[tuple[str, ...]] = ()
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "two antithetic draws, weighed with their shared noise"

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return 2."""
        return 2

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Compare one uniform number, and its mirror image, with the probability."""
        p = masses(of_rows(distribution, shape, 2))
        u = uniform(rng, (shape[0] // 2, *shape[1:]), p.dtype)
        pair = np.stack(np.broadcast_arrays(u > 1 - p, u < p), axis=1)
        noise = np.stack([u, u], axis=1)
        return Drawn(flat(pair.astype(distribution.dtype)), noise=flat(noise))

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return the difference of the costs times u - 1/2."""
        q = by_branch(site.cost, 2)
        u = by_branch(site.noise, 2)[:, 0]
        factor = per_event(row_weight(site) * (q[:, 0] - q[:, 1]), u)
        by_logits = on_first(factor * (u - 0.5), 2)
        return by_parameter(site.distribution, by_logits)
