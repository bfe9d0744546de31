"""Some steps of a loop: what needs the loop goes step by step, the rest at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from scg.buffers import SMALL, Buffers
from scg.errors import note_node
from scg.node import Loop, Node
from scg.phases import Phases
from scg.plan import Plan
from scg.roles import Component, Draw, EnvironmentStep
from scg.steps import Computing
from scg.views import Flat, some, unfolded

__all__ = ["OneStep", "Outcomes", "SpanRun"]

# (inputs, number of the step in its span) -> value
OneStep = Callable[[Sequence[Any], int], Any]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Where the values of samples and environments come from.

    ``at_once(node, inputs, span, rows)`` draws a node for all steps of a span, time
    folded into the rows; ``by_step(node, span, rows)`` returns what makes its value at
    one step after the other.
    """

    at_once: Callable[[Node, Sequence[Any], range, int], Any]
    by_step: Callable[[Node, range, int], OneStep]


class SpanRun:
    """The steps of one span.

    Parameters
    ----------
    plan : Plan
    loop : Loop
    phases : Phases
        What is to be computed.
    carried : sequence of int
        The positions of the carries that go from step to step.
    kept : frozenset of int
        What to record of it.
    values : list
        By place; inside the loop, those known beforehand have a time axis of the span's
        length. What is computed is written into it.
    span : range
    count : int
        The number of rows inside.
    buffers : Buffers
    outcomes : Outcomes, optional
        Where there is something to draw.
    """

    def __init__(  # noqa: PLR0913 - what a loop needs of its run
        self,
        plan: Plan,
        loop: Loop,
        phases: Phases,
        *,
        carried: Sequence[int],
        kept: frozenset[int],
        values: list[Any],
        span: range,
        count: int,
        buffers: Buffers,
        outcomes: Outcomes | None = None,
    ) -> None:
        self.plan = plan
        self.loop = loop
        self.phases = phases
        self.carried = carried
        self.kept = kept
        self.values = values
        self.span = span
        self.count = count
        self.buffers = buffers
        self.outcomes = outcomes
        self.body = plan.program.bodies[loop.name]
        self.alive: list[Any] = []

    def all(self, carries: Sequence[Any], alive: Any = None) -> list[Any]:
        """Go through the steps; return the last carries.

        Where rows can stop, `alive` tells which have not before the first step; then
        ``self.alive`` has it for each step and after the last, and ``self.span`` ends
        where all have stopped.
        """
        self.alive = [] if alive is None else [alive]
        self._at_once(self.phases.before)
        after = _Core(self, carries).run()
        self._cut()
        self._validate()
        self._at_once(self.phases.after)
        return after

    def drawn_by_step(self, node: Node) -> OneStep:
        """Return what makes the value of a sample or an environment's step."""
        assert self.outcomes is not None
        return self.outcomes.by_step(node, self.span, self.count)

    def end(self, steps: int) -> None:
        """Stop before the span's end, after so many steps."""
        self.span = self.span[:steps]

    def _at_once(self, nodes: Sequence[Node]) -> None:
        """Compute nodes for all steps, time folded into the rows."""
        if not nodes:
            return
        flat = Flat(self.values, self.body, self.span)
        for node in nodes:
            try:
                value = self._folded(node, flat)
            except Exception as error:
                note_node(error, node)
                raise
            flat.made[node.index] = value
            self.values[node.index] = unfolded(value, len(self.span))

    def _folded(self, node: Node, flat: Flat) -> Any:
        rows = len(self.span) * self.count
        step = self.plan.compute.get(node.index)
        if step is not None:
            return step(flat, rows, self)
        inputs = [flat[p.index] for p in node.inputs]
        if isinstance(node.role, Draw):
            assert self.outcomes is not None
            return self.outcomes.at_once(node, inputs, self.span, self.count)
        if isinstance(node.role, Component):
            return inputs[0][node.role.position]
        return _number(node, inputs[0], rows)

    def _cut(self) -> None:
        """Keep the steps that were made of what was there for all."""
        made = range(len(self.span))
        for node in self.body:
            self.values[node.index] = some(self.values[node.index], made)

    def _validate(self) -> None:
        """Check the parameters of what was drawn step by step, at the steps made."""
        for node in self.phases.core:
            if isinstance(node.role, Draw) and node.index not in self.plan.draws:
                flat = Flat(self.values, self.body, self.span)
                inputs = [flat[p.index] for p in node.inputs]
                node.role.at(inputs).validate(node.name)


