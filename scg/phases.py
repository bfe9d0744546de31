"""Which nodes of a loop's body need the loop; others are computed for all its steps.

Forward, a node that no carry leads to can be computed beforehand with time folded into
the rows, and one that leads to no later step afterwards. Backwards it is the same with
adjoints. What is left, the core, goes step by step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scg.influence import Edge
from scg.node import Loop, Node
from scg.program import Program
from scg.roles import Call, EnvironmentStep

__all__ = ["Phases", "backward_phases", "forward_phases"]


@dataclass(frozen=True, slots=True)
class Phases:
    """A body in three parts, each in the order of the graph."""

    before: tuple[Node, ...]
    core: tuple[Node, ...]
    after: tuple[Node, ...]


def forward_phases(program: Program, loop: Loop) -> Phases:
    """Split a body by what its values depend on and what depends on them."""
    heads = [*loop.carries, *loop.slices, *loop.captured.values()]
    numbers = {head.index for head in heads}
    body = [n for n in program.bodies[loop.name] if n.index not in numbers]
    moving = {head.index for head in loop.carries}
    for node in body:
        if _takes_turns(node) or any(p.index in moving for p in node.inputs):
            moving.add(node.index)
    ends = [*loop.following, *([loop.until] if loop.until is not None else [])]
    wanted = {n.index for n in (*ends, *filter(_takes_turns, body))}
    for node in reversed(body):
        if node.index in wanted:
            wanted.update(p.index for p in node.inputs)
    return Phases(
        tuple(n for n in body if n.index not in moving),
        tuple(n for n in body if n.index in moving and n.index in wanted),
        tuple(n for n in body if n.index in moving and n.index not in wanted),
    )


def backward_phases(program: Program, loop: Loop) -> Phases:
    """Split the nodes that carry gradient, in the order in which adjoints reach them.

    `before` has those whose adjoint does not depend on later steps, `core` those by way
    of which it goes on to earlier ones, `after` what branches off from the core.
    """
    body = [n for n in program.bodies[loop.name] if n.index in program.flow.carrying]
    if any(n.spec.mixes_rows for n in body):
        return Phases((), tuple(body), ())
    later = {n.index for n in loop.following}
    earlier = {
        head.index
        for head, after in zip(loop.carries, loop.following, strict=True)
        if after.index in program.flow.carrying
    }
    for node in body:
        if any(p.index in earlier for p in crossed(program, node)):
            earlier.add(node.index)
    for node in reversed(body):
        if node.index in later:
            later.update(p.index for p in crossed(program, node))
    return Phases(
        tuple(n for n in body if n.index not in later),
        tuple(n for n in body if n.index in later and n.index in earlier),
        tuple(n for n in body if n.index in later and n.index not in earlier),
    )


def crossed(program: Program, node: Node) -> Iterable[Node]:
    """Return the inputs that a node's adjoint is taken to."""
    flow = program.flow
    for slot, parent in enumerate(node.inputs):
        edge = Edge(parent.index, node.index, 0, slot)
        if parent.index in flow.carrying and flow.passes(edge):
            yield parent


def _takes_turns(node: Node) -> bool:
    """Tell whether a node must see one step after another, and all of a step's rows."""
    role = node.role
    return (
        isinstance(role, EnvironmentStep)
        or node.spec.mixes_rows
        or (isinstance(role, Call) and role.operation.kind == "black box")
    )
