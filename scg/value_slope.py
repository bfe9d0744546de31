"""The derivative of a value node by a sample, taken on to the sample's parameters.

Only the nodes between the two take part: a small reverse pass of its own, for all rows
and steps at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.errors import EstimatorError
from scg.node import Node
from scg.plan import Plan, Repeat, plan_of
from scg.program import Program
from scg.span_reverse import pathwise
from scg.sums import row_weight
from scg.trace import Trace
from scg.views import Flat, folded, unfolded

__all__ = ["pulled_from_value"]


def pulled_from_value(
    program: Program, trace: Trace, node: Node
) -> list[tuple[Node, Any]]:
    """Return the adjoints of a sample's parameters that come from its value node.

    Inside a loop they have shape (time, rows, ...).
    """
    plan = plan_of(program)
    if node.index not in trace.noise:
        msg = (
            f"node {node.name!r}: expected a draw, whose noise is known, to "
            "differentiate, got given values. Use Pathwise() or ScoreFunction() for it."
        )
        raise EstimatorError(msg)
    values, noise = _values(program, trace, node)
    g = _slope(plan, trace, node, values)
    found = []
    for place, back in pathwise(program, node, g, values, noise):
        parent, adjoint = _home(plan, trace, place, back)
        if parent.loop is not None:
            adjoint = unfolded(adjoint, trace.steps[parent.loop.name])
        found.append((parent, adjoint))
    return found


def _values(program: Program, trace: Trace, node: Node) -> tuple[Any, Any]:
    """Return values by place and the sample's noise, time folded into the rows."""
    if node.loop is None:
        return trace.values, trace.noise[node.index]
    span = range(trace.steps[node.loop.name])
    values = Flat(trace.values, program.bodies[node.loop.name], span)
    return values, values.noise(trace, node)


def _slope(plan: Plan, trace: Trace, node: Node, values: Any) -> Any:
    """Return the derivative by the sample, times what the row counts in the mean."""
    program = plan.program
    estimator: Any = program.estimators[node.index]
    value = program.node(estimator.differentiates)
    seed = np.broadcast_to(
        row_weight(program, trace, value), trace.values[value.index].shape
    ).astype(value.dtype)
    at = {value.index: folded(seed) if node.loop is not None else seed}
    for index, crossings in plan.slopes[node.index]:
        g = at.pop(index, None)
        if g is None:
            continue
        for crossing in crossings:
            back = crossing.pull.cross(values, g, plan.buffers)
            parent, adjoint = _home(plan, trace, crossing.to, back)
            before = at.get(parent.index)
            at[parent.index] = adjoint if before is None else _sum(before, adjoint)
    drawn = values[node.index]
    found = at.get(node.index)
    return np.zeros_like(drawn) if found is None else np.asarray(found, drawn.dtype)


def _sum(a: Any, b: Any) -> Any:
    if isinstance(a, tuple):
        return tuple(x + y for x, y in zip(a, b, strict=True))
    return a + b


def _home(plan: Plan, trace: Trace, place: int, adjoint: Any) -> tuple[Node, Any]:
    """Return the node at a place; of one that repeats, what it repeats, summed."""
    nodes = plan.program.nodes
    if place < len(nodes):
        return nodes[place], adjoint
    repeat: Repeat = plan.repeated[place]
    summed = trace.layout.unalign(adjoint, repeat.want, repeat.have)
    return nodes[repeat.source], summed
