"""Nodes: values of a model that have not been computed yet.

A `Node` implements NumPy's protocols, so that ordinary NumPy code on nodes builds graph
instead of computing. What a node *is* (parameter, input, a call, a draw, a cost ...) is
its `role`, a small record; what all nodes of one graph share is their `Store`. How
values flow through them is left to `scg.forward`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from scg.errors import DuplicateNameError, GraphError, ShapeError, TruthValueError
from scg.inference import Spec, dummies_of, infer_call
from scg.operation import ROWS, Kind, Operation, capture
from scg.protocol import AbstractNode
from scg.roles import Call, Captured, Component, Role

__all__ = [
    "Loop",
    "Node",
    "Scan",
    "Store",
    "call",
]


@dataclass(frozen=True, slots=True)
class Scan(Role):
    """A time loop. Its inputs: initial carries, then scanned inputs, then captured."""

    loop: Loop


@dataclass(slots=True, eq=False)
class Loop:
    """The body of a scan: written while it is traced, read ever after.

    `following[i]` is the node that carry number i takes its next value from. A row
    stops counting after the step in which `until` is true.
    """

    name: str
    length: int | None
    carries: list[Node] = field(default_factory=list)
    slices: list[Node] = field(default_factory=list)
    captured: dict[int, Node] = field(default_factory=dict)
    following: list[Node] = field(default_factory=list)
    outputs: list[Node] = field(default_factory=list)
    until: Node | None = None
    closed: bool = False


@dataclass(slots=True, eq=False)
class Store:
    """The nodes of one graph in the order they were made, which is topological."""

    title: str
    declared_dtype: np.dtype[Any] | None = None
    nodes: list[Node] = field(default_factory=list)
    named: dict[str, Node] = field(default_factory=dict)
    loop: Loop | None = None
    fixed_by: str = ""

    def float_dtype(
        self, who: str, wanted: np.dtype[Any] | None = None
    ) -> np.dtype[Any]:
        """Return the graph's one float dtype; the first node that needs it fixes it."""
        if self.declared_dtype is None:
            self.declared_dtype = wanted or np.dtype(np.float64)
            self.fixed_by = who
        elif wanted is not None and self.fixed_by and wanted != self.declared_dtype:
            msg = (
                f"node {who!r}: expected {self.declared_dtype}, the graph's float "
                "dtype "
                f"since {self.fixed_by!r}, got {wanted}. Convert it, or name the dtype "
                f"once: scg.Graph({self.title!r}, dtype=np.{wanted})."
            )
            raise GraphError(msg)
        return self.declared_dtype

    def add(
        self,
        role: Role,
        inputs: Iterable[Node],
        spec: Spec,
        *,
        name: str | None = None,
        stem: str = "node",
        loop: Loop | None = None,
    ) -> Node:
        """Make a node and number it."""
        label = name if name is not None else f"{stem}:{len(self.nodes)}"
        self.claim(label)
        inside = [self._inside(node, loop) for node in inputs] if loop else list(inputs)
        node = Node(
            self,
            len(self.nodes),
            role,
            label,
            tuple(inside),
            spec,
            loop,
            name is not None,
        )
        self.nodes.append(node)
        self.named[label] = node
        return node

    def claim(self, name: str) -> None:
        """Raise if `name` is taken, or is not a name."""
        if not name:
            msg = f"a node's name must be a non-empty string, got {name!r}."
            raise GraphError(msg)
        if name in self.named:
            msg = (
                f"graph {self.title!r}: the name {name!r} is taken by a "
                f"{self.named[name].kind} node. Choose another name."
            )
            raise DuplicateNameError(msg)

    def _inside(self, node: Node, loop: Loop) -> Node:
        """Return `node` as the body of `loop` sees it."""
        if node.loop is loop or not node.has_rows:
            return node
        if node.index not in loop.captured:
            loop.captured[node.index] = self.add(
                Captured(), (), node.spec, stem=f"{node.name} in {loop.name}"
            )
            loop.captured[node.index].loop = loop
        return loop.captured[node.index]

    @contextmanager
    def tracing(self, loop: Loop) -> Iterator[None]:
        """Build the body of `loop` inside the ``with`` block."""
        if self.loop is not None:
            msg = (
                f"scan {loop.name!r}: a scan inside the scan {self.loop.name!r} is not "
                "supported. Make one loop of the two, or write the inner one in Python."
            )
            raise GraphError(msg)
        self.loop = loop
        try:
            yield
        finally:
            self.loop = None
            loop.closed = True


