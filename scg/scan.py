"""The time loop: a step function traced once, its body a part of the graph.

The contract is that of ``jax.lax.scan``, except for where rows go: a scanned input has
shape ``(rows, time, ...)``, a stacked output too. How the loop runs is in `scg.loops`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scg.environment import Waiting
from scg.errors import GraphError, ShapeError, unknown_name
from scg.inference import Spec, describe
from scg.node import Loop, Node, Scan, Store
from scg.roles import Carry, Constant, EnvironmentReset, ScanOutput, Slice

__all__ = ["scan"]


def scan(  # noqa: PLR0913 - as `Graph.scan`
    store: Store,
    step: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    name: str = "scan",
    until: str | None = None,
    keep_every: int | None = None,
) -> tuple[Any, Any]:
    """Trace `step` once and add the loop to the graph; see `scg.Graph.scan`."""
    store.claim(name)
    initial, structure = _flatten(init, f"{name}: init")
    scanned, scanned_structure = _flatten(xs, f"{name}: xs")
    starts = [
        _as_node(store, value, f"{name} init {i}") for i, value in enumerate(initial)
    ]
    sources = [
        _as_node(store, value, f"{name} xs {i}") for i, value in enumerate(scanned)
    ]
    _refuse_memories(name, "xs", sources)
    loop = Loop(name, _length(name, sources, length))
    loop.keep_every = _every(name, keep_every)
    with store.tracing(loop):
        loop.carries = [_head(store, loop, Carry(i), n) for i, n in enumerate(starts)]
        loop.slices = [
            _head(store, loop, Slice(i), n, scanned=True) for i, n in enumerate(sources)
        ]
        carry = _unflatten(structure, iter(loop.carries))
        arguments = (
            (carry,)
            if xs is None
            else (
                carry,
                _unflatten(scanned_structure, iter(loop.slices)),
            )
        )
        after, outputs = _split(step(*arguments), structure, name)
        flat_after, _ = _flatten(after, f"{name}: carry")
        flat_outputs, output_structure = _flatten(outputs, f"{name}: output")
        loop.following = [
            _inside(store, loop, value, head, f"{name} carry {i}")
            for i, (value, head) in enumerate(
                zip(flat_after, loop.carries, strict=True)
            )
        ]
        loop.outputs = [
            _inside(store, loop, value, None, f"{name} output {i}")
            for i, value in enumerate(flat_outputs)
        ]
        _refuse_memories(name, "outputs", loop.outputs)
        loop.until = _stop(store, loop, until)
    captured = [store.nodes[i] for i in loop.captured]
    spec = Spec((), np.dtype(object), has_rows=True)
    node = store.add(Scan(loop), [*starts, *sources, *captured], spec, name=name)
    final = [
        store.add(
            ScanOutput(i, stacked=False), (node,), head.spec, stem=f"{name}.carry"
        )
        for i, head in enumerate(loop.carries)
    ]
    stacked = [
        store.add(
            ScanOutput(i, stacked=True),
            (node,),
            replace(output.spec, shape=(loop.length or 0, *output.spec.shape)),
            stem=f"{name}.output",
        )
        for i, output in enumerate(loop.outputs)
    ]
    return (
        _unflatten(structure, iter(final)),
        _unflatten(output_structure, iter(stacked)),
    )


def _every(name: str, keep_every: int | None) -> int | None:
    """Check how often a carry is kept."""
    if keep_every is None:
        return None
    try:
        every = operator.index(keep_every)
    except TypeError:
        every = 0
    if every < 1:
        msg = (
            f"scan {name!r}: expected keep_every to be a whole number of steps, at "
            f"least 1, or None, got {keep_every!r}."
        )
        raise GraphError(msg)
    return every


def _stop(store: Store, loop: Loop, until: str | None) -> Node | None:
    """Find the node that tells where rows stop."""
    if until is None:
        return None
    if until not in store.named:
        named = [n.name for n in store.nodes if n.is_named]
        raise unknown_name("node", until, named)  # noqa: EM101
    node = store.named[until]
    fits = node.loop is loop and node.dtype == bool and node.event_shape == ()
    if not fits or loop.outputs:
        msg = (
            f"scan {loop.name!r}: expected until to be one boolean a row of the step, "
            f"and no outputs, got {node!r} and {len(loop.outputs)} outputs. Name such "
            "a node: graph.rename(name, node)."
        )
        raise GraphError(msg)
    return node


_LEAF = "leaf"


def _flatten(value: Any, where: str) -> tuple[list[Any], Any]:
    """Split nested tuples, lists and dicts into leaves and their structure."""
    if value is None:
        return [], None
    if isinstance(value, dict):
        keys = sorted(value)
        pairs = [_flatten(value[k], where) for k in keys]
        return [x for leaves, _ in pairs for x in leaves], (
            "dict",
            tuple(keys),
            tuple(s for _, s in pairs),
        )
    if isinstance(value, tuple | list):
        pairs = [_flatten(v, where) for v in value]
        return [x for leaves, _ in pairs for x in leaves], (
            "tuple" if isinstance(value, tuple) else "list",
            tuple(s for _, s in pairs),
        )
    return [value], _LEAF


def _unflatten(structure: Any, leaves: Any) -> Any:
    if structure is None:
        return None
    if structure == _LEAF:
        return next(leaves)
    if structure[0] == "dict":
        return {
            k: _unflatten(s, leaves)
            for k, s in zip(structure[1], structure[2], strict=True)
        }
    made = [_unflatten(s, leaves) for s in structure[1]]
    return tuple(made) if structure[0] == "tuple" else made


def _split(result: Any, structure: Any, name: str) -> tuple[Any, Any]:
    """Tell a carry alone from a pair of carry and output."""
    _, got = _flatten(result, name)
    if got == structure:
        return result, None
    if isinstance(result, tuple) and len(result) == 2:
        _, first = _flatten(result[0], name)
        if first == structure:
            return result
    msg = (
        f"scan {name!r}: expected the step to return the carry with the structure of "
        f"init, or a pair (carry, output), got {_show(got)} for {_show(structure)}."
    )
    raise GraphError(msg)


def _show(structure: Any) -> str:
    if structure is None or structure == _LEAF:
        return str(structure)
    parts = ", ".join(_show(s) for s in structure[-1])
    return f"{structure[0]}({parts})"


def _as_node(store: Store, value: Any, name: str) -> Node:
    if isinstance(value, Node):
        if value.store is not store:
            msg = f"{name}: node {value.name!r} belongs to another graph."
            raise GraphError(msg)
        return value
    if isinstance(value, Waiting):
        return store.add(
            EnvironmentReset(value.environment),
            (),
            value.environment.observation_spec,
            stem=f"{value.environment.name}.reset",
        )
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        msg = f"{name}: expected a node or numbers, got {value!r}."
        raise GraphError(msg)
    if array.dtype.kind == "f":
        array = array.astype(store.float_dtype(name))
    return store.add(
        Constant(array), (), Spec(array.shape, array.dtype, has_rows=False), stem=name
    )


def _head(
    store: Store, loop: Loop, role: Carry | Slice, outer: Node, *, scanned: bool = False
) -> Node:
    spec = replace(outer.spec, has_rows=True, mixes_rows=False)
    if scanned:
        spec = replace(spec, shape=spec.shape[1:])
    word = "x" if scanned else "carry"
    node = store.add(role, (), spec, stem=f"{loop.name}.{word}{role.position}")
    node.loop = loop
    return node


def _inside(
    store: Store, loop: Loop, value: Any, head: Node | None, where: str
) -> Node:
    """Return the body's node that a carry or an output takes its value from."""
    node = _as_node(store, value, where)
    if node.loop is not loop:
        if not node.has_rows:
            msg = (
                f"{where}: expected a value with rows, got node {node.name!r} of shape "
                f"{node.shape}, which has none. Add it to a node of the loop's body."
            )
            raise ShapeError(msg)
        node = store._inside(node, loop)
    if head is not None and _kept(node) != _kept(head):
        msg = (
            f"{where}: expected {describe(head.spec)} as in init, got "
            f"{describe(node.spec)}. Give init the shape and dtype that the step "
            "returns."
        )
        raise ShapeError(msg)
    return node


def _kept(node: Node) -> tuple[Any, ...]:
    """Return what must be the same for what a carry begins with and goes on with."""
    return node.spec.shape, node.dtype, node.spec.memory


def _refuse_memories(name: str, where: str, nodes: Sequence[Node]) -> None:
    for node in nodes:
        if node.spec.memory:
            msg = (
                f"scan {name!r}: expected arrays as {where}, got the memory "
                f"{node.name!r}, whose versions are not stacked. Put it into the "
                "carry, and read cells of it in the step: "
                "scg.memory.read(memory, index)."
            )
            raise GraphError(msg)


def _length(name: str, sources: Sequence[Node], length: int | None) -> int:
    lengths = {n.spec.shape[0] if n.spec.shape else 0 for n in sources}
    if length is not None:
        try:
            lengths.add(operator.index(length))
        except TypeError:
            lengths.add(0)
    if len(lengths) != 1 or min(lengths) < 1:
        shapes = {n.name: n.shape for n in sources}
        msg = (
            f"scan {name!r}: expected one whole number of steps, at least 1, from "
            f"length={length!r} and the time axes of xs (axis 1 after rows) {shapes}."
        )
        raise ShapeError(msg)
    return lengths.pop()
