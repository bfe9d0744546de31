"""All that a surrogate loss consists of, taken back to the params in one pass.

Seeds stand at costs (pathwise), at the parameters of samples (what estimators say) and
at value nodes (their regression); each row counts for what it is worth in the mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from scg.arrays import all_finite
from scg.credit import Credit, Target
from scg.errors import EstimatorError, NonFiniteError
from scg.estimators import READ, Site
from scg.node import Node
from scg.plan import Plan, plan_of
from scg.program import Program
from scg.reverse import Reverse
from scg.sums import row_weight
from scg.trace import Trace
from scg.value_slope import pulled_from_value

__all__ = ["backward", "cost_seed", "scores", "site_adjoints", "site_of"]


def backward(
    program: Program,
    trace: Trace,
    sites: Mapping[int, Mapping[str, Any]],
    targets: Iterable[Target] = (),
    seeds: Iterable[tuple[Node, Any]] = (),
) -> dict[str, Any]:
    """Take all that a surrogate loss consists of back to the params.

    Parameters
    ----------
    program : Program
    trace : Trace
    sites : dict of int to dict of str to array
        For each scored sample, the derivative by the parameters of its distribution.
    targets : iterable of Target
        What value nodes are fitted to.
    seeds : iterable of (Node, array)
        Further adjoints of nodes.

    Returns
    -------
    dict of str to array
        Like the params.

    Raises
    ------
    NonFiniteError
        When a param's gradient is NaN or infinite.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return _taken_back(program, trace, sites, targets, seeds)


def _taken_back(
    program: Program,
    trace: Trace,
    sites: Mapping[int, Mapping[str, Any]],
    targets: Iterable[Target],
    seeds: Iterable[tuple[Node, Any]],
) -> dict[str, Any]:
    reverse = Reverse(program, trace)
    for cost in program.costs:
        if cost.index in program.flow.carrying:
            reverse.seed(cost, cost_seed(program, trace, cost))
    for index, adjoints in sites.items():
        reverse.seed_site(program.nodes[index], adjoints)
    for node, adjoint in seeds:
        reverse.seed(node, adjoint)
    apart = [r for r in map(partial(_fit, reverse), targets) if r is not reverse]
    apart += [
        _teach(program, trace, program.nodes[i], adjoints[READ])
        for i, adjoints in sites.items()
        if READ in adjoints
    ]
    arrived = reverse.run()
    for private in apart:
        for index, adjoint in private.run().items():
            arrived[index] = arrived.get(index, 0) + adjoint
    return {node.name: _finished(node, arrived) for node in program.params}


def _fit(reverse: Reverse, target: Target) -> Reverse:
    """Seed a value node's regression, in a pass of its own where params are kept apart.

    What a value shares with the policy gets both gradients in one pass.
    """
    program, trace = reverse.program, reverse.trace
    value = program.nodes[target.value]
    where = reverse if target.shared else Reverse(program, trace, private=value)
    error = trace.values[target.value] - target.target
    adjoint = target.weight * error * row_weight(program, trace, value)
    where.seed(value, adjoint if value.has_rows else adjoint.sum())
    return where


def _teach(program: Program, trace: Trace, node: Node, adjoint: Any) -> Reverse:
    """Seed what a sample's estimator reads and trains, in a pass of its own."""
    value = program.node(program.estimators[node.index].reads[0])
    reverse = Reverse(program, trace, private=value)
    have, want = (program.plates[n.index] for n in (node, value))
    summed = trace.layout.unalign(adjoint, have, want)
    reverse.seed(value, summed if value.has_rows else summed.sum(axis=0))
    return reverse


def _read(program: Program, trace: Trace, node: Node) -> Any:
    """Return what a sample's estimator reads and trains, for each of its rows."""
    estimator = program.estimators[node.index]
    if not estimator.learns or not estimator.reads:
        return None
    value = program.node(estimator.reads[0])
    have, want = (program.plates[n.index] for n in (value, node))
    if not set(have) <= set(want):
        lacking = [program.nodes[p].name for p in have if p not in want]
        msg = (
            f"node {node.name!r}: {type(estimator).__name__} expected to read the same "
            f"in all branches of a row, got {value.name!r}, which depends on the "
            f"branches of {lacking}. Read what they do not influence."
        )
        raise EstimatorError(msg)
    found = trace.values[value.index]
    if not value.has_rows:
        found = np.broadcast_to(found, (trace.layout.rows, *value.event_shape))
    return trace.layout.align(found, have, want)


