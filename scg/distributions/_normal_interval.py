r"""The standard normal distribution between two ends: its mass, and its quantiles.

Both are right in either tail, by reflection to the left one, where SciPy has the
logarithm of the distribution function Φ and its inverse:

.. math:: \log(\Phi(b) - \Phi(a)), \qquad
          z = \Phi^{-1}\bigl((1 - u)\,\Phi(a) + u\,\Phi(b)\bigr), \qquad
          \frac{\partial z}{\partial a} = (1 - u) \frac{\phi(a)}{\phi(z)}, \quad
          \frac{\partial z}{\partial b} = u \frac{\phi(b)}{\phi(z)}

Everything is in float64.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp
from autograd.numpy.numpy_vjps import unbroadcast_f

from scg.distributions._special import scipy_special
from scg.protocol import Function

__all__: list[str] = []

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
# Below this width, in units of 1 + |midpoint|, the error of the series is below 1e-17.
_NARROW = 1e-2


@Function
def log_interval_mass(a: Any, b: Any, /) -> Any:
    """Compute log(Φ(b) - Φ(a)) for a < b."""
    low, high, _ = _in_the_left_tail(a, b)
    special = scipy_special()
    with np.errstate(all="ignore"):
        below, above = special.log_ndtr(low), special.log_ndtr(high)
        gap = above - below
        difference = np.where(
            gap < math.log(2), np.log(-np.expm1(-gap)), np.log1p(-np.exp(-gap))
        )
        middle, width = (low + high) / 2, high - low
        narrow = width * (1 + np.abs(middle)) < _NARROW
        return np.where(narrow, _series(middle, width), above + difference)[()]


@Function
def interval_quantile(level: Any, a: Any, b: Any, /) -> Any:
    """Compute the quantile at `level` of what lies between a and b."""
    low, high, flipped = _in_the_left_tail(a, b)
    special = scipy_special()
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(flipped, np.log1p(-level), np.log(level))
        down = np.where(flipped, np.log(level), np.log1p(-level))
        log_p = np.logaddexp(down + special.log_ndtr(low), up + special.log_ndtr(high))
        z = np.clip(special.ndtri_exp(log_p), low, high)
    return np.where(flipped, -z, z)[()]


def edge_ratio(edge: Any, log_mass: Any) -> Any:
    """Compute φ(edge) over a mass."""
    return anp.exp(-0.5 * edge * edge - _HALF_LOG_2_PI - log_mass)


def _in_the_left_tail(a: Any, b: Any) -> tuple[Any, Any, Any]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    flipped = a + b > 0
    return np.where(flipped, -b, a), np.where(flipped, -a, b), flipped


def _series(middle: Any, width: Any) -> Any:
    """Expand the logarithm of the mass in the width: differences of Φ would cancel."""
    square, m = width * width, middle * middle
    excess = square * (m - 1) / 24 + square * square * (m * m - 6 * m + 3) / 1920
    return np.log(width) - 0.5 * m - _HALF_LOG_2_PI + np.log1p(excess)


def _moved(log_share: Any, z: Any, edge: Any) -> Any:
    """Compute share φ(edge)/φ(z) in one exponential: both densities may underflow."""
    return anp.exp(log_share + 0.5 * (z - edge) * (z + edge))


defvjp(
    log_interval_mass.primitive,
    lambda ans, a, b: unbroadcast_f(a, lambda g: -g * edge_ratio(a, ans)),
    lambda ans, a, b: unbroadcast_f(b, lambda g: g * edge_ratio(b, ans)),
)
defvjp(
    interval_quantile.primitive,
    lambda ans, u, a, b: unbroadcast_f(a, lambda g: g * _moved(anp.log1p(-u), ans, a)),
    lambda ans, u, a, b: unbroadcast_f(b, lambda g: g * _moved(anp.log(u), ans, b)),
    argnums=(1, 2),
)
