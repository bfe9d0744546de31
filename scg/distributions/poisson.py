"""The Poisson family: how many events there are."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _choice as c
from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractDiscrete, no_entropy
from scg.distributions._rounding import DOUBLE, confined, narrow, wide
from scg.distributions._special import log_gamma, scipy_special
from scg.distributions._whole import whole_numbers

__all__ = ["Poisson"]

# The largest rate that NumPy draws from.
_LARGEST = 9e18


@final
@dataclass(frozen=True, slots=True, eq=False)
class Poisson(AbstractDiscrete):
    r"""Draw a number of events: 0, 1, 2, ...; elements are independent.

    .. math:: \log p(k) = k \log \lambda - \lambda - \log k!

    A value that is not a whole number of at least 0 has log-probability
    :math:`-\infty`. The entropy has no closed form.

    Parameters
    ----------
    rate : array, any shape
        The mean λ.
    log_rate : array, any shape
        Its logarithm, instead of `rate`: any real number is valid.

    Raises
    ------
    DistributionError
        If not exactly one of the two is given.
    MissingExtraError
        If SciPy is not installed.

    References
    ----------
    Johnson, Kemp & Kotz 2005, "Univariate discrete distributions", chapter 4.

    Examples
    --------
    >>> import numpy as np
    >>> events = Poisson(rate=np.array([1.0, 2.0, 3.0]))
    >>> events.log_prob(np.array([0.0, 2.0, 0.5])).round(4).tolist()
    [-1.0, -1.3069, -inf]
    >>> events.sample(np.random.default_rng(0), (2, 3)).tolist()
    [[1.0, 0.0, 0.0], [3.0, 3.0, 1.0]]
    """

    rate: Any = None
    _: KW_ONLY
    log_rate: Any = None

    def __post_init__(self) -> None:
        scipy_special()
        c.settle_one_of(self, "rate", "log_rate")

    @property
    def parameters(self) -> dict[str, Any]:
        """Either ``rate`` or ``log_rate``."""
        return c.given(self, "rate", "log_rate")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the parameter."""
        return p.joint_shape(*self.parameters.values())

    @property
    def _rate(self) -> Any:
        if self.log_rate is None:
            return wide(self.rate)
        return p.weakly(anp.exp, wide(self.log_rate))

    @property
    def _log_rate(self) -> Any:
        if self.log_rate is None:
            return p.weakly(anp.log, wide(self.rate))
        return wide(self.log_rate)

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw by NumPy's generator."""
        # In a loop parameters are validated after its draws, which may not raise.
        rate = np.nan_to_num(np.clip(self._rate, 0, _LARGEST))
        return np.asarray(rng.poisson(rate, shape), self.dtype)

    def log_prob(self, value: Any) -> Any:
        """Compute k log λ - λ - log k!."""
        inside, k = self._inside(value)
        log_p = k * self._log_rate - self._rate - log_gamma(k + 1)
        return narrow(log_p + p.log_indicator(inside, DOUBLE), self.dtype)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute k/λ - 1 for the rate, k - λ for its logarithm."""
        _, k = self._inside(value)
        if self.log_rate is None:
            return {"rate": narrow(k / self._rate - 1, self.dtype)}
        return {"log_rate": narrow(k - self._rate, self.dtype)}

    def _inside(self, value: Any) -> tuple[Any, Any]:
        value = p.as_draw(value, self.dtype)
        inside = whole_numbers(value)
        return inside, wide(confined(value, inside, 0.0))

    def entropy(self) -> Any:
        """Raise `NoClosedFormError`."""
        raise no_entropy(self)

    def kl(self, other: Poisson) -> Any:
        """Compute λ (r - 1 - log r), with r = λ'/λ."""
        log_ratio = other._log_rate - self._log_rate
        kl = self._rate * (p.weakly(anp.expm1, log_ratio) - log_ratio)
        both = (*self.parameters.values(), *other.parameters.values())
        return narrow(kl, p.joint_dtype(*both))

    def support(self) -> None:
        """Return ``None``: there is no largest number."""
        return

    def validate(self, name: str) -> None:
        """Check that the rate is positive and finite, or its logarithm finite."""
        r.require_positive(name, self, "rate")
        r.require_finite(name, self, "log_rate")
