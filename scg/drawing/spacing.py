"""Places along a line: as near as can be to where each wants to be, at a distance."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["spaced"]


def spaced(
    wanted: Sequence[float],
    apart: Sequence[float],
    weights: Sequence[float],
    low: float = float("-inf"),
    high: float = float("inf"),
) -> list[float]:
    r"""Return the places nearest to those wanted that keep their order and distance.

    .. math:: \min_x \sum_i w_i (x_i - d_i)^2
        \quad\text{with}\quad x_{i+1} - x_i \ge a_i,\ l \le x_i \le h

    The problem is an isotonic regression in :math:`x_i - \sum_{j<i} a_j`; pooling
    adjacent violators solves it, and cutting its solution off at the bounds keeps it
    optimal.

    Parameters
    ----------
    wanted, weights : sequence of float, length n
        Where each wants to be, and how much it matters.
    apart : sequence of float, length n - 1
        The least distance to the next one.
    low, high : float
        Where the first and the last may be. Too little room violates `high`.

    Examples
    --------
    >>> spaced([0.0, 0.0, 9.0], [2.0, 2.0], [1.0, 1.0, 1.0])
    [-1.0, 1.0, 9.0]
    """
    shift = [0.0]
    for distance in apart:
        shift.append(shift[-1] + distance)
    pools: list[tuple[float, float, int]] = []  # weight, mean, how many
    for place, offset, weight in zip(wanted, shift, weights, strict=False):
        pool = weight, place - offset, 1
        while pools and pools[-1][1] >= pool[1]:
            w, mean, many = pools.pop()
            total = w + pool[0]
            pool = total, (w * mean + pool[0] * pool[1]) / total, many + pool[2]
        pools.append(pool)
    top = max(low, high - shift[-1])
    means = [min(max(mean, low), top) for _, mean, many in pools for _ in range(many)]
    return [mean + offset for mean, offset in zip(means, shift, strict=False)]
