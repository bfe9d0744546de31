"""Sums of future costs over time, in one pass each."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["discounted_sum", "generalised_advantage"]


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
    total = np.empty_like(x)
    ahead = np.zeros_like(x[0])
    for t in range(len(x) - 1, -1, -1):
        ahead = x[t] + discount * (ahead if keep is None else keep[t] * ahead)
        total[t] = ahead
    return total


def generalised_advantage(
    cost: Any, value: Any, next_value: Any, discount: float, lam: float, keep: Any
) -> Any:
    r"""Estimate advantages from a value (GAE).

    .. math:: \delta_t = c_t + \gamma V'_t - V_t, \qquad
              A_t = \delta_t + \gamma\lambda k_t A_{t+1}

    `next_value` is ``V'``: 0 where an episode was terminated, the value of the final
    observation where it was truncated. All arrays have shape (time, rows).

    Examples
    --------
    >>> import numpy as np
    >>> c, v = np.ones((2, 1)), np.zeros((2, 1))
    >>> generalised_advantage(c, v, v, 1.0, 0.5, np.ones((2, 1))).ravel().tolist()
    [1.5, 1.0]
    """
    delta = cost + discount * next_value - value
    return discounted_sum(delta, discount * lam, keep)
