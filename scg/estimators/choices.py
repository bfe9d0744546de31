"""Bits and categories alike: their masses, and derivatives by logits or by masses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scg.distributions import Bernoulli, Categorical, OneHotCategorical
from scg.functions import sigmoid, softmax

__all__ = ["CHOICES", "by_parameter", "is_bit", "masses", "ratio"]

_EITHER = frozenset({"logits", "probs"})
CHOICES: Mapping[type, frozenset[str]] = {
    Bernoulli: _EITHER,
    Categorical: _EITHER,
    OneHotCategorical: _EITHER,
}


def is_bit(distribution: Any) -> bool:
    """Tell whether a draw is one bit; else it is one of K."""
    return isinstance(distribution, Bernoulli)


def masses(distribution: Any) -> Any:
    """Return the probability of 1, or of each category along the last axis."""
    if distribution.probs is not None:
        return np.asarray(distribution.probs)
    squash = sigmoid if is_bit(distribution) else softmax
    return np.asarray(squash(np.asarray(distribution.logits)))


def by_parameter(distribution: Any, by_logits: Any) -> dict[str, Any]:
    """Turn a derivative by logits into one by the parameter that was given.

    Of masses it is the one whose mean over the categories is 0.
    """
    if distribution.probs is None:
        return {"logits": by_logits}
    p = masses(distribution)
    slope = p * (1 - p) if is_bit(distribution) else p
    return {"probs": ratio(by_logits, slope)}


def ratio(a: Any, b: Any) -> Any:
    """Divide, with 0 where the divisor is."""
    out = np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b)), np.result_type(a, b))
    return np.divide(a, b, out=out, where=np.not_equal(b, 0))
