"""The normal family, by its standard deviation or the logarithm of it."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _parameters as p
from scg.distributions.base import AbstractDistribution
from scg.functions import stop_gradient

__all__ = ["Normal"]

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Normal(AbstractDistribution):
    r"""Draw from a normal distribution; elements are independent.

    .. math:: \log p(x) = -\tfrac12 z^2 - \log \sigma - \tfrac12 \log 2 \pi,
              \qquad z = \frac{x - \mu}{\sigma}, \qquad
              x = \mu + \sigma \epsilon, \quad \epsilon \sim N(0, 1)

    Parameters
    ----------
    mean : array, any shape
    scale : array, any shape
        The standard deviation.
    log_scale : array, any shape
        Its logarithm, instead of `scale`: any real number is valid.

    Raises
    ------
    DistributionError
        If not exactly one of `scale` and `log_scale` is given.

    Examples
    --------
    >>> import numpy as np
    >>> z = Normal(mean=np.array([0.0, 1.0]), scale=2.0)
    >>> z.reparameterise(np.array([-1.0, 1.0])).tolist()
    [-2.0, 3.0]
    >>> z.score(np.array([4.0, 1.0]))
    {'mean': array([1., 0.]), 'scale': array([ 1.5, -0.5])}
    """

    mean: Any
    scale: Any = None
    _: KW_ONLY
    log_scale: Any = None

    discrete: ClassVar[bool] = False
    reparameterised: ClassVar[bool] = True
    has_closed_score: ClassVar[bool] = True
    fixed_support: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if (self.scale is None) is (self.log_scale is None):
            raise p.choice_error(self, "scale", "log_scale")
        p.settle(self, "mean", "scale", "log_scale")

    @property
    def parameters(self) -> dict[str, Any]:
        """``mean``, and either ``scale`` or ``log_scale``."""
        if self.log_scale is None:
            return {"mean": self.mean, "scale": self.scale}
        return {"mean": self.mean, "log_scale": self.log_scale}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of mean and scale together."""
        return p.joint_shape(*self.parameters.values())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of mean and scale together."""
        return p.joint_dtype(*self.parameters.values())

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Compute μ + σ ε for standard normal ε."""
        return np.asarray(self.reparameterise(self.noise(rng, shape)))

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from the standard normal distribution."""
        dtype = self.dtype
        if dtype == np.float32:
            return rng.standard_normal(shape, dtype=np.float32)
        return np.asarray(rng.standard_normal(shape), dtype)

    def reparameterise(self, noise: Any) -> Any:
        """Compute μ + σ ε."""
        return self.mean + self._scale * noise

    @property
    def _scale(self) -> Any:
        if self.log_scale is None:
            return self.scale
        return p.weakly(anp.exp, self.log_scale)

    @property
    def _log_scale(self) -> Any:
        if self.log_scale is None:
            return p.weakly(anp.log, self.scale)
        return self.log_scale

    def _standardise(self, value: Any) -> Any:
        return (p.as_draw(value, self.dtype) - self.mean) / self._scale

    def log_prob(self, value: Any) -> Any:
        """Compute -z²/2 - log σ - log(2π)/2."""
        z = self._standardise(value)
        return -0.5 * z * z - self._log_scale - _HALF_LOG_2_PI

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute z/σ for the mean, (z² - 1)/σ for the scale, z² - 1 for its log."""
        z, scale = self._standardise(value), self._scale
        excess = z * z - 1
        if self.log_scale is None:
            return {"mean": z / scale, "scale": excess / scale}
        return {"mean": z / scale, "log_scale": excess}

    def entropy(self) -> Any:
        """Compute log σ + log(2πe)/2."""
        # The mean takes part for its shape only.
        shape = 0.0 * stop_gradient(self.mean)
        return self._log_scale + (0.5 + _HALF_LOG_2_PI) + shape

    def kl(self, other: Normal) -> Any:
        """Compute (r² - 1)/2 - log r + ((μ - μ')/σ')²/2, with r = σ/σ'."""
        log_ratio = self._log_scale - other._log_scale
        excess = p.weakly(anp.expm1, 2.0 * log_ratio)
        z = (self.mean - other.mean) / other._scale
        return 0.5 * excess - log_ratio + 0.5 * z * z

    def support(self) -> None:
        """Return ``None``: the real line."""
        return

    def validate(self, name: str) -> None:
        """Check that mean and scale are finite and that the scale is positive."""
        self._validate_finite(name, "mean", self.mean)
        self._validate_finite(name, "log_scale", self.log_scale)
        if self.scale is None or not p.concrete(self.scale):
            return
        p.require_all(
            name,
            (self.scale > 0) & (self.scale < np.inf),
            self.scale,
            expected="a positive, finite scale of Normal",
            way_out="Pass log_scale=, or scale=scg.softplus(...).",
        )

    def _validate_finite(self, name: str, parameter: str, value: Any) -> None:
        if value is None or not p.concrete(value):
            return
        p.require_all(
            name,
            np.isfinite(value),
            value,
            expected=f"a finite {parameter} of Normal",
            way_out="Bound what computes it.",
        )
