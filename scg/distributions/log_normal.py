"""The log-normal family: the exponential of a normal draw."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _choice as c
from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractReparameterised
from scg.distributions._rounding import confined, positive_draw
from scg.distributions.normal import Normal

__all__ = ["LogNormal"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class LogNormal(AbstractReparameterised):
    r"""Draw a positive number whose logarithm is normal; elements are independent.

    .. math:: \log p(x) = \log N(\log x; \mu, \sigma) - \log x, \qquad
              x = e^{\mu + \sigma \epsilon}, \quad \epsilon \sim N(0, 1)

    A value that is not positive and finite has log-density :math:`-\infty`.

    Parameters
    ----------
    mean : array, any shape
        The mean of the logarithm.
    scale : array, any shape
        The standard deviation of the logarithm.
    log_scale : array, any shape
        Its logarithm, instead of `scale`: any real number is valid.

    Raises
    ------
    DistributionError
        If not exactly one of `scale` and `log_scale` is given.

    References
    ----------
    Johnson, Kotz & Balakrishnan 1994, "Continuous univariate distributions", volume 1,
    chapter 14.

    Examples
    --------
    >>> import numpy as np
    >>> x = LogNormal(mean=np.array([0.0, 1.0]), scale=2.0)
    >>> x.reparameterise(np.array([0.0, -0.5])).tolist()
    [1.0, 1.0]
    >>> x.log_prob(np.array([1.0, 0.0])).round(4).tolist()
    [-1.6121, -inf]
    """

    mean: Any
    scale: Any = None
    _: KW_ONLY
    log_scale: Any = None

    def __post_init__(self) -> None:
        c.settle_one_of(self, "scale", "log_scale")
        p.settle(self, "mean")

    @property
    def parameters(self) -> dict[str, Any]:
        """``mean``, and either ``scale`` or ``log_scale``."""
        return c.given(self, "mean", "scale", "log_scale")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of mean and scale together."""
        return p.joint_shape(*self.parameters.values())

    @property
    def _logarithm(self) -> Normal:
        return Normal(**self.parameters)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from the standard normal distribution."""
        return self._logarithm.noise(rng, shape)

    def reparameterise(self, noise: Any) -> Any:
        """Compute exp(μ + σ ε), at least the smallest positive number."""
        x = anp.exp(self._logarithm.reparameterise(noise))
        return positive_draw(x, self.dtype)

    def log_prob(self, value: Any) -> Any:
        """Compute the normal log-density of log x, less log x."""
        inside = _inside(value)
        log_x = anp.log(confined(p.as_draw(value, self.dtype), inside, 1.0))
        log_p = self._logarithm.log_prob(log_x) - log_x
        return log_p + p.log_indicator(inside, self.dtype)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute the normal score of log x."""
        value = confined(p.as_draw(value, self.dtype), _inside(value), 1.0)
        return self._logarithm.score(np.log(value))

    def entropy(self) -> Any:
        """Compute μ + log σ + log(2πe)/2."""
        return self._logarithm.entropy() + self.mean

    def kl(self, other: LogNormal) -> Any:
        """Compute the divergence of the logarithms, which is the same."""
        return self._logarithm.kl(other._logarithm)

    def validate(self, name: str) -> None:
        """Check that mean and scale are finite and that the scale is positive."""
        r.require_finite(name, self, "mean", "log_scale")
        r.require_positive(name, self, "scale")


def _inside(value: Any) -> Any:
    return anp.logical_and(anp.greater(value, 0), anp.less(value, np.inf))
