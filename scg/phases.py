"""Which nodes of a loop's body need the loop: the others are computed at once.

Forward, a node that no carry leads to can be computed beforehand with time folded into
the rows, and one that leads to no later step afterwards. Backwards it is the same with
adjoints. What is left, the core, goes step by step. Of a loop that keeps every k-th
carry alone, `again` says what is kept besides, and splits what is computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scg.errors import EstimatorError
from scg.influence import Edge
from scg.node import Loop, Node
from scg.program import Program
from scg.roles import Call, Carry, Component, EnvironmentStep

__all__ = [
    "Again",
    "Phases",
    "again",
    "backward_phases",
    "check_all_kept",
    "forward_phases",
    "is_of_memory",
]


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
    ends = [*loop.following, *([loop.until] if loop.until is not None else [])]
    return _by_need(body, loop.carries, ends)


def _by_need(
    body: Sequence[Node], carries: Iterable[Node], ends: Iterable[Node]
) -> Phases:
    """Split nodes by whether a carry leads to them, and they to one of the ends."""
    moving = {head.index for head in carries}
    for node in body:
        if _takes_turns(node) or any(p.index in moving for p in node.inputs):
            moving.add(node.index)
    wanted = {n.index for n in (*ends, *filter(_takes_turns, body))}
    for node in reversed(body):
        if node.index in wanted:
            wanted.update(p.index for p in node.inputs)
    return Phases(
        tuple(n for n in body if n.index not in moving),
        tuple(n for n in body if n.index in moving and n.index in wanted),
        tuple(n for n in body if n.index in moving and n.index not in wanted),
    )


@dataclass(frozen=True, slots=True)
class Again:
    """What of a loop is kept for all its steps, and how the rest is computed again.

    Attributes
    ----------
    kept : frozenset of int
    carried : tuple of int
        The positions of the carries whose values before each span are kept too.
    phases : Phases
        What is computed again.
    reads : frozenset of int
        What for: the nodes whose values the reverse pass looks at.
    """

    kept: frozenset[int]
    carried: tuple[int, ...]
    phases: Phases
    reads: frozenset[int]


def again(program: Program, loop: Loop, reads: frozenset[int]) -> Again:
    """Tell how the values that a reverse pass looks at are computed again.

    What is observed is kept, and what is not the same a second time: what environments
    and black boxes returned, and what was read from a memory, which has gone on.
    """
    body = program.bodies[loop.name]
    heads = {n.index for n in (*loop.slices, *loop.captured.values())}
    kept = heads | {n.index for n in body if n.index in program.observed}
    found: set[int] = set()
    stack = [n for n in body if n.index in reads]
    while stack:
        node = stack.pop()
        if node.loop is not loop or node.index in kept | found:
            continue
        if _happens_once(node):
            kept.add(node.index)
            continue
        found.add(node.index)
        role = node.role
        if isinstance(role, Carry):
            stack.append(loop.following[role.position])
        else:
            stack += node.inputs
    carried = tuple(k for k, n in enumerate(loop.carries) if n.index in found)
    todo = [n for n in body if n.index in found and not isinstance(n.role, Carry)]
    ends = [loop.following[k] for k in carried]
    phases = _by_need(todo, [loop.carries[k] for k in carried], ends)
    return Again(frozenset(kept), carried, phases, reads)


def _happens_once(node: Node) -> bool:
    """Tell whether a value would be another, or have effects, the second time."""
    if isinstance(node.role, Component):
        return _happens_once(node.inputs[0])
    return _is_outside(node) or (is_of_memory(node) and bool(node.inputs))


def check_all_kept(program: Program, who: str) -> None:
    """Raise where a loop does not keep all values, for one who looks at them."""
    for loop in program.loops:
        if loop.keep_every is not None:
            msg = (
                f"{who}: expected loops that keep the values of all steps, got the "
                f"scan {loop.name!r} with keep_every={loop.keep_every}. Build the "
                "graph with keep_every=None for this."
            )
            raise EstimatorError(msg)


def backward_phases(program: Program, loop: Loop) -> Phases:
    """Split the nodes that carry gradient, in the order in which adjoints reach them.

    `before` has those whose adjoint does not depend on later steps, `core` those by way
    of which it goes on to earlier ones, `after` what branches off from the core.
    """
    body = [n for n in program.bodies[loop.name] if n.index in program.flow.carrying]
    if any(n.spec.mixes_rows for n in body):
        return Phases((), tuple(body), ())
    by_turns = {n.index for n in body if is_of_memory(n)}
    later = {n.index for n in loop.following} | by_turns
    earlier = by_turns | {
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
    return node.spec.mixes_rows or _is_outside(node) or is_of_memory(node)


def is_of_memory(node: Node) -> bool:
    """Tell whether a node is a memory, or reads one: versions cannot be folded."""
    return node.spec.memory or any(p.spec.memory for p in node.inputs)


def _is_outside(node: Node) -> bool:
    """Tell whether a value comes from outside of the graph: it may have a state."""
    role = node.role
    if isinstance(role, Call):
        return role.operation.kind == "black box"
    return isinstance(role, EnvironmentStep)