class _Core:
    """The part of a span that goes step by step."""

    def __init__(self, whole: SpanRun, carries: Sequence[Any]) -> None:
        self.whole = whole
        self.loop = whole.loop
        self.carries = list(carries)
        self.heads = [whole.loop.carries[k] for k in whole.carried]
        self.following = [whole.loop.following[k] for k in whole.carried]
        # Whether rows can stop here; not where the steps are known.
        self.until = whole.loop.until if whole.alive else None
        self.now = list(whole.values)
        self.core = whole.phases.core
        self.record = self._slots()
        self.todo = self._bound()
        self.tracks = self._tracks()
        self.t = 0

    def run(self) -> list[Any]:
        """Go through the steps; return the last carries."""
        now, whole, carries = self.now, self.whole, self.carries
        ahead = self._seen_ahead()
        followed = [node.index for node in self.following]
        heads = [node.index for node in self.heads]
        stale: list[Any] = []
        for t in range(len(whole.span) if self._is_needed() else 0):
            self.t = t
            for i, values in ahead:
                now[i] = values[t]
            for i, value in zip(heads, carries, strict=True):
                now[i] = value
            while stale:
                old = stale.pop()
                whole.buffers.give(old)
            stale = carries
            self._compute(now)
            carries = [now[i] for i in followed]
            self._note(t, carries)
            if self.until is not None and self._all_stopped(t):
                break
        self._hand_over()
        # What computes the nodes knows this object, which would wait for the collector.
        self.todo.clear()
        return carries

    def _compute(self, now: list[Any]) -> None:
        """Compute one step; let large values go after their last use."""
        i, buffers = -1, self.whole.buffers
        try:
            for i, compute, record, gone in self.todo:
                now[i] = value = compute()
                if isinstance(record, list):
                    record.append(value)
                elif record is not None:  # at once, while the cache holds it
                    record[self.t] = value
                for j in gone:
                    old, now[j] = now[j], None
                    buffers.give(old)
        except Exception as error:
            note_node(error, next(n for n in self.core if n.index == i))
            raise

    def _is_needed(self) -> bool:
        return bool(self.core or self.heads or self.until is not None)

    def _all_stopped(self, t: int) -> bool:
        """Note which rows have stopped; end with the last."""
        assert self.until is not None
        alive = self.whole.alive
        alive.append(alive[-1] & ~self.now[self.until.index])
        if alive[-1].any():
            return False
        self.whole.end(t + 1)
        return True

    def _bound(self) -> list[tuple[int, Callable[[], Any], Any, Sequence[int]]]:
        """Return, for each node, what computes it, where it goes, and what goes then.

        That is its number, the call, the array or list that it is recorded in, if it
        is, and the values that nobody reads afterwards.
        """
        gone = self._dying()
        return [
            (i, self._ready(node), self.record.get(i), gone.get(i, ()))
            for node in self.core
            for i in (node.index,)
        ]

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
        if isinstance(role, Draw | EnvironmentStep):
            make = whole.drawn_by_step(node)
            return lambda: make([now[i] for i in sources], self.t)
        source = sources[0]
        if isinstance(role, Component):
            position = role.position
            return lambda: now[source][position]
        return lambda: _number(node, now[source], count)

    def _computed_anew(self, index: int, step: Computing) -> Any:
        """Compute a large value; its array of the step before can be used again."""
        old, self.now[index] = self.now[index], None
        if old is not None:
            self.whole.buffers.give(old)
        return step(self.now, self.whole.count, self.whole)

    def _dying(self) -> dict[int, list[int]]:
        """Return, for each node, the large values that it is the last to read.

        Their arrays are the next ones to be written into, while the cache holds them.
        """
        last = {p.index: node.index for node in self.core for p in node.inputs}
        kept = {node.index for node in self.following}
        if self.until is not None:
            kept.add(self.until.index)
        found: dict[int, list[int]] = {}
        for node in self.core:
            i, size = node.index, self.whole.count * _bytes_a_row(node)
            may_go = size >= SMALL and i in self.whole.plan.compute and i not in kept
            if may_go and i in last:
                found.setdefault(last[i], []).append(i)
        return found

    def _seen_ahead(self) -> list[tuple[int, Any]]:
        """Return the values with a time axis that the core reads."""
        read = {p.index for node in self.core for p in node.inputs}
        read.update(node.index for node in self.following)
        if self.until is not None:
            read.add(self.until.index)
        moving = {node.index for node in (*self.core, *self.heads)}
        return [
            (node.index, self.whole.values[node.index])
            for node in self.whole.body
            if node.index in read - moving
        ]

    def _seen(self) -> frozenset[int]:
        """Return what is read of the core when it is over."""
        after = self.whole.phases.after
        return self.whole.kept.union(p.index for node in after for p in node.inputs)

    def _slots(self) -> dict[int, Any]:
        """Make the arrays that what is recorded of the core goes into."""
        whole, followed = self.whole, {n.index for n in self.following}
        seen, found = self._seen(), dict[int, Any]()
        for node in self.core:
            if node.index not in seen:
                continue
            if node.index in followed and _is_dense(node):
                continue
            if _is_dense(node):
                shape = (len(whole.span), whole.count, *node.event_shape)
                found[node.index] = whole.buffers.take(shape, node.dtype)
            else:
                found[node.index] = []
        return found

    def _tracks(self) -> list[tuple[int, Any]]:
        """Make an array for each carry, from its first value to its last."""
        whole, seen, found = self.whole, self._seen(), []
        pairs = zip(self.heads, self.following, self.carries, strict=True)
        for k, (head, after, first) in enumerate(pairs):
            if not {head.index, after.index} & seen:
                continue
            if not _is_dense(head) or not _is_dense(after):
                track: Any = [first]
            else:
                shape = (len(whole.span) + 1, whole.count, *head.event_shape)
                track = whole.buffers.take(shape, head.dtype)
                track[0] = first
            found.append((k, track))
        return found

    def _note(self, t: int, carries: Sequence[Any]) -> None:
        """Record the carries after a step."""
        for k, track in self.tracks:
            if isinstance(track, list):
                track.append(carries[k])
            else:
                track[t + 1] = carries[k]

    def _hand_over(self) -> None:
        """Put what was recorded into the values."""
        values, steps = self.whole.values, len(self.whole.span)
        for i, slots in self.record.items():
            values[i] = _stacked(slots)
        core = {node.index for node in self.core}
        for k, track in self.tracks:
            head, after = self.heads[k], self.following[k]
            if isinstance(track, list):
                values[head.index] = _stacked(track[:steps])
                continue
            values[head.index] = track[:steps]
            if after.index in core:
                values[after.index] = track[1 : steps + 1]


def _number(node: Node, value: Any, count: int) -> Any:
    """Return one number a row; a term of params alone is repeated."""
    if node.inputs[0].has_rows:
        return value
    return np.broadcast_to(value, (count,))


def _bytes_a_row(node: Node) -> int:
    if node.spec.memory:  # nothing is computed anew
        return 0
    return prod(node.event_shape) * node.dtype.itemsize


def _is_dense(node: Node) -> bool:
    spec = node.spec
    return spec.parts is None and not spec.sparse and not spec.memory


def _stacked(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if isinstance(value[0], tuple | list):
        return tuple(np.stack(part) for part in zip(*value, strict=True))
    if isinstance(value[0], np.ndarray):
        return np.stack(value)
    return value
