"""One ancestral pass: draws, functions, environments and loops on plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

from scg.buffers import SMALL, Buffers
from scg.draws import Draws, refusal
from scg.entries import check_given, check_names, leaf_check, row_count
from scg.errors import note_node
from scg.loop_run import LoopRun, step_environment
from scg.node import Node, Scan
from scg.plan import Plan, Repeat, plan_of
from scg.plates import SAMPLES, Layout
from scg.program import Program
from scg.roles import (
    Component,
    Constant,
    Cost,
    Draw,
    EnvironmentReset,
    EnvironmentStep,
    Input,
    Param,
    Role,
    ScanOutput,
    Value,
)
from scg.steps import computing
from scg.trace import Trace

__all__ = ["restore", "run_part"]

Arrays = Mapping[str, Any]


def run_part(  # noqa: PLR0913 - what a run depends on, by keyword
    program: Program,
    params: Arrays,
    inputs: Arrays | None,
    *,
    rng: np.random.Generator,
    rows: int | None = None,
    samples: int = 1,
    given: Arrays | None = None,
    lean: bool = False,
    part: int = 0,
) -> Trace:
    """Run a program on one part of its environments, and record it."""
    plan = plan_of(program)
    inputs, given = inputs or {}, given or {}
    check_names("param", params, plan.param_names)
    check_names("input", inputs, plan.input_names)
    if given:
        check_given(program, given)
    count = row_count(program, inputs, rows, samples, part)
    layout = Layout(count, {SAMPLES: int(samples), **program.branching}, program.plates)
    layout.weights[SAMPLES] = 1.0 / samples
    trace = Trace(program.nodes, [None] * plan.size, layout, program.names)
    plan.buffers.sweep()
    draws = Draws(plan, trace, int(rng.integers(2**63)), given, plan.buffers)
    leaves = {**params, **inputs}
    _Run(plan, trace, draws, leaves, part=part, lean=lean).all()
    draws.close()
    return trace


class _Run:
    """The state of one pass."""

    __slots__ = (
        "buffers",
        "draws",
        "layout",
        "lean",
        "leaves",
        "part",
        "plan",
        "trace",
    )

    def __init__(
        self,
        plan: Plan,
        trace: Trace,
        draws: Draws,
        leaves: Arrays,
        *,
        part: int,
        lean: bool,
    ) -> None:
        self.plan = plan
        self.trace = trace
        self.layout = trace.layout
        self.draws = draws
        self.leaves = leaves
        self.part = part
        self.lean = lean
        self.buffers: Buffers = draws.buffers

    def all(self) -> None:
        """Fill the places outside of loops in order; loops fill theirs."""
        plan, values, count = self.plan, self.trace.values, self.layout.count
        if plan.fills is None:
            plan.fills = [(place, _fill(plan, node)) for place, node in plan.order]
        counts = [count(plates) for plates in plan.kinds]
        dying = plan.dying
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            for (place, fill), kind in zip(plan.fills, plan.kind, strict=True):
                try:
                    values[place] = fill(values, counts[kind], self)
                except Exception as error:
                    note_node(error, dict(plan.order)[place])
                    raise
                if place in dying:
                    self._release(dying[place])

    def _release(self, places: tuple[int, ...]) -> None:
        """Leave the arrays of large values that have been read for the last time."""
        values = self.trace.values
        for place in places:
            if type(values[place]) is np.ndarray and values[place].nbytes >= SMALL:
                value, values[place] = values[place], None
                self.buffers.give(value)


def restore(program: Program, trace: Trace) -> None:
    """Compute again what has left its array to another value, outside of loops."""
    plan, values = plan_of(program), trace.values
    gone = {place for places in plan.dying.values() for place in places}
    if not any(i < len(values) and values[i] is None for i in gone):
        return
    run = _Again(trace.layout, plan.buffers)
    every: list[Any] = values + [None] * (plan.size - len(values))
    for place, node in plan.order:
        if place not in gone or every[place] is not None:
            continue
        if isinstance(node, Repeat):
            every[place] = _fill(plan, node)(every, 0, run)
            continue
        specs = [parent.spec for parent in node.inputs]
        role: Any = node.role
        step = computing(role.operation, plan.sources[place], node.spec, specs)
        count = trace.layout.count(program.plates[place])
        every[place] = step(every, count, run)
    values[:] = every[: len(values)]


class _Again(NamedTuple):
    """As much of a run as computing a value again needs."""

    layout: Layout
    buffers: Buffers


Fill = Callable[[list[Any], int, Any], Any]


def _fill(plan: Plan, node: Node | Repeat) -> Fill:
    """Return what computes the value of one place; bound once for all runs."""
    if isinstance(node, Repeat):
        source, have, want = node.source, node.have, node.want
        return lambda values, count, run: run.layout.align(
            values[source], have, want, run.buffers
        )
    step = plan.compute.get(node.index)
    return step or _BY_ROLE[type(node.role)](plan, node, node.role)


def _leaf(_: Plan, node: Node, __: Param | Input) -> Fill:
    name, check = node.name, leaf_check(node)
    return lambda values, count, run: check(run.leaves[name])


def _same(plan: Plan, node: Node, _: Role) -> Fill:
    (source,) = plan.sources[node.index]
    return lambda values, count, run: values[source]


def _part(plan: Plan, node: Node, role: Component) -> Fill:
    (source,), position = plan.sources[node.index], role.position
    return lambda values, count, run: values[source][position]


def _draw(plan: Plan, node: Node, _: Draw) -> Fill:
    sources, start = plan.sources[node.index], plan.block.get(node.index)
    if start is not None:
        return _draw_from_block(plan, node, start)
    return lambda values, count, run: run.draws.once(
        node, [values[i] for i in sources], count
    )


def _draw_from_block(plan: Plan, node: Node, start: int) -> Fill:
    """Draw by a kernel, with numbers from the block that begin at place `start`."""
    (source,), kernel = plan.sources[node.index], plan.draws[node.index]
    name, index, event = node.name, node.index, node.event_shape
    end = start + prod(event)

    def fill(values: list[Any], count: int, run: _Run) -> Any:
        parameter, draws = values[source], run.draws
        if name in draws.given:
            return draws.once(node, [parameter], count)
        noise = draws.block[start * count : end * count]
        if event:
            noise = noise.reshape(count, *event)
        drawn = kernel.draw(parameter, noise, run.buffers)
        if drawn is None:
            raise refusal(node, [parameter])
        value, run.trace.shared[index] = drawn
        return value

    return fill


def _waiting(_: Plan, __: Node, role: EnvironmentReset) -> Fill:
    return lambda values, count, run: role.environment.parts[run.part].current()


def _environment(plan: Plan, node: Node, role: EnvironmentStep) -> Fill:
    (source,) = plan.sources[node.index]
    return lambda values, count, run: step_environment(
        run.trace, run.part, node, role, values[source]
    )


def _scan(plan: Plan, node: Node, role: Scan) -> Fill:
    plates = plan.program.plates

    def head(outer: Node, values: list[Any], count: int, run: _Run) -> Any:
        value = values[outer.index]
        if outer.has_rows:
            return run.layout.align(value, plates[outer.index], plates[node.index])
        return np.broadcast_to(value, (count, *np.shape(value)))

    def fill(values: list[Any], count: int, run: _Run) -> Any:
        this = LoopRun(
            plan,
            run.trace,
            run.draws,
            run.buffers,
            role.loop,
            count=count,
            part=run.part,
            lean=run.lean,
        )
        return this.all([head(p, values, count, run) for p in node.inputs])

    return fill


def _output(plan: Plan, node: Node, role: ScanOutput) -> Fill:
    (source,), stacked, position = plan.sources[node.index], role.stacked, role.position
    return lambda values, count, run: values[source][stacked][position]


_BY_ROLE: Mapping[type[Role], Callable[[Plan, Node, Any], Fill]] = {
    Component: _part,
    Constant: lambda plan, node, role: lambda values, count, run: role.value,
    Cost: _same,
    Draw: _draw,
    EnvironmentReset: _waiting,
    EnvironmentStep: _environment,
    Input: _leaf,
    Param: _leaf,
    Scan: _scan,
    ScanOutput: _output,
    Value: _same,
}
