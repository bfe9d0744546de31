"""Influence: what the graph alone can tell, before any number exists.

``v ≺ w`` means that a directed path leads from v to w, ``v ≺ᴰ w`` that one does whose
interior nodes are all deterministic. Inside a time loop an edge also has a lag: 0
within a step, 1 where a carry or an environment's state leads into the next step.
Nothing here runs a model.

References
----------
Schulman, Heess, Weber & Abbeel 2015, "Gradient Estimation Using Stochastic Computation
Graphs", section 2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import networkx as nx

from scg.node import Loop, Node, Scan, Store
from scg.roles import (
    Captured,
    Carry,
    Cost,
    Draw,
    EnvironmentReset,
    EnvironmentStep,
    Param,
    ScanOutput,
    Slice,
)

__all__ = [
    "Edge",
    "Influence",
    "LagSets",
    "edges_of",
    "influence_of",
    "is_random",
    "to_networkx",
]


class Edge(NamedTuple):  # made three times as fast as a frozen dataclass
    """A dependence of node `target` on node `source`, `lag` steps of a loop earlier.

    `slot` is the input's number where the target is an ordinary call.
    """

    source: int
    target: int
    lag: int = 0
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class LagSets:
    """Which nodes are reached after each number of steps: ``sets[k]``, then a cycle.

    Sets from `start` on repeat with period `period`.
    """

    sets: tuple[frozenset[int], ...]
    start: int
    period: int

    def at(self, lag: int) -> frozenset[int]:
        """Return the nodes reached after `lag` steps."""
        if lag >= len(self.sets):
            lag = self.start + (lag - self.start) % self.period
        return self.sets[lag]


_RANDOM = (Draw, EnvironmentReset, EnvironmentStep)


def is_random(node: Node) -> bool:
    """Tell whether a node is in S: a draw or an environment."""
    return isinstance(node.role, _RANDOM)


def edges_of(store: Store) -> Iterator[Edge]:
    """List every dependence in the graph; a loop's own node has none, its parts do."""
    for node in store.nodes:
        if isinstance(node.role, Scan):
            yield from _loop_edges(node)
        elif not isinstance(node.role, ScanOutput):
            for slot, parent in enumerate(node.inputs):
                yield Edge(parent.index, node.index, 0, slot)
    yield from _environment_edges(store)
    yield from _stopping_edges(store)
    for node in store.nodes:
        if isinstance(node.role, ScanOutput):
            loop = _loop_of(node.inputs[0])
            sources = loop.outputs if node.role.stacked else loop.following
            yield Edge(sources[node.role.position].index, node.index)


def to_networkx(store: Store) -> nx.MultiDiGraph:
    """Return the graph for networkx, with kinds, shapes and lags as attributes."""
    result = nx.MultiDiGraph(name=store.title)
    for node in store.nodes:
        if isinstance(node.role, Scan):
            continue
        result.add_node(
            node.name,
            kind=node.kind,
            shape=node.shape,
            dtype=str(node.dtype),
            loop=node.loop.name if node.loop else None,
        )
    for edge in edges_of(store):
        source, target = store.nodes[edge.source], store.nodes[edge.target]
        result.add_edge(source.name, target.name, lag=edge.lag)
    return result


def influence_of(store: Store) -> Influence:
    """Return the answers about a graph, kept until a node is added or renamed."""
    version, found = store.influence
    if version != store.version:
        found = Influence(store)
        store.influence = store.version, found
    answers: Influence = found
    return answers


