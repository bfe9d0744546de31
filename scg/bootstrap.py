"""Advantages that take up, where the sampled costs stop, what a value node expects.

The costs stop at the loop's end and where an episode was truncated. There the value
node is evaluated on the carry that the next step would have begun with; in place of
the observation that starts the next episode stands the last one of the truncated one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scg.errors import EstimatorError
from scg.extras import require
from scg.finals import above, anew, observations
from scg.node import Loop, Node
from scg.program import Program
from scg.roles import Call, Captured, Component, Cost, Value
from scg.trace import Trace

__all__ = ["values_ahead"]


def values_ahead(
    program: Program,
    trace: Trace,
    node: Node,
    value: Node,
    keep: Any,
    boundary: str | None,
) -> Any:
    """Return the value of a sample's value node a step later, shape (time, rows).

    `keep` is 0 where credit ends after a step, at `boundary`; None where nothing does.
    """
    loop = value.loop
    assert loop is not None
    _refuse_memories(program, node, loop, value)
    v = trace.values[value.index]
    ahead = np.concatenate([v[1:], _at_the_end(program, trace, loop, value)[None]])
    if keep is not None:
        ahead *= keep
        steps, rows = _truncated(program, trace, value, boundary)
        if len(steps):
            ahead[steps, rows] = _at_finals(program, trace, loop, value, (steps, rows))
    return ahead


def _refuse_memories(program: Program, node: Node, loop: Loop, value: Node) -> None:
    """Raise where a truncated episode would need versions of its own, row by row."""
    read = [i for i in sorted(above(value)) if program.nodes[i].spec.memory]
    if read and observations(program.bodies[loop.name]):
        msg = (
            f"node {node.name!r}: GAE expected a value node that it can evaluate after "
            f"a truncated episode, got {value.name!r}, which reads the memory "
            f"{program.nodes[read[0]].name!r} in the step. Let it read a carry that "
            "holds what was read, or use LearnedBaseline."
        )
        raise EstimatorError(msg)


def _truncated(
    program: Program, trace: Trace, value: Node, boundary: str | None
) -> tuple[Any, Any]:
    """Return the steps and rows where a truncation alone ended credit."""
    loop = value.loop
    ends = [e for i, e in trace.ends.items() if program.nodes[i].loop is loop]
    if loop is None or not ends:
        return (), ()
    cut = np.any([e.truncated for e in ends], axis=0)
    cut &= ~np.any([e.terminated for e in ends], axis=0)
    if boundary not in {None, "episode"}:
        cut &= ~trace[boundary or ""].astype(bool)
    if loop.until is not None:  # a row that stops is not cut off
        cut &= ~trace.values[loop.until.index] & trace.still(value)
    steps, rows = np.nonzero(cut)
    return steps, rows


def _at_the_end(program: Program, trace: Trace, loop: Loop, value: Node) -> Any:
    """Evaluate a value node on the loop's last carry."""
    heads = (n.index for n in loop.carries)
    last = dict(zip(heads, trace.last_carries[loop.name], strict=True))
    count = trace.layout.count(program.plates[value.index])
    after = _Evaluation(program, trace, slice(None), count, value)
    return after.of(value, lambda node: last.get(node.index))


def _at_finals(
    program: Program, trace: Trace, loop: Loop, value: Node, where: tuple[Any, Any]
) -> Any:
    """Evaluate a value node after the truncated steps, all in one batch."""
    body = program.bodies[loop.name]
    changed = anew(program.influence, body)
    last_seen = {
        observation: _last_seen(trace, step, observation, where)
        for step, observation in observations(body).items()
    }
    heads = (n.index for n in loop.carries)
    following = dict(zip(heads, loop.following, strict=True))
    before = _Evaluation(program, trace, where[1], len(where[1]), value)
    after = _Evaluation(program, trace, where[1], len(where[1]), value)

    def recorded(node: Node) -> Any:
        if node.index in changed:
            return last_seen.get(node.index)
        got = trace.values[node.index]
        return None if got is None else _cells(got, *where)

    def carried(node: Node) -> Any:
        source = following.get(node.index)
        return None if source is None else before.of(source, recorded)

    return after.of(value, carried)


def _last_seen(trace: Trace, step: int, node: int, where: tuple[Any, Any]) -> Any:
    """Return what an environment showed last, before any reset."""
    times, rows = where
    at = {(t, r): k for k, (t, r) in enumerate(zip(times, rows, strict=True))}
    seen = trace.values[node]
    shown: Any = None if seen is None else _cells(seen, times, rows).copy()
    for t, ended, finals in trace.ends[step].finals:
        for row, final in zip(ended, finals, strict=True):
            if (t, row) in at:
                if shown is None:
                    shown = np.empty((len(times), *np.shape(final)), finals.dtype)
                shown[at[t, row]] = final
    return shown


@dataclass(slots=True)
class _Evaluation:
    """Nodes of a loop's body evaluated anew on some rows."""

    program: Program
    trace: Trace
    rows: Any
    count: int
    value: Node
    known: dict[int, Any] = field(default_factory=dict)

    def of(self, node: Node, find: Callable[[Node], Any]) -> Any:
        """Return a node's value; `find` gives those known beforehand, else None."""
        todo: dict[int, Node] = {}
        stack = [node]
        while stack:
            n = stack.pop()
            if n.index in self.known or n.index in todo:
                continue
            got = self.trace.values[n.index] if n.loop is None else find(n)
            if got is not None:
                self.known[n.index] = got
                continue
            todo[n.index] = n
            stack.extend(n.inputs)
        for _, n in sorted(todo.items()):
            self.known[n.index] = self._computed(n)
        return self.known[node.index]

    def _computed(self, node: Node) -> Any:
        role = node.role
        if isinstance(role, Captured):
            return self._captured(node)
        inputs = [self.known[p.index] for p in node.inputs]
        if isinstance(role, Call):
            return role.operation(inputs, self.count)
        if isinstance(role, Component) and inputs[0] is not None:
            return inputs[0][role.position]
        if isinstance(role, Cost | Value):
            return np.broadcast_to(inputs[0], (self.count,))
        msg = (
            f"value {self.value.name!r}: expected a function of the step's carry, "
            "which a critic can evaluate after the last step or a truncated one, got "
            "one "
            f"that needs the {node.kind} node {node.name!r}. Let it read carries "
            "alone, or use LearnedBaseline, which ends credit there."
        )
        raise EstimatorError(msg)

    def _captured(self, node: Node) -> Any:
        assert node.loop is not None
        (outer,) = (i for i, n in node.loop.captured.items() if n.index == node.index)
        plates = self.program.plates
        value = self.trace.values[outer]
        return self.trace.layout.align(value, plates[outer], plates[node.index])[
            self.rows
        ]


def _cells(value: Any, times: Any, rows: Any) -> Any:
    """Pick steps and rows of a recorded value."""
    if isinstance(value, tuple):
        return tuple(part[times, rows] for part in value)
    if isinstance(value, list):  # sparse rows, one array a step
        stack = require("scipy.sparse", extra="atari").vstack
        return stack(
            [value[t][[r]] for t, r in zip(times, rows, strict=True)], format="csr"
        )
    return value[times, rows]
