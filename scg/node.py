"""Nodes: values of a model that have not been computed yet.

A `Node` implements NumPy's protocols, so that ordinary NumPy code on nodes builds graph
instead of computing. What a node *is* (parameter, input, a call, a draw, a cost ...) is
its `role`, a small record; what all nodes of one graph share is their `Store`. How
values flow through them is left to `scg.forward`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scg.array_like import AbstractArray
from scg.dispatch import call, call_function, call_ufunc
from scg.errors import DuplicateNameError, GraphError, ShapeError, unknown_name
from scg.inference import Spec
from scg.operation import ROWS
from scg.pattern import Pattern
from scg.roles import Captured, Component, Role

__all__ = [
    "Loop",
    "Node",
    "Scan",
    "Store",
]


@dataclass(frozen=True, slots=True)
class Scan(Role):
    """A time loop. Its inputs: initial carries, then scanned inputs, then captured."""

    loop: Loop


@dataclass(slots=True, eq=False)
class Loop:
    """The body of a scan: written while it is traced, read ever after.

    `following[i]` is the node that carry number i takes its next value from. A row
    stops counting after the step in which `until` is true. With `keep_every`, the
    reverse pass computes again what is between every so many carries.
    """

    name: str
    length: int | None
    carries: list[Node] = field(default_factory=list)
    slices: list[Node] = field(default_factory=list)
    captured: dict[int, Node] = field(default_factory=dict)
    following: list[Node] = field(default_factory=list)
    outputs: list[Node] = field(default_factory=list)
    until: Node | None = None
    keep_every: int | None = None


@dataclass(slots=True, eq=False)
class Store:
    """The nodes of one graph in the order they were made, which is topological.

    `version` counts the changes; `influence` and `schedules` hold what was worked out
    for the last of them, the latter with one entry for each choice of estimators.
    `dummies` and `patterns` hold what was found out for the nodes made so far, for
    those that will be like them.
    """

    title: str
    declared_dtype: np.dtype[Any] | None = None
    nodes: list[Node] = field(default_factory=list)
    named: dict[str, Node] = field(default_factory=dict)
    loop: Loop | None = None
    fixed_by: str = ""
    version: int = 0
    schedules: list[Any] = field(default_factory=list)
    influence: tuple[int, Any] = (-1, None)
    dummies: dict[Spec, tuple[Any, Any]] = field(default_factory=dict)
    patterns: dict[Hashable, Pattern] = field(default_factory=dict)

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

    def find(self, which: str | Node) -> Node:
        """Find a node by name, or raise with the names that are near."""
        if isinstance(which, Node):
            return which
        try:
            return self.named[which]
        except KeyError:
            named = [n.name for n in self.nodes if n.is_named]
            raise unknown_name("node", which, named) from None  # noqa: EM101

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
        inputs = list(inputs)
        self.check_scope(inputs)
        inside = [self._inside(node, loop) for node in inputs] if loop else inputs
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
        self.version += 1
        return node

    def claim(self, name: Any) -> None:
        """Raise if `name` is taken, or is not a name."""
        if not isinstance(name, str) or not name:
            msg = (
                f"graph {self.title!r}: expected a node's name, a non-empty string, "
                f"got {name!r}."
            )
            raise GraphError(msg)
        if name in self.named:
            msg = (
                f"graph {self.title!r}: expected a new name, got {name!r}, which the "
                f"{self.named[name].kind} node of shape {self.named[name].shape} has. "
                "Choose another name."
            )
            raise DuplicateNameError(msg)

    def check_scope(self, nodes: Iterable[Node]) -> None:
        """Raise if a node is of another graph, or of a loop whose body is closed."""
        for node in nodes:
            if node.store is not self:
                msg = (
                    f"graph {self.title!r}: expected its own nodes, got {node.name!r} "
                    f"of graph {node.store.title!r}. Nodes of two graphs cannot meet."
                )
                raise GraphError(msg)
            if node.loop is not None and node.loop is not self.loop:
                msg = (
                    f"node {node.name!r} lives inside the scan {node.loop.name!r} and "
                    "was used outside of it. Return it from the step function to get "
                    "its values."
                )
                raise GraphError(msg)

    def _inside(self, node: Node, loop: Loop) -> Node:
        """Return `node` as the body of `loop` sees it."""
        if node.loop is loop or not node.has_rows:
            return node
        if node.spec.memory:
            msg = (
                f"scan {loop.name!r}: the memory {node.name!r} was made outside of its "
                "step and is used inside. Hand it from step to step: put it into init, "
                "and return it with the carry."
            )
            raise GraphError(msg)
        if node.index not in loop.captured:
            loop.captured[node.index] = self.add(
                Captured(), (), node.spec, stem=f"{node.name} in {loop.name}"
            )
            loop.captured[node.index].loop = loop
        return loop.captured[node.index]

    def _forget(self, start: int) -> None:
        """Take back the nodes from number `start` on."""
        del self.nodes[start:]
        self.version += 1
        self.named = {k: n for k, n in self.named.items() if n.index < start}

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
        before = len(self.nodes)
        try:
            yield
        except BaseException:
            self._forget(before)  # so that the corrected step can have the same names
            raise
        finally:
            self.loop = None


class Node(AbstractArray):
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
        "index",
        "inputs",
        "is_named",
        "loop",
        "name",
        "role",
        "spec",
        "store",
    )

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

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        return call_ufunc(self.name, ufunc, method, inputs, kwargs)

    def __array_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        return call_function(self.name, func, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        if self.spec.parts is not None:
            return self._component(index)
        first = index[0] if isinstance(index, tuple) and index else index
        if self.has_rows and _leaves_out_rows(first):
            msg = (
                f"node {self.name!r} of shape {self.shape}: expected all rows, got the "
                f"slice {first} of them, axis 0. Axis 1 is the first of one row: "
                "x[:, 2:5]."
            )
            raise ShapeError(msg)
        return call(operator.getitem, (self, index), {})

    def _component(self, index: Any) -> Any:
        assert self.spec.parts is not None
        places = range(len(self.spec.parts))
        if isinstance(index, slice):
            return tuple(self._component(i) for i in places[index])
        try:
            place = places[operator.index(index)]
        except IndexError:
            msg = f"node {self.name!r} has {len(places)} parts, got index {index}."
            raise IndexError(msg) from None
        except TypeError:
            msg = (
                f"node {self.name!r} is a tuple of {len(places)} arrays: expected the "
                f"number of one, got {index!r}. Take a part first: x[0]."
            )
            raise GraphError(msg) from None
        return self.store.add(
            Component(place),
            (self,),
            self.spec.parts[place],
            stem=f"{self.name}[{place}]",
            loop=self.loop,
        )

    def __iter__(self) -> Iterator[Node]:
        if self.spec.parts is not None:
            return iter(self._component(slice(None)))
        if self.has_rows:
            msg = (
                f"node {self.name!r}: cannot loop over rows, their number is not "
                "known. "
                "Write the operation for all rows at once."
            )
            raise GraphError(msg)
        return iter([self[i] for i in range(len(self))])

    def __len__(self) -> int:
        if self.spec.parts is not None:
            return len(self.spec.parts)
        if not self.has_rows and self.event_shape:
            return self.event_shape[0]
        msg = (
            f"node {self.name!r} of shape {self.shape} has no length that is known "
            "while the graph is built; x.shape[1] is the size of a row."
        )
        raise TypeError(msg)

    def __repr__(self) -> str:
        return f"<{self.kind} node {self.name!r} {self.shape} {self.dtype}>"


def _leaves_out_rows(index: Any) -> bool:
    many = 10**9
    return isinstance(index, slice) and index.indices(many) != (0, many, 1)
