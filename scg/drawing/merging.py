"""Which nodes are drawn as one: whose drawing a node takes over, and which edges stay.

A deterministic node without a name that one other block alone reads is drawn in that
block; so blocks are trees of calls, and no cycle can come about. A value that a loop
only passes through is left out where nothing reads it.
"""

from __future__ import annotations

from collections.abc import Set

from scg.influence import Edge, Influence
from scg.node import Node, Scan
from scg.roles import (
    Call,
    Captured,
    Carry,
    Component,
    Constant,
    Cost,
    EnvironmentReset,
    EnvironmentStep,
    ScanOutput,
    Slice,
    Value,
)
from scg.routes import is_black_box

__all__ = ["Merging", "is_component_of_environment"]

_PASSED_ON = (Captured, Carry, Component, Constant, ScanOutput, Slice)


class Merging:
    """For each node the head of its block, and the edges that join what is drawn.

    Attributes
    ----------
    edges : list of Edge
        Between nodes that are drawn; within blocks too.
    owner : dict of int to int
        By a node's index the head of its block. What is not drawn has none.
    """

    def __init__(self, influence: Influence, *, collapse: bool) -> None:
        self.influence = influence
        self.nodes = influence.store.nodes
        loops = {n.loop for n in self.nodes if n.loop is not None}
        self.outer = {n.index: i for p in loops for i, n in p.captured.items()}
        edges = [e for e in influence.edges if not self._is_stop(e)]
        if collapse:
            edges = [self._from_outside(e) for e in edges]
            inside = {e.source for e in edges} & self.outer.keys()
            edges = [e for e in edges if self._is_kept(e, inside)]
        shown = self._read(edges) if collapse else self._all()
        self.edges = [e for e in edges if e.source in shown and e.target in shown]
        self.readers: dict[int, list[Edge]] = {i: [] for i in shown}
        for edge in self.edges:
            self.readers[edge.source].append(edge)
        self.owner = {i: i for i in shown}
        if collapse:
            for i in sorted(shown, reverse=True):
                self.owner[i] = self._host(i)

    def members(self) -> dict[int, list[int]]:
        """Return the nodes of each block by its head, in topological order."""
        found: dict[int, list[int]] = {}
        for i, head in sorted(self.owner.items()):
            found.setdefault(head, []).append(i)
        return found

    def _role(self, edge: Edge) -> object:
        return self.nodes[edge.target].role

    def _is_stop(self, edge: Edge) -> bool:
        """Tell whether an edge says that a loop ends, which its frame says too."""
        loop = self.nodes[edge.source].loop
        stops = loop is not None and loop.until is self.nodes[edge.source]
        return stops and edge.lag > 0 and not isinstance(self._role(edge), Carry)

    def _all(self) -> set[int]:
        return {n.index for n in self.nodes if not isinstance(n.role, Scan)}

    def _from_outside(self, edge: Edge) -> Edge:
        """Let an edge start where a value is made, not where a loop captures it.

        What a loop hands to its next step must come from inside of it, though.
        """
        made = self.outer.get(edge.source, edge.source)
        return edge if edge.lag else Edge(made, edge.target, slot=edge.slot)

    def _is_kept(self, edge: Edge, inside: Set[int]) -> bool:
        return not isinstance(self._role(edge), Captured) or edge.target in inside

    def _read(self, edges: list[Edge]) -> set[int]:
        """Return the nodes to draw: of values passed on, those that are read."""
        shown = {i for i in self._all() if not self._is_passed_on(self.nodes[i])}
        sources: dict[int, list[int]] = {}
        for edge in edges:
            sources.setdefault(edge.target, []).append(edge.source)
        stack = sorted(shown)
        while stack:
            for i in sources.get(stack.pop(), []):
                if i not in shown:
                    shown.add(i)
                    stack.append(i)
        return shown

    def _is_passed_on(self, node: Node) -> bool:
        if isinstance(node.role, Captured):
            return True
        return isinstance(node.role, _PASSED_ON) and not node.is_named

    def _host(self, i: int) -> int:
        """Return the head of the block that node `i` is drawn in."""
        node = self.nodes[i]
        if node.is_named:
            return i
        if is_component_of_environment(node):
            return node.inputs[0].index
        if not isinstance(node.role, Call | Component) or is_black_box(node):
            return i
        hosts = {self.owner[e.target] for e in self.readers[i]}
        if len(hosts) != 1 or any(e.lag for e in self.readers[i]):
            return i
        host = self.nodes[hosts.pop()]
        takes = isinstance(host.role, Call | Component | Cost | Value)
        return host.index if takes and not self._is_apart(node, host) else i

    def _is_apart(self, node: Node, host: Node) -> bool:
        return is_black_box(host) or node.loop is not host.loop


def is_component_of_environment(node: Node) -> bool:
    """Tell whether a node is one of the values that an environment returns."""
    return isinstance(node.role, Component) and isinstance(
        node.inputs[0].role, EnvironmentReset | EnvironmentStep
    )
