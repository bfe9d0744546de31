"""What a NumPy call on nodes becomes: a new node, an answer at once, or a refusal.

Questions about shape and dtype are answered at once. What writes into an array is
refused. Every other call is recorded, with its shape and dtype found on dummy rows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scg.array_like import AbstractArray, refuse_writing
from scg.errors import GraphError, ShapeError
from scg.inference import Spec, describe, dummies_of, infer_call
from scg.memory_calls import AbstractMemoryCall
from scg.operation import Kind, Operation, capture
from scg.pattern import Pattern, pattern_key
from scg.roles import Call

__all__ = ["call", "call_function", "call_ufunc"]


def call_ufunc(
    name: str,
    ufunc: np.ufunc,
    method: str,
    inputs: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Answer ``__array_ufunc__`` for the node called `name`."""
    if method == "reduce" and ufunc in _REDUCTIONS:
        given = {k: v for k, v in kwargs.items() if v is not None}
        return call(_REDUCTIONS[ufunc], inputs, {"axis": 0, **given})
    if kwargs.get("out") is not None or method == "at":
        refuse_writing(name, f"np.{ufunc.__name__} with out=, or in place,")
    if method != "__call__":
        msg = (
            f"node {name!r}: expected a call of np.{ufunc.__name__}, got its method "
            f"{method!r}. Use a NumPy function, such as np.cumsum, or add axes "
            "(x[:, :, None] * y[:, None]) in place of an outer product."
        )
        raise GraphError(msg)
    return call(operator.matmul if ufunc is np.matmul else ufunc, inputs, kwargs)


def call_function(
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Answer ``__array_function__`` for the node called `name`."""
    if function in _ABOUT_SHAPE:
        return _ABOUT_SHAPE[function](*args, **kwargs)
    if function in _IN_PLACE or _writes(function, kwargs):
        refuse_writing(name, f"np.{function.__name__}")
    return call(function, args, kwargs)


def call(  # noqa: PLR0913 - a call, and what is known of it by keyword
    function: Callable[..., Any],
    args: Iterable[Any],
    kwargs: Mapping[str, Any],
    *,
    kind: Kind = "numpy",
    name: str | None = None,
    spec: Spec | None = None,
    mixes_rows: bool = False,
) -> Any:
    """Make the node that `function` of the given nodes and constants is.

    Its shape and dtype come from running the function on dummy rows, unless `spec`
    states them.
    """
    operation, found = capture(function, tuple(args), kwargs, kind)
    nodes: list[Any] = [node for node in found if isinstance(node, AbstractArray)]
    if not nodes:
        msg = f"{operation.name}: expected at least one node among the arguments."
        raise GraphError(msg)
    store = nodes[0].store
    store.check_scope(nodes)
    if not isinstance(function, AbstractMemoryCall):
        _refuse_memories(operation, nodes)
    loop = next((node.loop for node in nodes if node.loop is not None), None)
    operation = _with_float_constants(operation, nodes)
    pattern = Pattern(spec) if spec else _pattern(operation, nodes, mixes_rows)
    spec = pattern.spec
    if loop is not None and not spec.has_rows:
        msg = (
            f"{operation.name}: expected a value with rows inside the scan "
            f"{loop.name!r}, got {describe(spec)}. Repeat it for each row: "
            "np.broadcast_to(..., rows.shape) in the function."
        )
        raise ShapeError(msg)
    return store.add(
        Call(operation, pattern), nodes, spec, name=name, stem=operation.name, loop=loop
    )


def _refuse_memories(operation: Operation, nodes: list[Any]) -> None:
    """Raise where something that works on arrays is called with a memory."""
    for node in nodes:
        if node.spec.memory:
            msg = (
                f"{operation.name}: expected arrays, got node {node.name!r}, "
                f"{describe(node.spec)}, which is no array. Read some of its cells: "
                "scg.memory.read(memory, index); index=np.arange(cells) reads them all."
            )
            raise GraphError(msg)


def _pattern(operation: Operation, nodes: list[Any], mixes_rows: bool) -> Pattern:
    """Find what is known of calls like this one, or try it on dummy rows."""
    specs = [node.spec for node in nodes]
    key = pattern_key(operation, specs)
    patterns = nodes[0].store.patterns
    if key in patterns:
        found: Pattern = patterns[key]
        return found
    names, dummies = [n.name for n in nodes], [dummies_of(n) for n in nodes]
    pattern = Pattern(
        infer_call(operation, names, specs, dummies, mixes_rows=mixes_rows)
    )
    if key is not None:
        patterns[key] = pattern
    return pattern


def _with_float_constants(operation: Operation, nodes: list[Any]) -> Operation:
    """Cast float constants to the nodes' float dtype: params decide."""
    constants = (*operation.args, *operation.kwargs.values())
    if operation.kind == "black box" or not any(map(_is_array, constants)):
        return operation
    dtypes = {node.dtype for node in nodes if node.dtype.kind == "f"}
    if len(dtypes) != 1:
        return operation
    (dtype,) = dtypes

    def cast(value: Any) -> Any:
        return value.astype(dtype, copy=False) if _is_array(value) else value

    return replace(
        operation,
        args=tuple(cast(a) for a in operation.args),
        kwargs={k: cast(v) for k, v in operation.kwargs.items()},
    )


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _writes(function: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    in_place = function is np.nan_to_num and kwargs.get("copy") is False
    return in_place or kwargs.get("out") is not None or "overwrite_input" in kwargs


_REDUCTIONS: Mapping[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_or: np.any,
    np.logical_and: np.all,
}
_IN_PLACE = frozenset(
    {np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask}
)
_ABOUT_SHAPE: Mapping[Any, Callable[..., Any]] = {
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.copy: lambda a: a,
    np.iscomplexobj: lambda a: a.dtype.kind == "c",
    np.isrealobj: lambda a: a.dtype.kind != "c",
    np.result_type: lambda *a: np.result_type(*(getattr(x, "dtype", x) for x in a)),
}
