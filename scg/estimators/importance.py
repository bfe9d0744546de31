"""Importance sampling: draws from another distribution, weighed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from scg.errors import EstimatorError
from scg.estimators.base import AbstractEstimator, Drawn, Site
from scg.estimators.branches import by_branch
from scg.estimators.score_function import ScoreFunction

__all__ = ["ImportanceSampling"]


@dataclass(frozen=True, slots=True)
class ImportanceSampling(AbstractEstimator):
    r"""Draw from a proposal, and weigh each draw with the ratio of the densities.

    .. math:: \frac1K \sum_k w_k \nabla \log p(x_k)\, (\hat Q_k - b_k), \qquad
              x_k \sim q, \quad w_k = \frac{p(x_k)}{q(x_k)}, \quad
              b_k = \frac{1}{K - 1} \sum_{j \ne k} w_j \hat Q_j

    The ratios hold for all costs downstream and for what is upstream. Unbiased if q is
    positive wherever p is; a q with lighter tails than p has a variance without bound.

    Parameters
    ----------
    proposal : callable
        From the node's distribution to the one that is drawn from, of the same values.
    samples : int
        K; the baseline needs 2.
    normalise : bool
        Divide the weights by their mean over the branches of a row, and let b be the
        weighted mean of all. *Biased*, by terms that fall as 1/K; densities need then
        be known up to a factor only.

    Raises
    ------
    EstimatorError
        When `samples` is below 1, or below 2 with `normalise`.

    References
    ----------
    Owen 2013, "Monte Carlo theory, methods and examples", chapter 9.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> mu = graph.param("mu", 0.0)
    >>> x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    >>> loss = graph.cost("rare", np.where(x > 3, 1.0, 0.0))
    >>> tail = scg.ImportanceSampling(lambda p: p.replace(mean=p.mean + 3), samples=2)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"mu": 0.0}, rng=np.random.default_rng(0), rows=10_000,
    ...     estimators={"x": tail})
    >>> round(float(estimate.gradient["mu"]), 3)  # the density at 3: 0.0044
    0.004
    """

    proposal: Callable[[Any], Any]
    samples: int = 1
    normalise: bool = False

    lays_out: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "no loop"})
    reads: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "draws from a proposal, weighed"

    def __post_init__(self) -> None:
        least = 2 if self.normalise else 1
        if self.samples < least:
            msg = (
                f"ImportanceSampling: expected samples >= {least}, got "
                f"{self.samples!r}."
            )
            raise EstimatorError(msg)

    @property
    def biases(self) -> tuple[str, ...]:
        """Normalised weights are not independent of the draw."""
        return ("normalised weights",) if self.normalise else ()

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return the number of samples."""
        return self.samples

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw from the proposal."""
        other = self.proposal(distribution)
        value = other.sample(rng, shape)
        log_w = distribution.log_prob(value) - other.log_prob(value)
        each = by_branch(log_w.reshape(len(value), -1).sum(axis=1), self.samples)
        w = np.exp(each) / self.samples
        if self.normalise:
            w = np.exp(each - each.max(axis=1, keepdims=True))
            w = w / w.sum(axis=1, keepdims=True)
        ratio = (self.samples * w).reshape(-1)
        return Drawn(value, weights=w.reshape(-1), noise=ratio)

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return weight times score times cost less baseline."""
        advantage = site.advantage - self._baseline(site)
        return ScoreFunction().adjoints(replace(site, advantage=advantage))

    def _baseline(self, site: Site) -> Any:
        if self.samples < 2:
            return 0.0
        weighed = by_branch(site.noise * site.cost, self.samples)
        total = weighed.sum(axis=1, keepdims=True)
        if self.normalise:
            b = np.broadcast_to(total / self.samples, weighed.shape)
        else:
            b = (total - weighed) / (self.samples - 1)
        return b.reshape(-1)
