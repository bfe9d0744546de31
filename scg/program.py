"""What can be worked out before the first run, for one choice of estimators.

Which plates each node has, which nodes run in which loop, where gradient flows, which
samples are scored and which costs each is credited with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from scg.check import prove
from scg.critics import critic_of
from scg.downstream import Downstream, Increment
from scg.errors import EstimatorError, unknown_name
from scg.estimators import AbstractEstimator, Enumeration, ScoreFunction
from scg.finals import sources
from scg.followers import Followers, followers_of
from scg.influence import Edge
from scg.needed import needed
from scg.node import Loop, Node, Scan, Store
from scg.plates import SAMPLES, Plates, merge
from scg.roles import Cost, Draw, EnvironmentReset, EnvironmentStep, Value
from scg.routes import Routes

__all__ = ["Program", "schedule"]

# Comparing methods on one graph takes a few; more would only keep memory.
_KEPT = 8


def schedule(
    store: Store,
    estimators: Mapping[str, AbstractEstimator] | None = None,
    *,
    kernels: bool = True,
    only: Collection[str] | None = None,
) -> Program:
    """Return a graph's schedule, made once for equal estimators.

    Adding or renaming a node makes it anew.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", b)
    >>> first = schedule(graph.store, {"b": scg.Enumeration()})
    >>> first is schedule(graph.store, {"b": scg.Enumeration()})
    True
    """
    chosen = dict(estimators or {})
    only = None if only is None else frozenset(only)
    valid = [entry for entry in store.schedules if entry[0] == store.version]
    for _, other, program in valid:
        if (other, kernels, only) == (chosen, program.kernels, program.only):
            return program
    program = Program(store, chosen, kernels=kernels, only=only)
    store.schedules[:] = [*valid, (store.version, chosen, program)][-_KEPT:]
    return program


class Program:
    """The static schedule of a graph with its estimators."""

    def __init__(
        self,
        store: Store,
        estimators: Mapping[str, AbstractEstimator] | None = None,
        *,
        kernels: bool = True,
        only: frozenset[str] | None = None,
    ) -> None:
        self.store = store
        self.only = only
        self.kernels = kernels
        self.plan: Any = None  # of `scg.plan`, which makes it when it is asked for
        self.nodes = tuple(store.nodes)
        chosen = dict(estimators or {})
        routes = Routes(store, chosen)
        prove(routes)
        self.names = {node.name: node.index for node in self.nodes}
        default = ScoreFunction()
        self.estimators = {
            i: chosen.get(self.nodes[i].name, default) for i in routes.choices
        }
        self.enumerated = frozenset(
            i for i, e in self.estimators.items() if isinstance(e, Enumeration)
        )
        self.looking = any(e.looks_down for e in self.estimators.values())
        self.influence = routes.influence
        self.flow = routes.flow
        self.params = routes.params
        self.costs = [self.nodes[i] for i in routes.costs]
        self.inner_costs = [c for c in self.costs if c.loop is not None]
        self.mixing = [n.index for n in self.nodes if n.spec.mixes_rows]
        self.whole = self.outer = [n for n in self.nodes if n.loop is None]
        self.environments = [
            n
            for n in self.nodes
            if isinstance(n.role, EnvironmentReset | EnvironmentStep)
        ]
        self._find_loops()
        self.branching: dict[int, int] = {}
        self.plates: dict[int, Plates] = {}
        for node in self.outer:
            self._place(node)
        self.scored = self._scored(routes)
        self.looked: dict[int, float] = {}
        if only is not None:
            self._run_only(only)
        self.observed = self._observed()

    def _find_loops(self) -> None:
        self.bodies: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.loop is not None:
                self.bodies.setdefault(node.loop.name, []).append(node)
        self.scans = {
            n.role.loop.name: n for n in self.nodes if isinstance(n.role, Scan)
        }
        self.loops = [
            n.role.loop for n in self.scans.values() if isinstance(n.role, Scan)
        ]

    def _run_only(self, only: Collection[str]) -> None:
        """Leave out what is not needed for the credit of some samples."""
        chosen = [self.node(name).index for name in only]
        if strange := [self.nodes[i].name for i in chosen if i not in self.scored]:
            names = ", ".join(self.nodes[i].name for i in self.scored)
            msg = (
                f"only: expected samples that are scored ({names}), got {strange}. "
                "Pathwise samples, and those that no param reaches or that reach no "
                "cost, have no credit to update by."
            )
            raise EstimatorError(msg)
        found = needed(self.influence, self.estimators, self.followers, chosen)
        self.looked = found.looked
        self.scored = [i for i in self.scored if i in chosen]
        self.costs = [c for c in self.costs if c.index in found.costs]
        self.inner_costs = [c for c in self.costs if c.loop is not None]
        run = found.run | {self.scans[n].index for n in found.loops}
        self.outer = [n for n in self.outer if n.index in run]
        # What the costs are was worked out for all of them.
        self.__dict__.pop("downstream", None)

    def node(self, name: str) -> Node:
        """Find a node by name."""
        if name not in self.names:
            raise unknown_name("node", name, self.names)  # noqa: EM101
        return self.nodes[self.names[name]]

    def meeting(self, node: Node) -> Plates:
        """Return the plates on which a node's inputs meet.

        They are the node's own, except for one that mixes its rows away.
        """
        if node.has_rows:
            return self.plates[node.index]
        return merge(*(self.plates[p.index] for p in node.inputs))

    @cached_property
    def downstream(self) -> Downstream:
        """Which costs each node influences, worked out when it is first asked for."""
        return Downstream(self.influence, [cost.index for cost in self.costs])

    @cached_property
    def increments(self) -> list[Increment]:
        """How the costs of each scored sample outside of loops are summed, in order."""
        outside = [i for i in self.scored if self.nodes[i].loop is None]
        return self.downstream.increments(outside)

    @cached_property
    def alike(self) -> list[list[int]]:
        """Groups of scored samples outside of loops whose credit is found together."""
        groups: dict[Any, list[int]] = {}
        for i in self.scored:
            estimator = self.estimators[i]
            if self.nodes[i].loop is not None or self.mixing or not estimator.plain:
                continue
            baseline: Any = getattr(estimator, "baseline", None)
            own = [p for p in self.plates[i] if p != SAMPLES]
            if own or not baseline.of_one_step or estimator.biases:
                continue
            groups.setdefault(repr(baseline), []).append(i)
        return [group for group in groups.values() if len(group) > 1]

    @cached_property
    def sloped(self) -> list[int]:
        """The samples by which a value node is differentiated."""
        return [i for i in self.scored if self.estimators[i].differentiates]

    @cached_property
    def followers(self) -> dict[int, Followers]:
        """What follows each scored sample that has a critic."""
        critics = [i for i in self.scored if critic_of(self.estimators[i]) is not None]
        return followers_of(self.influence, critics, self.downstream)

    @cached_property
    def exits(self) -> dict[str, list[Edge]]:
        """The edges that lead out of each loop, by its name."""
        found: dict[str, list[Edge]] = {}
        for edge in self.influence.edges:
            loop = self.nodes[edge.source].loop
            if loop is not None and self.nodes[edge.target].loop is not loop:
                found.setdefault(loop.name, []).append(edge)
        return found

    @cached_property
    def mixed(self) -> Downstream:
        """Which nodes that mix rows each node influences."""
        return Downstream(self.influence, self.mixing)

    def recurrent(self, loop: Loop, needed: frozenset[int]) -> bool:
        """Tell whether a loop must go back step by step.

        It must where gradient crosses from one step to the one before, and where a
        node mixes rows or is a memory, for which time cannot be folded into them.
        """
        crosses = any(
            head.index in needed and after.index in self.flow.carrying
            for head, after in zip(loop.carries, loop.following, strict=True)
        )
        return crosses or any(
            (n.spec.mixes_rows or n.spec.memory) and n.index in needed
            for n in self.bodies[loop.name]
        )

    def _place(self, node: Node) -> None:
        if not node.has_rows:
            self.plates[node.index] = ()
            return
        plates = merge(*(self.plates[p.index] for p in node.inputs))
        if isinstance(node.role, Draw):
            plates = merge(plates, (SAMPLES,))
            estimator = self.estimators[node.index]
            n = estimator.branches(node.role.distribution, node.event_shape)
            if n > 1 or (estimator.lays_out and not estimator.pathwise):
                self.branching[node.index] = n
                plates = merge(plates, (node.index,))
        if node.spec.mixes_rows and any(p != SAMPLES for p in plates):
            msg = (
                f"node {node.name!r} mixes rows, downstream of branches of "
                f"{[self.nodes[p].name for p in plates if p != SAMPLES]}. Use an "
                "estimator "
                "without branches there."
            )
            raise EstimatorError(msg)
        if isinstance(node.role, Scan):
            plates = merge(plates, (SAMPLES,))
            for inner in self.bodies[node.role.loop.name]:
                self._place_inside(inner, plates)
        self.plates[node.index] = plates

    def _place_inside(self, node: Node, plates: Plates) -> None:
        self.plates[node.index] = plates
        if isinstance(node.role, Draw):
            n = self.estimators[node.index].branches(
                node.role.distribution, node.event_shape
            )
            if n > 1:
                msg = (
                    f"node {node.name!r}: branches are not possible inside the scan "
                    f"{node.loop.name if node.loop else ''!r}. Use samples=1 there and "
                    "samples=K at the call."
                )
                raise EstimatorError(msg)

    def _scored(self, routes: Routes) -> list[int]:
        """Return the samples that enter the surrogate loss."""
        return [
            i
            for i, choice in routes.choices.items()
            if choice.scored
            and i in routes.live
            and any(p.index in self.flow.carrying for p in self.nodes[i].inputs)
        ]

    def _observed(self) -> frozenset[int]:
        """Return the nodes inside loops whose values are always kept for each step."""
        kept: set[int] = set()
        for node in self.nodes:
            if node.loop is None:
                continue
            if node.is_named or isinstance(node.role, Draw | Cost | Value):
                kept.add(node.index)
            if isinstance(node.role, Draw):
                kept.update(p.index for p in node.inputs if p.loop is not None)
        for loop in {n.loop for n in self.nodes if n.loop is not None}:
            kept.update(n.index for n in loop.outputs)
            if loop.until is not None:
                kept.add(loop.until.index)
        kept.update(self._named_boundaries())
        kept.update(self._at_finals())
        return frozenset(kept)

    def _named_boundaries(self) -> set[int]:
        found = set()
        for estimator in self.estimators.values():
            name: Any = getattr(estimator, "boundary", None)
            if name not in {None, "episode"}:
                found.add(self.node(name).index)
        return found

    def _at_finals(self) -> set[int]:
        """Return what critics need after an episode was truncated."""
        read: set[tuple[Loop, str]] = set()
        for index, estimator in self.estimators.items():
            loop, critic = self.nodes[index].loop, getattr(estimator, "critic", None)
            if loop is not None and critic is not None:
                read.update((loop, name) for name in critic.reads)
        found: set[int] = set()
        for loop, name in read:
            body = self.bodies[loop.name]
            found |= sources(self.influence, body, loop, self.node(name))
        return found
