"""Routes of gradient: how it comes to a param, and where its way ends.

A route leads from a param along edges that have a derivative to what starts gradient
off: a cost (back-propagation), a scored sample that influences a cost, or a value node
that an estimator fits. `scg.check` proves with it, `scg.explain` puts it into words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scg.critics import critic_of
from scg.downstream import Downstream
from scg.errors import EstimatorError, unknown_name
from scg.flow import Flow
from scg.influence import Edge, influence_of, is_random
from scg.node import Node, Store
from scg.roles import Call, Cost, Draw, EnvironmentReset, EnvironmentStep, Param, Value

__all__ = ["Choice", "Route", "Routes", "choices", "is_black_box", "no_derivative"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What an estimator declares; the default is that of a score function."""

    label: str = "ScoreFunction"
    pathwise: bool = False
    needs: frozenset[str] = frozenset({"log_prob"})
    reads: tuple[str, ...] = ()
    boundary: str | None = None
    looks_down: bool = False
    learns: bool = False
    families: Mapping[type, frozenset[str]] = field(default_factory=dict)
    critic: Any = None
    differentiates: str = ""
    partial: bool = False
    fits: tuple[str, ...] = ()

    @property
    def scored(self) -> bool:
        """Whether the estimator says what the surrogate loss has of the sample."""
        return self.looks_down or not self.pathwise

    @property
    def words(self) -> str:
        """The estimator's name as it is spoken: ``score function``."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", self.label).lower()


@dataclass(frozen=True, slots=True)
class Route:
    """A way from a param, ``path[0]``, to where gradient starts, ``path[-1]``."""

    path: tuple[int, ...]

    @property
    def end(self) -> int:
        """A cost, a scored sample or a value node."""
        return self.path[-1]


def choices(store: Store, estimators: Mapping[str, Any]) -> dict[int, Choice]:
    """Return what holds for each stochastic node, by its index.

    Raises
    ------
    EstimatorError
        When something else than a stochastic node, or than an estimator, is named.
    UnknownNameError
        When a name is nobody's.
    """
    draws = {n.name: n for n in store.nodes if isinstance(n.role, Draw)}
    for name in estimators:
        if name not in store.named:
            raise unknown_name("stochastic node", name, draws)  # noqa: EM101
        if name not in draws:
            raise _not_a_draw(store.named[name], draws)
    default = Choice()
    return {
        n.index: _choice(name, estimators[name]) if name in estimators else default
        for name, n in draws.items()
    }


def _not_a_draw(node: Node, draws: Mapping[str, Node]) -> EstimatorError:
    why = "whose density is unknown" if is_random(node) else "which is not drawn"
    there = ", ".join(map(repr, draws)) or "none"
    return EstimatorError(
        f"node {node.name!r}: expected a stochastic node for an estimator, got the "
        f"{node.kind} node, {why}. The stochastic nodes: {there}."
    )


def _choice(name: str, estimator: Any) -> Choice:
    label = type(estimator).__name__
    try:
        if isinstance(estimator, type):  # its declarations are there, but no options
            raise TypeError  # noqa: TRY301 - the same error as for anything else
        return Choice(
            label,
            bool(estimator.pathwise),
            frozenset(estimator.needs),
            tuple(estimator.reads),
            getattr(estimator, "boundary", None),  # only some estimators have credit
            bool(estimator.looks_down),
            bool(estimator.learns),
            estimator.families,
            critic_of(estimator),
            estimator.differentiates,
            getattr(estimator, "partial", False),
            getattr(estimator, "fits", ()),
        )
    except (AttributeError, TypeError) as error:
        made = isinstance(estimator, type)
        way_out = (
            f"Make one: {estimator.__name__}()." if made else "See scg.estimators."
        )
        msg = f"node {name!r}: expected an estimator, got {estimator!r}. {way_out}"
        raise EstimatorError(msg) from error


def is_black_box(node: Node) -> bool:
    """Tell whether a node is a function of unknown inside, or an environment."""
    if isinstance(node.role, Call):
        return node.role.operation.kind == "black box"
    return isinstance(node.role, EnvironmentReset | EnvironmentStep)


def no_derivative(source: Node, target: Node) -> str:
    """Say why an edge has no derivative."""
    if isinstance(target.role, EnvironmentReset | EnvironmentStep):
        return f"{target.name!r} is an environment, of unknown density"
    if is_black_box(target):
        return f"{target.name!r} is a black box"
    if source.spec.parts is None and source.dtype.kind != "f":
        return f"{source.name!r} is {source.dtype}"
    if target.spec.parts is None and target.dtype.kind != "f":
        return f"{target.name!r} is {target.dtype}"
    name = target.role.operation.name if isinstance(target.role, Call) else target.kind
    return f"{name} has no derivative rule"


class Routes:
    """The ways of gradient in one graph, for one choice of estimators.

    `live` holds the random nodes that influence a cost, `readers` the value nodes that
    are fitted, with the samples they serve.
    """

    def __init__(self, store: Store, estimators: Mapping[str, Any]) -> None:
        self.choices = choices(store, estimators)
        self.store = store
        self.nodes = store.nodes
        self.influence = influence_of(store)
        pathwise = [i for i, choice in self.choices.items() if choice.pathwise]
        self.flow = Flow(self.influence, pathwise)
        self.params = [n for n in self.nodes if isinstance(n.role, Param)]
        self.costs = [n.index for n in self.nodes if isinstance(n.role, Cost)]
        above = self.influence.ancestors(*self.costs)
        self.live = frozenset(i for i in above if is_random(self.nodes[i]))
        self.readers = self._readers()

    def _readers(self) -> dict[int, list[str]]:
        """Return the value nodes that are fitted, with the samples they serve."""
        found: dict[int, list[str]] = {}
        values = {n.name: n.index for n in self.nodes if isinstance(n.role, Value)}
        for site in sorted(self.live & self.choices.keys()):
            for name in (*self.choices[site].reads, *self.choices[site].fits):
                if name in values:
                    found.setdefault(values[name], []).append(self.nodes[site].name)
        return found

    def within_step(self, site: Node, value: Node) -> bool:
        """Tell whether a node influences a value node, short of its loop's later steps.

        This is `Influence.within_step`, answered for all nodes at once.
        """
        same, later = self._values
        found = same.reaches(site.index, value.index)
        others = site.loop is None or value.loop is not site.loop
        return found or (others and later.reaches(site.index, value.index))

    @cached_property
    def _values(self) -> tuple[Downstream, Downstream]:
        """Return which value nodes each node influences, in the same step and ever."""
        values = [n.index for n in self.nodes if isinstance(n.role, Value)]
        same = Downstream(self.influence, values, same_step=True)
        return same, Downstream(self.influence, values)

    def names(self, path: tuple[int, ...]) -> list[str]:
        """Return the names of nodes."""
        return [self.nodes[i].name for i in path]

    def starts(self, i: int) -> bool:
        """Tell whether gradient starts at a node."""
        scored = i in self.choices and self.choices[i].scored and i in self.live
        return scored or i in self.readers or isinstance(self.nodes[i].role, Cost)

    def reach(self, start: int) -> dict[int, int]:
        """Return, for all that edges with a derivative lead to, the node before it.

        The way ends at samples that are not pathwise, in their parameters.
        """
        before = {start: start}
        front = [start]
        while front:
            new = []
            for edge in (e for i in front for e in self.influence.children[i]):
                if edge.target not in before and self.flow.kind(edge) == "smooth":
                    before[edge.target] = edge.source
                    if self.flow.passes(edge):
                        new.append(edge.target)
            front = new
        return before

    def path(self, before: Mapping[int, int], end: int) -> tuple[int, ...]:
        """Return the shortest way to `end`, given what `reach` found."""
        path = [end]
        while before[path[-1]] != path[-1]:
            path.append(before[path[-1]])
        return tuple(reversed(path))

    def routes(self, param: Node) -> list[Route]:
        """Return one way, the shortest, from a param to each start of gradient."""
        before = self.reach(param.index)
        return [Route(self.path(before, i)) for i in sorted(before) if self.starts(i)]

    def blocked(self) -> Iterator[Edge]:
        """List the edges without a derivative that a correct gradient needs."""
        carrying, kind = self.flow.carrying, self.flow.kind
        edges = [
            e
            for e in self.influence.edges
            if e.source in carrying and kind(e) == "blocked"
        ]
        needed = self._biased_below() if edges else frozenset()
        for edge in sorted(edges, key=lambda e: (e.target, e.source, e.slot or 0)):
            if edge.target in needed:
                yield edge

    def onward(self, start: int) -> tuple[int, ...]:
        """Return a way from behind a blocked edge to a cost or a sample it would bias.

        Edges that are constant on purpose end it; those without a derivative do not.
        """
        before, front = {start: start}, [start]
        while front:
            new = []
            for i in front:
                if self._is_biased(i):
                    return self.path(before, i)
                if is_random(self.nodes[i]) and i not in self.flow.pathwise:
                    continue
                for edge in self.influence.children[i]:
                    if edge.target not in before and self.flow.kind(edge) != "constant":
                        before[edge.target] = i
                        new.append(edge.target)
            front = new
        return ()

    def _biased_below(self) -> frozenset[int]:
        """Return the nodes from which `onward` finds a way."""
        biased = [n.index for n in self.nodes if self._is_biased(n.index)]
        return self._above(
            biased,
            lambda e: not self._ends_here(e.source) and not self.flow.is_constant(e),
        )

    def served(self) -> frozenset[int]:
        """Return the nodes from which gradient that starts somewhere is reached."""
        carrying, starts = self.flow.carrying, self.starts

        def crossed(edge: Edge) -> bool:
            if edge.source not in carrying or self.flow.kind(edge) != "smooth":
                return False
            return starts(edge.target) or self.flow.passes(edge)

        return self._above([n.index for n in self.nodes if starts(n.index)], crossed)

    def _above(
        self, ends: Iterable[int], crossed: Callable[[Edge], bool]
    ) -> frozenset[int]:
        """Return the nodes from which edges that are crossed lead to an end."""
        found = set(ends)
        stack = list(found)
        while stack:
            for edge in self.influence.parents[stack.pop()]:
                if edge.source not in found and crossed(edge):
                    found.add(edge.source)
                    stack.append(edge.source)
        return frozenset(found)

    def _is_biased(self, i: int) -> bool:
        if i in self.flow.pathwise:
            return False
        return i in self.live or isinstance(self.nodes[i].role, Cost)

    def dead_ends(self, param: Node) -> list[tuple[tuple[int, ...], str]]:
        """Return the ways from a param, each with the reason why it ends."""
        before = self.reach(param.index)
        found: list[tuple[tuple[int, ...], str]] = []
        for i in sorted(before):
            path = self.path(before, i)
            ended = [] if self._ends_here(i) else self.influence.children[i]
            cut = [
                (e.target, self._why_cut(e)) for e in ended if e.target not in before
            ]
            if reason := self._why_ends(i, bool(ended)):
                found.append((path, reason))
            found += [((*path, target), why) for target, why in cut]
        return found

    def _ends_here(self, i: int) -> bool:
        return is_random(self.nodes[i]) and i not in self.flow.pathwise

    def _why_ends(self, i: int, has_children: bool) -> str:
        node = self.nodes[i]
        if self._ends_here(i):
            return f"the sample {node.name!r} influences no cost"
        if isinstance(node.role, Value):
            return (
                f"no estimator of a sample that influences a cost reads {node.name!r}"
            )
        return "" if has_children else f"nothing reads {node.name!r}"

    def _why_cut(self, edge: Edge) -> str:
        source, target = self.nodes[edge.source], self.nodes[edge.target]
        if self.flow.kind(edge) == "constant":
            role = target.role
            name = role.operation.name if isinstance(role, Call) else target.kind
            return f"{name} holds {source.name!r} constant"
        return no_derivative(source, target)
