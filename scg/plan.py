"""What a run does, in order: bound once for a program, whatever the number of rows.

Every value has a place in one list: that of its node, or one after all nodes for a
value that was repeated along plates it lacks, so that it is repeated once and its
adjoints are summed once. `Plan.order` is how the list is filled; `Plan.crossings` says
where the adjoint at each place goes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from scg.bits import reads_drawn_bits, riding_scores
from scg.buffers import Buffers
from scg.fold import live_nodes
from scg.influence import Edge
from scg.lifetimes import Repeat, dying_places, overwritten, shown_places
from scg.node import Node, Scan
from scg.phases import again, backward_phases, forward_phases
from scg.plates import SAMPLES, Plates
from scg.program import Program
from scg.pulls import Crossing, Pull, Site, pull_of
from scg.roles import Call, Component, Draw, Input, ScanOutput
from scg.site_kernels import AbstractSiteKernel, site_kernel
from scg.steps import Computing, computing

__all__ = ["Crossing", "Plan", "Repeat", "plan_of"]


def plan_of(program: Program) -> Plan:
    """Return a program's plan, made when it is first asked for."""
    if program.plan is None:
        program.plan = Plan(program)
    plan: Plan = program.plan
    return plan


class Plan:
    """The bound steps of one program.

    Attributes
    ----------
    size : int
        The number of places.
    order : list of (place, node or Repeat)
        What is filled outside of loops, in order.
    compute : dict of int to Computing
        The steps of calls.
    crossings : dict of int to tuple of Crossing
        For each place outside and inside of loops.
    """

    def __init__(self, program: Program) -> None:
        # All that is made here stays: to look through it for garbage again and again
        # would take a time that grows with its square.
        with _no_garbage():
            self._make(program)

    def _make(self, program: Program) -> None:
        self.program = program
        self.kernels = program.kernels
        self._lay_out(program)
        self.outputs = self._outputs()
        self._shared: dict[int, frozenset[int]] = {}
        self._beside: dict[int, frozenset[int]] = {}
        self.seeds = {i: self._seeded(i) for i in program.scored}
        self.back = [(place, n) for place, n in reversed(self.order) if self._leads(n)]
        self.kinds, self.kind = self._kinds()
        self.fills: Any = None  # of `scg.forward`, which binds them when it first runs
        self.block_dtype = program.store.float_dtype("random numbers")
        self.draws = {
            i: kernel
            for i, estimator in program.estimators.items()
            if estimator.plain
            if (kernel := self._kernel(i)) is not None
        }
        self.riding = self._riding()
        self.block, self.block_size = self._cut_block()
        self.buffers = Buffers()
        self.spares: list[np.random.Generator] = []
        self.recorded = program.observed | self._needed()
        self._split_loops()

    def _lay_out(self, program: Program) -> None:
        """Give every value its place, and bind what computes it and takes it back."""
        self.size = len(program.nodes)
        self.order: list[tuple[int, Node | Repeat]] = []
        self.compute: dict[int, Computing] = {}
        self.sources: dict[int, list[int]] = {}
        self.crossings: dict[int, tuple[Crossing, ...]] = {}
        self.repeats: dict[tuple[int, Plates], int] = {}
        self.repeated: dict[int, Repeat] = {}
        self.param_names = frozenset(n.name for n in program.params)
        self.input_names = frozenset(
            n.name for n in program.nodes if isinstance(n.role, Input)
        )
        for node in program.outer:
            self._place(node)
        for node in program.nodes:
            self._cross_all(node)
        self.slopes = {i: self._slope(i) for i in program.sloped}
        self.dying = dying_places(self.order, self.sources, self._read_by())
        self.shown = shown_places(self.order, self.sources)
        for node in program.nodes:
            self._bind(node)

    def _split_loops(self) -> None:
        """Split the bodies of loops into what goes step by step and what does not."""
        program, loops = self.program, self.program.loops
        self.forward = {loop.name: forward_phases(program, loop) for loop in loops}
        self.backward = {loop.name: backward_phases(program, loop) for loop in loops}
        self.again = {
            loop.name: again(program, loop, self._reads())
            for loop in loops
            if loop.keep_every
        }

    def _outputs(self) -> dict[int, list[tuple[Node, ScanOutput]]]:
        """Return the nodes outside of each loop that read its results."""
        found: dict[int, list[tuple[Node, ScanOutput]]] = {}
        for node in self.program.outer:
            if isinstance(node.role, ScanOutput):
                found.setdefault(node.inputs[0].index, []).append((node, node.role))
        return found

    def spare(self) -> np.random.Generator | None:
        """Return a generator that an earlier run has left, if there is one."""
        try:
            return self.spares.pop()
        except IndexError:
            return None

    def shared(self, value: Node) -> frozenset[int]:
        """Return what costs or samples depend on besides a value node."""
        if value.index not in self._shared:
            program = self.program
            ends = [*(c.index for c in program.costs), *program.estimators]
            found = program.influence.ancestors(*ends) - {value.index}
            self._shared[value.index] = frozenset(found)
        return self._shared[value.index]

    def beside(self, node: Node) -> frozenset[int]:
        """Return the places that a node does not influence, its own excepted."""
        if node.index not in self._beside:
            below = self.program.influence.descendants(node.index) | {node.index}
            source = {place: key[0] for key, place in self.repeats.items()}
            self._beside[node.index] = frozenset(
                at for at in range(self.size) if source.get(at, at) not in below
            )
        return self._beside[node.index]

    def _place(self, node: Node) -> None:
        """Add what repeats a node's inputs, then the node, to the order."""
        sources = [p.index for p in node.inputs]
        if not isinstance(node.role, Scan):
            want = self.program.meeting(node)
            sources = [self._meeting(p, want) for p in node.inputs]
        self.sources[node.index] = sources
        self.order.append((node.index, node))

    def _seeded(self, index: int) -> list[tuple[str, int, Node]]:
        """Return the parameters of a sample that adjoints start at, with places."""
        node = self.program.nodes[index]
        role = node.role
        assert isinstance(role, Draw)
        parts = zip(role.names, self.sources[index], node.inputs, strict=True)
        carrying = self.program.flow.carrying
        return [part for part in parts if part[2].index in carrying]

    def _leads(self, node: Node | Repeat) -> bool:
        """Tell whether adjoints go on from a place."""
        if isinstance(node, Repeat):
            return node.source in self.program.flow.carrying
        if isinstance(node.role, Scan):
            return True
        if isinstance(node.role, Draw):
            i, estimators = node.index, self.program.estimators
            return i in self.program.flow.pathwise and not estimators[i].looks_down
        return bool(self.crossings.get(node.index))

    def _kinds(self) -> tuple[list[Plates], list[int]]:
        """Return the different plates, and which of them each place in order has."""
        number: dict[Plates, int] = {}
        plates = self.program.plates
        kind = [
            number.setdefault(
                n.want if isinstance(n, Repeat) else plates[n.index], len(number)
            )
            for _, n in self.order
        ]
        return list(number), kind

    def _meeting(self, parent: Node, want: Plates) -> int:
        have = self.program.plates[parent.index]
        if not parent.has_rows or have == want:
            return parent.index
        key = (parent.index, want)
        if key not in self.repeats:
            self.repeats[key] = self.size
            self.repeated[self.size] = Repeat(parent.index, have, want)
            self.order.append((self.size, self.repeated[self.size]))
            self.size += 1
        return self.repeats[key]

    def _bind(self, node: Node) -> None:
        """Bind what computes a call, maybe over a value that it is the last to read."""
        role = node.role
        if isinstance(role, Call):
            gone = set(self.dying.get(node.index, ())) - self.shown
            over = overwritten(node, self.sources[node.index], gone)
            specs = [p.spec for p in node.inputs]
            self.compute[node.index] = computing(
                role.operation,
                self.sources[node.index],
                node.spec,
                specs,
                over,
                bits=self._knows_bits(node),
            )

    def _knows_bits(self, node: Node) -> bool:
        """Tell whether a node reads bits that no estimator has made smooth."""
        if not reads_drawn_bits(node):
            return False
        return node.inputs[1].index not in self.program.flow.pathwise

    def _cross_all(self, node: Node) -> None:
        sources = self.sources.setdefault(node.index, [p.index for p in node.inputs])
        if not isinstance(node.role, Draw | Scan | ScanOutput):
            self.crossings[node.index] = tuple(self._cross(node, sources))

    def _cross(self, node: Node, sources: Sequence[int]) -> Any:
        flow = self.program.flow
        for slot, parent in enumerate(node.inputs):
            edge = Edge(parent.index, node.index, 0, slot)
            if parent.index not in flow.carrying or not flow.passes(edge):
                continue
            yield Crossing(sources[slot], self._pull(node, slot, sources))

    def _pull(self, node: Node, slot: int, sources: Sequence[int]) -> Pull:
        role = node.role
        if isinstance(role, Call):
            specs = [p.spec for p in node.inputs]
            site = Site(role.operation, node.index, sources, node.spec, specs)
            return pull_of(site, slot, kernels=self.kernels)
        if isinstance(role, Component):
            return _part(role.position, sources[0])
        return _same(node, node.inputs[slot])

    def _read_by(self) -> dict[int, tuple[Crossing, ...]]:
        """Return all ways on which values are looked at; those of slopes below 0."""
        ways = {-n - 1: c for way in self.slopes.values() for n, c in way}
        return {**self.crossings, **ways} if ways else self.crossings

    def _slope(self, index: int) -> list[tuple[int, tuple[Crossing, ...]]]:
        """Return the way back from a value node to a sample, node by node."""
        program = self.program
        estimator: Any = program.estimators[index]
        value = program.node(estimator.differentiates)
        between = program.influence.between(program.nodes[index], value)
        found = []
        for i in sorted(between - {index}, reverse=True):
            node, flow = program.nodes[i], program.flow
            crossings = [
                Crossing(self.sources[i][slot], self._pull(node, slot, self.sources[i]))
                for slot, parent in enumerate(node.inputs)
                if parent.index in between
                and flow.kind(Edge(parent.index, i, 0, slot)) == "smooth"
            ]
            found.append((i, tuple(crossings)))
        return found

    def _needed(self) -> frozenset[int]:
        """Return the nodes inside loops that a reverse pass or a replay looks at."""
        flow, live = self.program.flow, live_nodes(self.program)
        kept = set(self._reads())
        for node in self.program.nodes:
            if node.loop is None:
                continue
            for slot, parent in enumerate(node.inputs):
                passes = flow.passes(Edge(parent.index, node.index, 0, slot))
                carried = parent.index in flow.carrying and passes
                taken = node.index in live and parent.index not in live
                if taken or (node.index in flow.carrying and not carried):
                    kept.add(parent.index)
        for loop in self.program.loops:
            heads = (*loop.carries, *loop.slices, *loop.captured.values())
            kept.update(head.index for head in heads)
            kept.update(after.index for after in loop.following)
        return frozenset(i for i in kept if self._is_inside(i))

    def _reads(self) -> frozenset[int]:
        """Return the nodes inside loops whose values a reverse pass looks at."""
        found: set[int] = set()
        for node in self.program.nodes:
            if node.loop is None:
                continue
            for crossing in self.crossings.get(node.index, ()):
                found |= crossing.pull.reads
        for way in self.slopes.values():
            found |= {i for _, cs in way for c in cs for i in c.pull.reads}
        for node in self.program.nodes:
            if node.loop is None:
                continue
            if isinstance(node.role, Draw) and node.index in self.program.flow.pathwise:
                found.update(p.index for p in node.inputs)
        return frozenset(i for i in found if self._is_inside(i))

    def _is_inside(self, place: int) -> bool:
        nodes = self.program.nodes
        return place < len(nodes) and nodes[place].loop is not None

    def _kernel(self, index: int) -> AbstractSiteKernel | None:
        """Return the kernel of a stochastic node, where it may have one."""
        role, inputs = self.program.nodes[index].role, self.program.nodes[index].inputs
        assert isinstance(role, Draw)
        if any(p.dtype != self.block_dtype for p in inputs):
            return None
        return site_kernel(role.distribution, role.names, [p.spec for p in inputs])

    def _riding(self) -> dict[int, Node]:
        """Return the nodes whose derivative the score of drawn bits is."""
        if not self.kernels:
            return {}
        outer = self.program.outer
        found = riding_scores(outer, self.sources, self.crossings)
        return {draw: node for draw, node in found.items() if draw in self.draws}

    def _cut_block(self) -> tuple[dict[int, int], int]:
        """Give each node that may take its numbers from the block a place in it.

        The places do not depend on the estimators: those with branches leave theirs.
        """
        at, start = {}, 0
        for node in self.program.whole:
            if isinstance(node.role, Draw) and self._kernel(node.index) is not None:
                plates = self.program.plates[node.index]
                if node.index in self.draws and set(plates) <= {SAMPLES}:
                    at[node.index] = start
                start += prod(node.event_shape)
        return at, start


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Put the collection of garbage off."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _part(position: int, source: int) -> Pull:
    def cross(values: Any, g: Any, buffers: Any) -> Any:
        whole = values[source]
        return tuple(
            g if i == position else np.zeros_like(v) for i, v in enumerate(whole)
        )

    return Pull(cross, fresh=False)


def _same(node: Node, parent: Node) -> Pull:
    """Hand a cost's or a value's adjoint on; summed, to a term of params alone."""
    if node.has_rows and not parent.has_rows:
        return Pull(lambda values, g, buffers: g.sum(), fresh=True)
    return Pull(lambda values, g, buffers: g, fresh=False)
