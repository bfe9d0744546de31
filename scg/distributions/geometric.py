"""The geometric family: failures before the first success."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _choice as c
from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractDiscrete, standard
from scg.distributions._rounding import confined
from scg.distributions._whole import whole_numbers
from scg.functions import sigmoid, softplus

__all__ = ["Geometric"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Geometric(AbstractDiscrete):
    r"""Draw the number of failures before the first success: 0, 1, 2, ...

    .. math:: \log p(k) = k \log(1 - p) + \log p, \qquad p = \sigma(\ell)

    Elements are independent. A value that is not a whole number of at least 0 has
    log-probability :math:`-\infty`.

    Parameters
    ----------
    logits : array, any shape
        Log-odds of success in one trial.
    probs : array, any shape
        Probability of success in one trial, instead of `logits`.

    Raises
    ------
    DistributionError
        If not exactly one of the two is given.

    References
    ----------
    Johnson, Kemp & Kotz 2005, "Univariate discrete distributions", section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> failures = Geometric(logits=np.array([0.0, 0.0]))
    >>> failures.log_prob(np.array([1.0, -1.0])).round(4).tolist()
    [-1.3863, -inf]
    >>> failures.sample(np.random.default_rng(0), (2, 2)).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """

    logits: Any = None
    _: KW_ONLY
    probs: Any = None

    def __post_init__(self) -> None:
        c.settle_one_of(self, "logits", "probs")

    @property
    def parameters(self) -> dict[str, Any]:
        """Either ``logits`` or ``probs``."""
        return c.given(self, "logits", "probs")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the parameter."""
        return p.joint_shape(*self.parameters.values())

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Count the whole steps of size -log(1 - p) in an exponential draw."""
        wait = standard(rng.standard_exponential, shape, self.dtype)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = softplus(self.logits) if self.probs is None else self._step()
            return np.asarray(np.floor(wait / step), self.dtype)

    def _step(self) -> Any:
        return -np.log1p(-np.asarray(self.probs, self.dtype))

    def log_prob(self, value: Any) -> Any:
        """Compute k log(1 - p) + log p."""
        value = p.as_draw(value, self.dtype)
        inside = whole_numbers(value)
        k = confined(value, inside, 0.0)
        log_success, log_failure = self._log_masses(k)
        return k * log_failure + log_success + p.log_indicator(inside, self.dtype)

    def _log_masses(self, failures: Any) -> tuple[Any, Any]:
        """Give log p, and log(1 - p) made finite where there are no failures."""
        if self.probs is None:
            return -softplus(-self.logits), -softplus(self.logits)
        certain = anp.logical_and(anp.equal(failures, 0), anp.equal(self.probs, 1))
        failure = p.log_or_minus_infinity(1 - self.probs + certain)
        return p.weakly(anp.log, self.probs), failure

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute 1 - p - k p for the logits, 1/p - k/(1 - p) for `probs`."""
        k = p.as_draw(value, self.dtype)
        if self.probs is None:
            return {"logits": sigmoid(-self.logits) - k * sigmoid(self.logits)}
        none = np.equal(k, 0)
        return {"probs": np.asarray(1 / self.probs - k / (1 - self.probs + none))}

    @property
    def _mean(self) -> Any:
        if self.probs is None:
            return p.weakly(anp.exp, -self.logits)
        return (1 - self.probs) / self.probs

    def entropy(self) -> Any:
        """Compute -log p - (1/p - 1) log(1 - p)."""
        mean = self._mean
        log_success, log_failure = self._log_masses(mean)
        return -log_success - mean * log_failure

    def kl(self, other: Geometric) -> Any:
        """Compute log(p/q) + (1/p - 1) log((1 - p)/(1 - q))."""
        mean = self._mean
        log_p, log_q = self._log_masses(mean), other._log_masses(mean)
        return log_p[0] - log_q[0] + mean * (log_p[1] - log_q[1])

    def support(self) -> None:
        """Return ``None``: there is no largest number."""
        return

    def validate(self, name: str) -> None:
        """Check that logits are finite, or that probabilities are in (0, 1]."""
        r.require_finite(name, self, "logits")
        r.require_probability(name, self, positive=True)
