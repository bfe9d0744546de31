"""What gradient does on every edge of a graph, for one choice of estimators."""

from __future__ import annotations

from scg.drawing.picture import Gradient
from scg.influence import Edge
from scg.routes import Routes

__all__ = ["Gradients", "strongest"]

_BY_STRENGTH: tuple[Gradient, ...] = ("backprop", "score", "missing", "blocked", "none")


def strongest(found: set[Gradient]) -> Gradient:
    """Return what to show where several edges are drawn as one."""
    return next((kind for kind in _BY_STRENGTH if kind in found), "none")


class Gradients:
    """What gradient does on an edge.

    ``backprop``: it crosses the edge, since a param lies behind and what starts
    gradient off lies ahead, or it goes from a value node to the sample that
    differentiates it. ``score``: it starts here, from the log-density of a scored
    sample. ``missing``: a derivative is needed and there is none. ``blocked``: there is
    none. ``none``: no gradient comes, or the edge is constant on purpose.
    """

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.missing = frozenset(routes.blocked())
        fitted = [*routes.costs, *routes.readers]
        scored = [e.source for e in routes.influence.edges if self._is_score(e)]
        self.slopes = self._slopes()
        self.active = routes.flow.behind([*fitted, *scored])

    def on(self, edge: Edge) -> Gradient:
        """Tell what gradient does on one edge."""
        flow = self.routes.flow
        if edge in self.missing:
            return "missing"
        if self._is_score(edge):
            return "score"
        if edge in self.slopes:
            return "backprop"
        if edge.source in flow.carrying and flow.passes(edge):
            return "backprop" if edge.target in self.active else "none"
        return "blocked" if flow.kind(edge) == "blocked" else "none"

    def _slopes(self) -> frozenset[Edge]:
        """Return the edges from samples to the value nodes they differentiate."""
        found: set[Edge] = set()
        influence, kind = self.routes.influence, self.routes.flow.kind
        for i, choice in self.routes.choices.items():
            if choice.differentiates and i in self.routes.live:
                value = influence.node(choice.differentiates)
                between = influence.between(self.routes.nodes[i], value)
                found.update(
                    e
                    for j in between - {i}
                    for e in influence.parents[j]
                    if e.source in between and not e.lag and kind(e) == "smooth"
                )
        return frozenset(found)

    def _is_score(self, edge: Edge) -> bool:
        routes = self.routes
        choice = routes.choices.get(edge.target)
        return (
            choice is not None
            and choice.scored
            and edge.target in routes.live
            and edge.source in routes.flow.carrying
            and routes.flow.kind(edge) == "smooth"
        )
