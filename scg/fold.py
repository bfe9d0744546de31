"""Which nodes a replay computes again, and whether time folds into the rows there."""

from __future__ import annotations

from scg.node import Loop
from scg.program import Program

__all__ = ["folding_loop", "live_nodes"]


def live_nodes(program: Program) -> frozenset[int]:
    """Return the nodes that params reach without passing through a drawn sample.

    A pathwise sample is a function of its parameters and is passed through.
    """
    edges = program.influence.children
    found = {node.index for node in program.params}
    stack = list(found)
    while stack:
        for edge in edges[stack.pop()]:
            target = program.nodes[edge.target]
            random = target.kind in {"stochastic", "environment"}
            if random and target.index not in program.flow.pathwise:
                continue
            if target.index not in found:
                found.add(target.index)
                stack.append(target.index)
    return frozenset(found)


def folding_loop(program: Program, live: frozenset[int]) -> Loop | None:
    """Return the loop that holds all live rows in nodes other than its heads."""
    nodes = [program.nodes[i] for i in live if program.nodes[i].has_rows]
    if any(node.spec.memory for node in nodes):  # versions do not fold
        return None
    loops = {node.loop.name: node.loop for node in nodes if node.loop is not None}
    scored = {program.nodes[i].loop for i in program.scored}
    if len(loops) != 1 or any(node.loop is None for node in nodes):
        return None
    (loop,) = loops.values()
    heads = [*loop.carries, *loop.slices, *loop.captured.values()]
    if any(head.index in live for head in heads) or scored != {loop}:
        return None
    return loop
