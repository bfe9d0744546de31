"""One run of a time loop: what needs the loop goes step by step, the rest at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from scg.buffers import SMALL, Buffers
from scg.draws import Draws
from scg.entries import check_given_steps
from scg.node import Loop, Node
from scg.phases import Phases
from scg.plan import Plan
from scg.roles import Component, Cost, Draw, EnvironmentStep
from scg.steps import Computing
from scg.trace import Ends, Trace
from scg.views import Flat

__all__ = ["LoopRun", "step_environment"]


class LoopRun:
    """The state of one loop in one run.

    Parameters
    ----------
    plan : Plan
    trace : Trace
        Of the run; the values of the body's nodes are written into it.
    draws : Draws
    buffers : Buffers
    loop : Loop
    count : int
        The number of rows inside.
    part : int
        Which part of each environment.
    lean : bool
        Record no more than what a user or credit may ask for.
    """

    def __init__(  # noqa: PLR0913 - what a loop needs of its run
        self,
        plan: Plan,
        trace: Trace,
        draws: Draws,
        buffers: Buffers,
        loop: Loop,
        *,
        count: int,
        part: int,
        lean: bool,
    ) -> None:
        program = plan.program
        self.plan = plan
        self.trace = trace
        self.draws = draws
        self.buffers = buffers
        self.loop = loop
        self.count = count
        self.part = part
        self.body = program.bodies[loop.name]
        self.kept = program.observed if lean else plan.recorded
        phases = plan.forward[loop.name]
        self.phases = _step_by_step(phases, self.body) if lean else phases
        assert loop.length is not None
        self.length = loop.length
        self.steps = loop.length

    def all(self, starts: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Run the loop on what enters it; return last carries and stacked outputs."""
        loop, values = self.loop, self.trace.values
        split = len(loop.carries)
        self._enter(starts[split:])
        self._at_once(self.phases.before)
        core = _Core(self, starts[:split])
        carries = core.run()
        self._cut()
        check_given_steps(self.draws.given, self.body, self.steps)
        self._at_once(self.phases.after)
        self._finish(carries)
        return carries, [np.moveaxis(values[n.index], 0, 1) for n in loop.outputs]

    def _enter(self, starts: Sequence[Any]) -> None:
        """Give scanned and captured values their time axis, as views."""
        values, loop = self.trace.values, self.loop
        split = len(loop.slices)
        for head, whole in zip(loop.slices, starts[:split], strict=True):
            values[head.index] = np.moveaxis(whole, 1, 0)
        for head, value in zip(loop.captured.values(), starts[split:], strict=True):
            values[head.index] = _same_each_step(value, self.length)

    def _at_once(self, nodes: Sequence[Node]) -> None:
        """Compute nodes for all steps, time folded into the rows."""
        if not nodes:
            return
        values, rows = self.trace.values, self.steps * self.count
        flat = Flat(values, self.body, self.steps)
        for node in nodes:
            value = self._folded(node, flat, rows)
            flat.made[node.index] = value
            values[node.index] = _unfolded(value, self.steps)

    def _folded(self, node: Node, flat: Flat, rows: int) -> Any:
        step = self.plan.compute.get(node.index)
        if step is not None:
            return step(flat, rows, self)
        inputs = [flat[p.index] for p in node.inputs]
        if isinstance(node.role, Draw):
            return self.draws.all_steps(node, inputs, self.steps, self.count)
        if isinstance(node.role, Component):
            return inputs[0][node.role.position]
        return _number(node, inputs[0], rows)

    def _cut(self) -> None:
        """Keep the steps that were made of what was there for all."""
        if self.steps == self.length:
            return
        trace = self.trace
        for node in self.body:
            i = node.index
            trace.values[i] = _so_far(trace.values[i], self.steps)
            trace.shared.pop(i, None)
            if i in trace.noise:
                trace.noise[i] = trace.noise[i][: self.steps]

    def _finish(self, carries: list[Any]) -> None:
        trace, name = self.trace, self.loop.name
        trace.steps[name] = self.steps
        trace.last_carries[name] = carries
        for node in self.body:
            role, value = node.role, trace.values[node.index]
            if isinstance(role, Cost) and name in trace.alive:
                still = trace.alive[name]
                trace.values[node.index] = np.where(still, value, value.dtype.type(0))
            if node.index not in self.kept:
                trace.values[node.index] = None


