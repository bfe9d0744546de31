"""A recorded run as a function of the params that autograd can trace.

Samples, environments, black boxes and data keep their recorded values, the noise of
pathwise samples too. What gradient flows through is computed again, with autograd's
boxes in place of arrays, so that it can be differentiated any number of times.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import autograd.numpy as anp
import numpy as np

from scg.errors import InputError, unknown_name
from scg.forward import restore
from scg.influence import Edge
from scg.node import Loop, Node, Scan
from scg.program import Program
from scg.roles import Call, Component, Draw, Param, ScanOutput
from scg.trace import Trace
from scg.traceable import traceable
from scg.views import Flat, Step

__all__ = ["Live"]

Values = MutableMapping[int, Any]


class Live:
    """Values of one recorded run under some params.

    Parameters
    ----------
    program : Program
    trace : Trace
    params : mapping of str to array
        May hold autograd's boxes.

    Raises
    ------
    InputError
        When the params are not those of the graph.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=2 * theta))
    >>> loss = graph.cost("loss", b * theta)
    >>> compiled = scg.compile(graph)
    >>> trace = compiled.forward(
    ...     {"theta": 0.0}, rng=np.random.default_rng(0), rows=1, given={"b": [1.0]})
    >>> live = Live(compiled.program, trace, {"theta": np.array(3.0)})
    >>> float(live.value(loss)[0]), live.log_prob(b).round(4).tolist()
    (3.0, [-0.0025])
    """

    def __init__(
        self, program: Program, trace: Trace, params: Mapping[str, Any]
    ) -> None:
        restore(program, trace)
        self.program = program
        self.trace = trace
        self.params = params
        self.needed = _needed(program)
        self.values: Values = {}
        _check_params(program, params)
        for node in program.outer:
            if isinstance(node.role, Scan):
                self._scan(node, node.role.loop)
            elif node.index in self.needed and not isinstance(node.role, ScanOutput):
                self.values[node.index] = self._compute(
                    node, trace.values, self.values, self._noise(node)
                )

    def value(self, node: Node) -> Any:
        """Return a cost, or another needed node: (rows, ...) or (time, rows, ...)."""
        found = self.values.get(node.index)
        return self.trace.values[node.index] if found is None else found

    def log_prob(self, node: Node) -> Any:
        """Return the log-density of a draw: (rows,), in a loop (time, rows)."""
        role = node.role
        assert isinstance(role, Draw)
        inputs = [
            self._parameter(node, slot, parent)
            for slot, parent in enumerate(node.inputs)
        ]
        drawn = self.trace.values[node.index]
        lead = drawn.shape[: 1 if node.loop is None else 2]
        each = role.at(inputs).log_prob(drawn if node.loop is None else _fold(drawn))
        return anp.sum(anp.reshape(each, (*lead, -1)), axis=-1)

    def _parameter(self, node: Node, slot: int, parent: Node) -> Any:
        value = self._input(node, slot, self.trace.values, self.values)
        return value if parent.loop is None else _fold(value)

    def _input(self, node: Node, slot: int, recorded: Any, live: Values) -> Any:
        """Return an input of a node: live where gradient passes, else as recorded."""
        parent = node.inputs[slot]
        passes = self.program.flow.passes(Edge(parent.index, node.index, 0, slot))
        drawn = isinstance(node.role, Draw)
        value = live.get(parent.index) if passes or drawn else None
        if value is None:
            value = recorded[parent.index]
        if not parent.has_rows or parent.loop is not None or node.loop is not None:
            return value
        have, want = self.program.plates[parent.index], self.program.meeting(node)
        return self.trace.layout.align(value, have, want)

    def _compute(self, node: Node, recorded: Any, live: Values, noise: Any) -> Any:
        role = node.role
        if isinstance(role, Param):
            return _leaf(node, self.params[node.name])
        inputs = [
            self._input(node, slot, recorded, live) for slot in range(len(node.inputs))
        ]
        if isinstance(role, Call):
            rows = self._rows(node, recorded) if node.has_rows else None
            args, kwargs = role.operation.arguments(inputs, rows)
            return traceable(role.operation)(*args, **kwargs)
        if isinstance(role, Component):
            return inputs[0][role.position]
        if isinstance(role, Draw):
            estimator: Any = self.program.estimators[node.index]
            return estimator.redraw(role.at(inputs), noise)
        if node.has_rows and not node.inputs[0].has_rows:
            return inputs[0] + np.zeros(self._rows(node, recorded), node.dtype)
        return inputs[0]

    def _rows(self, node: Node, recorded: Any) -> int:
        """Return how many rows a node has, with time folded into them if it is."""
        count = self.trace.layout.count(self.program.plates[node.index])
        return count * len(recorded.span) if isinstance(recorded, Flat) else count

    def _noise(self, node: Node) -> Any:
        return self.trace.noise.get(node.index)

    def _scan(self, scan: Node, loop: Loop) -> None:
        body = [n for n in self.program.bodies[loop.name] if n.index in self.needed]
        if not body:
            return
        heads = {
            head.index: self._head(scan, outer)
            for head, outer in zip(_heads(loop), scan.inputs, strict=True)
            if head.index in self.needed and outer.index in self.values
        }
        if self.program.recurrent(loop, self.needed):
            self._through_time(loop, body, heads)
        else:
            self._at_once(loop, body, heads)
        self._outputs(scan, loop)

    def _head(self, scan: Node, outer: Node) -> Any:
        """Return what enters a loop, on its rows."""
        value, want = self.values[outer.index], self.program.plates[scan.index]
        layout = self.trace.layout
        if outer.has_rows:
            return layout.align(value, self.program.plates[outer.index], want)
        return value + np.zeros((layout.count(want), *outer.event_shape), outer.dtype)

    def _at_once(self, loop: Loop, body: list[Node], heads: Mapping[int, Any]) -> None:
        """Compute a body whose steps do not pass gradient on, time in the rows."""
        steps = self.trace.steps[loop.name]
        whole = self.program.bodies[loop.name]
        recorded = Flat(self.trace.values, whole, range(steps))
        live: Values = ChainMap({}, self.values)
        for node in body:
            if node.index in heads:
                live[node.index] = _spread(
                    loop, node, heads[node.index], recorded[node.index], steps
                )
            elif node.inputs:
                noise = recorded.noise(self.trace, node) if _is_drawn(node) else None
                live[node.index] = self._compute(node, recorded, live, noise)
        for node in self._wanted(loop, body):
            flat = live[node.index]
            shape = (steps, -1, *node.event_shape)
            self.values[node.index] = anp.reshape(flat, shape)

    def _through_time(
        self, loop: Loop, body: list[Node], heads: Mapping[int, Any]
    ) -> None:
        """Compute a body step after step."""
        kept: dict[int, list[Any]] = {n.index: [] for n in self._wanted(loop, body)}
        now = dict(heads)
        for t in range(self.trace.steps[loop.name]):
            recorded = Step(self.trace.values, self.program.bodies[loop.name], t)
            live = self._step(loop, body, recorded, now)
            for i, values in kept.items():
                found = live.get(i)
                values.append(recorded[i] if found is None else found)
            now = {i: v for i, v in heads.items() if i not in _carried(loop)}
            for head, after in zip(loop.carries, loop.following, strict=True):
                if head.index in self.needed and live.get(after.index) is not None:
                    now[head.index] = live[after.index]
        for i, values in kept.items():
            is_memory = self.program.nodes[i].spec.memory
            self.values[i] = values if is_memory else anp.stack(values)

    def _step(
        self, loop: Loop, body: list[Node], recorded: Step, heads: Mapping[int, Any]
    ) -> Values:
        slices = {node.index for node in loop.slices}
        live: Values = ChainMap({}, self.values)
        for i, value in heads.items():
            live[i] = value[:, recorded.t] if i in slices else value
        for node in body:
            if node.inputs:
                noise = recorded.noise(self.trace, node) if _is_drawn(node) else None
                live[node.index] = self._compute(node, recorded, live, noise)
        return live

    def _wanted(self, loop: Loop, body: Iterable[Node]) -> list[Node]:
        """Return the nodes of a body that something outside of it reads."""
        read = {n.index for n in (*loop.outputs, *loop.following)}
        for i in self.program.scored:
            read |= {p.index for p in self.program.nodes[i].inputs}
        read |= {cost.index for cost in self.program.costs}
        return [node for node in body if node.index in read]

    def _outputs(self, scan: Node, loop: Loop) -> None:
        for node in self.program.outer:
            role = node.role
            if not isinstance(role, ScanOutput) or node.inputs[0] is not scan:
                continue
            source = (loop.outputs if role.stacked else loop.following)[role.position]
            if node.index in self.needed and source.index in self.values:
                value = self.values[source.index]
                self.values[node.index] = (
                    anp.moveaxis(value, 0, 1) if role.stacked else value[-1]
                )


def _needed(program: Program) -> frozenset[int]:
    """Return the nodes through which gradient reaches a cost or a draw's density."""
    seeds = {cost.index for cost in program.costs}
    for i in program.scored:
        seeds |= {parent.index for parent in program.nodes[i].inputs}
    return program.flow.behind(seeds)


