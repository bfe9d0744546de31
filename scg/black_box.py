"""Functions of the user's own as nodes: differentiable ones, and any at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from scg.box_call import BlackBox, Patience
from scg.dispatch import call
from scg.each_row import EachRow, RowByRow
from scg.errors import GraphError
from scg.inference import Spec, row_shape
from scg.node import Node

__all__ = ["black_box", "deterministic"]


def deterministic(
    function: Callable[..., Any], *, rows: bool = True, name: str | None = None
) -> Callable[..., Node]:
    """Make a node of any function that autograd can differentiate.

    The function is written with ``autograd.numpy`` and gets arrays whose axis 0 is the
    rows. It is differentiated as one piece.

    Parameters
    ----------
    function : callable
        ``function(*arrays) -> array``.
    rows : bool
        Whether each row of the result depends on the same row of the arguments only.
        With False the function may mix rows, and every row's cost is then credited to
        every row's samples.
    name : str, optional
        The node's name.

    Returns
    -------
    callable
        Takes nodes, constants and keyword constants; returns a `Node`.

    Raises
    ------
    ShapeError
        When the function fails on dummy rows or loses the row axis.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> import scg
    >>> graph = scg.Graph()
    >>> x = graph.input("x", shape=(3,))
    >>> norm = scg.deterministic(lambda x: anp.sqrt(anp.sum(x**2, axis=-1)))
    >>> norm(x).shape
    (rows,)
    """
    _check_callable(function, "deterministic")

    def build(*args: Any, **kwargs: Any) -> Node:
        return call(
            function, args, kwargs, kind="deterministic", name=name, mixes_rows=not rows
        )

    return build


def black_box(  # noqa: PLR0913 - what is promised of the function, by keyword
    function: Callable[..., Any],
    shape: int | tuple[int, ...] = (),
    dtype: Any = float,
    *,
    rows: bool = True,
    sparse: bool = False,
    name: str | None = None,
    timeout: float | None = None,
    attempts: int = 1,
    pause: float = 1.0,
    each_row: EachRow | None = None,
) -> Callable[..., Node]:
    """Make a node of any Python function; it is never differentiated.

    The function gets plain arrays whose axis 0 is the rows, which it must not write
    into, and returns an array of shape ``(rows, *shape)``. With `each_row` it is
    written for one row. It is not run while the graph is built. What comes back is
    checked at every run: shape, dtype, and that it is finite.

    Parameters
    ----------
    function : callable
        ``function(*arrays) -> array``; it may call a compiler, a solver or a service.
    shape : tuple of int, or int
        The shape of one row's result.
    dtype : dtype
        The result's dtype; ``float`` is the graph's float dtype, ``object`` that of
        anything that is no number, such as text for another black box.
    rows : bool
        Whether each row of the result depends on the same row of the arguments only.
    sparse : bool
        Whether the function returns a SciPy sparse array; ``x @ W`` then costs what its
        non-zero entries cost, forward and backward.
    name : str, optional
        The node's name.
    timeout : float, optional
        Seconds that a call may take. The function then runs in a thread of its own. A
        call that takes longer cannot be ended: it goes on in the background, and what
        it returns is dropped.
    attempts : int
        How often a call is made, at most, if it raises, takes too long, or returns what
        was not promised. Each failure but the last is logged as a warning.
    pause : float
        Seconds before the second attempt; twice as many before each further one, up to
        60.
    each_row : EachRow, optional
        Call the function once for each row, some at a time; `timeout` and `attempts`
        are then those of a row.

    Returns
    -------
    callable
        Takes nodes and constants; returns a `Node`.

    Raises
    ------
    BlackBoxError
        At run time, when the function raises, returns what was not promised, or takes
        longer than `timeout`, at the last attempt. Its `arguments` are what the
        function was given.
    GraphError
        When the options do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> k = graph.sample("k", scg.Categorical(logits=np.zeros(4)))
    >>> scg.black_box(lambda k: np.sqrt(k))(k).shape
    (rows,)
    """
    _check_callable(function, "black_box")
    label = name or str(getattr(function, "__name__", "black box"))
    who = f"black box {label!r}"
    patience = Patience(timeout, attempts, pause).checked(who)
    _check_each_row(each_row, who, whole=sparse or not rows)
    per_row = row_shape(shape, who)
    own_dtype = _checked_dtype(dtype, who)

    def build(*args: Any) -> Node:
        nodes = [a for a in args if isinstance(a, Node)]
        if not nodes:
            msg = (
                f"{who}: expected at least one node among the arguments, got {args!r}."
            )
            raise GraphError(msg)
        store = nodes[0].store
        kind = store.float_dtype(label) if dtype is float else own_dtype
        has_rows = any(node.has_rows for node in nodes)
        spec = Spec(
            per_row,
            kind,
            has_rows,
            mixes_rows=not rows and has_rows,
            sparse=sparse,
        )
        row_argument = next(
            (i for i, a in enumerate(args) if isinstance(a, Node) and a.has_rows), None
        )
        box: Callable[..., Any]
        if each_row is not None:
            _check_rows_can_be_told(nodes, who)
        if each_row is None or row_argument is None:
            box = BlackBox(function, label, spec, row_argument, patience)
        else:
            with_rows = [isinstance(a, Node) and a.has_rows for a in args]
            one = BlackBox(
                function, label, replace(spec, has_rows=False), None, patience
            )
            box = RowByRow(one, with_rows, each_row)
        return call(box, args, {}, kind="black box", name=name, spec=spec)

    return build


def _check_callable(function: Any, who: str) -> None:
    if not callable(function):
        msg = f"{who}: expected a function, got {function!r}."
        raise GraphError(msg)


def _checked_dtype(dtype: Any, who: str) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        msg = f"{who}: expected a dtype, got {dtype!r}."
        raise GraphError(msg) from error
    if kind.kind not in "fiubcO":
        msg = (
            f"{who}: expected a dtype of numbers, or object for anything else, such as "
            f"text, got {dtype!r}."
        )
        raise GraphError(msg)
    return kind


def _check_rows_can_be_told(nodes: Iterable[Node], who: str) -> None:
    for node in nodes:
        if node.spec.sparse:
            msg = (
                f"{who}: expected arrays to take one row of, got the sparse "
                f"{node.name!r}. Leave out each_row=, or make it dense first."
            )
            raise GraphError(msg)


def _check_each_row(each_row: Any, who: str, *, whole: bool) -> None:
    if each_row is not None and not isinstance(each_row, EachRow):
        msg = f"{who}: expected each_row=scg.EachRow(), got {each_row!r}."
        raise GraphError(msg)
    if each_row is not None and whole:
        msg = (
            f"{who}: expected a function of all rows, since rows=False or sparse=True, "
            f"got {each_row!r}. Leave one of the two out."
        )
        raise GraphError(msg)
