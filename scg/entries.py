"""What a run is given: params, inputs, values of samples, rows; each is checked.

Each mistake is an error here that says what was expected, what came and for which node.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from scg.arrays import all_finite
from scg.errors import InputError, unknown_name
from scg.inference import describe
from scg.node import Loop, Node
from scg.program import Program
from scg.roles import EnvironmentReset, EnvironmentStep

__all__ = [
    "check_given",
    "check_given_steps",
    "check_names",
    "check_support",
    "given_value",
    "leaf_check",
    "row_count",
]

Arrays = Mapping[str, Any]


def check_names(what: str, got: Arrays, wanted: Collection[str]) -> None:
    """Refuse names that are not known, and ask for those that are missing."""
    if got.keys() == wanted:
        return
    for name in got:
        if name not in wanted:
            raise unknown_name(what, name, sorted(wanted))
    missing = [name for name in wanted if name not in got]
    msg = f"expected the {what}s {sorted(wanted)}, got no {sorted(missing)}."
    raise InputError(msg)


def leaf_check(node: Node) -> Callable[[Any], Any]:
    """Return what turns a param or an input into the array that the graph expects."""
    dtype, event, has_rows = node.dtype, node.event_shape, node.has_rows
    is_float = dtype.kind == "f"

    def check(given: Any) -> Any:
        value = given if type(given) is np.ndarray else np.asarray(given)
        shape = value.shape[1:] if has_rows else value.shape
        if shape != event or (has_rows and not value.ndim) or value.dtype != dtype:
            value = _fitted(node, value, shape)
        if is_float and not all_finite(value):
            msg = (
                f"{node.kind} {node.name!r}: expected finite numbers, got NaN or "
                "infinity."
            )
            raise InputError(msg)
        return value

    return check


def _fitted(node: Node, value: Any, shape: tuple[int, ...]) -> Any:
    """Cast a value to a node's dtype, or refuse it."""
    if shape != node.event_shape or (node.has_rows and not value.ndim):
        msg = (
            f"{node.kind} {node.name!r}: expected {describe(node.spec)}, got "
            f"{value.shape}."
        )
        raise InputError(msg)
    if not np.can_cast(value.dtype, node.dtype, "same_kind"):
        msg = f"{node.kind} {node.name!r}: expected {node.dtype}, got {value.dtype}."
        raise InputError(msg)
    return value.astype(node.dtype)


def check_given(program: Program, given: Arrays) -> None:
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


def given_value(node: Node, given: Any, shape: tuple[int, ...]) -> Any:
    """Return the values that a sample is given; in a loop, of all steps.

    A loop that can stop may be given the values of the steps up to where it stops.
    """
    whole = np.asarray(given)
    try:
        if node.loop is not None:
            whole = _of_steps(node.loop, whole, shape[0])
        return np.broadcast_to(whole.astype(node.dtype), shape)
    except ValueError as error:
        raise _misfit(node, given, shape) from error


def _of_steps(loop: Loop, whole: Any, steps: int) -> Any:
    """Cut values, or repeat the last, to a number of steps; see `check_given_steps`."""
    if not whole.size or (loop.until is None and whole.shape[:1] != (steps,)):
        raise ValueError
    whole = np.atleast_1d(whole)
    missing = steps - len(whole)
    if missing <= 0:
        return whole[:steps]
    return np.concatenate([whole, np.repeat(whole[-1:], missing, axis=0)])


def check_given_steps(given: Arrays, body: Iterable[Node], steps: int) -> None:
    """Refuse values that end before a loop has stopped."""
    for node in body:
        if node.name in given and len(np.atleast_1d(given[node.name])) < steps:
            raise _misfit(node, given[node.name], (steps, "rows", *node.event_shape))


def _misfit(node: Node, given: Any, shape: tuple[Any, ...]) -> InputError:
    whole = np.asarray(given)
    return InputError(
        f"given: expected values of node {node.name!r} of shape {shape} and dtype "
        f"{node.dtype}, got shape {whole.shape} and dtype {whole.dtype}."
    )


def check_support(node: Node, distribution: Any, value: Any) -> Any:
    """Return the values, if a draw with a finite support can take them."""
    support = distribution.support()
    if support is None or support.ndim != 1:
        return value
    outside = ~np.isin(value, support)
    if outside.any():
        msg = (
            f"given: expected values of node {node.name!r} in the support of "
            f"{type(distribution).__name__}, got {value[outside].flat[0]}."
        )
        raise InputError(msg)
    return value


def row_count(
    program: Program, inputs: Arrays, rows: int | None, samples: int, part: int
) -> int:
    """Return the one number of rows that inputs, environments and caller agree on."""
    found = {"rows": rows} if rows is not None else {}
    for name, value in inputs.items():
        found[name] = len(value) if np.ndim(value) else 0
    for node in program.environments:
        role = node.role
        assert isinstance(role, EnvironmentReset | EnvironmentStep)
        found[role.environment.name] = role.environment.parts[part].num_rows
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