class Node(AbstractNode, np.lib.mixins.NDArrayOperatorsMixin):
    """A value of a model, known by its shape and dtype before any number exists.

    Nodes are made by `scg.Graph` and by calling NumPy on other nodes. ``shape`` begins
    with ``rows`` (the integer -1, so that ``np.reshape`` understands it) where the node
    has a row axis.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> x = graph.input("x", shape=(3,))
    >>> W = graph.param("W", np.zeros((3, 2)))
    >>> np.tanh(x @ W).shape
    (rows, 2)
    """

    __slots__ = (
        "dummies",
        "index",
        "inputs",
        "is_named",
        "loop",
        "name",
        "role",
        "spec",
        "store",
    )
    __hash__ = object.__hash__

    def __init__(  # noqa: PLR0913 - a record, made by `Store.add` alone
        self,
        store: Store,
        index: int,
        role: Role,
        name: str,
        inputs: tuple[Node, ...],
        spec: Spec,
        loop: Loop | None,
        is_named: bool,
    ) -> None:
        self.store = store
        self.index = index
        self.role = role
        self.name = name
        self.inputs = inputs
        self.spec = spec
        self.loop = loop
        self.is_named = is_named
        self.dummies: tuple[Any, Any] | None = None

    @property
    def kind(self) -> str:
        """The field's word for what the node is."""
        return self.role.kind

    @property
    def has_rows(self) -> bool:
        """Whether axis 0 of the value is rows."""
        return self.spec.has_rows

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one row's value."""
        return self.spec.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value."""
        return self.spec.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value; the first entry is ``rows`` where there is one."""
        return (ROWS, *self.spec.shape) if self.spec.has_rows else self.spec.shape

    @property
    def ndim(self) -> int:
        """The number of axes, rows included."""
        return len(self.shape)

    @property
    def T(self) -> Node:  # noqa: N802 - NumPy's name
        """The transpose, for a node without rows."""
        return self.transpose()

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        if method == "reduce" and ufunc in _REDUCTIONS:
            kwargs = {k: v for k, v in kwargs.items() if v is not None}
            kwargs.setdefault("axis", 0)
            return call(_REDUCTIONS[ufunc], inputs, kwargs)
        if method != "__call__" or kwargs.get("out") is not None:
            msg = (
                f"np.{ufunc.__name__}.{method} on node {self.name!r}: a node can be "
                "neither reduced by a ufunc's method nor written into. Use the NumPy "
                "function that returns a new array, such as np.sum."
            )
            raise GraphError(msg)
        function = operator.matmul if ufunc is np.matmul else ufunc
        return call(function, inputs, kwargs)

    def __array_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        if func in _ABOUT_SHAPE:
            return _ABOUT_SHAPE[func](*args, **kwargs)
        return call(func, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.spec.parts, tuple):
            return self._component(operator.index(index))
        return call(operator.getitem, (self, index), {})

    def _component(self, position: int) -> Node:
        assert self.spec.parts is not None
        if not 0 <= position < len(self.spec.parts):
            msg = (
                f"node {self.name!r} has {len(self.spec.parts)} parts, not {position}."
            )
            raise IndexError(msg)
        return self.store.add(
            Component(position),
            (self,),
            self.spec.parts[position],
            stem=f"{self.name}[{position}]",
            loop=self.loop,
        )

    def __iter__(self) -> Iterator[Node]:
        if self.spec.parts is not None:
            return iter([self._component(i) for i in range(len(self.spec.parts))])
        if self.has_rows:
            msg = (
                f"node {self.name!r}: cannot loop over rows, their number is not "
                "known. "
                "Write the operation for all rows at once."
            )
            raise GraphError(msg)
        return iter([self[i] for i in range(len(self))])

    def __len__(self) -> int:
        if not self.has_rows and self.event_shape:
            return self.event_shape[0]
        msg = f"node {self.name!r} of shape {self.shape} has no length."
        raise TypeError(msg)

    def __bool__(self) -> NoReturn:
        msg = (
            f"node {self.name!r}: expected a number to branch on, got a node, whose "
            "value is not known while the graph is built. Use np.where(condition, "
            "a, b) "
            "for a choice inside the model."
        )
        raise TruthValueError(msg)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        msg = (
            f"node {self.name!r}: expected an array, got a node, which has no value "
            "while the graph is built. Wrap the function in scg.black_box (any "
            "function) "
            "or scg.deterministic (one that autograd can differentiate)."
        )
        raise GraphError(msg)

    def __float__(self) -> NoReturn:
        self.__array__()

    __int__ = __index__ = __float__

    def __repr__(self) -> str:
        return f"<{self.kind} node {self.name!r} {self.shape} {self.dtype}>"

    def sum(self, axis: Any = None, **kwargs: Any) -> Node:
        """Call ``np.sum`` on this node."""
        return call(np.sum, (self,), {"axis": axis, **kwargs})

    def mean(self, axis: Any = None, **kwargs: Any) -> Node:
        """Call ``np.mean`` on this node."""
        return call(np.mean, (self,), {"axis": axis, **kwargs})

    def max(self, axis: Any = None, **kwargs: Any) -> Node:
        """Call ``np.max`` on this node."""
        return call(np.max, (self,), {"axis": axis, **kwargs})

    def min(self, axis: Any = None, **kwargs: Any) -> Node:
        """Call ``np.min`` on this node."""
        return call(np.min, (self,), {"axis": axis, **kwargs})

    def prod(self, axis: Any = None, **kwargs: Any) -> Node:
        """Call ``np.prod`` on this node."""
        return call(np.prod, (self,), {"axis": axis, **kwargs})

    def std(self, axis: Any = None, **kwargs: Any) -> Node:
        """Call ``np.std`` on this node."""
        return call(np.std, (self,), {"axis": axis, **kwargs})

    def var(self, axis: Any = None, **kwargs: Any) -> Node:
        """Call ``np.var`` on this node."""
        return call(np.var, (self,), {"axis": axis, **kwargs})

    def cumsum(self, axis: int) -> Node:
        """Call ``np.cumsum`` on this node."""
        return call(np.cumsum, (self, axis), {})

    def argmax(self, axis: Any = None) -> Node:
        """Call ``np.argmax`` on this node; it has no derivative."""
        return call(np.argmax, (self,), {"axis": axis})

    def reshape(self, *shape: Any) -> Node:
        """Call ``np.reshape`` on this node; the first axis stays the rows."""
        new = shape[0] if len(shape) == 1 else shape
        return call(np.reshape, (self, new), {})

    def transpose(self, *axes: Any) -> Node:
        """Call ``np.transpose`` on this node; the first axis stays the rows."""
        new = axes[0] if len(axes) == 1 else (axes or None)
        return call(np.transpose, (self, new), {})

    def swapaxes(self, axis1: int, axis2: int) -> Node:
        """Call ``np.swapaxes`` on this node."""
        return call(np.swapaxes, (self, axis1, axis2), {})

    def squeeze(self, axis: Any = None) -> Node:
        """Call ``np.squeeze`` on this node."""
        return call(np.squeeze, (self, axis), {})

    def take(self, indices: Any, axis: int) -> Node:
        """Call ``np.take`` on this node."""
        return call(np.take, (self, indices, axis), {})

    def clip(self, minimum: Any, maximum: Any) -> Node:
        """Call ``np.clip`` on this node."""
        return call(np.clip, (self, minimum, maximum), {})

    def dot(self, other: Any) -> Node:
        """Multiply matrices."""
        return call(operator.matmul, (self, other), {})

    def astype(self, dtype: Any) -> Node:
        """Call ``np.astype`` on this node."""
        return call(np.astype, (self, np.dtype(dtype)), {})


