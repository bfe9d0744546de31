"""One ancestral pass: draws, functions, environments and loops on plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from scg.errors import InputError, unknown_name
from scg.inference import describe
from scg.node import Loop, Node, Scan
from scg.plates import SAMPLES, Layout
from scg.program import Program
from scg.roles import (
    Call,
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
from scg.trace import Ends, Trace

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
    this = _Run(program, params, inputs or {}, rng, rows, samples, given or {}, part)
    this.kept = program.observed if lean else program.recorded
    return this.all()


class _Run:
    """The state of one pass."""

    def __init__(  # noqa: PLR0913 - as `run`
        self,
        program: Program,
        params: Arrays,
        inputs: Arrays,
        rng: np.random.Generator,
        rows: int | None,
        samples: int,
        given: Arrays,
        part: int,
    ) -> None:
        self.program = program
        self.part = part
        self.params = params
        self.inputs = inputs
        self.given = given
        _check_names("param", params, [n.name for n in program.params])
        wanted = [n.name for n in program.nodes if isinstance(n.role, Input)]
        _check_names("input", inputs, wanted)
        _check_given(program, given)
        sizes = {SAMPLES: int(samples), **program.branching}
        self.layout = Layout(
            _row_count(program, inputs, rows, samples, part), sizes, program.plates
        )
        self.layout.weights[SAMPLES] = 1.0 / samples
        self.values: list[Any] = [None] * len(program.nodes)
        self.trace = Trace(program.nodes, self.values, self.layout, program.names)
        self.kept = program.recorded
        self.seed = int(rng.integers(2**63))
        self.generators: dict[int, np.random.Generator] = {}
        self.by_role = self._table()

    def all(self) -> Trace:
        """Run every node outside of loops in order; loops run theirs."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            for node in self.program.outer:
                self.values[node.index] = self.compute(node)
        return self.trace

    def compute(self, node: Node) -> Any:
        """Return the value of one node from those of its inputs."""
        return self.by_role[type(node.role)](node, node.role)

    def _ready(self, node: Node) -> Callable[[], Any]:
        """Prepare a node of a loop's body, where all rows are aligned."""
        role, values, count = node.role, self.values, self._count(node)
        if not isinstance(role, Call):
            return partial(self.compute, node)
        operation, sources = role.operation, [p.index for p in node.inputs]
        return lambda: operation([values[i] for i in sources], count)

    def _table(self) -> Mapping[type[Role], Callable[[Node, Any], Any]]:
        return {
            Call: lambda n, role: role.operation(self._inputs(n), self._count(n)),
            Component: lambda n, role: self._input(n)[role.position],
            Constant: lambda _, role: role.value,
            Cost: self._number,
            Draw: self._draw,
            EnvironmentReset: lambda _, role: self._simulator(role).current(),
            EnvironmentStep: self._step_environment,
            Input: self._leaf,
            Param: self._leaf,
            Scan: self._scan,
            ScanOutput: lambda n, role: self._input(n)[role.stacked][role.position],
            Value: self._number,
        }

    def _input(self, node: Node) -> Any:
        return self.values[node.inputs[0].index]

    def _number(self, node: Node, _: Cost | Value) -> Any:
        """Return one number a row; in a loop, a term of params alone is repeated."""
        value = self._input(node)
        if node.has_rows and not node.inputs[0].has_rows:
            return np.broadcast_to(value, (self._count(node),))
        return value

    def _count(self, node: Node) -> int:
        return self.layout.count(self.program.plates[node.index])

    def _inputs(self, node: Node) -> list[Any]:
        want = self.program.meeting(node)
        return [self._aligned(p, want) for p in node.inputs]

    def _aligned(self, node: Node, want: tuple[int, ...]) -> Any:
        value = self.values[node.index]
        if not node.has_rows:
            return value
        return self.layout.align(value, self.program.plates[node.index], want)

    def _leaf(self, node: Node, _: Param | Input) -> Any:
        source = self.params if isinstance(node.role, Param) else self.inputs
        value = np.asarray(source[node.name])
        word = node.kind
        expected = node.event_shape
        shape = value.shape[1:] if node.has_rows else value.shape
        if shape != expected or (node.has_rows and not value.ndim):
            wanted = describe(node.spec)
            msg = f"{word} {node.name!r}: expected {wanted}, got {value.shape}."
            raise InputError(msg)
        if value.dtype != node.dtype:
            if not np.can_cast(value.dtype, node.dtype, "same_kind"):
                msg = f"{word} {node.name!r}: expected {node.dtype}, got {value.dtype}."
                raise InputError(msg)
            value = value.astype(node.dtype)
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            msg = f"{word} {node.name!r}: expected finite numbers, got NaN or infinity."
            raise InputError(msg)
        return value

    def _draw(self, node: Node, role: Draw) -> Any:
        distribution = role.at(self._inputs(node))
        if node.loop is None:
            distribution.validate(node.name)
        shape = (self._count(node), *node.event_shape)
        estimator = self.program.estimators[node.index]
        if node.index not in self.generators:
            key = np.array([self.seed, node.index], np.uint64)
            self.generators[node.index] = np.random.Generator(np.random.Philox(key=key))
        if node.name in self.given:
            if node.index in self.program.branching:
                self.layout.weights[node.index] = (
                    1.0 / self.program.branching[node.index]
                )
            return self._given(node, shape)
        drawn = estimator.draw(distribution, shape, self.generators[node.index])
        if drawn.noise is not None:
            self._note_noise(node, drawn.noise)
        if node.index in self.program.branching:
            weights = drawn.weights
            n = self.program.branching[node.index]
            self.layout.weights[node.index] = 1.0 / n if weights is None else weights
        return drawn.value

    def _given(self, node: Node, shape: tuple[int, ...]) -> Any:
        whole = np.asarray(self.given[node.name])
        try:
            value = whole[self.step] if node.loop is not None else whole
            return np.broadcast_to(value.astype(node.dtype), shape)
        except (ValueError, IndexError) as error:
            steps = () if node.loop is None else (node.loop.length,)
            msg = (
                f"given: expected values of node {node.name!r} of shape "
                f"{(*steps, *shape)} and dtype {node.dtype}, got shape {whole.shape} "
                f"and dtype {whole.dtype}."
            )
            raise InputError(msg) from error

    def _note_noise(self, node: Node, noise: Any) -> None:
        if node.loop is None:
            self.trace.noise[node.index] = noise
        else:
            self.trace.noise.setdefault(node.index, []).append(noise)

    def _simulator(self, role: EnvironmentReset | EnvironmentStep) -> Any:
        return role.environment.parts[self.part]

    def _step_environment(self, node: Node, role: EnvironmentStep) -> Any:
        outcome = self._simulator(role).advance(self._inputs(node)[0])
        ends = self.trace.ends.setdefault(node.index, Ends([], [], []))
        ends.terminated.append(outcome.terminated)
        ends.truncated.append(outcome.truncated)
        if outcome.final is not None:
            ends.finals.append((len(ends.terminated) - 1, *outcome.final))
        part = node.spec.parts
        assert part is not None
        reward = outcome.reward.astype(part[1].dtype)
        return outcome.observation, reward, outcome.terminated, outcome.truncated

    def _scan(self, node: Node, role: Scan) -> Any:
        loop = role.loop
        plates = self.program.plates[node.index]
        body = self.program.bodies[loop.name]
        count = self.layout.count(plates)
        starts = [self._head(p, plates, count) for p in node.inputs]
        split = len(loop.carries)
        carries, scanned = starts[:split], starts[split : split + len(loop.slices)]
        captured = starts[split + len(loop.slices) :]
        heads = {
            n.index for n in (*loop.carries, *loop.slices, *loop.captured.values())
        }
        for inner, value in zip(loop.captured.values(), captured, strict=True):
            self.values[inner.index] = value
        todo = [(n.index, self._ready(n)) for n in body if n.index not in heads]
        record: dict[int, Any] = {}
        alive = [np.ones(count, bool)]
        assert loop.length is not None
        for self.step in range(loop.length):
            now = [x[:, self.step] for x in scanned]
            for head, value in zip(
                (*loop.carries, *loop.slices), (*carries, *now), strict=True
            ):
                self.values[head.index] = value
            for index, compute in todo:
                self.values[index] = compute()
            self._record(body, record, loop.length)
            carries = [self.values[n.index] for n in loop.following]
            if self._stopped(loop, alive):
                break
        for inner in body:
            value = _stacked(record.get(inner.index))
            self.values[inner.index] = _so_far(value, self.step + 1)
        self.trace.steps[loop.name] = self.step + 1
        self._note_stops(loop, alive)
        self._validate(body)
        self._stack_ends(loop)
        self.trace.last_carries[loop.name] = carries
        outputs = [np.moveaxis(self.values[n.index], 0, 1) for n in loop.outputs]
        return carries, outputs

    def _stopped(self, loop: Loop, alive: list[Any]) -> bool:
        """Note which rows go on after this step; tell whether none does."""
        if loop.until is None:
            return False
        alive.append(alive[-1] & ~self.values[loop.until.index])
        return not alive[-1].any()

    def _note_stops(self, loop: Loop, alive: list[Any]) -> None:
        """Take the costs of rows that had stopped out of the run."""
        if loop.until is None:
            return
        still = np.stack(alive[: self.step + 1])
        self.trace.alive[loop.name] = still
        for node in self.program.bodies[loop.name]:
            if isinstance(node.role, Cost):
                value = self.values[node.index]
                self.values[node.index] = np.where(still, value, value.dtype.type(0))

    def _stack_ends(self, loop: Loop) -> None:
        for i, ends in self.trace.ends.items():
            if self.program.nodes[i].loop is loop:
                ends.terminated = np.stack(ends.terminated)
                ends.truncated = np.stack(ends.truncated)

    def _validate(self, body: list[Node]) -> None:
        """Check the parameters of a loop's samples, all steps at once."""
        for node in body:
            if isinstance(node.role, Draw):
                inputs = [
                    _folded(self.values[p.index]) if p.loop else self.values[p.index]
                    for p in node.inputs
                ]
                node.role.at(inputs).validate(node.name)

    def _head(self, outer: Node, plates: tuple[int, ...], count: int) -> Any:
        value = self._aligned(outer, plates)
        if outer.has_rows:
            return value
        return np.broadcast_to(value, (count, *np.shape(value)))

    def _record(self, body: list[Node], record: dict[int, Any], length: int) -> None:
        for node in body:
            if node.index not in self.kept:
                continue
            value = self.values[node.index]
            if not isinstance(value, np.ndarray):
                record.setdefault(node.index, []).append(value)
                continue
            if self.step == 0:
                record[node.index] = np.empty((length, *value.shape), value.dtype)
            record[node.index][self.step] = value


