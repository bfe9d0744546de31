"""The proof that every estimator is legal on a graph, before anything runs.

Condition 1 of the theorem asks that every edge between nodes that a param reaches
deterministically has a derivative; a pathwise draw counts as deterministic. Baselines
and critics may read only what their sample does not influence, and gradient must be
able to reach every param.

References
----------
Schulman, Heess, Weber & Abbeel 2015, "Gradient Estimation Using Stochastic Computation
Graphs", theorem 1 and section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scg.check_critics import check_lookaheads, check_slope
from scg.errors import (
    BaselineError,
    EstimatorError,
    GraphError,
    NotDifferentiableError,
    UnreachableParamError,
    unknown_name,
)
from scg.flow import Flow
from scg.influence import Edge
from scg.node import Node, Store
from scg.roles import Call, Value
from scg.routes import Choice, Routes, is_black_box, no_derivative

__all__ = ["check", "prove"]

_DIFFERENTIABLE = "write it with np.where or np.maximum"
_CUT = "cut the way on purpose: scg.stop_gradient of {!r}"


def check(store: Store, estimators: Mapping[str, Any]) -> None:
    r"""Prove that every estimator is legal on a graph, or raise.

    For each param θ and each edge (v, w) with :math:`\theta \prec^D v` and
    :math:`\theta \prec^D w`, where draws of pathwise estimators count as deterministic:
    w is differentiable in v, or its log-density is, or the edge is constant on purpose.

    Parameters
    ----------
    store : Store
        The nodes of a graph.
    estimators : mapping of str to AbstractEstimator
        By the name of the stochastic node; those not named have the score function.

    Raises
    ------
    GraphError
        When there is no cost, or one reads what a loop with `until` ends with.
    UnknownNameError
        When an estimator, or what it reads, is named like no node.
    EstimatorError
        When an estimator needs what its node does not have.
    BaselineError
        When a baseline or critic reads what its node influences.
    CriticError
        When a critic reads too little to be right.
    NotDifferentiableError
        When a derivative is needed that does not exist.
    UnreachableParamError
        When gradient can reach a param in no way.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> check(graph.store, {"b": scg.Enumeration()})
    >>> try:
    ...     check(graph.store, {"b": scg.Pathwise()})
    ... except scg.EstimatorError as error:
    ...     print(str(error).split(". ")[0])
    node 'b': Pathwise needs a reparameterised distribution, got Bernoulli
    """
    prove(Routes(store, estimators))


def prove(routes: Routes) -> None:
    """Prove that the estimators are legal, as `check` does, or raise."""
    if not routes.costs:
        msg = (
            f"graph {routes.store.title!r}: expected at least one cost, got none. Add "
            "what is to be minimised: graph.cost(name, node)."
        )
        raise GraphError(msg)
    _check_stops(routes)
    for index, choice in routes.choices.items():
        site = routes.nodes[index]
        _check_needs(routes, site, choice)
        _check_family(routes, site, choice)
        _check_boundary(routes, site, choice)
        for name in choice.reads:
            _check_read(routes, site, choice, name)
        if choice.differentiates:
            check_slope(routes, site, choice.differentiates, partial=choice.partial)
    check_lookaheads(routes)
    for edge in routes.blocked():
        raise _not_differentiable(routes, edge)
    served = routes.served()
    for param in routes.params:
        if param.index not in served:
            raise _unreachable(routes, param)


def _check_stops(routes: Routes) -> None:
    """Refuse costs of what a loop ends with where its rows stop one by one.

    A row that has stopped goes on, uncounted, until the last one stops.
    """
    leading = routes.influence.ancestors(*routes.costs).union(routes.costs)
    for edge in routes.influence.edges:
        loop, after = routes.nodes[edge.source].loop, routes.nodes[edge.target]
        if loop is None or loop.until is None or after.loop is loop:
            continue
        if after.index not in leading:
            continue
        below = routes.influence.descendants(after.index) | {after.index}
        for cost in routes.costs:
            if cost in below:
                msg = (
                    f"cost {routes.nodes[cost].name!r}: expected no value of the scan "
                    f"{loop.name!r}, whose rows stop one by one where "
                    f"{loop.until.name!r} is true, got {after.name!r}, which it ends "
                    "with when the last one stops. Make it a cost of the step."
                )
                raise GraphError(msg)


def _check_needs(routes: Routes, site: Node, choice: Choice) -> None:
    role: Any = site.role
    needs, distribution = choice.needs, role.distribution
    family, finite = type(distribution).__name__, distribution.support() is not None
    wanted = way_out = got = ""
    if "reparameterisation" in needs and not distribution.reparameterised:
        wanted, got = "a reparameterised distribution", family
        way_out = "Use ScoreFunction()" + (", or Enumeration()." if finite else ".")
    elif "support" in needs and not finite:
        wanted, got = "a finite support", f"{family}, which has none"
        way_out = "Use ScoreFunction()."
    elif "no loop" in needs and site.loop is not None:
        wanted, got = (
            "a node outside of loops",
            f"one inside the scan {site.loop.name!r}",
        )
        way_out = "Use ScoreFunction()."
    elif "log_prob" in needs and _moves_support(routes, site):
        wanted = "a support that the params do not move"
        got = f"{family}, whose score has not mean 0: the estimate would be biased"
        way_out = "Use Pathwise()." if distribution.reparameterised else ""
    if wanted:
        msg = f"node {site.name!r}: {choice.label} needs {wanted}, got {got}. {way_out}"
        raise EstimatorError(msg.rstrip())


def _check_family(routes: Routes, site: Node, choice: Choice) -> None:
    """Refuse a family, or a parameter of it, that the estimator has no rule for."""
    role: Any = site.role
    family = type(role.distribution)
    if not choice.families:
        return
    known = choice.families.get(family)
    if known is None:
        names = sorted(each.__name__ for each in choice.families)
        msg = (
            f"node {site.name!r}: {choice.label} needs one of {', '.join(names)}, got "
            f"{family.__name__}. Use ScoreFunction()."
        )
        raise EstimatorError(msg)
    for name, parent in zip(role.names, site.inputs, strict=True):
        if parent.index in routes.flow.carrying and name not in known:
            msg = (
                f"node {site.name!r}: {choice.label} differentiates {family.__name__} "
                f"by {', '.join(sorted(known))}, got a {name} that params reach. Use "
                "ScoreFunction(), or cut that way with scg.stop_gradient."
            )
            raise EstimatorError(msg)


def _moves_support(routes: Routes, site: Node) -> bool:
    role: Any = site.role
    return not role.distribution.fixed_support and any(
        edge.source in routes.flow.carrying and routes.flow.kind(edge) != "constant"
        for edge in routes.influence.parents[site.index]
    )


def _check_boundary(routes: Routes, site: Node, choice: Choice) -> None:
    if choice.boundary in {None, "episode"}:
        return
    node = routes.influence.node(choice.boundary)
    if node.dtype != np.bool_ or node.event_shape or node.loop is not site.loop:
        msg = (
            f"node {site.name!r}: {choice.label} expected credit to end at a boolean "
            "node "
            f"of the same scan, one truth value a row, got {node!r}. Make it from a "
            "comparison in the scan's step, and give it a name with graph.rename."
        )
        raise EstimatorError(msg)


def _check_read(routes: Routes, site: Node, choice: Choice, name: str) -> None:
    who = f"node {site.name!r}: {choice.label}"
    if name not in routes.influence.store.named:
        values = [n.name for n in routes.nodes if isinstance(n.role, Value)]
        raise unknown_name("value node", name, values)  # noqa: EM101
    value = routes.influence.node(name)
    if not isinstance(value.role, Value):
        msg = (
            f"{who} expected a value node to read, got the {value.kind} node {name!r}. "
            f"Make one of it: graph.value(name, node)."
        )
        raise BaselineError(msg)
    if name != choice.differentiates and routes.within_step(site, value):
        raise _influenced(routes, who, site, value)
    if value.event_shape and not choice.learns:
        msg = (
            f"{who} expected to read one number a row, got {name!r} of shape "
            f"{value.event_shape} a row. Reduce it: np.sum(..., axis=-1)."
        )
        raise BaselineError(msg)
    if value.loop not in {None, site.loop}:
        assert value.loop is not None
        msg = (
            f"{who} reads {name!r}, which has one value for each step of the scan "
            f"{value.loop.name!r}, where {site.name!r} is not. Make a value node "
            "outside."
        )
        raise BaselineError(msg)


def _influenced(routes: Routes, who: str, site: Node, value: Node) -> BaselineError:
    influence = routes.influence
    way = influence.path(site.index, value.index, same_step=True)
    way = way or influence.path(site.index, value.index)
    when = " within the step" if site.loop and value.loop is site.loop else ""
    others = [n for n in routes.nodes if isinstance(n.role, Value) and n is not value]
    legal = [n.name for n in others if n.index not in influence.within_step(site)]
    there = f", such as {', '.join(map(repr, legal))}" if legal else ""
    return BaselineError(
        f"{who} reads {value.name!r}, which {site.name!r} influences{when} "
        f"({' → '.join(way)}), so it would bias the gradient. Read a value node "
        "computed "
        f"from graph.non_influenced({site.name!r}){there}."
    )


def _not_differentiable(routes: Routes, edge: Edge) -> NotDifferentiableError:
    source, target = routes.nodes[edge.source], routes.nodes[edge.target]
    for param in routes.params:
        before = routes.reach(param.index)
        if edge.source in before:
            break
    else:
        raise AssertionError(source.name)
    path = routes.path(before, edge.source)
    way = routes.names(path + routes.onward(edge.target))
    return NotDifferentiableError(
        f"param {param.name!r}: expected a derivative on every edge from it to "
        f"{way[-1]!r}, got none on {source.name!r} → {target.name!r}, since "
        f"{no_derivative(source, target)}, on the way {' → '.join(way)}. The way out: "
        f"{_way_out(routes, edge, path)}."
    )


def _way_out(routes: Routes, edge: Edge, path: tuple[int, ...]) -> str:
    """Name the smallest change that makes the edge legal."""
    pathwise = routes.flow.pathwise
    for site in reversed(path):
        fewer = Flow(routes.influence, pathwise - {site}) if site in pathwise else None
        if fewer and edge.source not in fewer.carrying:
            return f"ScoreFunction() for {routes.nodes[site].name!r}" + (
                ", which needs no derivative below it"
            )
    source, target = routes.nodes[edge.source], routes.nodes[edge.target]
    cut = _CUT.format(source.name)
    several = pathwise & routes.flow.behind({edge.source})
    if (
        several
        and edge.source not in Flow(routes.influence, pathwise - several).carrying
    ):
        names = ", ".join(routes.nodes[i].name for i in sorted(several))
        return f"ScoreFunction() for each pathwise sample above it ({names})"
    return f"{_sample_there(source, target)}, or {cut}"


def _sample_there(source: Node, target: Node) -> str:
    name = target.role.operation.name if isinstance(target.role, Call) else ""
    if is_black_box(target):
        return (
            f"give it a sample, whose distribution has {source.name!r} as a parameter"
        )
    if name in {"argmax", "argmin"}:
        return f"draw the choice: scg.Categorical with {source.name!r} as logits"
    if source.dtype == np.bool_ or target.dtype == np.bool_:
        return f"draw it: scg.Bernoulli, or {_DIFFERENTIABLE}"
    return f"put a sample in its place, or {_DIFFERENTIABLE}"


def _unreachable(routes: Routes, param: Node) -> UnreachableParamError:
    ends = routes.dead_ends(param)
    shown = [f"{' → '.join(routes.names(p))}: {why}" for p, why in ends[:3]]
    more = [f"and {len(ends) - 3} more"] if len(ends) > 3 else []
    return UnreachableParamError(
        f"param {param.name!r}: expected a way for gradient from a cost, from a sample "
        "that influences a cost or from a value node being fitted, got none. Its "
        "ways end "
        f"at {'; '.join(shown + more)}. Use it in the model, or remove it."
    )
