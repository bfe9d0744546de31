"""Where floating point ends: dtypes between, values outside, draws on the boundary."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp
from autograd.numpy.numpy_vjps import unbroadcast_f
from numpy.typing import NDArray

from scg.distributions import _parameters as p
from scg.functions import keep
from scg.protocol import Function

__all__: list[str] = []

DOUBLE = np.dtype(np.float64)


@Function
def cast(x: Any, /, dtype: Any = DOUBLE) -> Any:
    """Convert to a floating dtype; the derivative comes back in that of `x`."""
    return np.asarray(x, dtype)[()]


@Function
def clamp(x: Any, low: Any, high: Any, /) -> Any:
    """Move what rounding left outside to the ends, where the derivative is 0."""
    return np.minimum(np.maximum(x, low), high)


def wide(x: Any) -> Any:
    """Give float64, in which sums of large terms that cancel are taken."""
    return x if p.joint_dtype(x) == DOUBLE else cast(x, dtype=DOUBLE)


def narrow(x: Any, dtype: np.dtype[Any]) -> Any:
    """Come back from float64 to the dtype of the parameters."""
    return x if p.joint_dtype(x) == dtype else cast(x, dtype=dtype)


def confined(value: Any, inside: Any, at: float) -> Any:
    """Replace values outside the support by one inside, as constants."""
    if type(value) in {float, int} and np.ndim(inside) == 0:
        return value if inside else at
    dtype = p.joint_dtype(value)
    return keep(value, inside) + anp.where(inside, dtype.type(0), dtype.type(at))


def positive_draw(x: Any, dtype: np.dtype[Any]) -> Any:
    """Keep what underflows, or overflows, in the open half-line."""
    limits = np.finfo(dtype)
    return clamp(narrow(x, dtype), float(limits.tiny), float(limits.max))


def unit_draw(x: Any, dtype: np.dtype[Any]) -> Any:
    """Keep what rounds to an end of (0, 1) inside."""
    limits = np.finfo(dtype)
    return clamp(narrow(x, dtype), float(limits.tiny), 1 - float(limits.epsneg))


def open_uniform(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Draw from U(0, 1) without the ends."""
    noise = p.uniform_noise(rng, shape, dtype)
    # Half the spacing of the grid that the generator draws from.
    return np.maximum(noise, noise.dtype.type(np.finfo(noise.dtype).epsneg / 2))


defvjp(
    cast.primitive,
    lambda ans, x, dtype=DOUBLE: lambda g: cast(g, dtype=p.joint_dtype(x)),
)
defvjp(
    clamp.primitive,
    lambda ans, x, low, high: unbroadcast_f(
        x,
        lambda g: keep(
            g, anp.logical_and(anp.greater_equal(x, low), anp.less_equal(x, high))
        ),
    ),
    argnums=(0,),
)
