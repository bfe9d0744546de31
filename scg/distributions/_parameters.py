"""What every family asks of its parameters: shape, dtype, range, Python scalars.

A parameter is an array, a Python scalar, an autograd box or a graph node. A Python
scalar is weak, as in NumPy: it takes the dtype of what it meets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval
from numpy.typing import NDArray

from scg.errors import DistributionError
from scg.protocol import AbstractNode

__all__: list[str] = []

_SCALARS = (float, int)


def settle(distribution: Any, *names: str) -> None:
    """Turn parameters written as lists into arrays, once, at construction."""
    for name in names:
        value = getattr(distribution, name)
        if isinstance(value, (list, tuple)):
            object.__setattr__(distribution, name, np.asarray(value))


def choice_error(distribution: Any, *names: str) -> DistributionError:
    """Make the error for none or several of the alternative parameterisations."""
    given = [name for name in names if getattr(distribution, name) is not None]
    expected = " and ".join(map(repr, names))
    got = " and ".join(map(repr, given)) or "none"
    family = type(distribution).__name__
    return DistributionError(f"{family}: expected exactly one of {expected}, got {got}")


def joint_shape(*parameters: Any) -> tuple[int, ...]:
    """Give the shape that the parameters broadcast to."""
    return np.broadcast_shapes(*map(shape_of, parameters))


def shape_of(parameter: Any) -> tuple[int, ...]:
    """Give the shape of a parameter of any kind."""
    value = getval(parameter)
    return () if type(value) in _SCALARS else tuple(value.shape)


def joint_dtype(*parameters: Any) -> np.dtype[Any]:
    """Give the floating dtype of the parameters together, Python scalars being weak."""
    dtype = np.result_type(*map(_weak_or_dtype, parameters))
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _weak_or_dtype(parameter: Any) -> Any:
    value = getval(parameter)
    return value if type(value) in _SCALARS else value.dtype


def weakly(function: Callable[[Any], Any], x: Any) -> Any:
    """Apply a function so that a Python scalar stays one, and therefore weak."""
    # NumPy returns np.float64 for it, which would turn float32 arrays into float64.
    return float(function(x)) if type(x) in _SCALARS else function(x)


def as_draw(value: Any, dtype: np.dtype[Any]) -> Any:
    """Give an integer or bool array the dtype of a draw; leave all else alone."""
    # int64 against float32 is float64 in NumPy.
    if isinstance(value, np.ndarray) and value.dtype.kind != "f":
        return value.astype(dtype)
    return value


def log_indicator(inside: Any, dtype: np.dtype[Any]) -> Any:
    """Give 0 inside the support and minus infinity outside, as a constant to add."""
    return anp.where(inside, dtype.type(0), dtype.type(-np.inf))


def log_or_minus_infinity(x: Any) -> Any:
    """Take the logarithm; the probability 0 is no reason for a warning."""
    with np.errstate(divide="ignore"):
        return anp.log(x)


def uniform_noise(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Draw from U[0, 1), in float32 where that is the dtype, else in float64."""
    if dtype == np.float32:
        return rng.random(shape, dtype=np.float32)
    return np.asarray(rng.random(shape))


def concrete(*parameters: Any) -> bool:
    """Tell whether all parameters have values: none is a graph node."""
    return not any(isinstance(parameter, AbstractNode) for parameter in parameters)


def require_all(
    name: str, holds: Any, value: Any, *, expected: str, way_out: str
) -> None:
    """Raise, naming the node and the first offender, unless the condition holds."""
    holds = np.asarray(getval(holds))
    if holds.all():
        return
    first = np.broadcast_to(getval(value), holds.shape)[~holds].flat[0]
    count = f"{np.count_nonzero(~holds)} of {holds.size} entries"
    msg = f"node {name!r}: expected {expected}, got {first} ({count}). {way_out}"
    raise DistributionError(msg)
