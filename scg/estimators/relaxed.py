"""Values of bits and vectors of categories made smooth, for autograd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast_f

from scg.distributions import Bernoulli, OneHotCategorical
from scg.estimators.branches import uniform
from scg.estimators.choices import CHOICES, is_bit
from scg.functions import sigmoid, softmax

__all__ = ["VECTORS", "concrete", "gumbel", "harden", "log_odds", "mean", "with_slope"]

# Whole numbers have no derivative: one of K is a vector here.
VECTORS: Mapping[type, frozenset[str]] = {
    family: CHOICES[family] for family in (Bernoulli, OneHotCategorical)
}


def _first(hard: Any, soft: Any) -> Any:
    return hard


# Returns `hard`, with the derivative of `soft`, which may broadcast to it.
with_slope = primitive(_first)
defvjp(with_slope, None, lambda ans, hard, soft: unbroadcast_f(soft, lambda g: g))


def mean(distribution: Any) -> Any:
    """Return the probabilities."""
    if distribution.probs is not None:
        return distribution.probs
    squash = sigmoid if is_bit(distribution) else softmax
    return squash(distribution.logits)


def log_odds(distribution: Any) -> Any:
    """Return the logits, for categories up to a number in common."""
    if distribution.probs is None:
        return distribution.logits
    p = distribution.probs
    return anp.log(p) - anp.log1p(-p) if is_bit(distribution) else anp.log(p)


def gumbel(distribution: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Draw logistic noise for bits, Gumbel noise for categories."""
    u = uniform(rng, shape, distribution.dtype)
    u = np.clip(u, np.finfo(u.dtype).tiny, 1 - np.finfo(u.dtype).epsneg)
    return np.log(u) - np.log1p(-u) if is_bit(distribution) else -np.log(-np.log(u))


def concrete(distribution: Any, noise: Any, temperature: float) -> Any:
    """Return the draw of the noise with its threshold, or its argmax, made smooth."""
    squash = sigmoid if is_bit(distribution) else softmax
    return squash((log_odds(distribution) + noise) / temperature)


def harden(distribution: Any, noise: Any) -> Any:
    """Return the draw of the noise itself."""
    z = np.asarray(log_odds(distribution)) + noise
    if is_bit(distribution):
        return np.asarray(z > 0, distribution.dtype)
    place = z.argmax(axis=-1)[..., np.newaxis]
    return np.equal(place, np.arange(z.shape[-1])).astype(distribution.dtype)