class Influence:
    """Answers about paths in one graph, computed from its edges on request."""

    def __init__(self, store: Store) -> None:
        self.store = store
        count = len(store.nodes)
        self.edges = tuple(edges_of(store))
        self.children: list[list[Edge]] = [[] for _ in range(count)]
        self.parents: list[list[Edge]] = [[] for _ in range(count)]
        self._below: dict[int, frozenset[int]] = {}
        self._lags: dict[int, LagSets] = {}
        self.unrolled: dict[bool, Any] = {}  # of `scg.separation`, made when asked for
        for edge in self.edges:
            self.children[edge.source].append(edge)
            self.parents[edge.target].append(edge)

    def node(self, which: str | Node) -> Node:
        """Find a node by name, or raise with the names that are near."""
        return self.store.find(which)

    def influences(self, v: str | Node, w: str | Node) -> bool:
        """Tell whether ``v ≺ w``: a path of at least one edge leads from v to w."""
        return self.node(w).index in self.descendants(self.node(v).index)

    def deterministically_influences(self, v: str | Node, w: str | Node) -> bool:
        """Tell whether ``v ≺ᴰ w``: all nodes between the two are deterministic."""
        return self.node(w).index in self.deterministic_descendants(self.node(v).index)

    def deps(self, w: str | Node) -> frozenset[str]:
        """Return DEPS_w, the params and stochastic nodes v with ``v ≺ᴰ w``."""
        found = self._walk([self.node(w).index], self.parents, stop_at_random=True)
        return frozenset(
            node.name
            for node in map(self.store.nodes.__getitem__, found)
            if isinstance(node.role, Param) or is_random(node)
        )

    def downstream_costs(self, w: str | Node) -> tuple[str, ...]:
        """Return the costs c with ``w ≺ c``, in the order they were made."""
        found = self.descendants(self.node(w).index)
        return tuple(n.name for n in self._costs() if n.index in found)

    def non_influenced(self, w: str | Node) -> frozenset[str]:
        """Return the nodes that a baseline of w may read.

        Inside a loop these are what w does not influence within the same step: a state
        that the action before has influenced is allowed.
        """
        node = self.node(w)
        found = self.within_step(node)
        return frozenset(
            other.name
            for other in self.store.nodes
            if other.index not in found
            and other is not node
            and not isinstance(other.role, Scan)
        )

    def within_step(self, node: Node) -> frozenset[int]:
        """Return what a node influences, short of its own loop's later steps."""
        if node.loop is None:
            return self.descendants(node.index)
        lagless = self._walk([node.index], self.children, lag=0)
        later = self.descendants(node.index)
        return frozenset(lagless) | frozenset(
            i for i in later if self.store.nodes[i].loop is not node.loop
        )

    def between(self, v: Node, w: Node) -> frozenset[int]:
        """Return the nodes on the ways from v to w within a step, the two included."""
        below = self._walk([v.index], self.children, lag=0) | {v.index}
        above = self._walk([w.index], self.parents, lag=0) | {w.index}
        return below & above

    def path(
        self, v: int, w: int, *, deterministic: bool = False, same_step: bool = False
    ) -> list[str]:
        """Return the names along one shortest path from v to w."""
        came: dict[int, int] = {}
        front = [v]
        while front and w not in came:
            new: list[int] = []
            for i in front:
                if deterministic and i != v and is_random(self.store.nodes[i]):
                    continue
                for edge in self.children[i]:
                    if edge.target not in came and not (same_step and edge.lag):
                        came[edge.target] = i
                        new.append(edge.target)
            front = new
        if w not in came:
            return []
        steps = [w]
        while steps[-1] != v or len(steps) == 1:
            steps.append(came[steps[-1]])
        return [self.store.nodes[i].name for i in reversed(steps)]

    def descendants(self, v: int) -> frozenset[int]:
        """Return the indices of all w with ``v ≺ w``."""
        if v not in self._below:
            self._below[v] = self._walk([v], self.children)
        return self._below[v]

    def ancestors(self, *several: int) -> frozenset[int]:
        """Return the indices of all v with ``v ≺ w`` for one w of several, at once."""
        return self._walk(several, self.parents)

    def deterministic_descendants(self, v: int) -> frozenset[int]:
        """Return the indices of all w with ``v ≺ᴰ w``."""
        return self._walk([v], self.children, stop_at_random=True)

    def lag_sets(self, node: Node) -> LagSets:
        """Return what a node in a loop reaches in it, 0, 1, 2 ... steps later."""
        if node.index not in self._lags:
            first = self._walk([node.index], self.children, lag=0)
            sets = self._unroll(frozenset(first), frozenset(), {node.index})
            self._lags[node.index] = sets
        return self._lags[node.index]

    def entry_sets(self, node: Node, loop: Loop) -> LagSets:
        """Return what a node outside a loop reaches at the loop's step 0, 1, 2 ..."""
        found = self.descendants(node.index) | {node.index}
        entering = [
            edge
            for edge in self.edges
            if edge.source in found
            and self.store.nodes[edge.source].loop is not loop
            and self.store.nodes[edge.target].loop is loop
        ]
        # A carry and an environment's state come in once, at the first step.
        each = {
            edge.target
            for edge in entering
            if edge.slot is not None
            or isinstance(self.store.nodes[edge.target].role, Slice | Captured)
        }
        start = self._closure(edge.target for edge in entering)
        return self._unroll(start, self._closure(each), set())

    def _unroll(
        self, first: frozenset[int], always: frozenset[int], source: set[int]
    ) -> LagSets:
        sets = [first]
        seen: dict[frozenset[int], int] = {}
        step = first | source
        while True:
            heads = {e.target for i in step for e in self.children[i] if e.lag}
            reached = self._closure(heads) | always
            if reached in seen:
                start = seen[reached]
                return LagSets(tuple(sets), start, len(sets) - start)
            seen[reached] = len(sets)
            sets.append(reached)
            step = reached

    def _closure(self, heads: Iterable[int]) -> frozenset[int]:
        """Return `heads` and all they reach within a step, inside their loop."""
        found = set(heads)
        stack = list(found)
        while stack:
            for edge in self.children[stack.pop()]:
                if edge.lag == 0 and edge.target not in found:
                    found.add(edge.target)
                    stack.append(edge.target)
        return frozenset(found)

    def _walk(
        self,
        starts: Collection[int],
        adjacency: list[list[Edge]],
        *,
        lag: int | None = None,
        stop_at_random: bool = False,
    ) -> frozenset[int]:
        forward = adjacency is self.children
        found: set[int] = set()
        stack = list(starts)
        while stack:
            i = stack.pop()
            if stop_at_random and i not in starts and is_random(self.store.nodes[i]):
                continue
            for edge in adjacency[i]:
                other = edge.target if forward else edge.source
                if other not in found and (lag is None or edge.lag <= lag):
                    found.add(other)
                    stack.append(other)
        return frozenset(found)

    def _costs(self) -> list[Node]:
        return [n for n in self.store.nodes if isinstance(n.role, Cost)]


