"""Derivatives of single operations, taken from autograd's table of rules.

autograd traces a program anew each time it runs. The graph is known beforehand, so
tracing is not needed: this module looks the rule of each operation up once and applies
it to recorded arrays. With `scg.traceable`, which autograd can trace instead, it is all
that touches autograd's registry.

The way down for an operation is the first of: a rule of our own (`RULES`, where
autograd's rule overflows, is slow, or does not know sparse arrays), autograd's rule for
the primitive, a small trace of autograd's version of a composite function such as
``np.stack``. `scg.pulls` comes here for what has no kernel.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.builtins import tuple as boxed_tuple
from autograd.core import VJPNode, add_outgrads, primitive_vjps
from autograd.extend import vspace
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import (
    isbox,
    new_box,
    notrace_primitives,
    toposort,
    trace_primitives_map,
    trace_stack,
)

from scg.composed import COMPOSED
from scg.functions import Function, stop_gradient
from scg.memory_calls import AbstractMemoryCall
from scg.operation import Operation, Slot
from scg.traceable import traceable

__all__ = [
    "constant_part",
    "has_derivative",
    "is_basic",
    "pull_back",
    "trace_vjp",
    "unbroadcast",
]

Array = np.ndarray[Any, Any]


def pull_back(
    operation: Operation,
    slot: int,
    adjoint: Any,
    value: Any,
    inputs: Sequence[Any],
    rows: int | None = None,
) -> Any:
    r"""Take an adjoint back through an operation to one of its inputs.

    .. math:: \bar x_i = \left(\frac{\partial f}{\partial x_i}\right)^T \bar y

    Parameters
    ----------
    operation : Operation
        The call of ``f``.
    slot : int
        The number ``i`` of the input.
    adjoint : array, shape of `value`
        ``ȳ``.
    value : array
        ``f(*inputs)``, as recorded.
    inputs : sequence of array
        The inputs, as recorded.
    rows : int, optional
        The number of rows, where the arguments mention it.

    Returns
    -------
    array, shape and dtype of ``inputs[slot]``

    Raises
    ------
    NotImplementedError
        When there is no rule for this input; `has_derivative` tells beforehand.

    Examples
    --------
    >>> from scg.operation import capture
    >>> operation = Operation(np.multiply, (Slot(0), 3.0), {}, 1, "numpy", ((0, 0),),
    ...                       False, False)
    >>> x = np.array([2.0, 5.0])
    >>> pull_back(operation, 0, np.ones(2), 3 * x, [x])
    array([3., 3.])
    """
    result = _pull_back(operation, slot, adjoint, value, inputs, rows)
    target = inputs[slot]
    if isinstance(target, tuple | list):
        return result
    return _like(result, target)


def has_derivative(
    operation: Operation,
    slot: int,
    value: Any,
    inputs: Sequence[Any],
    rows: int | None = None,
) -> bool:
    """Tell whether a rule exists, by applying it to the given dummy arrays."""
    if operation.kind == "black box" or not _is_float(inputs[slot]):
        return False
    if not isinstance(value, tuple | list) and not _is_float(value):
        return False
    if operation.kind == "numpy" and _is_flat_nowhere(operation.function):
        return False
    adjoint = (
        tuple(np.ones_like(v) for v in value)
        if isinstance(value, tuple | list)
        else np.ones_like(value)
    )
    try:
        pull_back(operation, slot, adjoint, value, inputs, rows)
    except (NotImplementedError, TypeError, KeyError, AttributeError, ValueError):
        return False
    return True


def constant_part(operation: Operation) -> frozenset[int]:
    """Return the inputs whose derivative is zero on purpose, or almost everywhere.

    These are the argument of `stop_gradient`, and the conditions of ``np.where`` and
    ``np.select``: they are taken as fixed, so the branches should agree where a
    condition flips. Where a cell's value is kept does not depend on what was written.
    """
    if operation.function is stop_gradient:
        return frozenset(range(operation.num_inputs))
    if isinstance(operation.function, AbstractMemoryCall):
        held, positional = operation.function.constant, operation.positional or ()
        return frozenset(i for a, i in positional if a in held)
    if operation.function not in {np.where, np.select}:
        return frozenset()
    conditions = operation.args[0]
    found = conditions if isinstance(conditions, list | tuple) else [conditions]
    return frozenset(c.index for c in found if isinstance(c, Slot))


def trace_vjp(
    function: Callable[..., Any], inputs: Sequence[Any], argnums: Sequence[int]
) -> tuple[Any, Callable[[Any], list[Any]]]:
    """Return ``function(*inputs)`` and the map from its adjoint to those of `argnums`.

    autograd's own `make_vjp` takes one argument; this is the same trace with several
    roots, and roots that the result does not depend on get zeros.
    """
    roots = [VJPNode.new_root() for _ in argnums]
    trace_stack.top += 1
    try:
        level = trace_stack.top
        boxed = list(inputs)
        for root, argnum in zip(roots, argnums, strict=True):
            boxed[argnum] = new_box(inputs[argnum], level, root)
        end = function(*boxed)
        if type(end) in {tuple, list}:
            end = boxed_tuple(end)
    finally:
        trace_stack.top -= 1
    if not (isbox(end) and end._trace == level):
        value = end
        return value, lambda g: [np.zeros_like(inputs[i]) for i in argnums]

    def pull(g: Any) -> list[Any]:
        found = _reverse(end._node, g)
        return [
            found.get(root, np.zeros_like(inputs[i]))
            for root, i in zip(roots, argnums, strict=True)
        ]

    return end._value, pull


def unbroadcast(adjoint: Any, shape: tuple[int, ...]) -> Any:
    """Sum an adjoint over the axes along which an input was broadcast."""
    if np.shape(adjoint) == shape:
        return adjoint
    extra = np.ndim(adjoint) - len(shape)
    if extra > 0:
        adjoint = adjoint.sum(axis=tuple(range(extra)))
    stretched = tuple(
        i for i, n in enumerate(shape) if n == 1 and adjoint.shape[i] != 1
    )
    if stretched:
        adjoint = adjoint.sum(axis=stretched, keepdims=True)
    return np.broadcast_to(adjoint, shape) if adjoint.shape != shape else adjoint


def _pull_back(
    operation: Operation,
    slot: int,
    adjoint: Any,
    value: Any,
    inputs: Sequence[Any],
    rows: int | None,
) -> Any:
    if operation.kind == "numpy" and "where" in operation.kwargs:
        # autograd's rules for sums and the like do not look at it.
        msg = f"np.{operation.name} with where= has no derivative; use np.where inside."
        raise NotImplementedError(msg)
    if operation.kind == "numpy" and operation.positional is not None:
        argnum = next(a for a, i in operation.positional if i == slot)
        args, kwargs = operation.arguments(inputs, rows)
        rule = RULES.get(operation.function)
        if rule is not None and not kwargs:
            return rule(argnum, adjoint, value, args, kwargs)
        primitive = _primitive(operation.function)
        if primitive in primitive_vjps and operation.function not in COMPOSED:
            try:
                pull = primitive_vjps[primitive]((argnum,), value, tuple(args), kwargs)
            except (TypeError, NotImplementedError):
                pass
            else:
                return next(iter(pull(adjoint)))
    return _traced(operation, slot, adjoint, inputs, rows)


def _traced(
    operation: Operation,
    slot: int,
    adjoint: Any,
    inputs: Sequence[Any],
    rows: int | None,
) -> Any:
    version = traceable(operation)

    def call(x: Any) -> Any:
        filled = list(inputs)
        filled[slot] = x
        args, kwargs = operation.arguments(filled, rows)
        return version(*args, **kwargs)

    _, pull = trace_vjp(call, [inputs[slot]], [0])
    return pull(adjoint)[0]


def _reverse(end: Any, g: Any) -> dict[Any, Any]:
    """Run autograd's backward pass, keeping what arrives at every root."""
    outgrads = {end: (g, False)}
    arrived = {}
    for node in toposort(end):
        outgrad = outgrads.pop(node)
        if not node.parents:
            arrived[node] = outgrad[0]
            continue
        for parent, ingrad in zip(node.parents, node.vjp(outgrad[0]), strict=True):
            outgrads[parent] = add_outgrads(outgrads.get(parent), ingrad)
    return arrived


