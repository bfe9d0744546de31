"""What a baseline and a critic of a sample must read, found from the graph alone.

A set is a critic set of w if it d-separates w's score, a function of w and of its
distribution's parameters, from the costs that w influences: nothing that is left out
then tells anything about the costs that the score knows too, and

    E[ score_w Q̂_w ] = E[ score_w E[Q̂_w | set] ].

In a loop this must hold at every step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from scg.errors import GraphError
from scg.influence import influence_of
from scg.node import Node, Scan, Store
from scg.roles import Captured, Constant, Cost, Draw, Param, ScanOutput, Value
from scg.separation import Unrolled, unrolled_of

__all__ = [
    "Given",
    "baseline_set",
    "critic_set",
    "lookahead_path",
    "open_path",
    "slope_path",
]

Given = str | Node | tuple[str | Node, int]


def open_path(
    store: Store, name: str | Node, given: Iterable[Given], *, observed: bool = False
) -> str:
    """Write a path by which a sample's score and its costs know of each other.

    Empty where there is none: `given` is a critic set.
    """
    question = _Question(store, name, observed=observed)
    return question.open_path(question.lagged(given))


def lookahead_path(
    store: Store, name: str | Node, value: Node, costs: Iterable[int], lag: int
) -> str:
    """Write a path by which a sample's score and some costs know of each other.

    Given is what a value node is computed from, `lag` steps later, in a loop below at
    its first step; the costs are those from that step on. Environments count as showing
    all of their state.
    """
    question = _Question(store, name, observed=True)
    question.first_step = True
    return question.open_path(
        [(i, lag) for i in question.frontier(value)], set(costs), lag
    )


def slope_path(store: Store, name: str | Node, value: Node) -> str:
    """Write a path that keeps what a value node is computed from from being enough."""
    question = _Question(store, name, observed=True)
    return question.open_path([(i, 0) for i in question.frontier(value)])


def critic_set(
    store: Store, name: str | Node, *, observed: bool = False
) -> frozenset[str]:
    """Return a critic set from which nothing can be left out, the sample in it."""
    question = _Question(store, name, observed=observed)
    found = [question.site.index, *question.frontier(question.site)]
    for i in sorted(found[1:]):
        fewer = [j for j in found if j != i]
        if not question.open_path([(j, 0) for j in fewer]):
            found = fewer
    return question.names(found)


def baseline_set(
    store: Store, name: str | Node, *, observed: bool = False
) -> frozenset[str]:
    """Return what a baseline needs to read to know as much as one that reads all."""
    question = _Question(store, name, observed=observed)
    found = question.readable()
    for i in sorted(found):
        fewer = [j for j in found if j != i]
        if question.adds_nothing(i, fewer):
            found = fewer
    return question.names(found)


class _Question:
    """One sample of a graph, and what can be asked about sets of nodes for it."""

    def __init__(self, store: Store, name: str | Node, *, observed: bool) -> None:
        self.influence = influence_of(store)
        self.nodes = store.nodes
        self.site = self.influence.node(name)
        if not isinstance(self.site.role, Draw):
            msg = (
                f"node {self.site.name!r}: expected a stochastic node, whose score and "
                f"costs a set may separate, got the {self.site.kind} node."
            )
            raise GraphError(msg)
        self.graph: Unrolled = unrolled_of(self.influence, observed=observed)
        self.steps = range(self.graph.count(self.site))
        self.first_step = False

    def lagged(self, given: Iterable[Given]) -> list[tuple[int, int]]:
        """Return the indices and lags of what is given."""
        found = []
        for entry in [given] if isinstance(given, str | Node) else given:
            which, lag = entry if isinstance(entry, tuple) else (entry, 0)
            node = self.influence.node(which)
            if lag and (node.loop is None or node.loop is not self.site.loop):
                msg = (
                    f"critic set of {self.site.name!r}: expected steps later for nodes "
                    f"of its own loop alone, got {node.name!r} with {lag}."
                )
                raise GraphError(msg)
            found.append((node.index, lag))
        return found

    def names(self, indices: Iterable[int]) -> frozenset[str]:
        """Return the names of nodes."""
        return frozenset(self.nodes[i].name for i in indices)

    def frontier(self, node: Node) -> list[int]:
        """Return the nodes that one is computed from, in words a reader knows.

        Named ones, random ones and what a loop hands in; params and constants are
        known to all.
        """
        found: dict[int, None] = {}
        stack = list(node.inputs)
        while stack:
            n = self._outer(stack.pop())
            if isinstance(n.role, Param | Constant) or n.index in found:
                continue
            if self._can_be_read(n):
                found[n.index] = None
            else:
                stack.extend(n.inputs)
        return list(found)

    def readable(self) -> list[int]:
        """Return what a baseline may read, at the same step or outside of loops."""
        influenced = self.influence.within_step(self.site)
        costs = [n.index for n in self.nodes if isinstance(n.role, Cost)]
        above = self.influence.ancestors(*costs)
        return [
            n.index
            for n in self.nodes
            if n.index in above
            and n.index not in influenced
            and n is not self.site
            and n.loop in {None, self.site.loop}
            and self._can_be_read(n)
            and not isinstance(n.role, Param | Constant | Captured | Value)
        ]

    def _outer(self, node: Node) -> Node:
        """Return what a captured value is outside of the loop."""
        if not isinstance(node.role, Captured):
            return node
        assert node.loop is not None
        heads = node.loop.captured.items()
        (outer,) = (i for i, head in heads if head is node)
        return self.nodes[outer]

    def _can_be_read(self, node: Node) -> bool:
        """Tell whether a reader knows a node: by name, or by what it is."""
        if isinstance(node.role, Scan):
            return False
        if node.is_named or not node.inputs or isinstance(node.role, ScanOutput):
            return True
        return bool(self.graph.random[self.graph.at[node.index, 0]])

    def open_path(
        self,
        given: Iterable[tuple[int, int]],
        costs: set[int] | None = None,
        start: int = 0,
    ) -> str:
        """Write an open path from the score to costs, `start` steps later or more."""
        given = list(given)
        for t in self.steps[: len(self.steps) - start]:
            place = self.graph.at[self.site.index, t]
            sources = [place, *self.graph.parents[place]]
            goals = self._costs(place, costs, t + start)
            known = self._known(given, t) | self._stopped(t + start)
            if path := self.graph.open_path(sources, goals, known):
                if path[0] != place:
                    path = [place, *path]
                return self._written(path, t)
        return ""

    def adds_nothing(self, index: int, others: Iterable[int]) -> bool:
        """Tell whether a node is independent of the costs, given others."""
        given = [(j, 0) for j in others]
        for t in self.steps:
            place = self.graph.at[self.site.index, t]
            known = self._known(given, t)
            sources = self._known([(index, 0)], t) - self._stopped(t)
            if self.graph.open_path(sources, self._costs(place, None, t), known):
                return False
        return True

    def _costs(self, place: int, costs: set[int] | None, start: int) -> list[int]:
        """Return the places of some costs, in the sample's loop from a step on.

        By default those that a place leads to.
        """
        if costs is None:
            below = [self.graph.where[i] for i in self.graph.below(place)]
            found = [c for c in below if isinstance(self.nodes[c[0]].role, Cost)]
        else:
            every = [(i, range(self.graph.count(self.nodes[i]))) for i in costs]
            found = [(i, step) for i, steps in every for step in steps]
        loop = self.site.loop
        return [
            self.graph.at[i, step]
            for i, step in found
            if loop is None or self.nodes[i].loop is not loop or step >= start
        ]

    def _known(self, given: Iterable[tuple[int, int]], t: int) -> set[int]:
        """Return the places of what is given for a sample of step t."""
        found = self._stopped(t)
        for index, lag in given:
            node = self.nodes[index]
            if node.loop is self.site.loop:
                at = [t + lag if node.loop is not None else 0]
            else:
                at = list(range(1 if self.first_step else self.graph.count(node)))
            found.update(
                self.graph.at[index, k] for k in at if (index, k) in self.graph.at
            )
        return found

    def _stopped(self, t: int) -> set[int]:
        """Return what tells that a row has not stopped: else nothing counts."""
        loop = self.site.loop
        if loop is None or loop.until is None:
            return set()
        return {self.graph.at[loop.until.index, k] for k in range(t)}

    def _written(self, path: list[int], t: int) -> str:
        """Write a path with its arrows, and with steps where they differ."""
        return "".join(self._steps(path, t))

    def _steps(self, path: list[int], t: int) -> Iterator[str]:
        yield self._name(path[0], t)
        for a, b in pairwise(path):
            yield " → " if b in self.graph.children[a] else " ← "
            yield self._name(b, t)

    def _name(self, place: int, t: int) -> str:
        index, step = self.graph.where[place]
        node = self.nodes[index]
        name = node.name
        if place in self.graph.hidden.values():
            name = f"state of {name}"
        if node.loop is None:
            return name
        if node.loop is not self.site.loop:
            return f"{name} (step {step})"
        if step == t:
            return name
        return f"{name} ({abs(step - t)} {'later' if step > t else 'before'})"
