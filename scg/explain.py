"""Why a gradient is what it is: how it reaches each param, in words.

What is said follows from the graph and the estimators alone; nothing is run, and a
graph that `scg.check` refuses is explained too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scg.influence import LagSets
from scg.node import Node, Store
from scg.roles import Cost
from scg.routes import Choice, Route, Routes, is_black_box, no_derivative

__all__ = ["credit_in_words", "explain", "routes_in_words"]


def explain(store: Store, estimators: Mapping[str, Any]) -> str:
    r"""Say for every param and every sample how gradient comes to it.

    An arrow points the way gradient goes, from what starts it to the param; nodes
    without a name of their own are left out.

    Parameters
    ----------
    store : Store
        The nodes of a graph.
    estimators : mapping of str to AbstractEstimator
        By the name of the stochastic node; those not named have the score function.

    Returns
    -------
    str
        Params, stochastic nodes, black boxes and edges without a derivative; parts that
        are empty are left out.

    Raises
    ------
    EstimatorError, UnknownNameError
        When an estimator is named for what is not a stochastic node.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> scale = graph.param("scale", 1.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> z = graph.sample("z", scg.Normal(mean=b, scale=1.0))
    >>> loss = graph.cost("loss", (scale * b - 0.45) ** 2)
    >>> print(explain(graph.store, {}))
    params
      theta  ← b (score function) ← loss
      scale  ← loss
    stochastic nodes
      b  Bernoulli  score function  needs log_prob  credited with loss
      z  Normal     score function  needs log_prob  pruned: influences no cost
    """
    routes = Routes(store, estimators)
    samples = [_sample(routes, i, c) for i, c in routes.choices.items()]
    boxes = [_black_box(routes, n) for n in store.nodes if is_black_box(n)]
    lines = [
        *_part("params", [row for p in routes.params for row in _param(routes, p)]),
        *_part("stochastic nodes", samples),
        *_part("black boxes", boxes),
        *_part("derivatives that are needed and missing", _missing(routes)),
    ]
    return "\n".join(lines)


def _part(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table with aligned columns below its title."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return [title, *(f"  {cell}".rstrip() for cell in cells)]


def _param(routes: Routes, param: Node) -> list[tuple[str, str]]:
    found = routes_in_words(routes, param)
    return [(param.name if i == 0 else "", text) for i, text in enumerate(found)]


def routes_in_words(routes: Routes, param: Node) -> list[str]:
    """Say how gradient comes to a param, one text for each way, or that none does."""
    found = [_route(routes, route) for route in routes.routes(param)]
    if not found:
        path, why = routes.dead_ends(param)[0]
        way = f" ({' → '.join(routes.names(path))})" if len(path) > 1 else ""
        found = [f"nothing: {why}{way}"]
    return found


def _route(routes: Routes, route: Route) -> str:
    """Write a route as ``← h ← b (score function) ← loss``."""
    nodes, end = routes.nodes, routes.nodes[route.end]
    between = [nodes[i] for i in route.path[1:-1] if nodes[i].is_named]
    steps = [
        f"{n.name} (pathwise)" if n.index in routes.flow.pathwise else n.name
        for n in between
    ]
    if isinstance(end.role, Cost):
        steps.append(end.name)
    elif end.index in routes.choices:
        costs = ", ".join(routes.influence.downstream_costs(end))
        steps += [f"{end.name} ({routes.choices[end.index].words})", costs]
    else:
        readers = ", ".join(routes.readers[end.index])
        steps.append(f"{end.name} (regression on the costs of {readers})")
    return "".join(f"← {step} " for step in steps).rstrip()


def _sample(routes: Routes, index: int, choice: Choice) -> tuple[str, ...]:
    node = routes.nodes[index]
    role: Any = node.role
    where = f"{node.name} in {node.loop.name}" if node.loop else node.name
    needs = ", ".join(sorted(choice.needs)) or "nothing"
    return (
        where,
        type(role.distribution).__name__,
        choice.words,
        f"needs {needs}",
        credit_in_words(routes, node, choice),
    )


def credit_in_words(routes: Routes, node: Node, choice: Choice) -> str:
    """Say which costs a sample is credited with, or why it is with none."""
    if node.index not in routes.live:
        return "pruned: influences no cost"
    names = routes.influence.downstream_costs(node)
    costs = ", ".join(_timed(routes, node, routes.influence.node(n)) for n in names)
    reached = any(
        e.source in routes.flow.carrying and routes.flow.kind(e) == "smooth"
        for e in routes.influence.parents[node.index]
    )
    if not reached:
        return f"influences {costs}; no param reaches it"
    if not choice.scored:
        return f"passes on the derivative of {costs}"
    reads = f"; reads {', '.join(choice.reads)}" if choice.reads else ""
    return f"credited with {costs}{reads}"


def _timed(routes: Routes, node: Node, cost: Node) -> str:
    """Write a cost's name, inside a loop with the steps at which it is influenced."""
    if cost.loop is None:
        return cost.name
    if cost.loop is node.loop:
        lags = _steps(routes.influence.lag_sets(node), cost.index)
        words = {
            "0": "same step",
            "0 and all later": "same step, later steps",
            "1 and all later": "later steps",
        }.get(lags, f"steps later: {lags}")
    else:
        steps = _steps(routes.influence.entry_sets(node, cost.loop), cost.index)
        words = "every step" if steps == "0 and all later" else f"steps {steps}"
    return f"{cost.name} ({words})"


def _steps(sets: LagSets, cost: int) -> str:
    """Write the numbers of steps at which a cost is in the sets."""
    last = len(sets.sets) - 1
    hits = [k for k in range(last + 1) if cost in sets.sets[k]]
    cycle = [k for k in hits if k >= sets.start]
    if len(cycle) == sets.period:
        while len(hits) > 1 and hits[-2] == hits[-1] - 1:
            hits.pop()
        return f"{', '.join(map(str, hits))} and all later"
    again = f", and {', '.join(map(str, cycle))} plus multiples of {sets.period}"
    return ", ".join(map(str, hits)) + (again if cycle else "")


def _black_box(routes: Routes, node: Node) -> tuple[str, str]:
    read = ", ".join(parent.name for parent in node.inputs)
    return node.name, f"reads {read}" if read else "reads nothing"


def _missing(routes: Routes) -> list[tuple[str, str]]:
    nodes = routes.nodes
    return [
        (
            f"{nodes[e.source].name} → {nodes[e.target].name}",
            no_derivative(nodes[e.source], nodes[e.target]),
        )
        for e in routes.blocked()
    ]
