"""Values of bits and vectors of categories made smooth, for autograd."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast_f

from scg.distributions import Bernoulli, OneHotCategorical
from scg.estimators.branches import is_array
from scg.estimators.choices import CHOICES, is_bit
from scg.functions import sigmoid, softmax

__all__ = ["VECTORS", "led_by", "log_odds", "mean", "pull", "with_slope"]

# Whole numbers have no derivative: one of K is a vector here.
VECTORS: Mapping[type, frozenset[str]] = {
    family: CHOICES[family] for family in (Bernoulli, OneHotCategorical)
}


def _first(hard: Any, soft: Any) -> Any:
    return hard


# Returns `hard`, with the derivative of `soft`, which may broadcast to it.
with_slope = primitive(_first)
defvjp(with_slope, None, lambda ans, hard, soft: unbroadcast_f(soft, lambda g: g))


def _led_by(x: Any, first: float) -> Any:
    return np.concatenate([np.full((len(x), 1), first, x.dtype), x], axis=1)


def _without_first(x: Any) -> Any:
    return x[:, 1:]


# A column of one number, then those of a matrix. Autograd's rule for slices adds entry
# by entry when it is itself differentiated, which took a third of the time of RELAX.
led_by, _rest = primitive(_led_by), primitive(_without_first)
defvjp(led_by, lambda ans, x, first: _rest, None)
defvjp(_rest, lambda ans, x: lambda g: led_by(g, 0.0))


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


def pull(function: Any, distribution: Any, g: Any) -> dict[str, Any]:
    """Take the adjoint of a function of a distribution to each of its parameters.

    Parameters are arrays of the function's shape; scalars are constants.
    """
    found = {}
    for name, x in distribution.parameters.items():
        if is_array(x):
            varied = partial(_varied, function, distribution, name)
            vjp, _ = make_vjp(varied)(x)
            found[name] = np.asarray(vjp(g), x.dtype)
    return found


def _varied(function: Any, distribution: Any, name: str, x: Any) -> Any:
    return function(distribution.replace(**{name: x}))
