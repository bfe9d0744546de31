"""What is asked of arrays at every step, fast: are they finite, their maxima, sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["all_finite", "largest", "total"]


def all_finite(x: Any) -> bool:
    """Tell whether no element is NaN or infinite.

    To be asked where NumPy's warnings of overflow are off: squares may overflow.

    Examples
    --------
    >>> all_finite(np.array([1.0, -1e9])), all_finite(np.array([np.inf, -np.inf]))
    (True, False)
    """
    flat = x.reshape(-1)
    # Squares do not cancel; where their sum overflows, look at each.
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(x).all())


# Along few entries NumPy reduces row by row, which costs some 20 to 40 ns a row; across
# a transposed copy it goes over all rows at once.
_FEW = 32
# Of fewer numbers than this NumPy's sum is the plain one, from left to right, which the
# other way round is too: the same bits.
_PLAIN = 8


def largest(x: Any, axis: int) -> Any:
    """Return the maximum along an axis, which stays, with length 1.

    Examples
    --------
    >>> largest(np.array([[1.0, 3.0], [2.0, 0.0]]), -1).tolist()
    [[3.0], [2.0]]
    """
    if _is_short(x, axis, _FEW):
        across = np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T)
        return np.maximum.reduce(across, axis=0).reshape(*x.shape[:-1], 1)
    return np.maximum.reduce(x, axis=axis, keepdims=True)


def total(x: Any, axis: int) -> Any:
    """Return the sum along an axis, which stays, with length 1.

    Examples
    --------
    >>> total(np.array([[1.0, 3.0], [2.0, 0.0]]), -1).tolist()
    [[4.0], [2.0]]
    """
    if _is_short(x, axis, _PLAIN):
        across = np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T)
        return np.add.reduce(across, axis=0).reshape(*x.shape[:-1], 1)
    return np.add.reduce(x, axis=axis, keepdims=True)


def _is_short(x: Any, axis: int, few: int) -> bool:
    """Tell whether an axis is the last one, and short for the number of rows."""
    last = x.ndim > 1 and axis in (-1, x.ndim - 1)
    return last and 0 < x.shape[-1] < few and x.size > 16 * x.shape[-1]
