"""The nodes that a graph is told of: params, inputs, samples, costs and values.

Each is checked at the line that declares it. `scg.Graph` says what its methods mean;
how they are held to it is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scg.distributions import AbstractDistribution
from scg.errors import DistributionError, GraphError, ShapeError
from scg.inference import LONG, SHORT, Spec, describe, dummies_of, row_shape
from scg.node import Node, Store
from scg.pattern import Pattern, likeness
from scg.roles import Constant, Cost, Draw, Input, Param, Value

__all__ = [
    "add_constant",
    "add_input",
    "add_param",
    "add_sample",
    "add_term",
    "rename",
]


def add_param(store: Store, name: str, value: Any) -> Node:
    """Add a param; see `scg.Graph.param`."""
    store.claim(name)
    if store.loop is not None:
        msg = f"param {name!r}: make params outside of the scan's step."
        raise GraphError(msg)
    made = value(np.random.default_rng(0)) if callable(value) else value
    try:
        array = np.asarray(made)
        is_good = array.dtype.kind in "fiu" and bool(np.isfinite(array).all())
    except ValueError as error:
        msg = f"param {name!r}: expected an array of numbers, got {made!r}: {error}"
        raise GraphError(msg) from error
    if not is_good:
        msg = (
            f"param {name!r}: expected finite numbers, got {made!r}. Give an array, a "
            "number, or a function rng -> array."
        )
        raise GraphError(msg)
    declared = store.declared_dtype is not None and not store.fixed_by
    keeps = isinstance(value, np.ndarray | np.floating) or callable(value)
    wanted = array.dtype if keeps and array.dtype.kind == "f" and not declared else None
    spec = Spec(array.shape, store.float_dtype(name, wanted), has_rows=False)
    return store.add(Param(value), (), spec, name=name)


def add_constant(store: Store, value: Any) -> Node:
    """Add a constant; see `scg.Graph.constant`."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        msg = f"constant: expected an array of finite numbers, got {value!r}."
        raise GraphError(msg)
    is_float = array.dtype.kind == "f"
    array = array.astype(store.float_dtype("a constant") if is_float else array.dtype)
    array.flags.writeable = False  # a copy, the same for all runs
    spec = Spec(array.shape, array.dtype, has_rows=False)
    return store.add(Constant(array), (), spec, stem="constant")


def add_input(store: Store, name: str, shape: Any, dtype: Any) -> Node:
    """Add an input; see `scg.Graph.input`."""
    store.claim(name)
    if store.loop is not None:
        msg = (
            f"input {name!r}: make inputs outside of the scan's step, and hand data "
            "for each step over by xs=."
        )
        raise GraphError(msg)
    per_row = row_shape(shape, f"input {name!r}")
    if dtype is float:
        return store.add(
            Input(), (), Spec(per_row, store.float_dtype(name), True), name=name
        )
    kind = np.dtype(dtype)
    if kind.kind not in "fiub":
        msg = (
            f"input {name!r}: expected a dtype of numbers or truth values, got {kind}. "
            "Encode the data as numbers before the run."
        )
        raise GraphError(msg)
    if kind.kind == "f":
        kind = store.float_dtype(name, kind)
    return store.add(Input(), (), Spec(per_row, kind, has_rows=True), name=name)


def add_sample(store: Store, name: str, distribution: Any) -> Node:
    """Add a stochastic node; see `scg.Graph.sample`."""
    store.claim(name)
    if not isinstance(distribution, AbstractDistribution):
        msg = (
            f"node {name!r}: expected a distribution, got {distribution!r}. Make one, "
            "such as scg.Normal(mean=0.0, scale=1.0)."
        )
        raise DistributionError(msg)
    parameters = distribution.parameters
    nodes = {k: v for k, v in parameters.items() if isinstance(v, Node)}
    store.check_scope(nodes.values())
    for node in nodes.values():
        if node.spec.memory:
            msg = (
                f"node {name!r}: expected arrays as parameters, got the memory "
                f"{node.name!r}. Read some of its cells: "
                "scg.memory.read(memory, index)."
            )
            raise GraphError(msg)
    distribution.validate(name)
    dtypes = {n.dtype for n in nodes.values() if n.dtype.kind == "f"}
    dtype = dtypes.pop() if len(dtypes) == 1 else store.float_dtype(name)
    constants = {
        k: np.asarray(v, dtype) for k, v in parameters.items() if k not in nodes
    }
    template = distribution.replace(**constants) if constants else distribution
    spec = _known_draw_spec(name, template, nodes, constants)
    role = Draw(template, tuple(nodes))
    return store.add(role, nodes.values(), spec, name=name, loop=store.loop)


