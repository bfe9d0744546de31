r"""Bits and categories as places where a stick is broken.

At each of K - 1 places one stops with probability :math:`q_i = p_i / \sum_{j \ge i}
p_j`, or goes on; the number of the place is the category. A bit has one place, where to
stop is to draw 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.distributions import OneHotCategorical
from scg.estimators.choices import is_bit, masses, ratio

__all__ = ["by_logits", "numbers", "of_numbers", "stops"]


def stops(distribution: Any, shape: tuple[int, ...]) -> Any:
    """Return the probabilities of stopping, places along a last axis.

    `shape` is that of a draw. Where nothing is left of the stick, one stops.
    """
    p = masses(distribution)
    if is_bit(distribution):
        return np.broadcast_to(p, shape)[..., np.newaxis]
    left = _left(p)
    q = np.where(left > 0, ratio(p, left), 1)[..., :-1]
    of_vectors = isinstance(distribution, OneHotCategorical)
    lead = shape[:-1] if of_vectors else shape
    return np.broadcast_to(q, (*lead, q.shape[-1]))


def of_numbers(distribution: Any, bits: Any) -> Any:
    """Return the values that bits stand for; the first 1 is where one stops."""
    if is_bit(distribution):
        return bits[..., 0].astype(distribution.dtype)
    last = np.ones_like(bits[..., :1])
    place = np.concatenate([bits, last], axis=-1).argmax(axis=-1)
    if isinstance(distribution, OneHotCategorical):
        return np.eye(bits.shape[-1] + 1, dtype=distribution.dtype)[place]
    return place


def numbers(distribution: Any, value: Any) -> Any:
    """Return where one stopped: for a bit, at 0 or not."""
    if is_bit(distribution):
        return 1 - value
    if isinstance(distribution, OneHotCategorical):
        return value.argmax(axis=-1)
    return value


def by_logits(distribution: Any, a: Any) -> Any:
    r"""Take derivatives by the log-odds of stopping to derivatives by the logits.

    The log-odds at place i are :math:`\ell_i - \log \sum_{j>i} e^{\ell_j}`.
    """
    if is_bit(distribution):
        return a[..., 0]
    p = np.broadcast_to(masses(distribution), (*a.shape[:-1], a.shape[-1] + 1))
    after = np.add.accumulate(ratio(a, _left(p)[..., 1:]), axis=-1)
    out = np.zeros(p.shape, a.dtype)
    out[..., :-1] += a
    out[..., 1:] -= p[..., 1:] * after
    return out


def _left(p: Any) -> Any:
    """Return what is left of the stick before each place."""
    return np.add.accumulate(p[..., ::-1], axis=-1)[..., ::-1]
