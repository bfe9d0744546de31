"""Layers from top to bottom: every link leads downwards, and loops keep to themselves.

Layers are longest paths (Sugiyama, Tagawa & Toda 1981). What a loop reads from other
computations lies above its frame and what reads its results below it; params and inputs
move down to just above what reads them first, beside a frame if need be.
"""

from __future__ import annotations

from collections.abc import Iterable

from scg.drawing.picture import Picture

__all__ = ["layers_of"]


def layers_of(picture: Picture) -> list[int]:
    """Return the layer of each block, 0 at the top."""
    steps = _constraints(picture)
    count = len(picture.blocks) + 2 * len(picture.plates)
    after: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    waiting = [0] * count
    for source, target, step in steps:
        after[source].append((target, step))
        waiting[target] += 1
    layer = [0] * count
    ready = [i for i in range(count) if not waiting[i]]
    for i in ready:  # grows while it is read
        for target, step in after[i]:
            layer[target] = max(layer[target], layer[i] + step)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    assert len(ready) == count
    incoming = [0] * count
    for _, target, step in steps:
        incoming[target] += step
    for i in reversed(ready[:]):
        outgoing = [(t, step) for t, step in after[i] if step]
        if i < len(picture.blocks) and incoming[i] <= _pull(picture, i, outgoing):
            layer[i] = min(layer[t] - step for t, step in after[i])
    return _from_zero(layer[: len(picture.blocks)])


def _pull(picture: Picture, i: int, outgoing: list[tuple[int, int]]) -> int:
    """Return how strongly a block is drawn down; what only a frame holds is not."""
    kind = picture.blocks[i].kind
    if not outgoing or kind == "port":
        return -1
    return len(outgoing)


def _constraints(picture: Picture) -> list[tuple[int, int, int]]:
    """List (source, target, least distance); a plate has a top and a bottom."""
    blocks = picture.blocks
    first = len(blocks)
    read = {link.target for link in picture.links if not link.loops_back}
    found = []
    for i, block in enumerate(blocks):
        if block.plate is not None:
            top = first + 2 * block.plate
            found += [(top, i, 0), (i, top + 1, 0)]
    for link in picture.links:
        if link.loops_back:
            continue
        found.append((link.source, link.target, 1))
        here, there = blocks[link.source].plate, blocks[link.target].plate
        if here == there:
            continue
        leaf = here is None and link.source not in read
        if leaf and blocks[link.target].kind != "port":
            continue
        source = link.source if here is None else first + 2 * here + 1
        target = link.target if there is None else first + 2 * there
        found.append((source, target, 1))
    return found


def _from_zero(layer: Iterable[int]) -> list[int]:
    """Close the gaps between layers."""
    found = list(layer)
    numbers = {old: new for new, old in enumerate(sorted(set(found)))}
    return [numbers[old] for old in found]
