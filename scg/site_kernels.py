"""Kernels of stochastic nodes: drawing from uniform numbers, and score times weight.

A family has one where a draw is plain arithmetic on one uniform number for each
element. What drawing has worked out and the score needs again (the masses) is handed
from one to the other. All other families draw and are scored by their own methods, to
which these are equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.buffers import Buffers
from scg.distributions import Bernoulli, Categorical
from scg.functions import sigmoid, softmax
from scg.linear_kernels import slope_of_bits

__all__ = ["SiteKernel", "all_finite", "site_kernel"]


@dataclass(frozen=True, slots=True)
class SiteKernel:
    """How one family, in one parameterisation, is drawn and scored.

    ``draw(parameter, noise, buffers)`` returns the value, and what the score shares
    with it, or None where the parameter is not in its range. ``score(parameter, value,
    shared, factor, buffers)`` returns the score times a factor a row.
    """

    draw: Callable[[Any, Any, Buffers], tuple[Any, Any] | None]
    score: Callable[[Any, Any, Any, Any, Buffers], Any]


def site_kernel(distribution: Any, names: tuple[str, ...]) -> SiteKernel | None:
    """Return the kernel of a distribution whose parameters `names` are nodes."""
    return _KERNELS.get((type(distribution), names))


def all_finite(x: Any) -> bool:
    """Tell whether no element is NaN or infinite."""
    flat = x.reshape(-1)
    # Squares do not cancel; where their sum overflows, look at each.
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(x).all())


def _draw_bits(logits: Any, noise: Any, buffers: Buffers) -> tuple[Any, Any] | None:
    if not all_finite(logits):
        return None
    p = sigmoid.compute(logits, out=buffers.like(logits))
    bits = np.less(noise, p, buffers.like(noise))
    buffers.give(p)
    return bits, None


def _score_bits(logits: Any, bits: Any, _: Any, factor: Any, buffers: Buffers) -> Any:
    """Write (2b - 1) σ((1 - 2b) ℓ) times the factor."""
    out, sign = buffers.like(bits), buffers.like(bits)
    slope_of_bits(logits, bits, out, sign)
    buffers.give(sign)
    factor = factor.reshape(-1, *(1,) * (bits.ndim - 1))
    return np.multiply(out, factor, out)


def _draw_category(logits: Any, noise: Any, buffers: Buffers) -> tuple[Any, Any] | None:
    peak = np.maximum.reduce(logits, axis=-1, keepdims=True)
    masses = np.subtract(logits, peak)
    np.exp(masses, masses)
    cumulative = np.add.accumulate(masses, axis=-1)
    total = cumulative[..., -1:]
    # An infinite peak, or a NaN, makes a sum that is NaN.
    if not math.isfinite(np.add.reduce(total, axis=None)):
        return None
    np.divide(masses, total, masses)
    level = noise[..., np.newaxis] * total
    return np.greater(cumulative, level).argmax(axis=-1), masses


def _score_category(
    logits: Any, chosen: Any, masses: Any, factor: Any, buffers: Buffers
) -> Any:
    if masses is None:
        masses = softmax.compute(logits)
    one_hot = np.equal(chosen[..., np.newaxis], np.arange(masses.shape[-1]))
    out = np.subtract(one_hot, masses)
    return np.multiply(out, factor.reshape(-1, *(1,) * chosen.ndim), out)


_KERNELS: Mapping[Any, SiteKernel] = {
    (Bernoulli, ("logits",)): SiteKernel(_draw_bits, _score_bits),
    (Categorical, ("logits",)): SiteKernel(_draw_category, _score_category),
}
