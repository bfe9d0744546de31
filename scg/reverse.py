"""The reverse pass over a recorded run.

Adjoints go backwards from place to place, along smooth edges only. Inside a loop, what
no later step depends on is taken back for all steps at once, time folded into the rows;
back-propagation through time runs over what is left, and what leads out of it is again
taken back at once: a weight used at every step gets one product of matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scg.adjoints import Adjoints
from scg.autodiff import unbroadcast
from scg.loop_reverse import LoopReverse
from scg.node import Node, Scan
from scg.plan import Repeat, plan_of
from scg.program import Program
from scg.pulls import summed_to
from scg.roles import Draw
from scg.span_reverse import pathwise
from scg.trace import Trace
from scg.views import unfolded

__all__ = ["Reverse"]


class Reverse:
    """One reverse pass: give it seeds, then `run` it.

    With `private`, adjoints stay among the nodes that only this value node needs; with
    `below`, among this sample and what it influences.
    """

    def __init__(
        self,
        program: Program,
        trace: Trace,
        private: Node | None = None,
        below: Node | None = None,
    ) -> None:
        self.program = program
        self.plan = plan_of(program)
        self.trace = trace
        self.values = _with_repeats(self.plan, trace)
        shared: frozenset[int] = frozenset()
        if private is not None:
            shared = self.plan.shared(private)
        elif below is not None:
            shared = self.plan.beside(below)
        self.adjoints = Adjoints(self.plan, shared)

    def seed(self, node: Node, adjoint: Any) -> None:
        """Start with an adjoint at a node; in a loop, (time, rows, ...)."""
        if node.index in self.program.flow.carrying:
            self.adjoints.add(node.index, np.asarray(adjoint, node.dtype))

    def seed_site(self, node: Node, adjoints: Mapping[str, Any]) -> None:
        """Start at the parameters of a sample; in a loop, time is in the rows."""
        for name, place, parent in self.plan.seeds[node.index]:
            g, event = adjoints[name], parent.event_shape
            if not parent.has_rows:
                g = summed_to(g, event)
            elif g.shape[1:] != event:
                g = unbroadcast(g, (len(g), *event))
            if g.dtype != parent.dtype:
                g = g.astype(parent.dtype)
            if parent.loop is not None:
                steps = self.trace.steps[parent.loop.name]
                g = unfolded(g, steps)
            self.adjoints.add(place, g, fresh=True)

    def run(self) -> dict[int, Any]:
        """Go backwards; return the adjoints of the params by index."""
        adjoints = self.adjoints
        for place, node in self.plan.back:
            if isinstance(node, Repeat):
                self._sum_repeats(place, node)
            elif isinstance(node.role, Scan):
                self._loop(node, node.role)
            elif isinstance(node.role, Draw):
                if adjoints.has(place):
                    self._draw(node, adjoints.take(place))
            else:
                adjoints.cross(place, self.values)
        return {
            p.index: g
            for p in self.program.params
            if (g := adjoints.at[p.index]) is not None
        }

    def _draw(self, node: Node, g: Any) -> None:
        noise = self.trace.noise[node.index]
        for place, back in pathwise(self.program, node, g, self.values, noise):
            self.adjoints.add(place, back)

    def _sum_repeats(self, place: int, repeat: Repeat) -> None:
        if self.adjoints.has(place):
            g = self.adjoints.take(place)
            summed = self.trace.layout.unalign(g, repeat.want, repeat.have)
            self.adjoints.add(repeat.source, summed)

    def _loop(self, scan: Node, role: Scan) -> None:
        loop = role.loop
        stacked: dict[int, Any] = {}
        last: dict[int, Any] = {}
        for node, output in self.plan.outputs.get(scan.index, ()):
            if self.adjoints.has(node.index):
                g = self.adjoints.take(node.index)
                (stacked if output.stacked else last)[output.position] = g
        for position, g in stacked.items():
            self.adjoints.add(loop.outputs[position].index, np.moveaxis(g, 1, 0))
        this = LoopReverse(self.program, self.trace, self.values, self.adjoints, loop)
        for head, g in this.run(last):
            self._leave(scan, head, g)

    def _leave(self, scan: Node, position: int, g: Any) -> None:
        """Hand what is left at a loop's head to the node outside that feeds it."""
        outer = scan.inputs[position]
        if outer.index not in self.program.flow.carrying:
            return
        if outer.has_rows:
            have = self.program.plates[scan.index]
            want = self.program.plates[outer.index]
            g = self.trace.layout.unalign(g, have, want)
        else:
            g = g.sum(axis=0)
        self.adjoints.add(outer.index, g)


def _with_repeats(plan: Any, trace: Trace) -> Sequence[Any]:
    """Return the values, with those repeated along plates, which some traces lack."""
    values = trace.values
    if len(values) == plan.size:
        return values
    values = values + [None] * (plan.size - len(values))
    for place, node in plan.order:
        if isinstance(node, Repeat) and values[node.source] is not None:
            source = values[node.source]
            values[place] = trace.layout.align(source, node.have, node.want)
    return values
