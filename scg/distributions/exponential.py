"""The exponential family of waiting times."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _choice as c
from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractReparameterised, standard
from scg.distributions._rounding import confined

__all__ = ["Exponential"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Exponential(AbstractReparameterised):
    r"""Draw a waiting time; elements are independent.

    .. math:: \log p(x) = \log \lambda - \lambda x \ \text{for}\ x \ge 0, \qquad
              x = \epsilon / \lambda, \quad \epsilon \sim \mathrm{Exp}(1)

    A negative value has log-density :math:`-\infty`.

    Parameters
    ----------
    rate : array, any shape
        Events per unit of time: one over the mean.
    log_rate : array, any shape
        Its logarithm, instead of `rate`: any real number is valid.

    Raises
    ------
    DistributionError
        If not exactly one of the two is given.

    References
    ----------
    Johnson, Kotz & Balakrishnan 1994, "Continuous univariate distributions", volume 1,
    chapter 19.

    Examples
    --------
    >>> import numpy as np
    >>> wait = Exponential(rate=np.array([1.0, 2.0]))
    >>> wait.log_prob(np.array([1.0, -1.0])).tolist()
    [-1.0, -inf]
    >>> wait.reparameterise(np.array([3.0, 3.0])).tolist()
    [3.0, 1.5]
    """

    rate: Any = None
    _: KW_ONLY
    log_rate: Any = None

    def __post_init__(self) -> None:
        c.settle_one_of(self, "rate", "log_rate")

    @property
    def parameters(self) -> dict[str, Any]:
        """Either ``rate`` or ``log_rate``."""
        return c.given(self, "rate", "log_rate")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the parameter."""
        return p.joint_shape(*self.parameters.values())

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from the exponential distribution of rate 1."""
        return standard(rng.standard_exponential, shape, self.dtype)

    def reparameterise(self, noise: Any) -> Any:
        """Compute ε / λ."""
        if self.log_rate is None:
            return noise / self.rate
        return noise * p.weakly(anp.exp, -self.log_rate)

    @property
    def _rate(self) -> Any:
        return c.plain(self.rate, self.log_rate)

    @property
    def _log_rate(self) -> Any:
        return c.logarithm(self.rate, self.log_rate)

    def log_prob(self, value: Any) -> Any:
        """Compute log λ - λ x, minus infinity for negative x."""
        value = p.as_draw(value, self.dtype)
        inside = anp.greater_equal(value, 0)
        log_p = self._log_rate - self._rate * confined(value, inside, 0.0)
        return log_p + p.log_indicator(inside, self.dtype)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute 1/λ - x for the rate, 1 - λ x for its logarithm."""
        value = p.as_draw(value, self.dtype)
        if self.log_rate is None:
            return {"rate": np.asarray(1 / self.rate - value)}
        return {"log_rate": np.asarray(1 - self._rate * value)}

    def entropy(self) -> Any:
        """Compute 1 - log λ."""
        return 1 - self._log_rate

    def kl(self, other: Exponential) -> Any:
        """Compute r - 1 - log r, with r = λ'/λ."""
        log_ratio = other._log_rate - self._log_rate
        return p.weakly(anp.expm1, log_ratio) - log_ratio

    def validate(self, name: str) -> None:
        """Check that the rate is positive and finite, or its logarithm finite."""
        r.require_positive(name, self, "rate")
        r.require_finite(name, self, "log_rate")
