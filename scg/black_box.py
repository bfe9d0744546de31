"""Functions of the user's own as nodes: differentiable ones, and any at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scg.arrays import all_finite
from scg.dispatch import call
from scg.errors import BlackBoxError, GraphError
from scg.inference import Spec, row_shape
from scg.node import Node
from scg.time_limit import LateError, call_within, checked_limit

__all__ = ["BlackBox", "black_box", "deterministic"]


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
) -> Callable[..., Node]:
    """Make a node of any Python function; it is never differentiated.

    The function gets plain arrays whose axis 0 is the rows, which it must not write
    into, and returns an array of shape ``(rows, *shape)``. It is not run while the
    graph is built. What comes back is checked at every run: shape, dtype, and that it
    is finite.

    Parameters
    ----------
    function : callable
        ``function(*arrays) -> array``; it may call a compiler, a solver or a service.
    shape : tuple of int, or int
        The shape of one row's result.
    dtype : dtype
        The result's dtype; ``float`` is the graph's float dtype.
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

    Returns
    -------
    callable
        Takes nodes and constants; returns a `Node`.

    Raises
    ------
    BlackBoxError
        At run time, when the function raises, returns what was not promised, or takes
        longer than `timeout`.

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
    limit = checked_limit(timeout, f"black box {label!r}")
    per_row = row_shape(shape, f"black box {label!r}")

    def build(*args: Any) -> Node:
        nodes = [a for a in args if isinstance(a, Node)]
        if not nodes:
            msg = (
                f"black box {label!r}: expected at least one node among the arguments, "
                f"got {args!r}."
            )
            raise GraphError(msg)
        store = nodes[0].store
        kind = store.float_dtype(label) if dtype is float else np.dtype(dtype)
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
        box = BlackBox(function, label, spec, row_argument, limit)
        return call(box, args, {}, kind="black box", name=name, spec=spec)

    return build


class BlackBox:
    """A function together with the check of what it returns."""

    __slots__ = ("__name__", "function", "row_argument", "spec", "timeout")

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        spec: Spec,
        row_argument: int | None,
        timeout: float | None = None,
    ) -> None:
        self.function = function
        self.__name__ = name
        self.spec = spec
        self.row_argument = row_argument
        self.timeout = timeout

    def __call__(self, *args: Any) -> Any:
        """Run the function and check shape, dtype and finiteness."""
        try:
            result = call_within(self.timeout, self.function, *map(_read_only, args))
        except LateError as error:
            msg = (
                f"black box {self.__name__!r}: expected an answer within "
                f"{self.timeout:g} s, got none. The call cannot be ended: it goes on "
                "in the background. Allow more time (timeout=), or give the function a "
                "limit of its own."
            )
            raise BlackBoxError(msg) from error
        except Exception as error:
            msg = (
                f"black box {self.__name__!r} raised {type(error).__name__}: {error}. "
                "Its arguments were read-only arrays of shapes "
                f"{[np.shape(a) for a in args]}; run it on these by itself to debug it."
            )
            raise BlackBoxError(msg) from error
        return (
            self._checked_sparse(result, args)
            if self.spec.sparse
            else (self._checked(result, args))
        )

    def _checked_sparse(self, result: Any, args: tuple[Any, ...]) -> Any:
        expected, dtype = self._expected_shape(args), self.spec.dtype
        got = (getattr(result, "shape", None), getattr(result, "dtype", None))
        if got != (expected, dtype) or not hasattr(result, "tocsr"):
            msg = (
                f"black box {self.__name__!r}: expected a SciPy sparse array of shape "
                f"{expected} and dtype {dtype}, got {type(result).__name__} {got}."
            )
            raise BlackBoxError(msg)
        if not np.isfinite(result.data).all():
            msg = f"black box {self.__name__!r}: expected finite numbers, got others."
            raise BlackBoxError(msg)
        return result.tocsr()

    def _checked(self, result: Any, args: tuple[Any, ...]) -> Any:
        try:
            array = np.asarray(result)
        except ValueError as error:
            msg = f"black box {self.__name__!r}: returned no array: {error}."
            raise BlackBoxError(msg) from error
        expected = self._expected_shape(args)
        if array.shape != expected:
            msg = (
                f"black box {self.__name__!r}: expected shape {expected} (rows first), "
                f"got {array.shape}. State the shape of one row: black_box(fn, "
                "shape=...)."
            )
            raise BlackBoxError(msg)
        dtype = self.spec.dtype
        if array.dtype != dtype:
            if array.dtype.kind not in "fiub" or (
                array.dtype.kind == "f" and dtype.kind != "f"
            ):
                msg = (
                    f"black box {self.__name__!r}: expected dtype {dtype}, got "
                    f"{array.dtype}. State it: black_box(fn, dtype=...)."
                )
                raise BlackBoxError(msg)
            array = array.astype(dtype)
        if dtype.kind == "f" and not all_finite(array):
            row = int(np.argwhere(~np.isfinite(array))[0][0]) if array.ndim else 0
            msg = (
                f"black box {self.__name__!r}: expected finite numbers, got "
                f"{array[row] if array.ndim else array} in row {row}."
            )
            raise BlackBoxError(msg)
        return array

    def _expected_shape(self, args: tuple[Any, ...]) -> tuple[int, ...]:
        if not self.spec.has_rows or self.row_argument is None:
            return self.spec.shape
        return (len(args[self.row_argument]), *self.spec.shape)


def _read_only(value: Any) -> Any:
    """Show an array without letting it be written into: the trace records it."""
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _check_callable(function: Any, who: str) -> None:
    if not callable(function):
        msg = f"{who}: expected a function, got {function!r}."
        raise GraphError(msg)