class _Core:
    """The part of a loop that goes step by step."""

    def __init__(self, whole: LoopRun, carries: Sequence[Any]) -> None:
        self.whole = whole
        self.loop = whole.loop
        self.carries = list(carries)
        self.now = list(whole.trace.values)
        self.core = whole.phases.core
        self.record: dict[int, Any] = {}
        self.todo = [(node.index, self._ready(node)) for node in self.core]
        self.rows = self._slots()
        self.heads = self._tracks()
        self.t = 0

    def run(self) -> list[Any]:
        """Go through the steps; return the last carries."""
        loop, now, whole = self.loop, self.now, self.whole
        ahead = self._seen_ahead()
        followed = [node.index for node in loop.following]
        heads = [node.index for node in loop.carries]
        alive = [np.ones(whole.count, bool)]
        carries = self.carries
        stale: list[Any] = []
        for t in range(whole.length if self._is_needed() else 0):
            self.t = t
            for i, values in ahead:
                now[i] = values[t]
            for i, value in zip(heads, carries, strict=True):
                now[i] = value
            while stale:
                old = stale.pop()
                whole.buffers.give(old)
            stale = carries
            for i, compute in self.todo:
                now[i] = compute()
            carries = [now[i] for i in followed]
            self._note(t, carries)
            if loop.until is not None:
                alive.append(alive[-1] & ~now[loop.until.index])
                if not alive[-1].any():
                    whole.steps = t + 1
                    break
        self._hand_over(alive)
        # What computes the nodes knows this object, which would wait for the collector.
        self.todo.clear()
        return carries

    def _is_needed(self) -> bool:
        return bool(self.core or self.loop.carries or self.loop.until is not None)

    def _ready(self, node: Node) -> Callable[[], Any]:
        """Bind what computes a node at the step at hand."""
        now, whole = self.now, self.whole
        count = whole.count
        step = whole.plan.compute.get(node.index)
        if step is not None:
            if count * _bytes_a_row(node) < SMALL:
                return lambda: step(now, count, whole)
            return partial(self._computed_anew, node.index, step)
        sources, role = [p.index for p in node.inputs], node.role
        if isinstance(role, Draw):
            draw = whole.draws.by_step(node, whole.length, count)
            return lambda: draw([now[i] for i in sources], self.t)
        source = sources[0]
        if isinstance(role, Component):
            position = role.position
            return lambda: now[source][position]
        if isinstance(role, EnvironmentStep):
            return lambda: step_environment(
                whole.trace, whole.part, node, role, now[source]
            )
        return lambda: _number(node, now[source], count)

    def _computed_anew(self, index: int, step: Computing) -> Any:
        """Compute a large value; its array of the step before can be used again."""
        old, self.now[index] = self.now[index], None
        if old is not None:
            self.whole.buffers.give(old)
        return step(self.now, self.whole.count, self.whole)

    def _seen_ahead(self) -> list[tuple[int, Any]]:
        """Return the values with a time axis that the core reads."""
        read = {p.index for node in self.core for p in node.inputs}
        ends = [
            *self.loop.following,
            *([] if self.loop.until is None else [self.loop.until]),
        ]
        read.update(node.index for node in ends)
        moving = {node.index for node in (*self.core, *self.loop.carries)}
        return [
            (node.index, self.whole.trace.values[node.index])
            for node in self.whole.body
            if node.index in read - moving
        ]

    def _slots(self) -> list[tuple[int, Any]]:
        """Make the arrays that what is recorded of the core goes into."""
        whole, followed = self.whole, {n.index for n in self.loop.following}
        after = {p.index for node in whole.phases.after for p in node.inputs}
        found = []
        for node in self.core:
            if node.index not in whole.kept | after:
                continue
            if node.index in followed and _is_dense(node):
                continue
            if _is_dense(node):
                shape = (whole.length, whole.count, *node.event_shape)
                self.record[node.index] = whole.buffers.take(shape, node.dtype)
            else:
                self.record[node.index] = []
            found.append((node.index, self.record[node.index]))
        return found

    def _tracks(self) -> list[tuple[int, Any]]:
        """Make an array for each carry, from its first value to its last."""
        whole, found = self.whole, []
        pairs = zip(self.loop.carries, self.loop.following, self.carries, strict=True)
        seen = whole.kept | {p.index for n in whole.phases.after for p in n.inputs}
        for k, (head, after, first) in enumerate(pairs):
            if not {head.index, after.index} & seen:
                continue
            if not _is_dense(head) or not _is_dense(after):
                track: Any = [first]
            else:
                shape = (whole.length + 1, whole.count, *head.event_shape)
                track = whole.buffers.take(shape, head.dtype)
                track[0] = first
            found.append((k, track))
        return found

    def _note(self, t: int, carries: Sequence[Any]) -> None:
        now = self.now
        for i, slots in self.rows:
            if isinstance(slots, list):
                slots.append(now[i])
            else:
                slots[t] = now[i]
        for k, track in self.heads:
            if isinstance(track, list):
                track.append(carries[k])
            else:
                track[t + 1] = carries[k]

    def _hand_over(self, alive: list[Any]) -> None:
        """Put what was recorded into the trace."""
        whole, values, steps = self.whole, self.whole.trace.values, self.whole.steps
        for i, slots in self.record.items():
            values[i] = _stacked(slots)
        core = {node.index for node in self.core}
        for k, track in self.heads:
            head, after = self.loop.carries[k], self.loop.following[k]
            if isinstance(track, list):
                values[head.index] = _stacked(track[:steps])
                continue
            values[head.index] = track[:steps]
            if after.index in core:
                values[after.index] = track[1 : steps + 1]
        if self.loop.until is not None:
            whole.trace.alive[self.loop.name] = np.stack(alive[:steps])
        for i, ends in whole.trace.ends.items():
            if whole.plan.program.nodes[i].loop is self.loop:
                ends.terminated = np.stack(ends.terminated)
                ends.truncated = np.stack(ends.truncated)
        for node in self.core:
            if isinstance(node.role, Draw) and node.index not in whole.plan.draws:
                flat = Flat(values, whole.body, steps)
                inputs = [flat[p.index] for p in node.inputs]
                node.role.at(inputs).validate(node.name)