def add_term(store: Store, name: str, node: Any, role: Cost | Value) -> Node:
    """Add a cost or a value node; see `scg.Graph.cost` and `scg.Graph.value`."""
    store.claim(name)
    if not isinstance(node, Node):
        node = _constant(store, node, f"{role.kind} {name!r}")
    store.check_scope([node])
    one_number = node.event_shape == () or isinstance(role, Value)
    if node.spec.parts is not None or not one_number:
        axes = tuple(range(1, 1 + len(node.event_shape)))
        way_out = f"Reduce it: np.sum(..., axis={axes[0] if len(axes) == 1 else axes})"
        if node.spec.parts is not None:
            way_out = "Take one part: x[0]"
        elif not node.has_rows:
            way_out = "Reduce it: np.sum(...)"
        msg = (
            f"{role.kind} {name!r}: expected one number a row, shape (rows,), got node "
            f"{node.name!r}, {describe(node.spec)}. {way_out}."
        )
        raise ShapeError(msg)
    if node.dtype.kind not in "fiu":
        msg = (
            f"{role.kind} {name!r}: expected numbers, got node {node.name!r} of dtype "
            f"{node.dtype}. Convert it: np.where(x, 1.0, 0.0) of truth values, "
            "np.real(x) of complex numbers."
        )
        raise ShapeError(msg)
    # In a loop a term without rows recurs at every step, the same for all rows.
    has_rows = node.has_rows or store.loop is not None
    spec = replace(node.spec, has_rows=has_rows, mixes_rows=False)
    return store.add(role, (node,), spec, name=name, loop=store.loop)


def rename(store: Store, name: str, node: Any) -> Node:
    """Give a node a name; see `scg.Graph.rename`."""
    store.claim(name)
    if not isinstance(node, Node):
        msg = f"expected a node to be called {name!r}, got {node!r}."
        raise GraphError(msg)
    store.check_scope([node])
    if node.is_named:
        msg = (
            f"node {node.name!r}: expected a node without a name, got the {node.kind} "
            f"node that was given this one. Name a copy: graph.rename({name!r}, 1 * x)."
        )
        raise GraphError(msg)
    store.named.pop(node.name)
    node.name, node.is_named = name, True
    store.named[name] = node
    store.version += 1
    return node


def _constant(store: Store, value: Any, who: str) -> Node:
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "fiu" or not np.isfinite(array):
        msg = f"{who}: expected a node or a finite number, got {value!r}."
        raise GraphError(msg)
    spec = Spec((), store.float_dtype(who), has_rows=False)
    return store.add(Constant(array.astype(spec.dtype)), (), spec)


def _known_draw_spec(
    name: str, template: Any, nodes: Mapping[str, Node], constants: Mapping[str, Any]
) -> Spec:
    """Find what is known of draws like this one, or try it."""
    constant = likeness(constants)
    key = type(template), constant, tuple((k, n.spec) for k, n in nodes.items())
    if constant is None or not nodes:
        return _draw_spec(name, template, nodes)
    patterns = next(iter(nodes.values())).store.patterns
    if key not in patterns:
        patterns[key] = Pattern(_draw_spec(name, template, nodes))
    return patterns[key].spec


def _draw_spec(name: str, template: Any, nodes: Mapping[str, Node]) -> Spec:
    """Find the shape of one row's draw by filling in dummy parameters."""
    shapes = []
    filled = template
    for which in (0, 1):
        values = {k: dummies_of(node)[which] for k, node in nodes.items()}
        try:
            filled = template.replace(**values)
            shapes.append(tuple(filled.shape))
        except ValueError as error:
            msg = (
                f"node {name!r}: expected parameters whose shapes fit, got "
                f"{_parameters(template, nodes)}, which on {LONG} dummy rows means: "
                f"{str(error).rstrip('.')}. Add axes (x[:, None]) or reduce them."
            )
            raise ShapeError(msg) from error
    long, short = shapes
    dtype = np.dtype(filled.dtype)
    if not any(node.has_rows for node in nodes.values()):
        return Spec(long, dtype, has_rows=True)
    if long[:1] != (LONG,) or short != (SHORT, *long[1:]):
        msg = (
            f"node {name!r}: expected parameters whose axis 0 is the rows, got "
            f"{_parameters(template, nodes)}. Add axes (scale[:, None]) so that they "
            "broadcast."
        )
        raise ShapeError(msg)
    return Spec(long[1:], dtype, has_rows=True)


def _parameters(template: Any, nodes: Mapping[str, Node]) -> str:
    shown = [
        f"{k} = node {nodes[k].name!r} {describe(nodes[k].spec)}"
        if k in nodes
        else f"{k} of shape {np.shape(v)}"
        for k, v in template.parameters.items()
    ]
    return ", ".join(shown)
