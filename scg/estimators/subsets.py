r"""Sets of distinct values, drawn one after the other without replacement.

With what A of a set S is gone already, the rest of S comes next, in whatever order,
with probability

.. math:: W(A) = \sum_{t \in S \setminus A} \frac{p_t}{1 - p(A)}\, W(A \cup \{t\}),
          \qquad W(S) = 1,

so the probability of S is W(∅), of S given that s is gone :math:`W(\{s\})`, and so on:
one table of 2^k numbers a row has all that is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["remaining", "without_replacement"]


def without_replacement(log_p: Any, count: int, rng: np.random.Generator) -> Any:
    """Draw distinct values: the places of the largest perturbed log-probabilities.

    Parameters
    ----------
    log_p : array, shape (rows, K)
    count : int
    rng : Generator

    Returns
    -------
    int array, shape (rows, count)
        In rising order.
    """
    u = rng.random(log_p.shape)
    with np.errstate(divide="ignore"):
        key = log_p - np.log(-np.log(u))
    chosen = np.argpartition(-key, count - 1, axis=1)[:, :count]
    return np.sort(chosen, axis=1)


def remaining(p: Any, others: Any) -> Any:
    """Return W of every subset of a set.

    Parameters
    ----------
    p : array, shape (rows, k)
        The probabilities of what is in the set.
    others : array, shape (rows,)
        The probability of all that is not.

    Returns
    -------
    array, shape (2**k, rows)
        Bit i of the first index says that element i is gone.
    """
    k = p.shape[1]
    w = np.zeros((1 << k, len(p)), p.dtype)
    w[-1] = 1
    for gone in range((1 << k) - 2, -1, -1):
        left = [i for i in range(k) if not gone >> i & 1]
        # Summed, not 1 less what is gone: the last one left then has ratio 1 exactly.
        mass = others + p[:, left].sum(axis=1)
        for i in left:
            # Where no mass is left, all that is left comes.
            step = np.divide(p[:, i], mass, out=np.ones_like(mass), where=mass > 0)
            w[gone] += step * w[gone | 1 << i]
    return w