def step_environment(
    trace: Trace, part: int, node: Node, role: EnvironmentStep, action: Any
) -> tuple[Any, ...]:
    """Step an environment, and note where its episodes ended."""
    outcome = role.environment.parts[part].advance(action)
    ends = trace.ends.setdefault(node.index, Ends([], [], []))
    ends.terminated.append(outcome.terminated)
    ends.truncated.append(outcome.truncated)
    if outcome.final is not None:
        ends.finals.append((len(ends.terminated) - 1, *outcome.final))
    specs = node.spec.parts
    assert specs is not None
    reward = outcome.reward.astype(specs[1].dtype)
    return outcome.observation, reward, outcome.terminated, outcome.truncated


def _unfolded(value: Any, steps: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_unfolded(part, steps) for part in value)
    return value.reshape(steps, -1, *value.shape[1:])


def _step_by_step(phases: Phases, body: Sequence[Node]) -> Phases:
    later = {n.index for n in (*phases.core, *phases.after)}
    return Phases(phases.before, tuple(n for n in body if n.index in later), ())


def _number(node: Node, value: Any, count: int) -> Any:
    """Return one number a row; a term of params alone is repeated."""
    if node.inputs[0].has_rows:
        return value
    return np.broadcast_to(value, (count,))


def _same_each_step(value: Any, steps: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_same_each_step(part, steps) for part in value)
    if not isinstance(value, np.ndarray):
        return [value] * steps
    return np.broadcast_to(value, (steps, *value.shape))


def _bytes_a_row(node: Node) -> int:
    return prod(node.event_shape) * node.dtype.itemsize


def _is_dense(node: Node) -> bool:
    return node.spec.parts is None and not node.spec.sparse


def _so_far(value: Any, steps: int) -> Any:
    if isinstance(value, tuple):
        return tuple(part[:steps] for part in value)
    return value if value is None else value[:steps]


def _stacked(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if isinstance(value[0], tuple | list):
        return tuple(np.stack(part) for part in zip(*value, strict=True))
    if isinstance(value[0], np.ndarray):
        return np.stack(value)
    return value
