"""What a loop must record so that a cut-off episode can be carried one step on.

An environment that ends an episode hands out the next one's first observation. Where
the episode was only truncated, its own last observation takes that place: what depends
on it within the step is computed again, and what does not has to be there.
"""

from __future__ import annotations

from collections.abc import Iterable

from scg.influence import Influence
from scg.node import Loop, Node
from scg.roles import Captured, Component, EnvironmentStep

__all__ = ["above", "anew", "observations", "sources"]


def observations(body: Iterable[Node]) -> dict[int, int]:
    """Return, for each environment step of a loop, the node of its observation."""
    return {
        node.inputs[0].index: node.index
        for node in body
        if isinstance(node.role, Component)
        and node.role.position == 0
        and isinstance(node.inputs[0].role, EnvironmentStep)
    }


def anew(influence: Influence, body: Iterable[Node]) -> frozenset[int]:
    """Return what depends on an observation within the step that made it."""
    nodes = influence.store.nodes
    seen = frozenset(observations(body).values())
    return seen.union(*(influence.lag_sets(nodes[i]).at(0) for i in seen))


def sources(
    influence: Influence, body: Iterable[Node], loop: Loop, value: Node
) -> frozenset[int]:
    """Return the nodes to record for the value of a truncated episode's last carry."""
    body = list(body)
    seen = observations(body)
    if not seen:
        return frozenset()
    needed = above(value)
    changed = anew(influence, body)
    kept: set[int] = set()
    stack = [
        after
        for head, after in zip(loop.carries, loop.following, strict=True)
        if head.index in needed
    ]
    while stack:
        node = stack.pop()
        if node.index in seen.values():
            # The one that was cut off hands out its last observation; of several
            # environments, the others' has to be there.
            kept.update({node.index} if len(seen) > 1 else ())
        elif node.index in changed:
            stack.extend(node.inputs)
        elif node.loop is loop and not isinstance(node.role, Captured):
            kept.add(node.index)
    return frozenset(kept)


def above(node: Node) -> set[int]:
    """Return a node and what it depends on within the step."""
    found: set[int] = set()
    stack = [node]
    while stack:
        n = stack.pop()
        if n.index not in found:
            found.add(n.index)
            stack.extend(n.inputs)
    return found