def _primitive(function: Any) -> Any:
    if isinstance(function, Function):
        return function.primitive
    if function is operator.getitem:
        return ArrayBox.__getitem__
    return trace_primitives_map.get(function)


def _is_flat_nowhere(function: Any) -> bool:
    """Tell whether autograd lists a function as having no useful derivative."""
    return _primitive(function) in notrace_primitives[VJPNode]


def _is_float(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return isinstance(value, tuple | list) or (
        np.dtype(dtype).kind in "fc" if dtype is not None else isinstance(value, float)
    )


def _like(adjoint: Any, target: Any) -> Any:
    """Give an adjoint its input's shape and dtype (autograd's rules may upcast)."""
    if not isinstance(adjoint, np.ndarray):
        adjoint = _dense(adjoint, target)
    shape = np.shape(target)
    if adjoint.shape != shape:
        adjoint = unbroadcast(adjoint, shape)
    dtype = getattr(target, "dtype", None)
    if dtype is not None and adjoint.dtype != dtype:
        real = adjoint.dtype.kind == "c" and dtype.kind != "c"
        adjoint = (adjoint.real if real else adjoint).astype(dtype)
    return adjoint


def _dense(adjoint: Any, target: Any) -> Any:
    if hasattr(adjoint, "mut_add"):  # autograd's promise to scatter, from indexing
        return adjoint.mut_add(vspace(np.asarray(target)).zeros())
    return np.asarray(adjoint)


def _tanh(_: int, g: Any, value: Any, args: Sequence[Any], kwargs: Any) -> Any:
    """Use the recorded value: g / cosh² overflows float32 beyond |x| = 89."""
    return g * (1 - value * value)


def _getitem(_: int, g: Any, value: Any, args: Sequence[Any], kwargs: Any) -> Any:
    array, index = args
    out = np.zeros_like(array)
    if is_basic(index):
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


def _where(argnum: int, g: Any, value: Any, args: Sequence[Any], kwargs: Any) -> Any:
    return np.where(args[0], *((g, 0) if argnum == 1 else (0, g)))


def _matmul(
    argnum: int, g: Any, value: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Take one product for ``x @ W`` on rows; a sparse ``x`` stays sparse."""
    a, b = args
    if np.ndim(b) == 2 and len(a.shape) == 2:
        return g @ b.T if argnum == 0 else np.asarray(a.T @ g)
    if hasattr(a, "tocsr"):
        return np.asarray(a.T @ g)
    pull = primitive_vjps[anp.matmul]((argnum,), value, (a, b), kwargs)
    return next(iter(pull(g)))


def is_basic(index: Any) -> bool:
    """Tell whether an index takes no element twice: no arrays in it."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, int | np.integer | slice)
        for part in parts
    )


RULES: Mapping[Any, Callable[..., Any]] = {
    np.tanh: _tanh,
    np.where: _where,
    operator.getitem: _getitem,
    operator.matmul: _matmul,
}
