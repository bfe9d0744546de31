"""The reverse pass through some steps of a time loop.

What no later step depends on is taken back for all steps at once, time folded into the
rows; back-propagation through time runs over the core that is left, node by node and
step by step. Of an edge that leads out of the core only the adjoints at its upper end
are noted, and it is crossed once, for all steps: a weight used at every step gets one
product of matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from scg.adjoints import Adjoints
from scg.autodiff import trace_vjp, unbroadcast
from scg.node import Loop, Node
from scg.noted import Noted
from scg.phases import Phases, is_of_memory
from scg.plan import plan_of
from scg.program import Program
from scg.pulls import Crossing
from scg.roles import Draw
from scg.trace import Trace
from scg.views import Flat, folded, unfolded

__all__ = ["SpanReverse", "pathwise"]


class SpanReverse:
    """The reverse pass through the steps of one span.

    Adjoints at the body's nodes have time folded into their rows, before and after; so
    have those it leaves at the loop's heads. `values` has those of the body at the
    span's steps alone.
    """

    def __init__(
        self,
        program: Program,
        trace: Trace,
        values: Sequence[Any],
        adjoints: Adjoints,
        loop: Loop,
        span: range,
    ) -> None:
        self.program = program
        self.trace = trace
        self.values = values
        self.adjoints = adjoints
        self.loop = loop
        self.span = span
        self.body = program.bodies[loop.name]
        self.steps = len(span)
        self.flat = Flat(values, self.body, span)
        self.phases: Phases = plan_of(program).backward[loop.name]

    def run(self, last: Mapping[int, Any]) -> dict[int, Any]:
        """Go backwards through the steps.

        `last` has the adjoints of the last carries, by position; those of the first
        are returned.
        """
        for node in reversed(self.phases.before):
            self._back(node)
        first = self._shift(last)
        core = _Core(self, self.phases.core)
        if core.nodes:
            first |= {k: g for k, (g, _) in core.run(last).items()}
        after = {node.index for node in self.phases.after}
        for node in reversed(self.body):
            core.leave(node)
            if node.index in after:
                self._back(node)
        return first | self._first(after)

    def _back(self, node: Node) -> None:
        """Take a node's adjoint to its inputs, for all steps at once."""
        if isinstance(node.role, Draw):
            if self.adjoints.has(node.index):
                g = self.adjoints.take(node.index)
                noise = self.flat.noise(self.trace, node)
                back = pathwise(self.program, node, g, self.flat, noise)
                for place, g in back:
                    self.adjoints.add(place, g)
        else:
            self.adjoints.cross(node.index, self.flat)

    def _shift(self, last: Mapping[int, Any]) -> dict[int, Any]:
        """Hand adjoints of carries outside of the core on to the step before.

        Returns what arrives at the first step, by position.
        """
        core = {node.index for node in self.phases.core}
        after = {node.index for node in self.phases.after}
        first: dict[int, Any] = {}
        for k, head in enumerate(self.loop.carries):
            if head.index in core | after:
                continue
            following = self.loop.following[k]
            arrived = None
            if self.adjoints.has(head.index):
                g = self.adjoints.take(head.index)
                arrived = unfolded(g, self.steps)
                first[k] = arrived[0]
            # What the core follows, it takes up itself.
            end = None if following.index in core else last.get(k)
            if following.index not in self.program.flow.carrying:
                continue
            moved = _moved(arrived, end, self.steps)
            if moved is not None:
                self.adjoints.add(following.index, folded(moved), fresh=True)
        return first

    def _first(self, after: set[int]) -> dict[int, Any]:
        """Return what arrives at the first of carries that go on to no step before."""
        return {
            k: unfolded(self.adjoints.take(head.index), self.steps)[0]
            for k, head in enumerate(self.loop.carries)
            if head.index in after and self.adjoints.has(head.index)
        }


