"""Credit: for each scored sample, the costs it influences, less a baseline.

``Q̂_w`` sums the costs that w influences and no others. Inside a loop, which costs are
reached a number of steps later becomes periodic after a few steps, so that credit over
T steps takes one reverse sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scg.baselines import BaselineInputs, LearnedBaseline, NoBaseline
from scg.critics import critic_of
from scg.ends import continues
from scg.errors import EstimatorError
from scg.lookahead import Lookaheads
from scg.node import Loop, Node
from scg.plates import SAMPLES
from scg.program import Program
from scg.reach import exit_mask, mixes
from scg.returns import strided_sum
from scg.sums import outer_sums, row_weight
from scg.trace import Trace

__all__ = ["Credit", "Target", "assign"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a value node is fitted to, with the weight of its regression loss."""

    value: int
    target: Any
    weight: float
    shared: bool


class Credit(NamedTuple):  # made faster than a frozen dataclass
    """``Q̂``, the advantage and, where a value is fitted, its target.

    `factor` is the advantage times the weight of each row in the mean, where it is at
    hand.
    """

    cost: Any
    advantage: Any
    target: Target | None
    state: dict[str, Any]
    factor: Any = None


def assign(
    program: Program, trace: Trace, state: Mapping[str, Any]
) -> dict[int, Credit]:
    """Return the credit of every scored sample, on its own plates.

    Arrays have shape ``(rows,)``, inside a loop ``(time, rows)``.
    """
    sums = outer_sums(program, trace)
    found: dict[int, Credit] = {}
    for group in program.alike:
        found |= _together(program, trace, group, sums)
    ahead = Lookaheads(program, trace)
    for i in program.scored:
        if i not in found:
            node = program.nodes[i]
            found[i] = _credit(ahead, node, sums.get(i), state)
    return found


def _together(
    program: Program, trace: Trace, group: Sequence[int], sums: Mapping[int, Any]
) -> dict[int, Credit]:
    """Return the credit of samples whose baselines are alike, all in one go.

    The samples lie along an axis before the rows, where a loop has its time.
    """
    first = program.nodes[group[0]]
    baseline: Any = program.estimators[first.index].baseline  # type: ignore[attr-defined]
    q = np.array([sums[i] for i in group])
    b, _ = _baseline(program, trace, first, baseline, q, {})
    advantage = q - b
    factor = advantage * row_weight(program, trace, first)
    return {
        i: Credit(q[k], advantage[k], None, {}, factor[k]) for k, i in enumerate(group)
    }


def _credit(ahead: Lookaheads, node: Node, q: Any, state: Mapping[str, Any]) -> Credit:
    """Return the credit of a sample, whose ``Q̂`` is given outside of loops."""
    program, trace = ahead.program, ahead.trace
    estimator = program.estimators[node.index]
    discount = getattr(estimator, "discount", 1.0)
    boundary = getattr(estimator, "boundary", "episode")
    keep = continues(program, trace, node, boundary)
    if node.loop is not None:
        q = _inside(program, trace, node, node.loop, discount, keep)
    baseline = getattr(estimator, "baseline", None)
    critic = critic_of(estimator)
    after: dict[str, Any] = {}
    target = None
    if estimator.differentiates and not critic.weight:
        advantage = q  # its value node is not fitted
    elif critic is not None:
        advantage, goal = ahead.of(node, critic)
        target = _target(program, trace, node, critic, goal)
    elif baseline is not None and not isinstance(baseline, NoBaseline):
        b, after = _baseline(program, trace, node, baseline, q, state)
        advantage = q - b
        if isinstance(baseline, LearnedBaseline):
            target = _target(program, trace, node, baseline, q)
    else:
        advantage = q
    if getattr(estimator, "standardise", False):
        advantage = _standardised(advantage, trace.still(node))
    return Credit(q, advantage, target, after)


def _target(
    program: Program, trace: Trace, node: Node, reader: Any, goal: Any
) -> Target:
    """Return what the value node of a baseline, critic or estimator is fitted to."""
    index = program.names[reader.value]
    onto = _onto(program, trace, node, index, goal)
    return Target(index, onto, reader.weight, reader.shared)


def _standardised(advantage: Any, still: Any) -> Any:
    """Give advantages mean 0 and deviation 1 over what has not stopped."""
    count = True if still is None else still
    mean, spread = advantage.mean(where=count), advantage.std(where=count)
    return (advantage - mean) / (spread + 1e-8)


def _onto(program: Program, trace: Trace, node: Node, value: int, q: Any) -> Any:
    """Average a target over the branches that the value node does not have."""
    if node.loop is not None:
        return q
    have, want = program.plates[node.index], program.plates[value]
    common = tuple(p for p in want if p in have)
    return trace.layout.align(trace.layout.reduce(q, have, common), common, want)


