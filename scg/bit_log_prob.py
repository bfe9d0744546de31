"""The log-probability of bits, as one function.

Written with the functions around it, it would be half a dozen nodes of a graph, each a
pass over memory. It is exact for bits of any log-odds, in value and derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from autograd.extend import defvjp
from autograd.numpy.numpy_vjps import unbroadcast_f
from autograd.tracer import getval

from scg.functions import as_float, log1p_exp_minus_abs, sigmoid
from scg.protocol import Function

__all__ = ["bernoulli_log_prob", "bits_into", "known_bits_into"]


@Function
def bernoulli_log_prob(logits: Any, bits: Any, /) -> Any:
    r"""Compute the log-probability of bits.

    .. math:: \log \sigma((2b - 1) \ell), \qquad
              \frac{\partial}{\partial \ell} = (2b - 1)\, \sigma((1 - 2b) \ell)

    Parameters
    ----------
    logits : array, any shape
        Log-odds of 1.
    bits : array, any shape that broadcasts with `logits`
        0 or 1.

    Returns
    -------
    array
        :math:`-\infty`, with no derivative, where a value is neither 0 nor 1.

    Examples
    --------
    >>> import numpy as np
    >>> logits, bits = np.array([0.0, 40.0]), np.array([1.0, 0.0])
    >>> bernoulli_log_prob(logits, bits).round(4).tolist()
    [-0.6931, -40.0]
    """
    logits = as_float(logits)
    shape = np.broadcast_shapes(logits.shape, np.shape(bits))
    out = np.empty(shape, logits.dtype)
    return bits_into(out, (logits, bits), None)[()]


def bits_into(out: Any, args: Any, buffers: Any) -> Any:
    """Write the log-probability, which is minus infinity where a value is no bit."""
    bits = args[1]
    np.multiply(bits, bits, out, casting="unsafe")
    inside = np.equal(out, bits)
    known_bits_into(out, args, buffers)
    if not inside.all():
        np.copyto(out, -np.inf, where=~inside)
    return out


def known_bits_into(out: Any, args: Any, buffers: Any) -> Any:
    """Write b ℓ - max(ℓ, 0), which is exact for bits, less log(1 + exp(-|ℓ|))."""
    logits, bits = args
    scratch = np.empty_like(out) if buffers is None else buffers.like(out)
    np.maximum(logits, 0, out=scratch)
    np.multiply(bits, logits, out, casting="unsafe")
    np.subtract(out, scratch, out)
    np.subtract(out, log1p_exp_minus_abs(logits, scratch), out)
    if buffers is not None:
        buffers.give(scratch)
    return out


def _is_bit(b: Any, like: Any) -> Any:
    return np.equal(b * b, b).astype(getval(like).dtype)


# By the logits alone: between the bits there is nothing to differentiate.
defvjp(
    bernoulli_log_prob.primitive,
    lambda ans, x, b: unbroadcast_f(
        x, lambda g: g * (2 * b - 1) * sigmoid((1 - 2 * b) * x) * _is_bit(b, ans)
    ),
)