def _loop_of(node: Node) -> Loop:
    assert isinstance(node.role, Scan)
    return node.role.loop


def _loop_edges(node: Node) -> Iterator[Edge]:
    loop = _loop_of(node)
    inputs: list[Any] = list(node.inputs)
    heads = [*loop.carries, *loop.slices, *loop.captured.values()]
    for outer, head in zip(inputs, heads, strict=True):
        yield Edge(outer.index, head.index)
    for head, after in zip(loop.carries, loop.following, strict=True):
        assert isinstance(head.role, Carry)
        yield Edge(after.index, head.index, lag=1)


def _stopping_edges(store: Store) -> Iterator[Edge]:
    """Join what stops rows of a loop to its later costs, which count or do not."""
    for node in store.nodes:
        stop = node.loop.until if node.loop is not None else None
        if stop is not None and (node is stop or isinstance(node.role, Cost)):
            yield Edge(stop.index, node.index, lag=1)


def _environment_edges(store: Store) -> Iterator[Edge]:
    """Join the steps of each environment by its hidden state."""
    last: dict[int, Node] = {}
    inside: dict[int, list[Node]] = {}
    for node in store.nodes:
        if not isinstance(node.role, EnvironmentReset | EnvironmentStep):
            continue
        key = id(node.role.environment)
        if key in last:
            yield Edge(last[key].index, node.index)
        if node.loop is not None:
            inside.setdefault(key, []).append(node)
        last[key] = node
    for steps in inside.values():
        first = steps[0]
        here = [n for n in steps if n.loop is first.loop]
        yield Edge(here[-1].index, first.index, lag=1)
