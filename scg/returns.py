"""Sums of future costs over time, in one pass each."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["decayed_sum", "discounted_sum", "strided_sum"]


def discounted_sum(x: Any, discount: float, keep: Any) -> Any:
    r"""Sum what comes, from each step on.

    .. math:: G_t = x_t + \gamma k_t G_{t+1}

    Parameters
    ----------
    x : array, shape (time, rows)
    discount : float
        ``γ``.
    keep : array of shape (time, rows), or None
        ``k``: 0 where nothing after step t counts for step t, else 1.

    Returns
    -------
    array, shape (time, rows)

    Examples
    --------
    >>> import numpy as np
    >>> discounted_sum(np.array([[1.0], [2.0], [4.0]]), 0.5, None).ravel().tolist()
    [3.0, 4.0, 4.0]
    """
    if discount == 1 and keep is None:
        return np.cumsum(x[::-1], axis=0)[::-1]
    if keep is None:
        keep = np.ones((len(x), *(1,) * (x.ndim - 1)), x.dtype)
    return _recurrence(x, discount * keep)


def strided_sum(x: Any, period: int, discount: float, keep: Any) -> Any:
    r"""Sum what comes every so many steps, from each step on.

    .. math:: G_t = x_t + \gamma^p k_t k_{t+1} \cdots k_{t+p-1} G_{t+p}

    Parameters
    ----------
    x : array, shape (time, rows)
    period : int
        ``p``.
    discount : float
    keep : array of shape (time, rows), or None

    Returns
    -------
    array, shape (time, rows)

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    >>> strided_sum(x, 2, 0.5, None).ravel().tolist()
    [3.0, 4.0, 8.0, 8.0, 16.0]
    """
    if period == 1:
        return discounted_sum(x, discount, keep)
    steps = len(x)
    laps = -(-steps // period)
    end = laps * period - steps
    factor = np.full_like(x, discount**period)
    if keep is not None:
        for k in range(min(period, steps)):
            factor[: steps - k] *= keep[k:]
    # What lies `period` steps ahead is the next lap of the same column.
    padded = [
        np.concatenate([v, np.zeros_like(v, shape=(end, *v.shape[1:]))])
        for v in (x, factor)
    ]
    x, factor = (v.reshape(laps, period, *v.shape[1:]) for v in padded)
    total = _recurrence(x, factor)
    return total.reshape(laps * period, *total.shape[2:])[:steps]


def _recurrence(x: Any, factor: Any) -> Any:
    """Return ``G_t = x_t + factor_t G_{t+1}``.

    Joining steps in pairs would do without the loop; it gains on narrow rows only, and
    is several times slower on wide ones.
    """
    total = x.copy()
    for t in range(len(x) - 2, -1, -1):
        total[t] += factor[t] * total[t + 1]
    return total


def decayed_sum(x: Any, factor: Any, steps: int | None) -> Any:
    r"""Sum so many terms ahead, each counted less than the one before.

    .. math:: G_t = x_t + f_t x_{t+1} + f_t f_{t+1} x_{t+2} + \dots

    `x` and `factor` have shape (time, rows); `steps` is the number of terms, None for
    all.

    Examples
    --------
    >>> import numpy as np
    >>> x, half = np.array([[1.0], [2.0], [4.0]]), np.full((3, 1), 0.5)
    >>> decayed_sum(x, half, None).ravel().tolist()
    [3.0, 4.0, 4.0]
    >>> decayed_sum(x, half, 2).ravel().tolist()
    [2.0, 4.0, 4.0]
    """
    if steps is None or steps >= len(x):
        return _recurrence(x, factor)
    total = x.copy()
    for _ in range(steps - 1):
        total[:-1] = x[:-1] + factor[:-1] * total[1:]
        total[-1] = x[-1]
    return total