def _check_params(program: Program, params: Mapping[str, Any]) -> None:
    names = [node.name for node in program.params]
    for name in params:
        if name not in names:
            raise unknown_name("param", name, names)  # noqa: EM101
    missing = [name for name in names if name not in params]
    if missing:
        msg = f"expected the params {names}, got no {missing}."
        raise InputError(msg)


def _leaf(node: Node, value: Any) -> Any:
    if anp.shape(value) != node.event_shape:
        msg = (
            f"param {node.name!r}: expected shape {node.event_shape}, got "
            f"{anp.shape(value)}."
        )
        raise InputError(msg)
    return anp.array(value, node.dtype)


def _spread(loop: Loop, head: Node, value: Any, recorded: Any, steps: int) -> Any:
    """Give what enters a loop a row for each step and row, time outermost."""
    if head.index in {n.index for n in loop.slices}:
        return _fold(anp.moveaxis(value, 1, 0)[:steps])
    if head.index in _carried(loop):
        return anp.concatenate([value, recorded[len(value) :]])
    return value[np.tile(np.arange(len(value)), steps)]


def _carried(loop: Loop) -> frozenset[int]:
    return frozenset(n.index for n in loop.carries)


def _heads(loop: Loop) -> list[Node]:
    return [*loop.carries, *loop.slices, *loop.captured.values()]


def _is_drawn(node: Node) -> bool:
    return isinstance(node.role, Draw)


def _fold(value: Any) -> Any:
    return anp.reshape(value, (-1, *anp.shape(value)[2:]))
