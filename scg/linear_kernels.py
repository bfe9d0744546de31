"""Adjoints of functions of whole arrays: those that move, sum, multiply, normalise.

A maker looks at one call, with the shapes its arguments will have, and returns the
function that takes an adjoint back, or None where autograd's rule has to do. `Call.at`
is the argument that is meant. Elementwise functions are in `scg.kernels`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from scg.arrays import total
from scg.autodiff import is_basic, unbroadcast
from scg.bit_log_prob import bernoulli_log_prob
from scg.buffers import Buffers
from scg.functions import log_softmax, logsumexp, pick, softmax
from scg.operation import Slot

__all__ = [
    "MAKERS",
    "READS",
    "Adjoint",
    "Form",
    "Taken",
    "slope_of_bits",
    "with_rows",
]


@dataclass(frozen=True, slots=True)
class Form:
    """The shape of one row, and whether there is a row axis before it."""

    event: tuple[int, ...]
    rows: bool

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.event) + self.rows


@dataclass(frozen=True, slots=True)
class Taken:
    """One call: its argument `at` is to get an adjoint."""

    at: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    forms: Sequence[Form]
    out: Form
    dtype: np.dtype[Any]


# (g, y, arguments, buffers) -> adjoint of the argument
Adjoint = Callable[[Any, Any, Sequence[Any], Buffers], Any]


def with_rows(form: Form, g: Any) -> tuple[int, ...]:
    """Return the shape of an array of this form, of as many rows as `g` has."""
    return (len(g), *form.event) if form.rows else form.event


def _matmul(call: Taken) -> Adjoint | None:
    a, b = call.forms
    if b.rows or a.ndim < 2:
        return _batched(call) if a.rows and b.rows else None
    if len(b.event) == 2:
        return _left_of_matrix if call.at == 0 else _matrix
    if len(b.event) == 1:
        return _left_of_vector if call.at == 0 else _vector
    return None


def _batched(call: Taken) -> Adjoint | None:
    a, b = call.forms
    if len(a.event) != 2 or len(b.event) != 2:
        return None
    if call.at == 0:
        return lambda g, y, args, _: np.matmul(g, args[1].swapaxes(-1, -2))
    return lambda g, y, args, _: np.matmul(args[0].swapaxes(-1, -2), g)


def _left_of_matrix(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
    b = args[1]
    out = buffers.take((*g.shape[:-1], b.shape[0]), b.dtype)
    _flat(g).dot(b.T, out=_flat(out))
    return out


def _matrix(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
    a = args[0]
    out = buffers.take((a.shape[-1], g.shape[-1]), g.dtype)
    return _flat(a).T.dot(_flat(g), out=out)


def _left_of_vector(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
    b = args[1]
    out = buffers.take((*g.shape, b.shape[0]), b.dtype)
    return np.multiply(g[..., np.newaxis], b, out)


def _vector(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
    return g.reshape(-1).dot(_flat(args[0]))


def _flat(a: Any) -> Any:
    # Not -1 for the rows: of an array without elements they are not known from it.
    return a if a.ndim == 2 else a.reshape(prod(a.shape[:-1]), a.shape[-1])


def _sum(call: Taken) -> Adjoint | None:
    """Spread an adjoint over the axes that were summed: a view of it."""
    form = call.forms[0]
    options = {"axis": None, "keepdims": False, **call.kwargs}
    axis = call.args[1] if len(call.args) > 1 else options.pop("axis")
    options.pop("axis", None)
    keepdims = options.pop("keepdims")
    if len(call.args) > 2 or options or keepdims is np._NoValue:
        return None
    axes = range(form.ndim) if axis is None else np.atleast_1d(axis)
    gone = sorted({int(i) % form.ndim for i in axes}) if form.ndim else []
    if form.rows and 0 in gone:
        return None
    insert = tuple(
        np.newaxis if i in gone and not keepdims else slice(None)
        for i in range(form.ndim)
    )

    def spread(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
        return np.broadcast_to(g[insert], with_rows(form, g))

    return spread


def _mean(call: Taken) -> Adjoint | None:
    spread = _sum(call)
    if spread is None:
        return None
    size = max(1, int(np.prod(call.forms[0].event)))
    share = max(1, int(np.prod(call.out.event))) / size

    def averaged(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
        return spread(np.multiply(g, share), y, args, buffers)

    return averaged


def _reshape(call: Taken) -> Adjoint | None:
    orders = [a for a in (*call.args, *call.kwargs.values()) if isinstance(a, str)]
    if orders not in ([], ["C"]):
        return None
    form = call.forms[0]
    return lambda g, y, args, _: g.reshape(with_rows(form, g))


def _swapaxes(call: Taken) -> Adjoint | None:
    if call.kwargs:
        return None
    i, j = call.args[1:]
    return lambda g, y, args, _: g.swapaxes(i, j)


def _moveaxis(call: Taken) -> Adjoint | None:
    if call.kwargs:
        return None
    source, destination = call.args[1:]
    return lambda g, y, args, _: np.moveaxis(g, destination, source)


def _getitem(call: Taken) -> Adjoint | None:
    form, index = call.forms[0], call.args[1]
    if call.at == 0 and isinstance(index, Slot) and not form.rows:
        return _scatter_rows(form, call.dtype) if call.forms[1].ndim == 1 else None
    if call.at != 0 or not is_basic(index):
        return None

    def scatter(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
        out = buffers.take(with_rows(form, g), g.dtype)
        out.fill(0)
        out[index] = g
        return out

    return scatter


def _scatter_rows(form: Form, dtype: np.dtype[Any]) -> Adjoint:
    """Add the rows of an adjoint to those of a table that were looked up."""
    size = form.event[0]
    if size <= _SMALL_TABLE:
        one_hot, width = np.eye(size, dtype=dtype), prod(form.event[1:])

        def product(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
            chosen = one_hot.take(args[1], axis=0)
            return chosen.T.dot(g.reshape(len(g), width)).reshape(form.event)

        return product

    def scatter(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
        out = buffers.take(form.event, g.dtype)
        out.fill(0)
        np.add.at(out, args[1], g)
        return out

    return scatter


# Up to this many rows a product with one-hot rows is faster than adding one by one.
_SMALL_TABLE = 64


def _axis_of(call: Taken, position: int = 1) -> int:
    if len(call.args) > position:
        return int(call.args[position])
    return int(call.kwargs.get("axis", -1))


def _softmax(call: Taken) -> Adjoint:
    axis = _axis_of(call)

    def adjoint(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
        out = buffers.take(y.shape, y.dtype)
        np.multiply(g, y, out)
        np.subtract(g, total(out, axis), out)
        return np.multiply(out, y, out)

    return adjoint


def _log_softmax(call: Taken) -> Adjoint:
    axis = _axis_of(call)

    def adjoint(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
        out = buffers.take(y.shape, y.dtype)
        np.exp(y, out)
        np.multiply(out, total(g, axis), out)
        return np.subtract(g, out, out)

    return adjoint


def _logsumexp(call: Taken) -> Adjoint:
    axis = _axis_of(call)

    def adjoint(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
        out = softmax.compute(args[0], axis)
        return np.multiply(out, np.expand_dims(g, axis), out)

    return adjoint


def _pick(call: Taken) -> Adjoint | None:
    """Put an adjoint where the index points; nowhere, where it points outside."""
    form = call.forms[0]
    if call.at != 0 or not form.event:
        return None
    choices = np.arange(form.event[-1])

    def adjoint(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
        out = buffers.take((*g.shape, len(choices)), g.dtype)
        one_hot = np.equal(np.asarray(args[1])[..., np.newaxis], choices)
        np.multiply(g[..., np.newaxis], one_hot, out)
        return unbroadcast(out, with_rows(form, g))

    return adjoint


def _bernoulli_log_prob(call: Taken) -> Adjoint | None:
    if call.at != 0:
        return None
    form = call.forms[0]

    def adjoint(g: Any, y: Any, args: Sequence[Any], buffers: Buffers) -> Any:
        logits, bits = args
        out, sign = buffers.like(g), buffers.like(g)
        slope_of_bits(logits, bits, out, sign)
        np.multiply(out, g, out)
        buffers.give(sign)
        return unbroadcast(out, with_rows(form, g))

    return adjoint


def slope_of_bits(logits: Any, bits: Any, out: Any, sign: Any) -> None:
    """Write (2b - 1) σ((1 - 2b) ℓ) into `out`, and 2b - 1 into `sign`."""
    np.multiply(bits, 2, sign, casting="unsafe")
    np.subtract(sign, 1, sign)
    np.multiply(sign, logits, out)
    # exp overflows to inf on purpose: sign / (1 + inf) is the right 0.
    np.exp(out, out)
    np.add(out, 1, out)
    np.divide(sign, out, out)


MAKERS: Mapping[Any, Callable[[Taken], Adjoint | None]] = {
    operator.matmul: _matmul,
    operator.getitem: _getitem,
    np.sum: _sum,
    np.mean: _mean,
    np.reshape: _reshape,
    np.ravel: _reshape,
    np.expand_dims: _reshape,
    np.squeeze: _reshape,
    np.swapaxes: _swapaxes,
    np.moveaxis: _moveaxis,
    softmax: _softmax,
    log_softmax: _log_softmax,
    logsumexp: _logsumexp,
    pick: _pick,
    bernoulli_log_prob: _bernoulli_log_prob,
}

# What the adjoint of argument `at` is made of: -1 for the value, else an argument.
READS: Mapping[Any, Callable[[int], tuple[int, ...]]] = {
    operator.matmul: lambda at: (1 - at,),
    operator.getitem: lambda at: (1,),
    np.sum: lambda at: (),
    np.mean: lambda at: (),
    np.reshape: lambda at: (),
    np.ravel: lambda at: (),
    np.expand_dims: lambda at: (),
    np.squeeze: lambda at: (),
    np.swapaxes: lambda at: (),
    np.moveaxis: lambda at: (),
    softmax: lambda at: (-1,),
    log_softmax: lambda at: (-1,),
    logsumexp: lambda at: (0,),
    pick: lambda at: (1,),
    bernoulli_log_prob: lambda at: (0, 1),
}
