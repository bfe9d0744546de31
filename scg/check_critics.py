"""The proof that value nodes read enough to stand for what they stand for.

A value node that is looked at from a sample before it must d-separate that sample's
score from the costs it stands for; else it stays wrong however well it is fitted.
"""

from __future__ import annotations

from typing import Any

from scg.critic_sets import lookahead_path, slope_path
from scg.errors import CriticError, EstimatorError, NotDifferentiableError
from scg.followers import followers_of
from scg.node import Node
from scg.routes import Routes, no_derivative

__all__ = ["check_lookaheads", "check_slope"]


def check_lookaheads(routes: Routes) -> None:
    """Raise where a critic looks ahead to a value node that reads too little."""
    critics = {
        i: choice.critic
        for i, choice in routes.choices.items()
        if i in routes.live and choice.critic is not None
    }
    for i, critic in critics.items():
        _check_place(routes, routes.nodes[i], critic)
    if not any(critic.lookahead.is_checked for critic in critics.values()):
        return
    followers = followers_of(routes.influence, critics)
    for i, critic in critics.items():
        if not critic.lookahead.is_checked:
            continue
        site = routes.nodes[i]
        if site.loop is not None:
            _check_reads(routes, site, critic, site)
        for u in followers[i].samples:
            _check_reads(routes, site, critics[u], routes.nodes[u])


def _check_place(routes: Routes, site: Node, critic: Any) -> None:
    """Refuse a value node outside of the loop that a sample is in."""
    value = routes.influence.node(critic.value)
    if value.loop is not site.loop:
        assert site.loop is not None  # else `check` has refused it
        msg = (
            f"node {site.name!r}: {type(critic).__name__} expected a value node of "
            f"each step of the scan {site.loop.name!r}, got {value.name!r} from "
            "outside of it. Make it in the step function."
        )
        raise EstimatorError(msg)


def _check_reads(routes: Routes, site: Node, critic: Any, follower: Node) -> None:
    """Refuse a follower's value node that does not separate its costs from a sample."""
    influence = routes.influence
    value = influence.node(critic.value)
    costs = influence.descendants(follower.index).intersection(routes.costs)
    lag = 1 if follower is site else 0
    path = lookahead_path(routes.store, site, value, costs, lag)
    if not path:
        return
    reads = sorted(influence.deps(value)) or ["nothing but params"]
    later = " of the next step" if lag else ""
    msg = (
        f"node {site.name!r}: expected the value node {value.name!r}{later} to read "
        f"all that tells both of {site.name!r} and of the costs that {follower.name!r} "
        f"influences, got an open path {path}. It reads {', '.join(reads)}. Let it "
        f"read more, or accept the bias: {type(critic).__name__}(..., partial=True)."
    )
    raise CriticError(msg)


def check_slope(routes: Routes, site: Node, name: str, *, partial: bool) -> None:
    """Refuse a value node that has no derivative by a sample, or reads too little."""
    value = routes.influence.node(name)
    loop = site.loop
    if value.loop is not loop or (loop is not None and loop.keep_every):
        where = "outside of loops" if loop is None else f"in the scan {loop.name!r}"
        msg = (
            f"node {site.name!r}: expected the value node {name!r} beside it, {where} "
            "without keep_every, got one elsewhere, or a loop that keeps too little."
        )
        raise EstimatorError(msg)
    if value.index not in _reached(routes, site, value):
        msg = (
            f"node {site.name!r}: expected a value node to differentiate by it, got "
            f"{name!r}, which it does not influence. Let the value node read it."
        )
        raise EstimatorError(msg)
    path = "" if partial else slope_path(routes.store, site, value)
    if path:
        msg = (
            f"node {site.name!r}: expected the value node {name!r} to read all that "
            f"tells both of how {site.name!r} was drawn and of its costs, got an open "
            f"path {path}. Let it read more, or accept the bias: partial=True."
        )
        raise CriticError(msg)


def _reached(routes: Routes, site: Node, value: Node) -> set[int]:
    """Return what edges with a derivative lead to, on the way to a value node."""
    reached = {site.index}
    for i in sorted(routes.influence.between(site, value)):
        for edge in routes.influence.parents[i]:
            if edge.source not in reached or edge.lag:
                continue
            kind = routes.flow.kind(edge)
            if kind == "blocked":
                raise _no_slope(routes, site, value, edge.source, i)
            if kind == "smooth":
                reached.add(i)
    return reached


def _no_slope(
    routes: Routes, site: Node, value: Node, source: int, target: int
) -> NotDifferentiableError:
    nodes = routes.nodes
    msg = (
        f"node {site.name!r}: expected a derivative on every edge from it to the value "
        f"node {value.name!r}, got none on {nodes[source].name!r} → "
        f"{nodes[target].name!r}, since {no_derivative(nodes[source], nodes[target])}. "
        "Write the value node with functions that have one."
    )
    return NotDifferentiableError(msg)
