"""One run of a time loop, span by span; the whole loop is one, where all is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scg.buffers import Buffers
from scg.draws import Draws
from scg.entries import check_given_steps
from scg.node import Loop, Node
from scg.phases import Phases
from scg.plan import Plan
from scg.roles import Cost, EnvironmentStep
from scg.span_run import OneStep, Outcomes, SpanRun
from scg.trace import Ends, Trace
from scg.views import of_span, some, spans

__all__ = ["LoopRun", "run_again", "step_environment"]


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
        self.plan = plan
        self.trace = trace
        self.draws = draws
        self.buffers = buffers
        self.loop = loop
        self.count = count
        self.part = part
        self.body = plan.program.bodies[loop.name]
        self.again = None if lean else plan.again.get(loop.name)
        phases = plan.forward[loop.name]
        self.phases = _step_by_step(phases, self.body) if lean else phases
        kept = plan.program.observed if lean else plan.recorded
        kept = kept if self.again is None else self.again.kept
        self.kept = kept.intersection(n.index for n in self.body)
        heads = (*loop.slices, *loop.captured.values())
        self.made = self.kept.difference(n.index for n in heads)
        assert loop.length is not None
        self.length = loop.length
        self.record = _Record(self.length, buffers)
        self.alive = [] if loop.until is None else [np.ones(count, bool)]

    def all(self, starts: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Run the loop on what enters it; return last carries and stacked outputs."""
        loop, values = self.loop, self.trace.values
        split = len(loop.carries)
        self._enter(starts[split:])
        carries, steps = list(starts[:split]), 0
        for span in spans(loop, self.length):
            carries, steps = self._through(span, carries)
            if self.alive and not self.alive[-1].any():
                break
        self._finish(carries, steps)
        return carries, [np.moveaxis(values[n.index], 0, 1) for n in loop.outputs]

    def _enter(self, starts: Sequence[Any]) -> None:
        """Give scanned and captured values their time axis, as views."""
        whole, loop = self.record.whole, self.loop
        split = len(loop.slices)
        for head, value in zip(loop.slices, starts[:split], strict=True):
            whole[head.index] = np.moveaxis(value, 1, 0)
        for head, value in zip(loop.captured.values(), starts[split:], strict=True):
            whole[head.index] = _same_each_step(value, self.length)
        for i, value in whole.items():
            self.trace.values[i] = value

    def _through(self, span: range, carries: list[Any]) -> tuple[list[Any], int]:
        """Go through a span, and keep what is kept; return the carries after it."""
        if self.again is not None:
            starts = self.trace.carries.setdefault(self.loop.name, [])
            starts.append([carries[k] for k in self.again.carried])
        this = self._span(span)
        after = this.all(carries, self.alive.pop() if self.alive else None)
        self.alive += this.alive
        for i in self.made:
            self.record.add(i, this.values[i], span.start)
        if self.loop.keep_every is not None:
            self.buffers.sweep()
        return after, this.span.stop

    def _span(self, span: range) -> SpanRun:
        return SpanRun(
            self.plan,
            self.loop,
            self.phases,
            carried=range(len(self.loop.carries)),
            kept=self.kept,
            values=of_span(self.trace.values, self.body, span),
            span=span,
            count=self.count,
            buffers=self.buffers,
            outcomes=Outcomes(self.draws.all_steps, self._by_step),
        )

    def _by_step(self, node: Node, span: range, count: int) -> OneStep:
        """Return what draws a sample, or steps an environment."""
        role = node.role
        if not isinstance(role, EnvironmentStep):
            return self.draws.by_step(node, span, count)
        return lambda inputs, t: step_environment(
            self.trace, self.part, node, role, inputs[0]
        )

    def _finish(self, carries: list[Any], steps: int) -> None:
        trace, name = self.trace, self.loop.name
        check_given_steps(self.draws.given, self.body, steps)
        trace.steps[name] = steps
        trace.last_carries[name] = carries
        if self.loop.until is not None:
            trace.alive[name] = np.stack(self.alive[:steps])
        for node in self.body:
            trace.values[node.index] = None
            if node.index not in self.kept:
                continue
            value = some(self.record.whole[node.index], range(steps))
            if isinstance(node.role, Cost) and name in trace.alive:
                value = np.where(trace.alive[name], value, value.dtype.type(0))
            trace.values[node.index] = value
        if steps < self.length:
            self._cut(steps)
        for i, ends in trace.ends.items():
            if self.plan.program.nodes[i].loop is self.loop:
                ends.terminated = np.stack(ends.terminated)
                ends.truncated = np.stack(ends.truncated)

    def _cut(self, steps: int) -> None:
        """Drop what was drawn ahead for steps that the loop did not come to."""
        trace = self.trace
        for node in self.body:
            trace.shared.pop(node.index, None)
            if node.index in trace.noise:
                del trace.noise[node.index][steps:]


def run_again(plan: Plan, trace: Trace, loop: Loop, span: range) -> list[Any]:
    """Compute what a loop's reverse pass reads of one span again; nothing is drawn.

    Returns
    -------
    list
        The values by place, those of the body at the span's steps alone.
    """
    again, program = plan.again[loop.name], plan.program
    this = SpanRun(
        plan,
        loop,
        again.phases,
        carried=again.carried,
        kept=again.reads,
        values=of_span(trace.values, program.bodies[loop.name], span),
        span=span,
        count=trace.layout.count(program.plates[program.scans[loop.name].index]),
        buffers=plan.buffers,
    )
    assert loop.keep_every is not None
    this.all(trace.carries[loop.name][span.start // loop.keep_every])
    return this.values


class _Record:
    """What is kept of a loop's values, by place, as one span comes after the other."""

    def __init__(self, length: int, buffers: Buffers) -> None:
        self.length = length
        self.buffers = buffers
        self.whole: dict[int, Any] = {}

    def add(self, index: int, value: Any, start: int) -> None:
        """Add the values of the steps from `start` on."""
        self.whole[index] = self._with(self.whole.get(index), value, start)

    def _with(self, whole: Any, value: Any, start: int) -> Any:
        if isinstance(value, tuple):
            parts = whole or (None,) * len(value)
            pairs = zip(parts, value, strict=True)
            return tuple(self._with(a, b, start) for a, b in pairs)
        if whole is None and (isinstance(value, list) or len(value) == self.length):
            return value
        if isinstance(value, list):
            whole.extend(value)
            return whole
        if whole is None:
            whole = self.buffers.take((self.length, *value.shape[1:]), value.dtype)
        whole[start : start + len(value)] = value
        return whole


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


def _step_by_step(phases: Phases, body: Sequence[Node]) -> Phases:
    later = {n.index for n in (*phases.core, *phases.after)}
    return Phases(phases.before, tuple(n for n in body if n.index in later), ())


def _same_each_step(value: Any, steps: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_same_each_step(part, steps) for part in value)
    if not isinstance(value, np.ndarray):
        return [value] * steps
    return np.broadcast_to(value, (steps, *value.shape))
