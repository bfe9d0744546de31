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
    gradient off lies ahead. ``score``: it starts here, from the log-density of a scored
    sample. ``missing``: a derivative is needed and there is none. ``blocked``: there is
    none. ``none``: no gradient comes, or the edge is constant on purpose.
    """

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.missing = frozenset(routes.blocked())
        fitted = [*routes.costs, *routes.readers]
        scored = [e.source for e in routes.influence.edges if self._is_score(e)]
        self.active = routes.flow.behind([*fitted, *scored])

    def on(self, edge: Edge) -> Gradient:
        """Tell what gradient does on one edge."""
        flow = self.routes.flow
        if edge in self.missing:
            return "missing"
        if self._is_score(edge):
            return "score"
        if edge.source in flow.carrying and flow.passes(edge):
            return "backprop" if edge.target in self.active else "none"
        return "blocked" if flow.kind(edge) == "blocked" else "none"

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
