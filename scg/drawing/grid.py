"""The items of a layered drawing: blocks, and bends where a link crosses a layer.

Links of one source share their bends, so that they run as one until they part. Bends in
the layers of a plate that a link starts or ends in belong to the plate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from scg.drawing.layers import layers_of
from scg.drawing.picture import Picture

__all__ = ["Grid", "grid_of"]

MOST_BENDS = 12_000


@dataclass(slots=True)
class Grid:
    """Items with their layers. Items below ``len(picture.blocks)`` are the blocks.

    Attributes
    ----------
    layer, plate, width : list
        By item.
    rows : list of list of int
        The items of each layer, from left to right.
    up, down : list of list of int
        The items that an item is joined to in the layer above, and below.
    chains : dict of int to list of int
        By a link's number its items from source to target; without bends if there
        would be too many.
    spans : list of (int, int)
        The first and the last layer of each plate.
    """

    layer: list[int]
    plate: list[int | None]
    width: list[float]
    rows: list[list[int]] = field(default_factory=list)
    up: list[list[int]] = field(default_factory=list)
    down: list[list[int]] = field(default_factory=list)
    chains: dict[int, list[int]] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, layer: int, plate: int | None) -> int:
        """Add a bend."""
        self.layer.append(layer)
        self.plate.append(plate)
        self.width.append(0.0)
        self.up.append([])
        self.down.append([])
        return len(self.layer) - 1


def grid_of(picture: Picture) -> Grid:
    """Put the blocks into layers and bend the links."""
    layer = layers_of(picture)
    plates = [block.plate for block in picture.blocks]
    widths = [block.width for block in picture.blocks]
    grid = Grid(layer, plates, widths)
    grid.up, grid.down = [[] for _ in layer], [[] for _ in layer]
    for p in range(len(picture.plates)):
        inside = [v for v, own in zip(layer, plates, strict=True) if own == p]
        grid.spans.append((min(inside), max(inside)))
    _bend(picture, grid)
    grid.rows = [[] for _ in range(max(layer, default=-1) + 1)]
    for item, at in enumerate(grid.layer):
        grid.rows[at].append(item)
    return grid


def _bend(picture: Picture, grid: Grid) -> None:
    bends: dict[tuple[int, int, int | None], int] = {}
    joined: set[tuple[int, int]] = set()
    layer, links = grid.layer, picture.links

    def length(number: int) -> int:
        return layer[links[number].target] - layer[links[number].source]

    forward = [k for k, link in enumerate(links) if not link.loops_back]
    for k in sorted(forward, key=lambda k: (length(k), k)):
        source, target = links[k].source, links[k].target
        chain = [source]
        if len(bends) + length(k) <= MOST_BENDS:
            for at in range(layer[source] + 1, layer[target]):
                plate = _plate_at(grid, at, source, target)
                key = source, at, plate
                if key not in bends:
                    bends[key] = grid.add(at, plate)
                chain.append(bends[key])
        chain.append(target)
        grid.chains[k] = chain
        for a, b in pairwise(chain):
            if layer[b] == layer[a] + 1 and (a, b) not in joined:
                joined.add((a, b))
                grid.down[a].append(b)
                grid.up[b].append(a)


def _plate_at(grid: Grid, at: int, source: int, target: int) -> int | None:
    for plate in (grid.plate[source], grid.plate[target]):
        if plate is not None and grid.spans[plate][0] <= at <= grid.spans[plate][1]:
            return plate
    return None
