"""The reverse pass over a recorded run.

Adjoints go backwards through the nodes, along smooth edges only. Inside a loop whose
gradient stays within a step, one pass over all time × rows does; where a carry is
differentiable, back-propagation through time runs over the recorded values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from scg.autodiff import pull_back, trace_vjp, unbroadcast
from scg.extras import require
from scg.influence import Edge
from scg.node import Loop, Node, Scan
from scg.program import Program
from scg.roles import Call, Component, Draw, ScanOutput
from scg.trace import Trace

__all__ = ["Flat", "Reverse", "Step"]


class Reverse:
    """One reverse pass: give it seeds, then `run` it.

    With `private`, adjoints stay among the nodes that only this value node needs.
    """

    def __init__(
        self, program: Program, trace: Trace, private: Node | None = None
    ) -> None:
        self.program = program
        self.trace = trace
        self.adjoints: dict[int, Any] = {}
        self.shared: frozenset[int] = (
            frozenset() if private is None else _shared(program, private)
        )

    def seed(self, node: Node, adjoint: Any) -> None:
        """Start with an adjoint at a node; in a loop, (time, rows, ...)."""
        if node.index in self.program.flow.carrying:
            self._add(self.adjoints, node, adjoint)

    def seed_site(self, node: Node, adjoints: Mapping[str, Any]) -> None:
        """Start at the parameters of a sample."""
        role = node.role
        assert isinstance(role, Draw)
        for name, parent in zip(role.names, node.inputs, strict=True):
            if parent.index not in self.program.flow.carrying:
                continue
            adjoint = adjoints[name]
            if node.loop is not None:
                steps = self.trace.values[node.index].shape[0]
                adjoint = adjoint.reshape(steps, -1, *adjoint.shape[1:])
            self._into(self.adjoints, node, parent, adjoint, lead=node.loop is not None)

    def run(self) -> dict[int, Any]:
        """Go backwards; return the adjoints of the params by index."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            for node in reversed(self.program.outer):
                if isinstance(node.role, Scan):
                    self._loop(node, node.role.loop)
                elif node.index in self.adjoints:
                    self._node(self.adjoints, node, self.trace.values, lead=False)
        return {
            p.index: self.adjoints[p.index]
            for p in self.program.params
            if p.index in self.adjoints
        }

    def _loop(self, scan: Node, loop: Loop) -> None:
        body = self.program.bodies[loop.name]
        outputs = self._outputs(scan, loop)
        seeds = {
            n.index: self.adjoints.pop(n.index)
            for n in body
            if n.index in self.adjoints
        }
        if not seeds and not outputs and not self.adjoints.keys() & self._finals(scan):
            return
        behind = self.program.flow.carrying
        if self.program.recurrent(loop, behind):
            self._through_time(scan, loop, body, seeds, outputs)
        else:
            self._at_once(scan, loop, body, seeds, outputs)

    def _at_once(
        self,
        scan: Node,
        loop: Loop,
        body: list[Node],
        seeds: dict[int, Any],
        outputs: dict[int, Any],
    ) -> None:
        steps = self.trace.steps[loop.name]
        flat = Flat(self.trace.values, body, steps)
        for source in (seeds, outputs):
            for i, g in source.items():
                self._add(self.adjoints, self.program.nodes[i], _merge(g))
        for i, g in self._step_back(body, flat).items():
            by_step = g.reshape(steps, -1, *g.shape[1:])
            self._head(scan, loop, self.program.nodes[i], by_step)

    def _through_time(
        self,
        scan: Node,
        loop: Loop,
        body: list[Node],
        seeds: dict[int, Any],
        outputs: dict[int, Any],
    ) -> None:
        values = self.trace.values
        following = self._final_adjoints(scan)
        carries = {n.index: k for k, n in enumerate(loop.carries)}
        left: dict[int, Any] = {}
        for t in range(self.trace.steps[loop.name] - 1, -1, -1):
            now = Step(values, body, t)
            for source in (seeds, outputs):
                for i, g in source.items():
                    self._add(self.adjoints, self.program.nodes[i], g[t])
            for position, g in following.items():
                self.seed(loop.following[position], g)
            following = {}
            for i, g in self._step_back(body, now).items():
                if i in carries and t > 0:
                    following[carries[i]] = g
                else:
                    self._gather(left, loop, i, g, t)
        for i, by_step in left.items():
            self._head(scan, loop, self.program.nodes[i], by_step)

    def _gather(
        self, left: dict[int, Any], loop: Loop, head: int, g: Any, t: int
    ) -> None:
        """Keep what one step leaves at a head: slices step by step, others summed."""
        if any(n.index == head for n in loop.slices):
            if head not in left:
                left[head] = np.zeros((loop.length or 0, *g.shape), g.dtype)
            left[head][t] = g
        else:
            left[head] = left[head] + g if head in left else g[None]

    def _step_back(self, body: list[Node], values: Any) -> dict[int, Any]:
        """Go backwards through a loop's body; return what is left at its heads."""
        for node in reversed(body):
            if node.index in self.adjoints and node.inputs:
                self._node(self.adjoints, node, values, lead=False)
        return {
            n.index: self.adjoints.pop(n.index)
            for n in body
            if n.index in self.adjoints
        }

    def _head(self, scan: Node, loop: Loop, head: Node, by_step: Any) -> None:
        """Hand the adjoints of a loop's head to the node outside that feeds it.

        A carry comes in at the first step, a slice's steps lie along an axis of what
        is scanned, and a captured value is the same at every step.
        """
        # By index: == on nodes builds graph.
        heads = [*loop.carries, *loop.slices, *loop.captured.values()]
        positions = {n.index: k for k, n in enumerate(heads)}
        if head.index not in positions:
            return
        position = positions[head.index]
        outer = scan.inputs[position]
        if outer.index not in self.program.flow.carrying:
            return
        if position < len(loop.carries):
            g = by_step[0]
        elif position < len(loop.carries) + len(loop.slices):
            g = np.moveaxis(_filled(by_step, loop.length or 0), 0, 1)
        else:
            g = by_step.sum(axis=0)
        self._add(
            self.adjoints,
            outer,
            self._unaligned(outer, g, self.program.plates[scan.index]),
        )

    def _unaligned(self, outer: Node, g: Any, have: tuple[int, ...]) -> Any:
        if not outer.has_rows:
            return g.sum(axis=0)
        return self.trace.layout.unalign(g, have, self.program.plates[outer.index])

    def _outputs(self, scan: Node, loop: Loop) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for node in self._scan_outputs(scan):
            role: Any = node.role
            if role.stacked and node.index in self.adjoints:
                g = np.moveaxis(self.adjoints.pop(node.index), 1, 0)
                self._add(found, loop.outputs[role.position], g)
        return found

    def _final_adjoints(self, scan: Node) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for node in self._scan_outputs(scan):
            role: Any = node.role
            if not role.stacked and node.index in self.adjoints:
                found[role.position] = self.adjoints.pop(node.index)
        return found

    def _finals(self, scan: Node) -> set[int]:
        return {n.index for n in self._scan_outputs(scan)}

    def _scan_outputs(self, scan: Node) -> Iterable[Node]:
        for node in self.program.outer:
            if isinstance(node.role, ScanOutput) and node.inputs[0] is scan:
                yield node

    def _node(
        self, adjoints: dict[int, Any], node: Node, values: Any, *, lead: bool
    ) -> None:
        """Take a node's adjoint to its inputs."""
        role = node.role
        if not node.inputs or isinstance(role, ScanOutput):
            return
        g = adjoints.pop(node.index)
        if isinstance(role, Draw):
            self._pathwise(adjoints, node, role, g, values)
            return
        inputs = [self._value(values, node, p) for p in node.inputs]
        for slot, parent in enumerate(node.inputs):
            if not self._crosses(parent, node, slot):
                continue
            if isinstance(role, Call):
                out = values[node.index]
                back = pull_back(role.operation, slot, g, out, inputs, _length(g))
            elif isinstance(role, Component):
                back = _as_part(g, inputs[0], role.position)
            else:
                back = g
            self._into(adjoints, node, parent, back, lead=lead)

    def _crosses(self, parent: Node, node: Node, slot: int) -> bool:
        flow = self.program.flow
        edge = Edge(parent.index, node.index, 0, slot)
        return parent.index in flow.carrying and flow.passes(edge)

    def _value(self, values: Any, node: Node, parent: Node) -> Any:
        value = values[parent.index]
        if not parent.has_rows or parent.loop is not None:
            return value
        have, want = self.program.plates[parent.index], self.program.meeting(node)
        return self.trace.layout.align(value, have, want)

    def _into(
        self, adjoints: dict[int, Any], node: Node, parent: Node, g: Any, *, lead: bool
    ) -> None:
        if parent.index in self.shared:
            return
        if isinstance(g, tuple):  # from a component, which has its tuple's rows
            self._add(adjoints, parent, g)
            return
        if not parent.has_rows:
            g = unbroadcast(g, parent.event_shape)
        else:
            rows = (g.shape[: 2 if lead else 1]) if np.ndim(g) else ()
            g = unbroadcast(g, (*rows, *parent.event_shape))
            if parent.loop is None and node.loop is None:
                have = self.program.meeting(node)
                want = self.program.plates[parent.index]
                g = self.trace.layout.unalign(g, have, want)
        self._add(adjoints, parent, g)

    def _pathwise(
        self, adjoints: dict[int, Any], node: Node, role: Draw, g: Any, values: Any
    ) -> None:
        noise = (
            values.noise(self.trace, node)
            if isinstance(values, Step | Flat)
            else (self.trace.noise[node.index])
        )
        inputs = [self._value(values, node, p) for p in node.inputs]

        def draw(*parameters: Any) -> Any:
            return role.at(parameters).reparameterise(noise)

        which = [
            i
            for i, p in enumerate(node.inputs)
            if p.index in self.program.flow.carrying
        ]
        _, pull = trace_vjp(draw, inputs, which)
        for i, back in zip(which, pull(g), strict=True):
            self._into(adjoints, node, node.inputs[i], back, lead=False)

    def _add(self, adjoints: dict[int, Any], node: Node, g: Any) -> None:
        if isinstance(g, tuple):
            old = adjoints.get(node.index)
            adjoints[node.index] = (
                g if old is None else tuple(a + b for a, b in zip(old, g, strict=True))
            )
            return
        old = adjoints.get(node.index)
        g = np.asarray(g, node.dtype)
        adjoints[node.index] = g if old is None else old + g