def _finished(node: Node, arrived: Mapping[int, Any]) -> Any:
    if node.index not in arrived:
        return np.zeros(node.event_shape, node.dtype)
    found = np.asarray(arrived[node.index], node.dtype)
    if not all_finite(found):
        msg = f"param {node.name!r}: its gradient is NaN or infinite."
        raise NonFiniteError(msg)
    return found


def cost_seed(program: Program, trace: Trace, cost: Node) -> Any:
    """Return what each row of a cost counts in the mean over runs."""
    if not cost.has_rows:
        return np.ones((), cost.dtype)
    weight = row_weight(program, trace, cost)
    shape = trace.values[cost.index].shape
    return np.broadcast_to(weight, shape).astype(cost.dtype)


def scores(
    program: Program, trace: Trace, credits: Mapping[int, Credit]
) -> tuple[dict[int, dict[str, Any]], list[tuple[Node, Any]]]:
    """Return what the samples add to the surrogate loss.

    Derivatives by the parameters of their distributions, by index, and adjoints of
    nodes that are the log-probability of a sample.
    """
    riding = plan_of(program).riding
    sloped = plan_of(program).slopes
    sites: dict[int, dict[str, Any]] = {}
    seeds: list[tuple[Node, Any]] = []
    for i, credit in credits.items():
        if i in sloped:
            seeds += pulled_from_value(program, trace, program.nodes[i])
        elif i in riding and credit.target is None:
            seeds.append((riding[i], _spread(program, trace, riding[i], i, credit)))
        else:
            sites[i] = site_adjoints(program, trace, i, credit)
    return sites, seeds


def _spread(
    program: Program, trace: Trace, node: Node, index: int, credit: Credit
) -> Any:
    factor = _factor(program, trace, program.nodes[index], credit)
    wide = factor.reshape(-1, *(1,) * len(node.event_shape))
    return np.broadcast_to(wide, (len(wide), *node.event_shape))


def site_adjoints(
    program: Program, trace: Trace, index: int, credit: Credit, slope: Any = None
) -> dict[str, Any]:
    """Return the derivative of the surrogate loss by the parameters of one sample.

    `slope` is that of `Site`, for an estimator that looks down.
    """
    node, plan = program.nodes[index], plan_of(program)
    kernel = plan.draws.get(index)
    if kernel is None or not plan.kernels:
        site = site_of(program, trace, node, credit.cost, credit.advantage, slope)
        return program.estimators[index].adjoints(site)
    factor = _factor(program, trace, node, credit)
    value, parameter = trace.values[index], _parameter(plan, trace, node)
    if node.loop is not None:
        value = value.reshape(-1, *value.shape[2:])
    shared = trace.shared.get(index)
    role: Any = node.role
    found = kernel.score(parameter, value, shared, factor.reshape(-1), plan.buffers)
    return {role.names[0]: found}


def _factor(program: Program, trace: Trace, node: Node, credit: Credit) -> Any:
    """Return what the score of each row is multiplied by."""
    if credit.factor is not None:
        return credit.factor
    return credit.advantage * row_weight(program, trace, node)


def _parameter(plan: Plan, trace: Trace, node: Node) -> Any:
    """Return the parameter of a sample that has one, time folded into the rows."""
    (parent,), (place,) = node.inputs, plan.sources[node.index]
    if parent.loop is None and place < len(trace.values):
        return trace.values[place]
    value = trace.values[parent.index]
    if parent.loop is not None:
        return value.reshape(-1, *value.shape[2:])
    have, want = (plan.program.plates[n.index] for n in (parent, node))
    return trace.layout.align(value, have, want)


def site_of(
    program: Program,
    trace: Trace,
    node: Node,
    cost: Any,
    advantage: Any,
    slope: Any = None,
) -> Site:
    """Return one sample as its estimator sees it, with time folded into the rows."""
    role: Any = node.role
    want = program.plates[node.index]
    in_loop = node.loop is not None
    inputs = []
    for parent in node.inputs:
        value = trace.values[parent.index]
        if parent.has_rows and parent.loop is None and not in_loop:
            value = trace.layout.align(value, program.plates[parent.index], want)
        elif parent.loop is not None:
            value = value.reshape(-1, *value.shape[2:])
        inputs.append(value)
    value = trace.values[node.index]
    weight = row_weight(program, trace, node)
    if in_loop:
        value = value.reshape(-1, *value.shape[2:])
        weight = np.broadcast_to(weight, cost.shape).reshape(-1)
    return Site(
        node.name,
        role.at(inputs),
        value,
        weight,
        cost.reshape(-1),
        advantage.reshape(-1),
        program.branching.get(node.index, 1),
        trace.noise.get(node.index),
        slope,
        _read(program, trace, node),
    )
