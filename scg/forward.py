"""One ancestral pass: draws, functions, environments and loops on plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scg.buffers import Buffers
from scg.draws import Draws
from scg.entries import check_given, check_names, leaf, row_count
from scg.loop_run import LoopRun, step_environment
from scg.node import Node, Scan
from scg.plan import Repeat, plan_of
from scg.plates import SAMPLES, Layout, Plates
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
from scg.trace import Trace

__all__ = ["run_part"]

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
    sizes = {SAMPLES: int(samples), **program.branching}
    layout = Layout(count, sizes, program.plates)
    layout.weights[SAMPLES] = 1.0 / samples
    values: list[Any] = [None] * plan.size
    trace = Trace(program.nodes, values, layout, program.names)
    plan.buffers.sweep()
    seed = int(rng.integers(2**63))
    draws = Draws(plan, trace, seed, given, plan.buffers)
    _Run(program, trace, draws, params, inputs, part=part, lean=lean).all()
    draws.close()
    return trace


class _Run:
    """The state of one pass."""

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        program: Program,
        trace: Trace,
        draws: Draws,
        params: Arrays,
        inputs: Arrays,
        *,
        part: int,
        lean: bool,
    ) -> None:
        self.program = program
        self.plan = plan_of(program)
        self.trace = trace
        self.values = trace.values
        self.layout = trace.layout
        self.draws = draws
        self.given = {"parameter": params, "input": inputs}
        self.part = part
        self.lean = lean
        self.buffers: Buffers = draws.buffers
        self.counts: dict[Plates, int] = {}

    def all(self) -> None:
        """Compute what is outside of loops in order; loops compute theirs."""
        values, buffers, compute = self.values, self.buffers, self.plan.compute
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            for place, node in self.plan.order:
                if isinstance(node, Repeat):
                    source = values[node.source]
                    values[place] = self.layout.align(source, node.have, node.want)
                elif place in compute:
                    values[place] = compute[place](values, self._count(node), buffers)
                else:
                    values[place] = self._by_role[type(node.role)](
                        self, node, node.role
                    )

    def _count(self, node: Node) -> int:
        """Return the length of a node's row axis."""
        plates = self.program.plates[node.index]
        count = self.counts.get(plates)
        if count is None:
            count = self.counts[plates] = self.layout.count(plates)
        return count

    def _inputs(self, node: Node) -> Sequence[Any]:
        return [self.values[i] for i in self.plan.sources[node.index]]

    def _leaf(self, node: Node, _: Param | Input) -> Any:
        return leaf(node, self.given[node.kind][node.name])

    def _draw(self, node: Node, _: Draw) -> Any:
        return self.draws.once(node, self._inputs(node), self._count(node))

    def _part(self, node: Node, role: Component) -> Any:
        return self._inputs(node)[0][role.position]

    def _waiting(self, _: Node, role: EnvironmentReset) -> Any:
        return role.environment.parts[self.part].current()

    def _environment(self, node: Node, role: EnvironmentStep) -> Any:
        action = self._inputs(node)[0]
        return step_environment(self.trace, self.part, node, role, action)

    def _scan(self, node: Node, role: Scan) -> Any:
        plates = self.program.plates[node.index]
        count = self._count(node)
        this = LoopRun(
            self.plan,
            self.trace,
            self.draws,
            self.buffers,
            role.loop,
            count=count,
            part=self.part,
            lean=self.lean,
        )
        return this.all([self._head(p, plates, count) for p in node.inputs])

    def _head(self, outer: Node, plates: Plates, count: int) -> Any:
        value = self.values[outer.index]
        if outer.has_rows:
            return self.layout.align(value, self.program.plates[outer.index], plates)
        return np.broadcast_to(value, (count, *np.shape(value)))

    def _output(self, node: Node, role: ScanOutput) -> Any:
        return self._inputs(node)[0][role.stacked][role.position]

    _by_role: Mapping[type[Role], Callable[[_Run, Node, Any], Any]] = {
        Component: _part,
        Constant: lambda run, node, role: role.value,
        Cost: lambda run, node, role: run._inputs(node)[0],
        Draw: _draw,
        EnvironmentReset: _waiting,
        EnvironmentStep: _environment,
        Input: _leaf,
        Param: _leaf,
        Scan: _scan,
        ScanOutput: _output,
        Value: lambda run, node, role: run._inputs(node)[0],
    }
