"""Memory read and written cell by cell, at a cost that does not depend on its size.

`write` and `read` take an index: a whole number, or a few of them, a row, such as a
sample. Gradient passes through what is written and read; through the index there is
none, so it is drawn, and trained by an estimator. `soft_write` and `soft_read` are the
differentiable counterparts on ordinary nodes, which touch every cell.

A memory is no array: NumPy's functions refuse it. How it is kept is in `scg.cells`, how
gradient crosses it in `scg.owed`.

References
----------
Zaremba & Sutskever 2015, "Reinforcement Learning Neural Turing Machines"; for the soft
form, Graves, Wayne & Danihelka 2014, "Neural Turing Machines", section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.dispatch import call
from scg.errors import GraphError
from scg.graph import Graph
from scg.inference import Spec, row_shape
from scg.memory_calls import AbstractMemoryCall, Begin, Fetch, Locate, Write
from scg.memory_checks import (
    check_beginning,
    check_graph,
    check_index,
    check_soft,
    check_value,
    count_cells,
    shown,
)
from scg.node import Node
from scg.operation import ROWS, capture
from scg.pattern import Pattern
from scg.roles import Call

__all__ = ["begin", "read", "soft_read", "soft_write", "write"]


def begin(
    graph: Graph,
    cells: int,
    width: int | tuple[int, ...] = (),
    value: Any = 0.0,
    *,
    name: str | None = None,
) -> Node:
    """Make a memory: so many cells a row, which hold `value` until they are written.

    A million cells cost no more than ten, unless `value` is an array or a node.

    Parameters
    ----------
    graph : Graph
    cells : int
    width : tuple of int, or int
        The shape of one cell; ``()`` for a number.
    value : number, array or node
        Of shape ``(cells, *width)``, the same in each row, such as a param; or a node
        of shape ``(rows, cells, *width)``.
    name : str, optional
        The node's name.

    Returns
    -------
    Node
        Of shape ``(rows, cells, *width)``, for `read`, `write` and the carry of a
        ``graph.scan``.

    Raises
    ------
    GraphError
        When there are no cells, or more than can be numbered; inside the step of a
        scan.
    ShapeError
        When `value` does not fit.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> scg.memory.begin(graph, cells=1_000_000, width=20).shape
    (rows, 1000000, 20)
    """
    who = f"memory {name or ''!r}"
    check_graph(who, graph)
    store, count, cell = graph.store, count_cells(who, cells), row_shape(width, who)
    if store.loop is not None:
        msg = (
            f"{who}: expected to be outside of a scan's step, got scan "
            f"{store.loop.name!r}. Begin it before the scan, and put it into init."
        )
        raise GraphError(msg)
    kind = store.float_dtype(who)
    value = check_beginning(who, value, (count, *cell), kind)
    has_rows = isinstance(value, Node) and value.has_rows
    function = Begin(count, cell, kind, value_has_rows=has_rows)
    spec = Spec((count, *cell), kind, has_rows=True, memory=True)
    operation, nodes = capture(function, (ROWS, value), {})
    inputs: Any = nodes
    store.check_scope(inputs)
    role = Call(operation, Pattern(spec, {0: "smooth"} if nodes else {}))
    return store.add(role, inputs, spec, name=name, stem="memory")


def write(memory: Node, index: Any, value: Any, *, name: str | None = None) -> Node:
    r"""Return a memory with a new value in some cells.

    .. math:: m'_j = x \text{ where } j = i, \quad m_j \text{ elsewhere}

    Costs what is written, forward and backward. `memory` itself stays as it is. Writing
    to it a second time is right too, but copies all that has been written so far; in a
    loop, go on with what `write` returned.

    Parameters
    ----------
    memory : Node
    index : node of integers, or integers
        Shape ``(rows,)``, or ``(rows, k)`` for k cells a row; without rows it is the
        same for all. Where one cell comes twice, the last value stays.
    value : node, array or number
        Shape ``(rows, *width)``, or ``(rows, k, *width)``; without rows, or one number,
        it is the same for all.
    name : str, optional
        The node's name.

    Returns
    -------
    Node
        The memory after the write.

    Raises
    ------
    GraphError
        When `memory` is none, or `index` is not of integers.
    ShapeError
        When `value` does not fit.
    CellIndexError
        When no cell has an index: that of a node at run time.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> logits, x = graph.param("logits", np.zeros(10)), graph.input("x", shape=(3,))
    >>> i = graph.sample("i", scg.Categorical(logits=logits))
    >>> memory = scg.memory.write(scg.memory.begin(graph, 10, 3), i, x)
    >>> scg.memory.read(memory, i).shape
    (rows, 3)
    """
    several = check_index(memory, index, "write")
    cell, kind = memory.event_shape[1:], memory.dtype
    value = check_value(f"write to {memory.name!r}", value, (*several, *cell), kind)
    function = Write(shown(index), several)
    return _call(function, (memory, index, value), memory.spec, name)


def read(memory: Node, index: Any, *, name: str | None = None) -> Node:
    """Return what some cells of a memory hold.

    Costs what is read, forward and backward. What was written later does not show.

    Parameters
    ----------
    memory : Node
    index : node of integers, or integers
        Shape ``(rows,)``, or ``(rows, k)`` for k cells a row, a window around a head,
        say; without rows it is the same for all.
    name : str, optional
        The node's name.

    Returns
    -------
    Node
        Shape ``(rows, *width)``, or ``(rows, k, *width)``.

    Raises
    ------
    GraphError
        When `memory` is none, or `index` is not of integers.
    CellIndexError
        When no cell has an index: that of a node at run time.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> memory = scg.memory.begin(graph, cells=10, width=3)
    >>> head = graph.input("head", dtype=int)
    >>> window = np.clip(head[:, None] + np.arange(-1, 2), 0, 9)
    >>> scg.memory.read(memory, window).shape
    (rows, 3, 3)
    """
    several = check_index(memory, index, "read")
    shape = (*several, *memory.event_shape[1:])
    where = _call(
        Locate(shown(index), several),
        (memory, index),
        Spec(several, np.dtype(np.intp), has_rows=True),
        None,
    )
    spec = Spec(shape, memory.dtype, has_rows=True)
    return _call(Fetch(), (memory, where), spec, name)


def soft_read(memory: Any, weights: Any) -> Any:
    r"""Return the mean of all cells under some weights: NumPy over nodes.

    .. math:: r = \sum_i a_i m_i

    Parameters
    ----------
    memory : node or array, shape (rows, cells, width)
        An ordinary value, not one of `begin`.
    weights : node or array, shape (rows, cells)
        That sum to 1.

    Returns
    -------
    node or array, shape (rows, width)

    Raises
    ------
    ShapeError
        When there are not as many weights as cells.

    References
    ----------
    Graves et al. 2014, section 3.1.

    Examples
    --------
    >>> memory = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> soft_read(memory, np.array([[0.5, 0.5]])).tolist()
    [[2.0, 3.0]]
    """
    check_soft("soft_read", memory, weights)
    return (weights[:, None, :] @ memory)[:, 0]


def soft_write(memory: Any, weights: Any, value: Any) -> Any:
    r"""Move all cells towards a value, each by its weight: NumPy over nodes.

    .. math:: m_i \leftarrow m_i + a_i (x - m_i)

    With all weight on one cell it is `write`.

    Parameters
    ----------
    memory : node or array, shape (rows, cells, width)
        An ordinary value, not one of `begin`.
    weights : node or array, shape (rows, cells)
        Between 0 and 1.
    value : node or array, shape (rows, width)

    Returns
    -------
    node or array, shape (rows, cells, width)

    Raises
    ------
    ShapeError
        When there are not as many weights as cells, or the widths differ.

    References
    ----------
    Graves et al. 2014, section 3.2, with the erase vector all ones.

    Examples
    --------
    >>> memory = np.zeros((1, 2, 2))
    >>> soft_write(memory, np.array([[1.0, 0.5]]), np.array([[2.0, 4.0]])).tolist()
    [[[2.0, 4.0], [1.0, 2.0]]]
    """
    check_soft("soft_write", memory, weights, value)
    return memory + weights[:, :, None] * (value[:, None, :] - memory)


def _call(
    function: AbstractMemoryCall, args: tuple[Any, ...], spec: Spec, name: str | None
) -> Node:
    """Make the node of a call, and say what gradient does on its edges."""
    node: Node = call(function, args, {}, name=name, spec=spec)
    role: Any = node.role
    for at, slot in role.operation.positional:
        way = "smooth" if at in function.smooth else "blocked"
        way = "constant" if at in function.constant else way
        if node.inputs[slot].dtype.kind != "f":
            way = "blocked"
        role.pattern.kinds[slot] = way
    return node