def _folded(value: Any) -> Any:
    """Fold time into the rows."""
    return value.reshape(-1, *value.shape[2:])


def _so_far(value: Any, steps: int) -> Any:
    """Return the steps that were made of an array made for all."""
    if isinstance(value, tuple):
        return tuple(part[:steps] for part in value)
    return value if value is None else value[:steps]


def _stacked(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if isinstance(value[0], tuple | list):
        return tuple(np.stack(part) for part in zip(*value, strict=True))
    return value


def _check_names(what: str, got: Arrays, wanted: list[str]) -> None:
    for name in got:
        if name not in wanted:
            raise unknown_name(what, name, wanted)
    missing = [name for name in wanted if name not in got]
    if missing:
        msg = f"expected the {what}s {wanted}, got no {missing}."
        raise InputError(msg)


def _check_given(program: Program, given: Arrays) -> None:
    """Allow values only for samples whose estimator needs nothing but the value."""
    sites = {program.nodes[i].name: e for i, e in program.estimators.items()}
    for name in given:
        if name not in sites:
            raise unknown_name("stochastic node", name, sites)  # noqa: EM101
        if sites[name].lays_out:
            msg = (
                f"given: expected a node whose values are free, got {name!r}, whose "
                f"{type(sites[name]).__name__} estimator makes them itself. Name "
                "ScoreFunction() for it."
            )
            raise InputError(msg)


def _row_count(
    program: Program, inputs: Arrays, rows: int | None, samples: int, part: int
) -> int:
    found = {"rows": rows} if rows is not None else {}
    for name, value in inputs.items():
        found[name] = len(value) if np.ndim(value) else 0
    for node in program.nodes:
        if isinstance(node.role, EnvironmentReset | EnvironmentStep):
            environment = node.role.environment
            found[environment.name] = environment.parts[part].num_rows
            if samples != 1:
                msg = f"samples={samples}: an environment's rows cannot be repeated."
                raise InputError(msg)
    counts = set(found.values())
    if len(counts) > 1 or counts & {0} or samples < 1:
        msg = (
            f"expected one number of rows, at least 1, got {found}, samples={samples}."
        )
        raise InputError(msg)
    return counts.pop() if counts else 1
