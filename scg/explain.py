"""Why a gradient is what it is: how it reaches each param, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scg.influence import Influence
from scg.node import Cost, Draw, Param, Store

__all__ = ["explain"]


def explain(store: Store, estimators: Mapping[str, Any]) -> str:
    """Describe the routes of gradient; see `scg.Graph.explain`."""
    influence = Influence(store)
    lines = []
    for node in store.nodes:
        if isinstance(node.role, Param):
            lines += [
                f"{node.name}",
                *(f"  {r}" for r in _routes(influence, node.index, estimators)),
            ]
    for node in store.nodes:
        if isinstance(node.role, Draw) and not influence.downstream_costs(node):
            lines.append(f"{node.name} influences no cost and is left out")
    return "\n".join(lines)


def _routes(
    influence: Influence, param: int, estimators: Mapping[str, Any]
) -> list[str]:
    nodes = influence.store.nodes
    found = []
    for i in sorted(influence.deterministic_descendants(param)):
        way = " → ".join(influence.path(param, i, deterministic=True))
        if isinstance(nodes[i].role, Cost):
            found.append(f"← {nodes[i].name} (back-propagation: {way})")
        elif isinstance(nodes[i].role, Draw):
            estimator = type(estimators.get(nodes[i].name)).__name__
            word = "ScoreFunction" if estimator == "NoneType" else estimator
            costs = ", ".join(influence.downstream_costs(nodes[i])) or "no cost"
            found.append(f"← {nodes[i].name} ({word}: {way}) ← {costs}")
    return found or ["no gradient reaches it"]