def call(  # noqa: PLR0913 - a call, and what is known of it by keyword
    function: Callable[..., Any],
    args: Iterable[Any],
    kwargs: Mapping[str, Any],
    *,
    kind: Kind = "numpy",
    name: str | None = None,
    spec: Spec | None = None,
    mixes_rows: bool = False,
) -> Node:
    """Make the node that `function` of the given nodes and constants is.

    Its shape and dtype come from running the function on dummy rows, unless `spec`
    states them.
    """
    operation, found = capture(function, tuple(args), kwargs, kind)
    nodes = [node for node in found if isinstance(node, Node)]
    store = _shared_store(nodes, operation)
    loop = next((node.loop for node in nodes if node.loop is not None), None)
    if loop is not None and loop.closed:
        inside = next(node for node in nodes if node.loop is loop)
        msg = (
            f"node {inside.name!r} lives inside the scan {loop.name!r} and was used "
            "outside of it. Return it from the step function to get its values."
        )
        raise GraphError(msg)
    operation = _with_float_constants(operation, nodes)
    if spec is None:
        spec = infer_call(
            operation,
            [node.name for node in nodes],
            [node.spec for node in nodes],
            [dummies_of(node) for node in nodes],
            mixes_rows=mixes_rows,
        )
    return store.add(
        Call(operation), nodes, spec, name=name, stem=operation.name, loop=loop
    )


def _shared_store(nodes: list[Node], operation: Operation) -> Store:
    if not nodes:
        msg = f"{operation.name}: expected at least one node among the arguments."
        raise GraphError(msg)
    store = nodes[0].store
    for node in nodes:
        if node.store is not store:
            msg = (
                f"{operation.name}: node {node.name!r} belongs to graph "
                f"{node.store.title!r}, node {nodes[0].name!r} to {store.title!r}. "
                "Nodes of two graphs cannot meet."
            )
            raise GraphError(msg)
    return store


def _with_float_constants(operation: Operation, nodes: list[Node]) -> Operation:
    """Cast float constants to the nodes' float dtype: params decide."""
    dtypes = {node.dtype for node in nodes if node.dtype.kind == "f"}
    if len(dtypes) != 1 or operation.kind == "black box":
        return operation
    (dtype,) = dtypes

    def cast(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value.astype(dtype, copy=False)
        return value

    return Operation(
        operation.function,
        tuple(cast(a) for a in operation.args),
        {k: cast(v) for k, v in operation.kwargs.items()},
        operation.num_inputs,
        operation.kind,
        operation.positional,
        operation.plain,
        operation.needs_rows,
    )


def _shape_error(*_: Any, **__: Any) -> NoReturn:
    msg = "the number of elements of a node is not known while the graph is built."
    raise ShapeError(msg)


_REDUCTIONS: Mapping[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_or: np.any,
    np.logical_and: np.all,
}
_ABOUT_SHAPE: Mapping[Any, Callable[..., Any]] = {
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: _shape_error,
    np.result_type: lambda *a: np.result_type(
        *(x.dtype if isinstance(x, Node) else x for x in a)
    ),
}
