"""The normal family, cut off at fixed ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval
from numpy.typing import NDArray

from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractReparameterised
from scg.distributions._normal_interval import (
    edge_ratio,
    interval_quantile,
    log_interval_mass,
)
from scg.distributions._rounding import (
    DOUBLE,
    clamp,
    confined,
    narrow,
    open_uniform,
    wide,
)
from scg.distributions._special import scipy_special
from scg.errors import DistributionError

__all__ = ["TruncatedNormal"]

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
# An infinite end, in standard deviations: φ is 0 there, and 0 times it is still 0.
_FAR = 1e6


@final
@dataclass(frozen=True, slots=True, eq=False)
class TruncatedNormal(AbstractReparameterised):
    r"""Draw from a normal distribution between two ends; elements are independent.

    .. math:: \log p(x) = -\tfrac12 z^2 - \log \sigma - \tfrac12 \log 2\pi
              - \log Z, \qquad z = \frac{x - \mu}{\sigma}, \qquad
              Z = \Phi(b) - \Phi(a)

    for :math:`l \le x \le h`, with :math:`a = (l - \mu)/\sigma` and
    :math:`b = (h - \mu)/\sigma`; elsewhere the log-density is :math:`-\infty`. The
    draw is :math:`x = \mu + \sigma \Phi^{-1}(\Phi(a) + u Z)` with
    :math:`u \sim U(0, 1)`. The ends are constants, without a score: ends that move
    would bias the score function.

    Parameters
    ----------
    mean : array, any shape
        The mean before the ends are cut off.
    scale : array, any shape
        The standard deviation before the ends are cut off.
    low, high : float or array, any shape
        The ends, ``low < high``; either may be infinite.

    Raises
    ------
    DistributionError
        If an end is a node.
    MissingExtraError
        If SciPy is not installed.

    References
    ----------
    Johnson, Kotz & Balakrishnan 1994, "Continuous univariate distributions", volume 1,
    chapter 13.

    Examples
    --------
    >>> import numpy as np
    >>> x = TruncatedNormal(mean=np.array([0.0, 9.0]), scale=1.0, low=-1.0, high=1.0)
    >>> x.log_prob(np.array([0.0, 2.0])).round(4).tolist()
    [-0.5372, -inf]
    >>> x.reparameterise(np.array([0.5, 0.5])).round(4).tolist()
    [0.0, 0.9151]
    """

    mean: Any
    scale: Any
    low: Any = -math.inf
    high: Any = math.inf

    def __post_init__(self) -> None:
        scipy_special()
        p.settle(self, "mean", "scale", "low", "high")
        if not p.concrete(self.low, self.high):
            msg = (
                "TruncatedNormal: expected ends that are constants, got a node. Draw "
                "on fixed ends, then shift and stretch what was drawn."
            )
            raise DistributionError(msg)

    @property
    def parameters(self) -> dict[str, Any]:
        """``mean``, ``scale``, ``low`` and ``high``."""
        return {
            "mean": self.mean,
            "scale": self.scale,
            "low": self.low,
            "high": self.high,
        }

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all parameters together."""
        return p.joint_shape(*self.parameters.values())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of mean and scale together."""
        return p.joint_dtype(self.mean, self.scale)

    @property
    def _ends(self) -> tuple[NDArray[Any], NDArray[Any]]:
        # As draws see them: in float32 they are rounded.
        low, high = getval(self.low), getval(self.high)
        return np.asarray(low, self.dtype), np.asarray(high, self.dtype)

    @property
    def _cut(self) -> _Cut:
        mean, scale = wide(self.mean), wide(self.scale)
        a, b = (_standard_end(end, mean, scale) for end in self._ends)
        return _Cut(mean, scale, a, b, log_interval_mass(a, b))

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from U(0, 1)."""
        return open_uniform(rng, shape, self.dtype)

    def reparameterise(self, noise: Any) -> Any:
        """Compute the quantile at the noise."""
        mean, scale = wide(self.mean), wide(self.scale)
        a, b = (_standard_end(end, mean, scale) for end in self._ends)
        x = mean + scale * interval_quantile(wide(noise), a, b)
        return clamp(narrow(x, self.dtype), *self._ends)

    def log_prob(self, value: Any) -> Any:
        """Compute the normal log-density less log Z, minus infinity outside."""
        cut, (inside, x) = self._cut, self._inside(value)
        z = (x - cut.mean) / cut.scale
        normal = -0.5 * z * z - p.weakly(anp.log, cut.scale) - _HALF_LOG_2_PI
        log_p = normal - cut.log_mass + p.log_indicator(inside, DOUBLE)
        return narrow(log_p, self.dtype)

    def _inside(self, value: Any) -> tuple[Any, Any]:
        low, high = self._ends
        inside = anp.logical_and(
            anp.greater_equal(value, low), anp.less_equal(value, high)
        )
        value = wide(p.as_draw(value, self.dtype))
        middle = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, 0))
        return inside, confined(value, inside, 0.0) + anp.where(inside, 0.0, middle)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute (z - E z)/σ for the mean, (z² - E z²)/σ for the scale."""
        cut, (_, x) = self._cut, self._inside(value)
        z = (x - cut.mean) / cut.scale
        first, second = cut.moments()
        scores = {
            "mean": (z - first) / cut.scale,
            "scale": (z * z - second) / cut.scale,
        }
        return {name: narrow(each, self.dtype) for name, each in scores.items()}

    def entropy(self) -> Any:
        """Compute log σ + log(2π)/2 + log Z + E z²/2."""
        cut = self._cut
        log_scale = p.weakly(anp.log, cut.scale) + _HALF_LOG_2_PI
        entropy = log_scale + cut.log_mass + 0.5 * cut.moments()[1]
        return narrow(entropy, self.dtype)

    def kl(self, other: TruncatedNormal) -> Any:
        """Compute E log(p/q), infinite unless the interval is inside the other's."""
        cut, cut_q = self._cut, other._cut
        first, second = cut.moments()
        shift, ratio = (cut.mean - cut_q.mean) / cut_q.scale, cut.scale / cut_q.scale
        square = ratio * ratio * second + 2 * ratio * shift * first + shift * shift
        log_ratio = cut_q.log_mass - cut.log_mass - p.weakly(anp.log, ratio)
        inside = np.logical_and(
            np.greater_equal(self._ends[0], other._ends[0]),
            np.less_equal(self._ends[1], other._ends[1]),
        )
        kl = log_ratio + 0.5 * (square - second) - p.log_indicator(inside, DOUBLE)
        dtype = p.joint_dtype(self.mean, self.scale, other.mean, other.scale)
        return narrow(kl, dtype)

    def validate(self, name: str) -> None:
        """Check mean and scale, and that the ends are in order."""
        r.require_finite(name, self, "mean")
        r.require_positive(name, self, "scale")
        width = self._ends[1] - self._ends[0]
        p.require_all(
            name,
            width > 0,
            width,
            expected="low < high of TruncatedNormal, a positive width",
            way_out="Swap the ends.",
        )


class _Cut(NamedTuple):
    """Mean, scale, the ends in standard deviations, and log Z, all in float64."""

    mean: Any
    scale: Any
    a: Any
    b: Any
    log_mass: Any

    def moments(self) -> tuple[Any, Any]:
        """Return E z and E z²."""
        low, high = (edge_ratio(end, self.log_mass) for end in (self.a, self.b))
        return low - high, 1 + self.a * low - self.b * high


def _standard_end(end: Any, mean: Any, scale: Any) -> Any:
    """Measure an end from the mean, in standard deviations."""
    end = np.asarray(end, np.float64)
    finite = np.isfinite(end)
    # An infinite one would make 0 * inf of its derivative by the scale.
    standard = (np.where(finite, end, 0.0) - mean) / scale
    return finite * standard + np.where(finite, 0.0, np.sign(end) * _FAR)
