"""Shapes and dtypes of nodes, found by running their operation on dummy rows.

Every operation is run twice, on 7 dummy rows and on the last 5 of them. The two results
must agree on the 5 rows, which shows that axis 0 is still the rows and that no row has
looked at another. Integers and truth values are 0 in these runs, since they may be
indices; whether rows look at each other is asked again with zeros and ones.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from scg.errors import ShapeError
from scg.operation import Operation

__all__ = [
    "LONG",
    "SHORT",
    "Spec",
    "describe",
    "dummies_of",
    "dummy_pair",
    "infer_call",
    "row_shape",
]

LONG, SHORT = 7, 5


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape of one row, dtype, whether there is a row axis; `parts` for a tuple.

    `mixes_rows` says that a row of the value may depend on other rows of the inputs,
    `sparse` that the value is a SciPy sparse array at run time, `memory` that it is one
    of `scg.cells`, of which `shape` says how many cells there are, and of what shape.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    has_rows: bool
    parts: tuple[Spec, ...] | None = None
    mixes_rows: bool = False
    sparse: bool = False
    memory: bool = False


class _Store(Protocol):
    dummies: dict[Spec, tuple[Any, Any]]


class _HasSpec(Protocol):
    @property
    def spec(self) -> Spec: ...

    @property
    def store(self) -> _Store: ...


def describe(spec: Spec) -> str:
    """Write a spec as a person would: ``(rows, 3) float64``."""
    if spec.parts is not None:
        return f"a tuple of {', '.join(map(describe, spec.parts))}"
    if spec.memory:
        return f"a memory of shape {('rows', *spec.shape)} {spec.dtype}".replace(
            "'", ""
        )
    axes = (["rows"] if spec.has_rows else []) + [str(n) for n in spec.shape]
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''}) {spec.dtype}"


def row_shape(shape: Any, who: str) -> tuple[int, ...]:
    """Return the shape of one row as a tuple of sizes, or raise naming `who`."""
    try:
        sizes = (
            tuple(map(operator.index, shape))
            if np.iterable(shape)
            else (operator.index(shape),)
        )
    except TypeError:
        sizes = (-1,)
    if min(sizes, default=0) < 0:
        msg = (
            f"{who}: expected the shape of one row, a tuple of sizes such as (3,), got "
            f"{shape!r}. The row axis is not part of it."
        )
        raise ShapeError(msg)
    return sizes


def dummies_of(node: _HasSpec) -> tuple[Any, Any]:
    """Return a node's dummy values on 7 rows and on the last 5 of these.

    They are made once for all nodes of one graph that have the same spec.
    """
    made = node.store.dummies
    if node.spec not in made:
        made[node.spec] = dummy_pair(node.spec)
    return made[node.spec]


def dummy_pair(spec: Spec) -> tuple[Any, Any]:
    """Make numbers in (.1, .9) of the given spec; square matrices near identity."""
    if spec.parts is not None:
        pairs = [dummy_pair(part) for part in spec.parts]
        return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
    shape = (LONG, *spec.shape) if spec.has_rows else spec.shape
    values = np.zeros(shape, spec.dtype)
    if spec.dtype.kind == "f" and values.size:
        values += np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(spec.dtype)
        if len(spec.shape) > 1 and spec.shape[-1] == spec.shape[-2]:
            values += 2 * spec.shape[-1] * np.eye(spec.shape[-1], dtype=spec.dtype)
    values.flags.writeable = False  # a function that writes into them is found out
    return values, values[LONG - SHORT :] if spec.has_rows else values


def infer_call(
    operation: Operation,
    names: Sequence[str],
    specs: Sequence[Spec],
    dummies: Sequence[tuple[Any, Any]],
    *,
    mixes_rows: bool = False,
) -> Spec:
    """Find what an operation returns, or raise `ShapeError` naming its inputs."""
    has_rows = any(spec.has_rows for spec in specs)
    long = _run(operation, names, specs, [d[0] for d in dummies], LONG)
    if not has_rows:
        spec = _spec_of(long, has_rows=False)
        for part in spec.parts or (spec,):
            _check_dtype(operation, names, specs, part.dtype)
        return spec
    short = _run(operation, names, specs, [d[1] for d in dummies], SHORT)
    if isinstance(long, tuple | list):
        parts = tuple(
            _row_spec(operation, names, specs, a, b, mixes_rows=mixes_rows)
            for a, b in zip(long, short, strict=False)
        )
        spec = Spec((), np.dtype(object), has_rows=True, parts=parts)
    else:
        spec = _row_spec(operation, names, specs, long, short, mixes_rows=mixes_rows)
    if not mixes_rows and _integers_mix(operation, specs, dummies):
        raise _mixed(operation, names, specs)
    return spec


def _run(
    operation: Operation,
    names: Sequence[str],
    specs: Sequence[Spec],
    values: Sequence[Any],
    rows: int,
) -> Any:
    try:
        with np.errstate(all="ignore"):
            return operation(values, rows)
    except Exception as error:
        msg = (
            f"{operation.name}({_inputs(names, specs)}) cannot be computed, as a try "
            f"on {rows} dummy rows shows: {error}. Axis 0 of a value with rows is the "
            "rows; constants and params have none. Make shapes meet: add axes "
            "(x[:, None]) or reduce them (axis=-1)."
        )
        raise ShapeError(msg) from error


def _row_spec(
    operation: Operation,
    names: Sequence[str],
    specs: Sequence[Spec],
    long: Any,
    short: Any,
    *,
    mixes_rows: bool,
) -> Spec:
    long, short = np.asarray(long), np.asarray(short)
    keeps = (
        long.ndim > 0
        and long.shape[0] == LONG
        and short.shape == (SHORT, *long.shape[1:])
    )
    if mixes_rows:
        shape = long.shape[1:] if keeps else long.shape
        return Spec(shape, long.dtype, has_rows=keeps, mixes_rows=True)
    if not keeps and any(spec.parts is not None for spec in specs):
        msg = (
            f"{operation.name}({_inputs(names, specs)}): expected an array, got a "
            "tuple of them. Take one part first: x[0]."
        )
        raise ShapeError(msg)
    if not keeps:
        msg = (
            f"{operation.name}({_inputs(names, specs)}): expected a value whose axis "
            "0 is "
            f"the rows, got shapes {long.shape} for {LONG} rows and {short.shape} for "
            f"{SHORT}. Reduce over axis=-1 or axis=1 instead of the row axis; if rows "
            "should be mixed, wrap the function: scg.deterministic(fn, rows=False) or "
            "scg.black_box(fn, rows=False)."
        )
        raise ShapeError(msg)
    if not _agree(long[LONG - SHORT :], short):
        raise _mixed(operation, names, specs)
    _check_dtype(operation, names, specs, long.dtype)
    return Spec(long.shape[1:], long.dtype, has_rows=True)


def _mixed(
    operation: Operation, names: Sequence[str], specs: Sequence[Spec]
) -> ShapeError:
    return ShapeError(
        f"{operation.name}({_inputs(names, specs)}): expected rows that are "
        "independent repetitions of the model, got a row that depends on other rows. "
        "Work along axis 1 or -1 instead of axis 0; if mixing rows is meant, wrap the "
        "function: scg.deterministic(fn, rows=False)."
    )


def _integers_mix(
    operation: Operation, specs: Sequence[Spec], dummies: Sequence[tuple[Any, Any]]
) -> bool:
    """Tell whether rows look at each other where integers are zeros and ones."""
    if not any(s.has_rows and s.dtype.kind in "iub" for s in specs):
        return False
    for first in (0, 1):
        pairs = [
            _zeros_and_ones(s, first) if s.has_rows and s.dtype.kind in "iub" else pair
            for s, pair in zip(specs, dummies, strict=True)
        ]
        try:
            with np.errstate(all="ignore"):
                long = operation([p[0] for p in pairs], LONG)
                short = operation([p[1] for p in pairs], SHORT)
                both = zip(_parts(long), _parts(short), strict=True)
                if not all(_agree(a[LONG - SHORT :], b) for a, b in both):
                    return True
        except Exception:  # such as a 1 that is outside of what it indexes
            return False
    return False


def _zeros_and_ones(spec: Spec, first: int) -> tuple[Any, Any]:
    """Make the rows that only the longer run has differ from the others."""
    values = np.full((LONG, *spec.shape), 1 - first, spec.dtype)
    values[: LONG - SHORT] = first
    return values, values[LONG - SHORT :]


def _parts(value: Any) -> list[Any]:
    many = isinstance(value, tuple | list)
    return [np.asarray(v) for v in (value if many else [value])]


def _check_dtype(
    operation: Operation, names: Sequence[str], specs: Sequence[Spec], dtype: Any
) -> None:
    if dtype.kind not in "fiubc":
        msg = (
            f"{operation.name}({_inputs(names, specs)}): expected a function that "
            f"returns numbers, got {dtype}. A function that returns None changes its "
            "argument in place, which a model cannot do."
        )
        raise ShapeError(msg)


def _agree(a: Any, b: Any) -> bool:
    if a.dtype.kind in "fc":
        return bool(np.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True))
    return a.dtype.kind not in "iub" or bool(np.array_equal(a, b))


def _spec_of(value: Any, *, has_rows: bool) -> Spec:
    if isinstance(value, tuple | list):
        parts = tuple(_spec_of(v, has_rows=has_rows) for v in value)
        return Spec((), np.dtype(object), has_rows=has_rows, parts=parts)
    array = np.asarray(value)
    return Spec(array.shape, array.dtype, has_rows=has_rows)


def _inputs(names: Sequence[str], specs: Sequence[Spec]) -> str:
    return ", ".join(f"{n!r}: {describe(s)}" for n, s in zip(names, specs, strict=True))
