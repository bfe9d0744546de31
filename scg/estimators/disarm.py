"""DisARM: two antithetic values of bits, or of categories made of bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.estimators.base import AbstractEstimator, Drawn, Site
from scg.estimators.branches import (
    by_branch,
    flat,
    of_rows,
    on_first,
    row_weight,
    uniform,
)
from scg.estimators.choices import CHOICES, by_parameter
from scg.estimators.sticks import by_logits, numbers, of_numbers, stops

__all__ = ["DisARM"]


@dataclass(frozen=True, slots=True)
class DisARM(AbstractEstimator):
    r"""Weigh the difference of two antithetic branches where their bits differ.

    .. math:: \tfrac12 \bigl(\hat Q(b) - \hat Q(\tilde b)\bigr)
              (-1)^{\tilde b} \, [b \ne \tilde b] \, \sigma(|\ell|),
              \qquad b = [u > 1 - p], \; \tilde b = [u < p]

    by the log-odds ℓ, the conditional mean of `ARM` given the two values. Also known
    as U2G.

    One of K is made of bits: break a stick, at each category stop there or go on. Two
    antithetic sets of these K - 1 bits are two categories, and the formula holds for
    each bit. A bit that only one of the two came to is replaced by its mean given the
    other, which makes it a score, :math:`\tfrac12 (\hat Q - \hat Q')(b - q)` with the
    probability q of stopping; a bit that neither came to adds nothing. Two branches do
    for any K, where estimators that swap categories need up to K (K - 1) / 2, and no
    pair of categories is impossible, as it can be where a uniform number is inverted
    from both ends.

    References
    ----------
    Dong, Mnih & Tucker 2020, "DisARM: an antithetic gradient estimator for binary
    latent variables"; Yin et al. 2020, "Probabilistic best subset selection via
    gradient-based optimization" (U2G); Dong, Mnih & Tucker 2021, "Coupled gradient
    estimators for discrete latent variables".

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=1,
    ...     estimators={"b": scg.DisARM()})
    >>> round(float(estimate.gradient["theta"]), 12)
    0.025
    """

    lays_out: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "no loop"})
    families: ClassVar[Mapping[type, frozenset[str]]] = CHOICES
    reads: ClassVar[tuple[str, ...]] = ()
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "two antithetic draws, weighed where they differ"

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return 2."""
        return 2

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw the bits from uniform numbers, and from their mirror images."""
        q = stops(of_rows(distribution, shape, 2), (shape[0] // 2, *shape[1:]))
        u = uniform(rng, q.shape, q.dtype)
        pair = np.stack([u > 1 - q, u < q], axis=1)
        return Drawn(flat(of_numbers(distribution, pair)))

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return the derivative by each bit's log-odds, taken on to the parameter."""
        shape = site.value.shape
        each = of_rows(site.distribution, shape, 2)
        q = stops(each, (shape[0] // 2, *shape[1:]))
        place = by_branch(numbers(each, site.value), 2)[..., np.newaxis]
        at = np.arange(q.shape[-1])
        reached = place >= at
        bit = np.where(reached, place == at, q[:, np.newaxis])
        difference = bit[:, 0] - bit[:, 1]
        difference *= np.where(reached.all(axis=1), np.maximum(q, 1 - q), 1)
        costs = by_branch(site.cost, 2)
        factor = 0.5 * row_weight(site) * (costs[:, 0] - costs[:, 1])
        a = factor.reshape(-1, *(1,) * (q.ndim - 1)) * difference
        return {
            name: on_first(g, 2)
            for name, g in by_parameter(each, by_logits(each, a)).items()
        }
