"""The binomial family: successes in a known number of trials."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval
from numpy.typing import NDArray

from scg.distributions import _choice as c
from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractDiscrete
from scg.distributions._rounding import DOUBLE, confined, narrow, wide
from scg.distributions._special import log_gamma, scipy_special, xlog1py, xlogy
from scg.distributions._whole import whole_numbers
from scg.distributions.bernoulli import Bernoulli
from scg.errors import DistributionError
from scg.functions import keep, log_sigmoid, sigmoid, stop_gradient
from scg.protocol import AbstractNode

__all__ = ["Binomial"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Binomial(AbstractDiscrete):
    r"""Draw the number of successes in n trials; elements are independent.

    .. math:: \log p(k) = \log \binom{n}{k} + k \log p + (n - k) \log(1 - p), \qquad
              p = \sigma(\ell)

    A value that is not one of 0, ..., n has log-probability :math:`-\infty`. The number
    of trials is data: it has no score.

    Parameters
    ----------
    count : int or array of whole numbers, any shape
        The number of trials n. A node must have an integer dtype; then the support is
        not known beforehand.
    logits : array, any shape
        Log-odds of success in one trial.
    probs : array, any shape
        Probability of success in one trial, instead of `logits`.

    Raises
    ------
    DistributionError
        If not exactly one of `logits` and `probs` is given, or `count` is a node that
        is not of integers.
    MissingExtraError
        If SciPy is not installed.

    References
    ----------
    Johnson, Kemp & Kotz 2005, "Univariate discrete distributions", chapter 3.

    Examples
    --------
    >>> import numpy as np
    >>> heads = Binomial(count=3, logits=np.array([0.0, 0.0]))
    >>> heads.log_prob(np.array([1.0, 4.0])).round(4).tolist()
    [-0.9808, -inf]
    >>> heads.support().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    count: Any
    logits: Any = None
    _: KW_ONLY
    probs: Any = None

    def __post_init__(self) -> None:
        scipy_special()
        c.settle_one_of(self, "logits", "probs")
        p.settle(self, "count")
        if isinstance(self.count, AbstractNode) and self._count_dtype.kind == "f":
            msg = (
                "Binomial: expected a count of whole numbers, got a node of dtype "
                f"{self._count_dtype}. Make it of integers: "
                "graph.input(name, dtype=int)."
            )
            raise DistributionError(msg)

    @property
    def _count_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.count.dtype)

    @property
    def parameters(self) -> dict[str, Any]:
        """``count``, and either ``logits`` or ``probs``."""
        return c.given(self, "count", "logits", "probs")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of count and probability together."""
        return p.joint_shape(*self.parameters.values())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the probability."""
        return p.joint_dtype(self._odds)

    @property
    def _odds(self) -> Any:
        return self.logits if self.probs is None else self.probs

    @property
    def _trials(self) -> Any:
        return wide(stop_gradient(p.as_draw(self.count, DOUBLE)))

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw by NumPy's generator."""
        probs = sigmoid(self.logits) if self.probs is None else self.probs
        # In a loop parameters are validated after its draws, which may not raise.
        trials = np.maximum(np.asarray(self.count), 0).astype(np.int64)
        probs = np.nan_to_num(np.clip(probs, 0, 1))
        return np.asarray(rng.binomial(trials, probs, shape), self.dtype)

    def log_prob(self, value: Any) -> Any:
        """Compute log C(n, k) + k log p + (n - k) log(1 - p)."""
        n, k = self._trials, wide(p.as_draw(value, self.dtype))
        inside = anp.logical_and(whole_numbers(k), anp.less_equal(k, n))
        k = confined(k, inside, 0.0)
        ways = log_gamma(n + 1) - log_gamma(k + 1) - log_gamma(n - k + 1)
        odds = wide(self._odds)
        if self.probs is None:
            log_p = k * log_sigmoid(odds) + (n - k) * log_sigmoid(-odds)
        else:
            log_p = xlogy(k, odds) + xlog1py(n - k, -odds)
        return narrow(ways + log_p + p.log_indicator(inside, DOUBLE), self.dtype)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute k - n p for the logits, k/p - (n - k)/(1 - p) for `probs`."""
        k = wide(p.as_draw(value, self.dtype))
        failures, odds = self._trials - k, wide(self._odds)
        if self.probs is None:
            score = k * sigmoid(-odds) - failures * sigmoid(odds)
            return {"logits": narrow(score, self.dtype)}
        # 0/0 is 0: what does not happen has no part in it.
        up = k / (odds + np.equal(k, 0))
        down = failures / (1 - odds + np.equal(failures, 0))
        return {"probs": narrow(up - down, self.dtype)}

    @property
    def _trial(self) -> Bernoulli:
        if self.probs is None:
            return Bernoulli(wide(self.logits))
        return Bernoulli(probs=wide(self.probs))

    def entropy(self) -> Any:
        """Sum -p(k) log p(k) over the support, which must be known."""
        support = self.support()
        if support is None:
            msg = "entropy: expected a count that is a constant, got a node."
            raise DistributionError(msg)
        # The values go along a last axis: the first may be the rows of a graph.
        columns = {k: anp.expand_dims(v, -1) for k, v in self.parameters.items()}
        log_p = self.replace(**columns).log_prob(support)
        terms = anp.exp(log_p) * keep(log_p, anp.greater(log_p, -np.inf))
        return -anp.sum(terms, axis=-1)

    def kl(self, other: Binomial) -> Any:
        """Compute n times the divergence of one trial; the counts must be the same."""
        same = self.count is other.count or (
            p.concrete(self.count, other.count)
            and np.array_equal(getval(self.count), getval(other.count))
        )
        if not same:
            msg = (
                f"kl: expected two Binomial of the same count, got {self.count!r} and "
                f"{other.count!r}."
            )
            raise DistributionError(msg)
        kl = self._trials * self._trial.kl(other._trial)
        return narrow(kl, p.joint_dtype(self._odds, other._odds))

    def support(self) -> NDArray[Any] | None:
        """List 0, ..., the largest count; ``None`` where the count is a node."""
        if not p.concrete(self.count):
            return None
        largest = np.max(getval(self.count), initial=0)
        return np.arange(int(largest) + 1, dtype=self.dtype)

    def validate(self, name: str) -> None:
        """Check the count, and that logits are finite or probabilities in [0, 1]."""
        if p.concrete(self.count):
            p.require_all(
                name,
                whole_numbers(self.count),
                self.count,
                expected="a count of Binomial that is a whole number of at least 0",
                way_out="Round it before the run.",
            )
        r.require_finite(name, self, "logits")
        r.require_probability(name, self, positive=False)
