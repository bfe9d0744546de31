"""What a memory is begun, written and read with, checked when the graph is built."""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.errors import GraphError, ShapeError
from scg.graph import Graph
from scg.inference import describe
from scg.memory_calls import check_cells
from scg.node import Node

__all__ = [
    "check_beginning",
    "check_graph",
    "check_index",
    "check_soft",
    "check_value",
    "count_cells",
    "shown",
]

# Cells that a memory may have: their numbers are int64, and twice that is one, too.
_MOST = 2**62


def check_index(memory: Any, index: Any, who: str) -> tuple[int, ...]:
    """Check a memory and an index; return the latter's shape in one row."""
    if not isinstance(memory, Node) or not memory.spec.memory:
        got = describe(memory.spec) if isinstance(memory, Node) else repr(memory)
        msg = (
            f"{who}: expected a memory, got {got}. Begin with one: "
            "scg.memory.begin(graph, cells, width, value)."
        )
        raise GraphError(msg)
    is_node = isinstance(index, Node)
    dtype = index.dtype if is_node else _array(index).dtype
    if dtype.kind not in "iu" or (is_node and index.spec.parts is not None):
        name = f"node {index.name!r}" if is_node else repr(index)
        msg = (
            f"{who}, memory {memory.name!r}: expected an index of whole numbers, got "
            f"{name} of dtype {dtype}. Draw it from a scg.Categorical, or make whole "
            "numbers of it: x.astype(int)."
        )
        raise GraphError(msg)
    shape = index.event_shape if is_node else np.shape(index)
    if 0 in shape:
        msg = f"{who}, memory {memory.name!r}: expected some cells, got an empty index."
        raise ShapeError(msg)
    if not is_node:
        check_cells(shown(index), np.asarray(index), memory.event_shape[0], len(shape))
    return tuple(shape)


def _array(value: Any) -> Any:
    """Return a value as an array, of objects where lists are of unequal length."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.array(None)


def check_graph(who: str, graph: Any) -> None:
    """Check that the first argument has not been left out."""
    if not isinstance(graph, Graph):
        msg = f"{who}: expected a graph, got {graph!r}: begin(graph, cells, width)."
        raise GraphError(msg)


def count_cells(who: str, cells: Any) -> int:
    """Check how many cells there are to be."""
    whole = isinstance(cells, int | np.integer) and not isinstance(cells, bool)
    if not whole or not 1 <= cells <= _MOST:
        msg = (
            f"{who}: expected a whole number of cells, from 1 to {_MOST:,}, got "
            f"{cells!r}. The shape of a cell is another argument: width."
        )
        raise GraphError(msg)
    return int(cells)


def shown(index: Any) -> str:
    """Return what messages call an index."""
    return repr(index.name) if isinstance(index, Node) else repr(index)


def check_value(
    who: str, value: Any, shape: tuple[int, ...], kind: np.dtype[Any]
) -> Any:
    """Check what is written."""
    if not isinstance(value, Node):
        array = _array(value)
        if array.dtype.kind not in "fiub" or array.shape not in {(), shape}:
            raise _does_not_fit(who, repr(value), kind, shape)
        with np.errstate(over="ignore"):  # too large a number becomes infinite
            array = array.astype(kind)
        if not np.isfinite(array).all():
            raise _does_not_fit(who, repr(value), kind, shape)
        return np.broadcast_to(array, shape)
    fits = value.spec.parts is None and not value.spec.memory and not value.spec.sparse
    if not fits or value.event_shape != shape or value.dtype.kind not in "fiub":
        got = f"node {value.name!r}, {describe(value.spec)}"
        raise _does_not_fit(who, got, kind, shape)
    return value


def check_beginning(
    who: str, value: Any, shape: tuple[int, ...], kind: np.dtype[Any]
) -> Any:
    """Check what a memory begins with."""
    if isinstance(value, Node):
        check_value(who, value, shape, kind)
        if value.dtype != kind:
            got = f"node {value.name!r} of {value.dtype}"
            raise _does_not_fit(who, got, kind, shape)
        return value
    whole = check_value(who, value, shape, kind)
    if np.ndim(value) == 0:
        return float(value)
    whole = whole.copy()
    whole.flags.writeable = False  # the same for all runs
    return whole


def _does_not_fit(
    who: str, got: str, kind: np.dtype[Any], shape: tuple[int, ...]
) -> ShapeError:
    axes = ", ".join(map(str, ("rows", *shape)))
    return ShapeError(
        f"{who}: expected finite {kind} of shape ({axes}), or without rows, or one "
        f"number, got {got}. Make it so: np.reshape, or a layer of as many units."
    )


def check_soft(who: str, memory: Any, weights: Any, value: Any = None) -> None:
    """Check shapes, of which NumPy would broadcast wrong ones, too."""
    of_memory, of_weights, of_value = (
        (x.event_shape if isinstance(x, Node) else np.shape(x)[-n:])
        for x, n in ((memory, 2), (weights, 1), (value, 1))
    )
    cells, width = of_memory if len(of_memory) == 2 else (None, None)
    wrong_value = value is not None and of_value != (width,)
    if cells is None or of_weights != (cells,) or wrong_value:
        got = f"{of_memory}, {of_weights}" + f", {of_value}" * (value is not None)
        and_value = " and a value (width,)" * (value is not None)
        msg = (
            f"{who}: expected rows of a memory (cells, width), of weights (cells,)"
            f"{and_value}, got {got}. The last axes have to be the same."
        )
        raise ShapeError(msg)
