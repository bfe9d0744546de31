"""A recorded run evaluated again under other params: same samples, new densities.

Only what the params reach without passing through a sample is computed again; samples,
environments, black boxes behind them and data keep their recorded values. That is all
that clipped surrogates, trust regions and importance weights need.

Where every such node lives inside one loop and no carry is among them (a feed-forward
policy), time folds into the rows: any subset of the time × rows cells can be replayed
in one pass. Otherwise whole rows are replayed, step after step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scg.errors import EstimatorError, InputError
from scg.fold import folding_loop, live_nodes
from scg.forward import restore
from scg.node import Loop, Node, Scan
from scg.phases import check_all_kept
from scg.plates import SAMPLES, Layout
from scg.program import Program
from scg.roles import Call, Component, Draw, Param, ScanOutput
from scg.trace import Trace
from scg.views import folded, unfolded

__all__ = ["Replay"]


class Replay:
    """One recorded run, ready to be evaluated under other params.

    Attributes
    ----------
    count : int
        The number of cells that can be replayed by themselves: time × rows where time
        folds, else rows.
    folds : bool
        Whether time folds into the rows.

    Raises
    ------
    EstimatorError
        When the run has branches or several samples a row, whose densities are not
        those of one sample each, nodes that mix rows, or a scan with `keep_every`.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", b)
    >>> compiled = scg.compile(graph)
    >>> trace = compiled({"theta": 0.0}, rng=np.random.default_rng(0), rows=2).trace
    >>> now = Replay(compiled.program, trace)({"theta": 1.0})
    >>> bool((now["b"] == trace["b"]).all()), now.distribution("b").logits
    (True, array(1.))
    """

    def __init__(self, program: Program, trace: Trace) -> None:
        if program.branching or trace.layout.sizes.get(SAMPLES, 1) != 1:
            nodes = [program.nodes[i].name for i in program.branching]
            msg = (
                "replay: expected one draw a row, got "
                f"{f'branches of {nodes}' if nodes else 'samples > 1'}. Use "
                "ScoreFunction(samples=1), and repeat the inputs for more rows."
            )
            raise EstimatorError(msg)
        check_all_kept(program, "replay")
        restore(program, trace)
        self.program = program
        self.trace = trace
        self.live = live_nodes(program)
        mixing = [n.name for n in program.nodes if n.spec.mixes_rows]
        if mixing:
            msg = (
                "replay: expected rows that run by themselves, got nodes that mix "
                f"rows: {mixing}."
            )
            raise EstimatorError(msg)
        self.loop = folding_loop(program, self.live)
        self.folds = self.loop is not None
        steps = trace.steps[self.loop.name] if self.loop else 1
        self.count = trace.rows * steps
        self._merged: dict[int, Any] = {}

    def __call__(
        self, params: Mapping[str, Any], cells: np.ndarray[Any, Any] | None = None
    ) -> Trace:
        """Evaluate the run, or some of its cells, under `params`.

        Parameters
        ----------
        params : dict of str to array
        cells : int array, shape (count,), optional
            Which cells. A folded cell is ``t * rows + row``.

        Returns
        -------
        Trace
            Of the run's shape; with folded `cells`, values inside the loop have shape
            ``(1, len(cells), ...)``.

        Raises
        ------
        InputError
            When a param is missing.
        """
        if missing := [n.name for n in self.program.params if n.name not in params]:
            msg = f"replay: expected all params, got none for {missing}."
            raise InputError(msg)
        rows = self.trace.rows if cells is None else len(cells)
        layout = Layout(rows, {SAMPLES: 1}, self.program.plates, {SAMPLES: 1.0})
        again = _Again(self, params, cells, layout)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            again.outer()
        trace = self.trace
        alive = trace.alive
        if cells is not None:
            alive = {k: self._some(v, cells) for k, v in alive.items()}
        return Trace(
            trace.nodes,
            again.values,
            layout,
            trace.names,
            again.noise,
            trace.ends if cells is None else {},
            again.last_carries,
            alive,
            {self.loop.name: 1} if self.loop and cells is not None else trace.steps,
        )

    def pick(self, node: Node, array: Any, cells: np.ndarray[Any, Any]) -> Any:
        """Return the part of an array that belongs to some cells, shaped as they are.

        `array` has the leading axes of the node's values in the whole run: (rows,), in
        a loop (time, rows).
        """
        return array[cells] if node.loop is None else self._some(array, cells)

    def _some(self, array: Any, cells: Any) -> Any:
        return folded(array)[cells][np.newaxis] if self.folds else array[:, cells]

    def merged(self, index: int) -> Any:
        """Return a recorded value with time folded into the rows, made once."""
        if index not in self._merged:
            self._merged[index] = folded(self.trace.values[index])
        return self._merged[index]


class _Again:
    """The state of one replay."""

    def __init__(
        self,
        replay: Replay,
        params: Mapping[str, Any],
        cells: Any,
        layout: Layout,
    ) -> None:
        self.replay = replay
        self.program = replay.program
        self.recorded = replay.trace
        self.live = replay.live
        self.params = params
        self.cells = cells
        self.layout = layout
        self.values: list[Any] = [None] * len(self.program.nodes)
        self.noise: dict[int, Any] = {}
        self.last_carries: dict[str, list[Any]] = {}

    def outer(self) -> None:
        """Go over the nodes outside of loops in order; loops go over theirs."""
        for node in self.program.outer:
            if isinstance(node.role, Scan):
                self._scan(node, node.role.loop)
            elif isinstance(node.role, Param):
                self.values[node.index] = np.asarray(self.params[node.name], node.dtype)
            elif node.index in self.live:
                self.values[node.index] = self._outer_value(node)
            else:
                self.values[node.index] = self._kept(node)

    def _kept(self, node: Node) -> Any:
        """Return what was recorded outside of loops, for the rows that are replayed."""
        value = self.recorded.values[node.index]
        if self.cells is None or not node.has_rows:
            return value
        if self.replay.folds:  # no live node reads it
            return None
        return (
            tuple(p[self.cells] for p in value) if _parts(value) else value[self.cells]
        )

    def _outer_value(self, node: Node) -> Any:
        role = node.role
        if isinstance(role, ScanOutput):
            loop: Any = node.inputs[0].role
            if not role.stacked:
                return self.last_carries[loop.loop.name][role.position]
            return np.moveaxis(
                self.values[loop.loop.outputs[role.position].index], 0, 1
            )
        noise = self.recorded.noise.get(node.index)
        if noise is not None:
            noise = noise if self.cells is None else noise[self.cells]
            self.noise[node.index] = noise
        inputs = [self.values[p.index] for p in node.inputs]
        return self._compute(node, inputs, noise)

    def _compute(self, node: Node, inputs: Sequence[Any], noise: Any) -> Any:
        role = node.role
        if isinstance(role, Call):
            return role.operation(inputs, self._count())
        if isinstance(role, Component):
            return inputs[0][role.position]
        if isinstance(role, Draw):
            estimator: Any = self.program.estimators[node.index]
            return estimator.redraw(role.at(inputs), noise)
        if node.has_rows and not node.inputs[0].has_rows:
            return np.broadcast_to(inputs[0], (self._count(),))
        return inputs[0]

    def _count(self) -> int:
        if self.replay.folds and self.cells is None:
            return self.replay.count
        return self.layout.rows

    def _scan(self, scan: Node, loop: Loop) -> None:
        body = self.program.bodies[loop.name]
        last = self.recorded.last_carries[loop.name]
        if self.replay.loop is loop:
            self._folded(body, self.recorded.steps[loop.name])
            if self.cells is None:
                self.last_carries[loop.name] = last
            return
        rows = slice(None) if self.cells is None else self.cells
        self.last_carries[loop.name] = [value[rows] for value in last]
        self._stepped(scan, loop, body, rows)

    def _folded(self, body: Sequence[Node], steps: int) -> None:
        """Compute all cells at once; in a whole run the time axis comes back after."""
        flat: dict[int, Any] = {}
        for node in body:
            if node.index in self.live:
                inputs = [self._flat(flat, p) for p in node.inputs]
                noise = self._flat_noise(node)
                flat[node.index] = self._compute(node, inputs, noise)
        for node in body:
            if node.index in self.live:
                self.values[node.index] = self._unfolded(flat[node.index], steps)
            elif self.cells is None:
                self.values[node.index] = self.recorded.values[node.index]
            elif self.recorded.values[node.index] is not None:
                value = self._flat(flat, node)
                self.values[node.index] = self._unfolded(value, steps)

    def _flat(self, flat: dict[int, Any], node: Node) -> Any:
        if node.loop is None:
            return self.values[node.index]
        if node.index not in flat:
            value = self.replay.merged(node.index)
            if self.cells is not None:
                value = (
                    tuple(part[self.cells] for part in value)
                    if _parts(value)
                    else value[self.cells]
                )
            flat[node.index] = value
        return flat[node.index]

    def _flat_noise(self, node: Node) -> Any:
        noise = self.recorded.noise.get(node.index)
        if noise is None:
            return None
        if self.cells is None:
            self.noise[node.index] = noise
            return np.concatenate(noise)
        now = np.concatenate(noise)[self.cells]
        self.noise[node.index] = [now]
        return now

    def _unfolded(self, value: Any, steps: int) -> Any:
        return unfolded(value, steps if self.cells is None else 1)

    def _stepped(self, scan: Node, loop: Loop, body: Sequence[Node], rows: Any) -> None:
        made: dict[int, list[Any]] = {}
        before: dict[int, Any] = {}
        for t in range(self.recorded.steps[loop.name]):
            now = self._heads(scan, loop, before, t)
            for node in body:
                if node.index not in now:
                    now[node.index] = self._at_step(node, now, t, rows)
                if now[node.index] is not None:
                    made.setdefault(node.index, []).append(now[node.index])
            before = now
        for i, values in made.items():
            self.values[i] = _stacked(values)
        last = zip(loop.following, self.last_carries[loop.name], strict=True)
        self.last_carries[loop.name] = [
            before[n.index] if n.index in self.live else value for n, value in last
        ]

    def _heads(
        self, scan: Node, loop: Loop, before: Mapping[int, Any], t: int
    ) -> dict[int, Any]:
        """Return the live heads of a loop at step t."""
        count = len(loop.carries)
        split = count + len(loop.slices)
        heads = [*loop.carries, *loop.slices, *loop.captured.values()]
        now: dict[int, Any] = {}
        for k, (head, outer) in enumerate(zip(heads, scan.inputs, strict=True)):
            if head.index not in self.live:
                continue
            if k < count and t > 0:
                now[head.index] = before[loop.following[k].index]
            else:
                value = self._on_rows(outer)
                now[head.index] = value[:, t] if count <= k < split else value
        return now

    def _at_step(self, node: Node, now: Mapping[int, Any], t: int, rows: Any) -> Any:
        """Return a value at step t: recorded, or computed where it is live."""
        if node.index not in self.live:
            value = self.recorded.values[node.index]
            return None if value is None else _at(value, t, rows)
        noise = self.recorded.noise.get(node.index)
        if noise is not None:
            noise = noise[t][rows]
            self.noise.setdefault(node.index, []).append(noise)
        inputs = [
            self.values[p.index] if p.loop is None else now[p.index]
            for p in node.inputs
        ]
        return self._compute(node, inputs, noise)

    def _on_rows(self, node: Node) -> Any:
        value = self.values[node.index]
        if node.has_rows:
            return value
        return np.broadcast_to(value, (self.layout.rows, *np.shape(value)))


def _parts(value: Any) -> bool:
    return isinstance(value, tuple)


def _at(value: Any, t: int, rows: Any) -> Any:
    return tuple(p[t][rows] for p in value) if _parts(value) else value[t][rows]


def _stacked(values: list[Any]) -> Any:
    if _parts(values[0]):
        return tuple(np.stack(part) for part in zip(*values, strict=True))
    return np.stack(values) if isinstance(values[0], np.ndarray) else values
