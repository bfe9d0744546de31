"""How the value of a call is computed: bound, before the first run, to its arguments.

A step is a function of (values, count, run): it reads its arguments from `values` by
number, and `count` is how many rows its value has. Large values are written into arrays
from the run's `buffers`, which have been used before.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from scg.bit_log_prob import known_bits_into
from scg.buffers import SMALL, Buffers
from scg.inference import Spec
from scg.into import INTO
from scg.memory_calls import AbstractMemoryCall
from scg.operation import Operation, Slot

__all__ = ["Computing", "computing", "lookup"]

Values = Any
# (values, number of rows, what has `buffers`) -> the value
Computing = Callable[[Values, int, Any], Any]


def computing(
    operation: Operation,
    sources: Sequence[int],
    spec: Spec,
    specs: Sequence[Spec],
    over: int | None = None,
    *,
    bits: bool = False,
) -> Computing:
    """Return the step of one call.

    Parameters
    ----------
    operation : Operation
    sources : sequence of int
        Where the values of its inputs are.
    spec, specs : Spec
        What its value and its inputs look like.
    over : int, optional
        The place of an input that nobody reads afterwards: a large value is written
        over it.
    bits : bool
        Whether the last argument is known to hold bits.
    """
    if isinstance(operation.function, AbstractMemoryCall):
        return _of_memory(operation, sources)
    if operation.needs_rows or operation.positional is None:
        return lambda values, count, _: operation([values[i] for i in sources], count)
    plain = _plain(operation, sources, specs)
    into = known_bits_into if bits else _into(operation, spec, specs)
    if into is None:
        return plain
    return _sized(plain, into, lookup(operation, sources), spec, over)


def _of_memory(operation: Operation, sources: Sequence[int]) -> Computing:
    """Return the step of a call that keeps arrays from run to run."""
    function: Any = operation.function
    if operation.needs_rows:
        return lambda values, count, run: function(
            *operation.arguments([values[i] for i in sources], count)[0],
            buffers=run.buffers,
        )
    arguments = lookup(operation, sources)
    return lambda values, count, run: function(*arguments(values), buffers=run.buffers)


def lookup(operation: Operation, sources: Sequence[int]) -> Callable[[Values], Any]:
    """Return a function that looks the positional arguments of a call up."""
    places = [
        (sources[a.index], None) if isinstance(a, Slot) else (None, a)
        for a in operation.args
    ]
    if len(places) == 1:
        ((only, _),) = places
        return lambda values: (values[only],)
    if len(places) == 2:
        (i, first), (j, second) = places
        if i is None:
            return lambda values: (first, values[j])
        if j is None:
            return lambda values: (values[i], second)
        return lambda values: (values[i], values[j])
    return lambda values: [c if i is None else values[i] for i, c in places]


def _looks_rows_up(specs: Sequence[Spec]) -> bool:
    """Tell whether integers, one a row, point into a table that has no rows."""
    table, index = specs
    return not table.has_rows and index.dtype.kind in "iu"


def _plain(
    operation: Operation, sources: Sequence[int], specs: Sequence[Spec]
) -> Computing:
    """Return the step that lets NumPy make the array."""
    function, kwargs = operation.function, operation.kwargs
    if kwargs:
        arguments = lookup(operation, sources)
        return lambda values, count, _: function(*arguments(values), **kwargs)
    if len(operation.args) == 1:
        (i,) = sources
        return lambda values, count, _: function(values[i])
    if len(operation.args) == 2 and len(sources) == 2 and operation.plain:
        i, j = sources
        if function is operator.getitem and _looks_rows_up(specs):
            return lambda values, count, _: values[i].take(values[j], 0)
        return lambda values, count, _: function(values[i], values[j])
    arguments = lookup(operation, sources)
    return lambda values, count, _: function(*arguments(values))


Into = Callable[[Any, Sequence[Any], Buffers], Any]


def _into(operation: Operation, spec: Spec, specs: Sequence[Spec]) -> Into | None:
    """Return what writes the value into a given array, where there is such a thing."""
    function = operation.function
    dense = not any(s.sparse or s.parts is not None for s in (spec, *specs))
    if operation.kwargs or operation.kind != "numpy" or not dense or spec.mixes_rows:
        return None
    if isinstance(function, np.ufunc) and function.nout == 1:
        return lambda out, args, _: function(*args, out=out)
    if function in INTO and specs[0].dtype == spec.dtype:
        return INTO[function]
    if function is operator.matmul and _is_product_with_a_matrix(spec, specs):
        return _product
    return None


def _is_product_with_a_matrix(spec: Spec, specs: Sequence[Spec]) -> bool:
    return (
        len(specs) == 2
        and specs[0].has_rows
        and bool(specs[0].shape)
        and not specs[1].has_rows
        and len(specs[1].shape) == 2
        and specs[0].dtype == specs[1].dtype == spec.dtype
    )


def _product(out: Any, args: Sequence[Any], _: Buffers) -> Any:
    a, b = args
    if a.ndim == 2:
        return a.dot(b, out)
    flat = a.reshape(prod(a.shape[:-1]), a.shape[-1])
    flat.dot(b, out.reshape(len(flat), b.shape[-1]))
    return out


def _sized(
    plain: Computing,
    into: Into,
    arguments: Callable[[Values], Any],
    spec: Spec,
    over: int | None,
) -> Computing:
    """Choose between the two by the size of the value."""
    event, dtype, has_rows = spec.shape, spec.dtype, spec.has_rows
    size = prod(event) * dtype.itemsize
    if not has_rows:
        if size < SMALL:
            return plain
        return lambda values, count, run: into(
            run.buffers.take(event, dtype), arguments(values), run.buffers
        )
    few = SMALL / max(size, 1)

    def step(values: Values, count: int, run: Any) -> Any:
        if count < few:
            return plain(values, count, run)
        out = run.buffers.take((count, *event), dtype)
        return into(out, arguments(values), run.buffers)

    if over is None:
        return step

    def overwriting(values: Values, count: int, run: Any) -> Any:
        if count < few:
            return plain(values, count, run)
        out = into(values[over], arguments(values), run.buffers)
        values[over] = None
        return out

    return overwriting