class Step:
    """The values of one step, seen through the indices of nodes."""

    def __init__(self, values: list[Any], body: list[Node], t: int) -> None:
        self.values = values
        self.inside = {n.index for n in body}
        self.t = t

    def __getitem__(self, index: int) -> Any:
        value = self.values[index]
        if index not in self.inside:
            return value
        return (
            tuple(p[self.t] for p in value)
            if isinstance(value, tuple)
            else value[self.t]
        )

    def noise(self, trace: Trace, node: Node) -> Any:
        """Return the noise of a pathwise draw at this step."""
        return trace.noise[node.index][self.t]


class Flat:
    """The values of all steps, time folded into the rows."""

    def __init__(self, values: list[Any], body: list[Node], steps: int) -> None:
        self.values = values
        self.steps = steps
        self.inside = {n.index for n in body}
        self.made: dict[int, Any] = {}

    def __getitem__(self, index: int) -> Any:
        if index not in self.inside:
            return self.values[index]
        if index not in self.made:
            self.made[index] = self._flat(index)
        return self.made[index]

    def _flat(self, index: int) -> Any:
        value = self.values[index]
        if isinstance(value, tuple):
            return tuple(_merge(p) for p in value)
        if isinstance(value, list):  # sparse rows, one array a step
            if len(value) == 1:
                return value[0]
            return require("scipy.sparse", extra="atari").vstack(value, format="csr")
        return _merge(value)

    def noise(self, trace: Trace, node: Node) -> Any:
        """Return the noise of a pathwise draw at all steps."""
        return np.concatenate(trace.noise[node.index])


def _shared(program: Program, value: Node) -> frozenset[int]:
    """Return what costs or samples depend on besides the value node."""
    found: set[int] = set()
    for node in (*program.costs, *(program.nodes[i] for i in program.estimators)):
        found |= program.influence.ancestors(node.index)
    return frozenset(found - {value.index})


def _filled(by_step: Any, length: int) -> Any:
    """Add zeros for the steps that a loop did not come to."""
    missing = length - len(by_step)
    if not missing:
        return by_step
    return np.pad(by_step, [(0, missing), *[(0, 0)] * (by_step.ndim - 1)])


def _merge(g: Any) -> Any:
    return g.reshape(-1, *g.shape[2:])


def _as_part(g: Any, whole: Any, position: int) -> Any:
    return tuple(g if i == position else np.zeros_like(v) for i, v in enumerate(whole))


def _length(g: Any) -> int | None:
    g = g[0] if isinstance(g, tuple) else g
    return len(g) if np.ndim(g) else None