def _inside(
    program: Program, trace: Trace, node: Node, loop: Loop, discount: float, keep: Any
) -> Any:
    sets = program.influence.lag_sets(node)
    shape = trace.values[node.index].shape[:2]
    zero = np.zeros(shape, node.store.float_dtype(node.name))
    steps = shape[0]
    inner = [c for c in program.costs if c.loop is loop]
    found = program.influence.descendants(node.index)
    if any(c.index in found and mixes(program, node, c) for c in program.costs):
        msg = (
            f"node {node.name!r} influences a cost through a node that mixes rows; "
            "inside "
            "a scan this is not supported. Move the mixing outside of the loop."
        )
        raise EstimatorError(msg)

    def total(reached: Iterable[int]) -> Any:
        chosen = set(reached)
        return sum((trace.values[c.index] for c in inner if c.index in chosen), zero)

    q = zero.copy()
    for lag in range(min(sets.start, steps)):
        q += _shifted(total(sets.at(lag)), lag, discount, keep)
    for phase in range(sets.period):
        lag = sets.start + phase
        if lag >= steps:
            continue
        x = total(sets.at(lag))
        far = strided_sum(x, sets.period, discount, keep)
        q += _shifted(far, lag, discount, keep)
    return q + _beyond(program, trace, node, loop, zero)


def _shifted(x: Any, lag: int, discount: float, keep: Any) -> Any:
    """Bring what happens `lag` steps later to the step it is credited to."""
    if lag == 0:
        return x
    out = np.zeros_like(x)
    out[:-lag] = discount**lag * x[lag:]
    if keep is not None:
        for j in range(lag):
            out[:-lag] *= keep[j : len(keep) - lag + j]
    return out


def _beyond(program: Program, trace: Trace, node: Node, loop: Loop, zero: Any) -> Any:
    """Sum the costs after the loop, which its outputs and last carries lead to."""
    extra = zero.copy()
    found = program.influence.descendants(node.index)
    here = program.plates[node.index]
    for cost in program.costs:
        if cost.loop is loop or cost.index not in found:
            continue
        value = trace.values[cost.index]
        value = value.sum(axis=0) if cost.loop is not None else value
        value = trace.layout.reduce(value, program.plates[cost.index], here)
        extra[exit_mask(program, node, cost, len(zero))] += value
    return extra


def _baseline(
    program: Program,
    trace: Trace,
    node: Node,
    baseline: Any,
    q: Any,
    state: Mapping[str, Any],
) -> tuple[Any, dict[str, Any]]:
    layout, plates = trace.layout, program.plates[node.index]
    lead = q.shape[:-1]
    shape = (*lead, layout.rows, *(layout.sizes[p] for p in plates))
    own = node.index if node.index in plates else SAMPLES
    axis = len(lead) + 1 + plates.index(own) if own in plates else None
    value = None
    if baseline.reads:
        reader = program.node(baseline.reads[0])
        value = trace.values[reader.index]
        if reader.loop is None:
            value = np.broadcast_to(
                value, (layout.count(program.plates[reader.index]),)
            )
            common = tuple(p for p in program.plates[reader.index] if p in plates)
            value = layout.reduce(value, program.plates[reader.index], common)
            value = layout.align(value, common, plates)
        value = np.broadcast_to(value, q.shape).reshape(shape)
    prefix = f"{node.name}/"
    past = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    joined = bool(program.mixing) and any(
        mixes(program, node, cost) for cost in program.costs
    )
    row_axis = None if joined else len(lead)
    scores = None
    if baseline.looks_at_scores:
        scores = _squared_scores(program, trace, node, q.shape).reshape(shape)
    inputs = BaselineInputs(
        q.reshape(shape), axis, row_axis, value, past, node.name, scores
    )
    b, after = baseline(inputs)
    b = np.asarray(b, q.dtype)
    if b.ndim and b.shape != shape:
        b = np.broadcast_to(b, shape)
    b = b.reshape(q.shape) if b.ndim else b
    return b, {prefix + k: v for k, v in after.items()}


def _squared_scores(
    program: Program, trace: Trace, node: Node, shape: tuple[int, ...]
) -> Any:
    """Return the squared length of each score, by the parameters params reach."""
    role: Any = node.role
    drawn = trace.values[node.index]
    score = trace.distribution(node.name).score(drawn)
    total = np.zeros(shape, node.store.float_dtype(node.name))
    for name, parent in zip(role.names, node.inputs, strict=True):
        if parent.index in program.flow.carrying:
            total += np.square(score[name]).reshape(*shape, -1).sum(axis=-1)
    return total
