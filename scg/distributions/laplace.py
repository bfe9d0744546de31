"""The Laplace family: two exponentials, back to back."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp
from numpy.typing import NDArray

from scg.distributions import _choice as c
from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractReparameterised, standard
from scg.functions import stop_gradient
from scg.protocol import Function

__all__ = ["Laplace"]

_LOG_2 = math.log(2)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Laplace(AbstractReparameterised):
    r"""Draw from a Laplace distribution; elements are independent.

    .. math:: \log p(x) = -|z| - \log 2\sigma, \qquad z = \frac{x - \mu}{\sigma},
              \qquad x = \mu + \sigma \epsilon

    with ε the difference of two exponential draws of rate 1. The log-density has a kink
    at μ, where the derivative is taken to be 0.

    Parameters
    ----------
    mean : array, any shape
    scale : array, any shape
        The mean distance from the mean: the standard deviation is √2 times it.
    log_scale : array, any shape
        Its logarithm, instead of `scale`: any real number is valid.

    Raises
    ------
    DistributionError
        If not exactly one of `scale` and `log_scale` is given.

    References
    ----------
    Johnson, Kotz & Balakrishnan 1995, "Continuous univariate distributions", volume 2,
    chapter 24.

    Examples
    --------
    >>> import numpy as np
    >>> z = Laplace(mean=1.0, scale=np.array([1.0, 2.0]))
    >>> z.reparameterise(np.array([-1.0, 0.5])).tolist()
    [0.0, 2.0]
    >>> z.score(np.array([0.0, 5.0]))
    {'mean': array([-1. ,  0.5]), 'scale': array([0. , 0.5])}
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

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from the Laplace distribution of mean 0 and scale 1."""
        dtype = self.dtype
        up = standard(rng.standard_exponential, shape, dtype)
        return np.asarray(up - standard(rng.standard_exponential, shape, dtype))

    def reparameterise(self, noise: Any) -> Any:
        """Compute μ + σ ε."""
        return self.mean + self._scale * noise

    @property
    def _scale(self) -> Any:
        return c.plain(self.scale, self.log_scale)

    @property
    def _log_scale(self) -> Any:
        return c.logarithm(self.scale, self.log_scale)

    def _standardise(self, value: Any) -> Any:
        return (p.as_draw(value, self.dtype) - self.mean) / self._scale

    def log_prob(self, value: Any) -> Any:
        """Compute ``-|z| - log 2σ``."""
        return -distance(self._standardise(value)) - self._log_scale - _LOG_2

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute ``sign(z)/σ`` for the mean, ``(|z| - 1)/σ`` for the scale."""
        z, scale = self._standardise(value), self._scale
        excess = np.asarray(np.abs(z) - 1)
        if self.log_scale is None:
            return {"mean": np.sign(z) / scale, "scale": excess / scale}
        return {"mean": np.sign(z) / scale, "log_scale": excess}

    def entropy(self) -> Any:
        """Compute 1 + log 2σ."""
        # The mean takes part for its shape only.
        return self._log_scale + (1 + _LOG_2) + 0.0 * stop_gradient(self.mean)

    def kl(self, other: Laplace) -> Any:
        """Compute ``log(σ'/σ) - 1 + (|d| + exp(-|d|)) σ/σ'``, ``d = (μ - μ')/σ``."""
        shift = (self.mean - other.mean) / self._scale
        log_ratio = other._log_scale - self._log_scale
        return log_ratio - 1 + bend(shift) * (self._scale / other._scale)

    def validate(self, name: str) -> None:
        """Check that mean and scale are finite and that the scale is positive."""
        r.require_finite(name, self, "mean", "log_scale")
        r.require_positive(name, self, "scale")


@Function
def distance(x: Any, /) -> Any:
    """Compute |x|; autograd's own rule makes float64 derivatives of float32 ones."""
    return np.abs(x)


# Two kinks that cancel: as abs and exp, the second derivative at 0 would be 0, not 1.
@Function
def bend(x: Any, /) -> Any:
    """Compute |x| + exp(-|x|)."""
    return p.weakly(lambda x: np.abs(x) + np.exp(-np.abs(x)), x)


@Function
def slope_of_bend(x: Any, /) -> Any:
    """Compute sign(x) (1 - exp(-|x|))."""
    return -np.sign(x) * np.expm1(-np.abs(x))


defvjp(distance.primitive, lambda ans, x: lambda g: g * anp.sign(x))
defvjp(bend.primitive, lambda ans, x: lambda g: g * slope_of_bend(x))
defvjp(slope_of_bend.primitive, lambda ans, x: lambda g: g * anp.exp(-distance(x)))