class _Core:
    """The nodes through which adjoints go on to earlier steps."""

    def __init__(self, whole: SpanReverse, nodes: Sequence[Node]) -> None:
        self.whole = whole
        self.nodes = nodes
        self.inside = {node.index for node in nodes}
        self.carries = {n.index: k for k, n in enumerate(whole.loop.carries)}
        plan = plan_of(whole.program)
        folds = not any(node.spec.mixes_rows for node in nodes)
        self.within: dict[int, list[Crossing]] = {}
        self.out: dict[int, list[Crossing]] = {}
        for node in nodes:
            crossings = plan.crossings.get(node.index, ())
            turns = not folds or is_of_memory(node)
            inner = [c for c in crossings if c.to in self.inside or turns]
            self.within[node.index] = inner
            self.out[node.index] = [c for c in crossings if c not in inner]
        self.here = Adjoints(plan, whole.adjoints.shared)
        self.noted = Noted(whole.steps)
        self.gathered: dict[int, Any] = {}

    def run(self, last: Mapping[int, Any]) -> dict[int, tuple[Any, bool]]:
        """Go through the steps backwards; return what arrives at the first carries.

        Each adjoint comes with whether nobody else holds it.
        """
        whole, here = self.whole, self.here
        seeds = self._seeds()
        reads = self._reads()
        now = list(whole.values)
        followed = [node.index for node in whole.loop.following]
        coming = {k: (g, False) for k, g in last.items() if self._follows(k)}
        done: list[Any] = []
        for t in range(whole.steps - 1, -1, -1):
            for i, value in reads:
                now[i] = _at(value, t)
            for k, (g, own) in coming.items():
                self._put(followed[k], g, t, fresh=own)
            for i, by_step in seeds:
                here.add(i, by_step[t])
            coming = self._step(now, t, done)
            self._give_back(done)
        for i, by_step in self.gathered.items():
            whole.adjoints.add(i, folded(by_step), fresh=True)
        return coming

    def _step(
        self, now: Sequence[Any], t: int, done: list[Any]
    ) -> dict[int, tuple[Any, bool]]:
        """Go through the nodes of one step; return what arrives at its carries."""
        at, carries, coming = self.here.at, self.carries, {}
        for node in reversed(self.nodes):
            g = at[node.index]
            if g is None:
                continue
            at[node.index] = None
            if node.index in carries:
                own = bool(self.here.own[node.index])
                coming[carries[node.index]] = g, own
            else:
                self._node(node, g, now, t)
                done.append(g)
        return coming

    def _follows(self, position: int) -> bool:
        """Tell whether a carry's adjoint goes into the core or comes out of it."""
        loop = self.whole.loop
        ends = loop.carries[position], loop.following[position]
        return any(node.index in self.inside for node in ends)

    def _give_back(self, done: list[Any]) -> None:
        """Let the next step use the arrays of this one."""
        self.noted.forget_last()
        while done:
            g = done.pop()
            self.here.buffers.give(g)

    def leave(self, node: Node) -> None:
        """Cross the edges that lead from a node out of the core, all steps at once."""
        crossings = self.out.get(node.index)
        if not crossings or node.index not in self.noted:
            return
        g = folded(self.noted[node.index])
        adjoints, flat = self.whole.adjoints, self.whole.flat
        for crossing in crossings:
            back = crossing.pull.cross(flat, g, adjoints.buffers)
            adjoints.add(crossing.to, back, fresh=crossing.pull.fresh)

    def _node(self, node: Node, g: Any, now: Sequence[Any], t: int) -> None:
        if isinstance(node.role, Draw):
            noise = self.whole.trace.noise[node.index][self.whole.span[t]]
            for place, back in pathwise(self.whole.program, node, g, now, noise):
                self._put(place, back, t)
            return
        if not node.inputs:  # a head of what is scanned or captured
            self._gather(node.index, g, t)
            return
        if self.out[node.index]:
            self.noted.note(node.index, g, t)
        for crossing in self.within[node.index]:
            back = crossing.pull.cross(now, g, self.here.buffers)
            self._put(crossing.to, back, t, fresh=crossing.pull.fresh)

    def _put(self, place: int, g: Any, t: int, *, fresh: bool = False) -> None:
        if place in self.inside:
            self.here.add(place, g, fresh=fresh)
        elif place in self.whole.flat.inside:
            self._gather(place, g, t)
        else:
            self.whole.adjoints.add(place, g, fresh=fresh)

    def _gather(self, place: int, g: Any, t: int) -> None:
        """Note what leaves the core at one step."""
        if place in self.here.shared:
            return
        if place not in self.gathered:
            self.gathered[place] = np.zeros((self.whole.steps, *g.shape), g.dtype)
        self.gathered[place][t] += g

    def _seeds(self) -> list[tuple[int, Any]]:
        adjoints, found = self.whole.adjoints, []
        for node in self.nodes:
            if adjoints.has(node.index):
                g = adjoints.take(node.index)
                found.append((node.index, unfolded(g, self.whole.steps)))
        return found

    def _reads(self) -> list[tuple[int, Any]]:
        """Return the values with a time axis that the core's rules may look at."""
        needed = dict.fromkeys(
            i
            for node in self.nodes
            for i in (node.index, *(p.index for p in node.inputs))
        )
        values, inside = self.whole.values, self.whole.flat.inside
        return [(i, values[i]) for i in needed if i in inside and values[i] is not None]


def pathwise(
    program: Program, node: Node, g: Any, values: Any, noise: Any
) -> Iterator[tuple[int, Any]]:
    """Take a reparameterised draw's adjoint to the places of its parameters."""
    role = node.role
    assert isinstance(role, Draw)
    places = plan_of(program).sources[node.index]

    estimator: Any = program.estimators[node.index]

    def draw(*parameters: Any) -> Any:
        return estimator.redraw(role.at(parameters), noise)

    which = [i for i, p in enumerate(node.inputs) if p.index in program.flow.carrying]
    _, pull = trace_vjp(draw, [values[i] for i in places], which)
    for i, back in zip(which, pull(g), strict=True):
        parent = node.inputs[i]
        rows = (len(g),) if parent.has_rows else ()
        summed = unbroadcast(back, (*rows, *parent.event_shape))
        yield places[i], np.asarray(summed, parent.dtype)


def _moved(by_step: Any, end: Any, steps: int) -> Any:
    """Return adjoints a step earlier, with `end` at the last; None of two Nones."""
    one = end if by_step is None else by_step[0]
    if one is None:
        return None
    out = np.zeros((steps, *one.shape), one.dtype)
    if by_step is not None:
        out[:-1] = by_step[1:]
    if end is not None:
        out[-1] = end
    return out


def _at(value: Any, t: int) -> Any:
    return tuple(part[t] for part in value) if isinstance(value, tuple) else value[t]
