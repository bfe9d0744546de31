"""Shapes and dtypes of nodes, found by running their operation on dummy rows.

Every operation is run twice, on 7 dummy rows and on the last 5 of them. The two results
must agree on the 5 rows, which shows that axis 0 is still the rows and that no row has
looked at another.
"""

from __future__ import annotations

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
]

LONG, SHORT = 7, 5


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape of one row, dtype, whether there is a row axis; `parts` for a tuple.

    `mixes_rows` says that a row of the value may depend on other rows of the inputs,
    `sparse` that the value is a SciPy sparse array at run time.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    has_rows: bool
    parts: tuple[Spec, ...] | None = None
    mixes_rows: bool = False
    sparse: bool = False


class _HasSpec(Protocol):
    spec: Spec
    dummies: tuple[Any, Any] | None


def describe(spec: Spec) -> str:
    """Write a spec as a person would: ``(rows, 3) float64``."""
    axes = (["rows"] if spec.has_rows else []) + [str(n) for n in spec.shape]
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''}) {spec.dtype}"


def dummies_of(node: _HasSpec) -> tuple[Any, Any]:
    """Return a node's dummy values on 7 rows and on the last 5 of these, made once."""
    if node.dummies is None:
        node.dummies = dummy_pair(node.spec)
    return node.dummies


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
        return _spec_of(long, has_rows=False)
    short = _run(operation, names, specs, [d[1] for d in dummies], SHORT)
    if isinstance(long, tuple | list):
        parts = tuple(
            _row_spec(operation, names, specs, a, b, mixes_rows=mixes_rows)
            for a, b in zip(long, short, strict=False)
        )
        return Spec((), np.dtype(object), has_rows=True, parts=parts)
    return _row_spec(operation, names, specs, long, short, mixes_rows=mixes_rows)


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
            f"{operation.name}({_inputs(names, specs)}) cannot be computed: {error}. "
            "Axis 0 of a value with rows is the row axis, and constants and params "
            "have "
            "none; add axes (x[:, None]) or reduce them (axis=-1) so that shapes meet."
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
        msg = (
            f"{operation.name}({_inputs(names, specs)}): a row of the result depends "
            "on "
            "other rows. Rows are independent repetitions of the model; if mixing them "
            "is meant, wrap the function: scg.deterministic(fn, rows=False)."
        )
        raise ShapeError(msg)
    return Spec(long.shape[1:], long.dtype, has_rows=True)


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
