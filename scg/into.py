"""Functions of our own that write their value into a given array.

NumPy's own have ``out=``. Each takes (out, arguments, buffers) and returns `out`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scg.arrays import total
from scg.bit_log_prob import bernoulli_log_prob, bits_into
from scg.functions import (
    finite_max,
    log1p_exp_minus_abs,
    log_sigmoid,
    sigmoid,
    softmax,
    softplus,
)

__all__ = ["INTO"]


def _sigmoid_into(out: Any, args: Any, buffers: Any) -> Any:
    (x,) = args
    return sigmoid.compute(x, out=out)


def _softplus_into(out: Any, args: Any, buffers: Any) -> Any:
    (x,) = args
    positive = buffers.like(x)
    np.maximum(x, 0, out=positive)
    np.add(log1p_exp_minus_abs(x, out), positive, out)
    buffers.give(positive)
    return out


def _log_sigmoid_into(out: Any, args: Any, buffers: Any) -> Any:
    (x,) = args
    negative = buffers.like(x)
    np.minimum(x, 0, out=negative)
    np.subtract(negative, log1p_exp_minus_abs(x, out), out)
    buffers.give(negative)
    return out


def _softmax_into(out: Any, args: Any, buffers: Any) -> Any:
    x, axis = args if len(args) == 2 else (*args, -1)
    np.subtract(x, finite_max(x, axis), out)
    np.exp(out, out)
    return np.divide(out, total(out, axis), out)


INTO: Mapping[Any, Callable[[Any, Any, Any], Any]] = {
    bernoulli_log_prob: bits_into,
    sigmoid: _sigmoid_into,
    softplus: _softplus_into,
    log_sigmoid: _log_sigmoid_into,
    softmax: _softmax_into,
}
