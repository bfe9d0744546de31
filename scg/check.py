"""The proof that every estimator is legal on a graph, before anything runs.

Condition 1 of the theorem asks that every edge between nodes a param reaches
deterministically has a derivative; a pathwise draw counts as deterministic. Baselines
may read only what their sample does not influence, and a param must be reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scg.errors import (
    BaselineError,
    EstimatorError,
    GraphError,
    NotDifferentiableError,
    UnreachableParamError,
    unknown_name,
)
from scg.flow import Flow
from scg.influence import Edge, Influence, is_random
from scg.node import Cost, Draw, EnvironmentStep, Node, Param, Store, Value

__all__ = ["check"]


def check(store: Store, estimators: Mapping[str, Any]) -> None:
    """Raise if an estimator is not legal; see `scg.Graph.check`."""
    costs = [n for n in store.nodes if isinstance(n.role, Cost)]
    if not costs:
        msg = f"graph {store.title!r}: expected at least one cost, got none."
        raise GraphError(msg)
    influence = Influence(store)
    sites = {n.name: n for n in store.nodes if isinstance(n.role, Draw)}
    for name, estimator in estimators.items():
        if name not in sites:
            raise unknown_name("stochastic node", name, sites)  # noqa: EM101
        _check_needs(sites[name], estimator)
        _check_reads(influence, sites[name], estimator)
    pathwise = [sites[n].index for n, e in estimators.items() if e.pathwise]
    flow = Flow(influence, pathwise)
    ends = _ends(influence, flow, estimators, sites)
    _check_edges(influence, flow, ends)
    _check_params(influence, flow, ends)


def _check_needs(site: Node, estimator: Any) -> None:
    role: Any = site.role
    who = f"node {site.name!r}: {type(estimator).__name__}"
    if (
        "reparameterisation" in estimator.needs
        and not role.distribution.reparameterised
    ):
        msg = (
            f"{who} expected a reparameterised distribution, got "
            f"{type(role.distribution).__name__}. Use ScoreFunction() or Enumeration()."
        )
        raise EstimatorError(msg)
    if "support" in estimator.needs and role.distribution.support() is None:
        msg = (
            f"{who} expected a finite support, got {type(role.distribution).__name__}. "
            "Use ScoreFunction() or Pathwise()."
        )
        raise EstimatorError(msg)
    if "log_prob" in estimator.needs and not role.distribution.fixed_support:
        msg = (
            f"{who} expected a support that the parameters do not move, got "
            f"{type(role.distribution).__name__}. Use Pathwise()."
        )
        if any(p.dtype.kind == "f" for p in site.inputs):
            raise EstimatorError(msg)
    if "no loop" in estimator.needs and site.loop is not None:
        msg = f"{who} is not possible inside the scan {site.loop.name!r}."
        raise EstimatorError(msg)


def _check_reads(influence: Influence, site: Node, estimator: Any) -> None:
    for name in estimator.reads:
        value = influence.node(name)
        if not isinstance(value.role, Value):
            msg = (
                f"node {site.name!r}: expected the baseline to read a value node, got the "
                f"{value.kind} node {name!r}. Make one: graph.value(name, node)."
            )
            raise BaselineError(msg)
        if value.index in influence.within_step(site):
            way = " → ".join(influence.path(site.index, value.index))
            msg = (
                f"node {site.name!r}: its baseline reads {name!r}, which {site.name!r} "
                f"influences ({way}), so it would bias the gradient. Read only "
                "non-influenced nodes: graph.non_influenced(name) lists them."
            )
            raise BaselineError(msg)


def _ends(
    influence: Influence,
    flow: Flow,
    estimators: Mapping[str, Any],
    sites: Mapping[str, Node],
) -> frozenset[int]:
    """Return where gradient starts: costs, influential samples, values being fitted."""
    nodes = influence.store.nodes
    costs = {n.index for n in nodes if isinstance(n.role, Cost)}
    scored = {
        s.index
        for s in sites.values()
        if s.index not in flow.pathwise and influence.descendants(s.index) & costs
    }
    fitted = {influence.node(n).index for e in estimators.values() for n in e.reads}
    return frozenset(costs | scored | fitted)


def _check_edges(influence: Influence, flow: Flow, ends: frozenset[int]) -> None:
    nodes = influence.store.nodes
    for edge in influence.edges:
        if edge.source not in flow.carrying or flow.kind(edge) != "blocked":
            continue
        target = nodes[edge.target]
        if isinstance(target.role, EnvironmentStep) or _leads_on(
            influence, flow, edge, ends
        ):
            _refuse(influence, flow, edge)


def _leads_on(
    influence: Influence, flow: Flow, edge: Edge, ends: frozenset[int]
) -> bool:
    """Tell whether gradient would go on behind a blocked edge."""
    stack, seen = [edge.target], {edge.target}
    while stack:
        i = stack.pop()
        if i in ends:
            return True
        if is_random(influence.store.nodes[i]) and i not in flow.pathwise:
            continue
        for after in influence.children[i]:
            if after.target not in seen and flow.kind(after) != "constant":
                seen.add(after.target)
                stack.append(after.target)
    return False


def _refuse(influence: Influence, flow: Flow, edge: Edge) -> None:
    nodes = influence.store.nodes
    starts = [n for n in nodes if isinstance(n.role, Param)]
    way: list[str] = []
    for param in starts:
        way = influence.path(param.index, edge.source)
        if way or param.index == edge.source:
            way = way or [param.name]
            break
    way.append(nodes[edge.target].name)
    through = [n for n in way if influence.node(n).index in flow.pathwise]
    out = (
        f"use ScoreFunction() for {through[-1]!r}, which needs no derivative below it"
        if through
        else "put a sample with a ScoreFunction before it, write it with differentiable "
        "functions (np.where, np.maximum), or cut it with scg.stop_gradient"
    )
    msg = (
        f"expected a derivative along {' → '.join(way)}, got none on the edge "
        f"{nodes[edge.source].name!r} → {nodes[edge.target].name!r}. The way out: {out}."
    )
    raise NotDifferentiableError(msg)


def _check_params(influence: Influence, flow: Flow, ends: frozenset[int]) -> None:
    reached = flow.behind(ends & flow.carrying)
    for node in influence.store.nodes:
        if not isinstance(node.role, Param) or node.index in reached:
            continue
        if any(_feeds_site(influence, flow, i, node.index) for i in ends):
            continue
        below = sorted(
            influence.store.nodes[i].name for i in influence.descendants(node.index)
        )
        msg = (
            f"param {node.name!r}: no gradient can reach it. It leads to "
            f"{below or 'nothing'}, of which no cost and no influential sample is reached "
            "along edges that have a derivative. Use it in the model, or remove it."
        )
        raise UnreachableParamError(msg)


def _feeds_site(influence: Influence, flow: Flow, site: int, param: int) -> bool:
    """Tell whether a param reaches the parameters of a scored sample smoothly."""
    if not is_random(influence.store.nodes[site]):
        return False
    heads = [e.source for e in influence.parents[site] if e.source in flow.carrying]
    return param in heads or param in flow.behind(heads)
