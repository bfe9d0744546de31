"""From a graph and its estimators to what there is to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scg.drawing.facts import Facts
from scg.drawing.gradients import Gradients, strongest
from scg.drawing.labels import Labels, kind_of
from scg.drawing.looks import size_of
from scg.drawing.merging import Merging
from scg.drawing.names import Names
from scg.drawing.picture import Block, Gradient, Link, Picture, Plate
from scg.influence import Edge
from scg.node import Loop, Node, Store
from scg.roles import Carry
from scg.routes import Routes

__all__ = ["picture_of"]


def picture_of(
    store: Store, estimators: Mapping[str, Any], *, collapse: bool
) -> Picture:
    """Say what a picture of a graph shows.

    Raises
    ------
    EstimatorError, UnknownNameError
        When an estimator is named for what is not a stochastic node.
    """
    routes = Routes(store, estimators)
    merging = Merging(routes.influence, collapse=collapse)
    names = Names(merging)
    labels = Labels(names, routes.choices)
    facts = Facts(routes, labels)
    loops = list(dict.fromkeys(n.loop for n in store.nodes if n.loop is not None))
    blocks: list[Block] = []
    numbers: dict[int, int] = {}
    for head, members in sorted(merging.members().items()):
        numbers[head] = len(blocks)
        blocks.append(_block(routes, labels, facts, loops, head, members))
    plates = tuple(Plate(p.name, _plate_title(p)) for p in loops)
    links = _links(Gradients(routes), merging, names, numbers)
    credits = tuple((numbers[i], numbers[cost]) for i, cost in facts.credits)
    return Picture(store.title, tuple(blocks), links, plates, credits)


def _block(
    routes: Routes,
    labels: Labels,
    facts: Facts,
    loops: list[Loop],
    index: int,
    members: list[int],
) -> Block:
    head = routes.nodes[index]
    kind, title, notes = kind_of(head), labels.title(head), labels.notes(head, members)
    width, height = size_of(kind, title, notes)
    return Block(
        head=index,
        members=tuple(members),
        kind=kind,
        name=head.name if head.is_named else None,
        title=title,
        notes=notes,
        plate=loops.index(head.loop) if head.loop is not None else None,
        width=width,
        height=height,
        facts=facts.of(head, members),
        is_pruned=index in routes.choices and index not in routes.live,
    )


def _plate_title(loop: Loop) -> str:
    until = f", until {loop.until.name}" if loop.until is not None else ""
    steps = "step" if loop.length == 1 else "steps"
    most = "at most " if until else ""
    return f"{loop.name}: {most}{loop.length:,} {steps}{until}"


def _links(
    gradients: Gradients, merging: Merging, names: Names, numbers: Mapping[int, int]
) -> tuple[Link, ...]:
    owner = merging.owner
    joined: dict[tuple[int, int, bool], list[Edge]] = {}
    for edge in merging.edges:
        source, target = owner[edge.source], owner[edge.target]
        if source != target or edge.lag:
            key = numbers[source], numbers[target], edge.lag > 0
            joined.setdefault(key, []).append(edge)
    return tuple(
        Link(
            source,
            target,
            _gradient(gradients, merging, edges),
            loops_back,
            _label(merging.nodes[edges[0].target], names) if loops_back else "",
        )
        for (source, target, loops_back), edges in sorted(joined.items())
    )


def _label(target: Node, names: Names) -> str:
    return names.carried(target) if isinstance(target.role, Carry) else "state"


def _gradient(gradients: Gradients, merging: Merging, edges: list[Edge]) -> Gradient:
    """Tell what gradient does between two blocks.

    Where it crosses none of the edges and a block further on in the target is why, the
    link shows that.
    """
    found = {gradients.on(edge) for edge in edges}
    if found != {"none"}:
        return strongest(found)
    block = merging.owner[edges[0].target]
    seen = {edge.target for edge in edges}
    stack = sorted(seen)
    while stack:
        for edge in merging.readers[stack.pop()]:
            if merging.owner[edge.target] == block and edge.target not in seen:
                found.add(gradients.on(edge))
                seen.add(edge.target)
                stack.append(edge.target)
    return strongest(found - {"backprop", "score"})
