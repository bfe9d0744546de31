"""d-separation on a graph whose loops are written out as far as it takes.

A path between two nodes is open, given what is known, if each node on it lets it
through: one in whose direction both neighbours point if it, or what it leads to, is
known; any other if it is not known. What is computed from known nodes alone is known.
Draws, inputs and environments are random; an environment keeps a state that nobody
sees.

References
----------
Geiger, Verma & Pearl 1990, "Identifying independence in Bayesian networks"; Weber,
Heess, Buesing & Silver 2019, "Credit assignment techniques in stochastic computation
graphs".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import lcm

from scg.finals import observations
from scg.influence import Edge, Influence, is_random
from scg.node import Loop, Node, Scan
from scg.roles import (
    Captured,
    Carry,
    Constant,
    Cost,
    EnvironmentReset,
    EnvironmentStep,
    Input,
    Param,
    ScanOutput,
    Slice,
    Value,
)

__all__ = ["Unrolled", "enough_steps", "unrolled_of"]

_ENVIRONMENT = EnvironmentReset | EnvironmentStep


def unrolled_of(influence: Influence, *, observed: bool = False) -> Unrolled:
    """Return a graph with its loops written out, made once."""
    if observed not in influence.unrolled:
        influence.unrolled[observed] = Unrolled(influence, observed=observed)
    found: Unrolled = influence.unrolled[observed]
    return found


def enough_steps(influence: Influence, loop: Loop) -> int:
    """Return a number of steps that answers for a loop of any length like its own.

    What leads from carry to carry repeats after some steps with some period. Paths that
    go back and come again have been seen by then; the remainder of the length by the
    period stays as it is.
    """
    heads = {
        e.target
        for e in influence.edges
        if e.lag and influence.store.nodes[e.target].loop is loop
    }
    sets = [influence.lag_sets(influence.store.nodes[i]) for i in heads]
    period = lcm(*(s.period for s in sets))
    margin = max((s.start for s in sets), default=0) + period + len(heads) + 2
    length = loop.length or 1
    least = 2 * margin
    return length if length <= least else least + (length - least) % period


class Unrolled:
    """A graph with its loops written out, and what is open in it.

    A place is a node at a step; outside of loops the step is 0.

    Parameters
    ----------
    influence : Influence
    observed : bool
        Whether the observations of environments are all of their state.
    """

    def __init__(self, influence: Influence, *, observed: bool = False) -> None:
        self.influence = influence
        self.nodes = influence.store.nodes
        self.observed = observed
        self.steps = {
            n.role.loop.name: enough_steps(influence, n.role.loop)
            for n in self.nodes
            if isinstance(n.role, Scan)
        }
        self.at: dict[tuple[int, int], int] = {}
        self.where: list[tuple[int, int]] = []
        self.parents: list[list[int]] = []
        self.children: list[list[int]] = []
        self.hidden: dict[int, int] = {}
        self.shown: dict[int, int] = {}
        for node in self.nodes:
            for step in range(self.count(node)):
                self.at[node.index, step] = self._new(node.index, step)
        self._hide()
        for edge in influence.edges:
            self._connect(edge)
        self.copies = bytearray(map(self._is_copy, range(len(self.where))))
        self.random = bytearray(map(self._is_random, range(len(self.where))))
        self._fix()

    def count(self, node: Node) -> int:
        """Return at how many steps a node is."""
        if isinstance(node.role, Scan):
            return 0
        return 1 if node.loop is None else self.steps[node.loop.name]

    def _new(self, index: int, step: int) -> int:
        self.where.append((index, step))
        self.parents.append([])
        self.children.append([])
        return len(self.where) - 1

    def _join(self, source: int, target: int) -> None:
        self.parents[target].append(source)
        self.children[source].append(target)

    def _hide(self) -> None:
        """Give each step of an environment a state, which what it shows is drawn from.

        All that leads to the environment leads to its state. One that is observed leads
        on from the observation.
        """
        if self.observed:
            self.shown = observations(self.nodes)
            return
        for (index, step), place in list(self.at.items()):
            if isinstance(self.nodes[index].role, _ENVIRONMENT):
                self.hidden[place] = self._new(index, step)
                self._join(self.hidden[place], place)

    def _connect(self, edge: Edge) -> None:
        source, target = self.nodes[edge.source], self.nodes[edge.target]
        state = edge.slot is None and all(
            isinstance(n.role, _ENVIRONMENT) for n in (source, target)
        )
        for before, after in self._steps_of(edge, source, target):
            a, b = self.at[source.index, before], self.at[target.index, after]
            if state and self.observed:
                a = self.at[self.shown.get(source.index, source.index), before]
            elif state:
                a = self.hidden[a]
            self._join(a, self.hidden.get(b, b))

    def _steps_of(
        self, edge: Edge, source: Node, target: Node
    ) -> Iterable[tuple[int, int]]:
        """List the pairs of steps that an edge joins."""
        last, count = self.count(source) - 1, self.count(target)
        if source.loop is target.loop:
            return [(k, k + edge.lag) for k in range(count - edge.lag)]
        if source.loop is None:
            each = edge.slot is not None or isinstance(target.role, Slice | Captured)
            return [(0, k) for k in range(count if each else 1)]
        if isinstance(target.role, ScanOutput) and target.role.stacked:
            return [(k, 0) for k in range(last + 1)]
        return [(last, 0)]

    def _is_random(self, place: int) -> bool:
        role = self.nodes[self.where[place][0]].role
        if isinstance(role, Param | Constant):
            return False
        return (
            is_random(self.nodes[self.where[place][0]])
            or isinstance(role, Input)
            or not self.parents[place]
        )

    def _is_copy(self, place: int) -> bool:
        role = self.nodes[self.where[place][0]].role
        same = isinstance(role, Carry | Captured | Cost | Value) or (
            isinstance(role, ScanOutput) and not role.stacked
        )
        return same and len(self.parents[place]) == 1

    def known(self, given: Iterable[int]) -> set[int]:
        """Return what is known besides constants: what is given and follows from it.

        A node that is computed from known nodes alone is known, and one that only hands
        another one's value on tells that value.
        """
        found = set(given) - self.fixed
        missing: dict[int, int] = {}
        stack = list(found)
        while stack:
            place = stack.pop()
            new = []
            if self.copies[place]:
                new.append(self.parents[place][0])
            for child in set(self.children[place]):
                missing[child] = missing.get(child, self.missing[child]) - 1
                if missing[child] == 0 and not self.random[child]:
                    new.append(child)
            new = [i for i in new if i not in found and i not in self.fixed]
            found.update(new)
            stack += new
        return found

    def _fix(self) -> None:
        """Find what is the same in every run, and count the parents that are not."""
        self.missing = [len(set(p)) for p in self.parents]
        self.fixed: set[int] = set()
        stack = [
            place
            for place, count in enumerate(self.missing)
            if count == 0 and not self.random[place]
        ]
        while stack:
            place = stack.pop()
            self.fixed.add(place)
            for child in set(self.children[place]):
                self.missing[child] -= 1
                if self.missing[child] == 0 and not self.random[child]:
                    stack.append(child)

    def below(self, place: int) -> set[int]:
        """Return the places that one leads to."""
        return self._walk([place], self.children) - {place}

    def _walk(self, starts: Iterable[int], nearby: Sequence[list[int]]) -> set[int]:
        found = set(starts)
        stack = list(found)
        while stack:
            for i in nearby[stack.pop()]:
                if i not in found:
                    found.add(i)
                    stack.append(i)
        return found

    def open_path(
        self, sources: Collection[int], targets: Collection[int], given: Iterable[int]
    ) -> list[int]:
        """Return the places along a shortest open path, or none.

        Sources and targets that are known are left out. A ball is bounced through the
        graph (Shachter 1998): where it comes down upon something known it goes back up
        to the other parents, where it comes up against it, it stops.
        """
        known = self.known(given) | self.fixed
        goals = set(targets) - known
        if not goals:
            return []
        front = [(place, True) for place in sources if place not in known]
        came: dict[tuple[int, bool], tuple[int, bool] | None] = dict.fromkeys(front)
        for state in front:  # grows as it is read
            if state[0] in goals:
                return _way(came, state)
            for following in self._onward(*state, state[0] in known):
                if following not in came:
                    came[following] = state
                    front.append(following)
        return []

    def _onward(self, place: int, up: bool, known: bool) -> Iterator[tuple[int, bool]]:
        """List where a path goes on; True is against the arrows."""
        if not known:
            yield from ((child, False) for child in self.children[place])
        if up != known:
            yield from ((parent, True) for parent in self.parents[place])


def _way(
    came: dict[tuple[int, bool], tuple[int, bool] | None], end: tuple[int, bool]
) -> list[int]:
    """Return the places on the way to a state, without its rounds to what is known."""
    steps = [end]
    while (before := came[steps[-1]]) is not None:
        steps.append(before)
    places = [place for place, _ in reversed(steps)]
    found: list[int] = []
    k = 0
    while k < len(places):
        k = len(places) - places[::-1].index(places[k])
        found.append(places[k - 1])
    return found
