"""A run on environments of several parts: the parts run side by side, and are joined.

Each part has its rows, its thread and its random numbers. While one waits for its
environment, the model decides for another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from scg.ahead import Ahead
from scg.errors import EstimatorError, InputError
from scg.extras import require
from scg.forward import run_part
from scg.node import Node
from scg.plates import SAMPLES, Layout
from scg.program import Program
from scg.roles import EnvironmentReset, EnvironmentStep
from scg.trace import Ends, Trace

__all__ = ["run"]

Arrays = Mapping[str, Any]


def run(
    program: Program,
    params: Arrays,
    inputs: Arrays | None,
    *,
    rng: np.random.Generator,
    given: Arrays | None = None,
    **options: Any,
) -> Trace:
    """Run a program once and record it; see `scg.forward`."""
    spans = _spans(program) if program.environments else ()
    if len(spans) < 2:
        return run_part(program, params, inputs, rng=rng, given=given, **options)
    _check_separable(program, options)
    _check_rows(spans[-1].stop, inputs or {}, options.pop("rows", None))
    calls: list[Ahead[Trace]] = []
    for k, span in enumerate(spans):
        calls.append(Ahead())
        calls[k].start(
            partial(
                run_part,
                program,
                params,
                {name: value[span] for name, value in (inputs or {}).items()},
                rng=np.random.default_rng(int(rng.integers(2**63))),
                given=_given(program, given or {}, span),
                part=k,
                **options,
            )
        )
    for call in calls:  # all have stopped before one raises
        call.wait()
    return _joined(program, [trace for c in calls if (trace := c.take()) is not None])


def _spans(program: Program) -> list[slice]:
    """Return the rows of each part of the environments."""
    counts = {
        node.role.environment.name: [p.num_rows for p in node.role.environment.parts]
        for node in program.environments
        if isinstance(node.role, EnvironmentReset | EnvironmentStep)
    }
    if len({tuple(rows) for rows in counts.values()}) > 1:
        msg = f"expected environments whose parts have the same rows, got {counts}."
        raise InputError(msg)
    ends = np.cumsum([0, *next(iter(counts.values()), [])])
    return [slice(int(a), int(b)) for a, b in pairwise(ends)]


def _check_separable(program: Program, options: Mapping[str, Any]) -> None:
    """Refuse what parts of the rows cannot do by themselves."""
    mixing = [n.name for n in program.nodes if n.spec.mixes_rows]
    stopping = [name for name, scan in program.scans.items() if _stops(scan)]
    memories = [n.name for n in program.nodes if n.spec.memory]
    several = options.get("samples", 1) != 1 or bool(program.branching)
    if mixing or stopping or several or memories:
        msg = (
            "an environment of several parts: expected rows that run by themselves, "
            f"got nodes that mix rows {mixing}, loops that stop {stopping}, memories "
            f"{memories}, or branches. Give one vector environment instead of a list."
        )
        raise EstimatorError(msg)


def _check_rows(total: int, inputs: Arrays, rows: int | None) -> None:
    """Refuse another number of rows than the environments have together."""
    found = {
        name: len(value) if np.ndim(value) else 0 for name, value in inputs.items()
    }
    if rows is not None:
        found["rows"] = rows
    if set(found.values()) - {total}:
        msg = f"expected {total} rows, those of the environments, got {found}."
        raise InputError(msg)


def _stops(scan: Node) -> bool:
    role: Any = scan.role
    return role.loop.until is not None


def _given(program: Program, given: Arrays, span: slice) -> dict[str, Any]:
    return {
        name: np.asarray(value)[span]
        if name not in program.names or program.node(name).loop is None
        else np.asarray(value)[:, span]
        for name, value in given.items()
    }


def _joined(program: Program, traces: Sequence[Trace]) -> Trace:
    """Put the rows of several runs together."""
    first = traces[0]
    values = [
        _value(node, [t.values[node.index] for t in traces]) for node in first.nodes
    ]
    rows = [t.rows for t in traces]
    layout = Layout(sum(rows), {SAMPLES: 1}, program.plates, {SAMPLES: 1.0})
    noise = {
        i: _rows_together([t.noise[i] for t in traces], axis=0) for i in first.noise
    }
    ends = {i: _ends([t.ends[i] for t in traces], rows) for i in first.ends}
    last = {
        name: _rows_together([t.last_carries[name] for t in traces], axis=0)
        for name in first.last_carries
    }
    carries = {
        name: _rows_together([t.carries[name] for t in traces], axis=0)
        for name in first.carries
    }
    return Trace(
        first.nodes,
        values,
        layout,
        first.names,
        noise,
        ends,
        last,
        steps=first.steps,
        carries=carries,
    )


def _value(node: Node, values: list[Any]) -> Any:
    if not node.has_rows or values[0] is None:
        return values[0]
    return _rows_together(values, axis=0 if node.loop is None else 1)


def _rows_together(values: list[Any], axis: int) -> Any:
    """Join arrays along their rows; of a list, which has one entry a step, each."""
    if isinstance(values[0], list):
        return [_rows_together(list(v), axis=0) for v in zip(*values, strict=True)]
    if isinstance(values[0], tuple):
        return tuple(_rows_together(list(v), axis) for v in zip(*values, strict=True))
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values, axis=axis)
    return require("scipy.sparse", extra="atari").vstack(values, format="csr")


def _ends(parts: list[Ends], rows: list[int]) -> Ends:
    offsets = np.cumsum([0, *rows])
    finals = [
        (step, at + offset, seen)
        for part, offset in zip(parts, offsets, strict=False)
        for step, at, seen in part.finals
    ]
    return Ends(
        np.concatenate([p.terminated for p in parts], axis=1),
        np.concatenate([p.truncated for p in parts], axis=1),
        finals,
    )
