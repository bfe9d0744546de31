"""A layout without other programs: layers from top to bottom, smooth links.

References
----------
Sugiyama, Tagawa & Toda 1981, "Methods for visual understanding of hierarchical system
structures".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from scg.drawing.curves import rounded, upright
from scg.drawing.fitting import fitted
from scg.drawing.grid import Grid, grid_of
from scg.drawing.ordering import order
from scg.drawing.picture import Box, Link, Picture, Placement, Point, Wire
from scg.drawing.placing import place
from scg.drawing.text import text_size

__all__ = ["layered"]

_BETWEEN = 30.0
_TITLE, _FOOT = 24.0, 25.0
_LANE = 13.0
_RUN = 15.0
_BELOW = 9.0
_FAR = 1e9


def layered(picture: Picture) -> Placement:
    """Lay a picture out."""
    grid = grid_of(picture)
    order(grid)
    returns = [k for k, link in enumerate(picture.links) if link.loops_back]
    lanes = _Lanes(picture, grid, returns)
    titles = [1.1 * text_size("", [p.title])[0] + 24 for p in picture.plates]
    x, sides = place(grid, lanes.rooms, titles)
    return _Drawn(picture, grid, x, sides, lanes).placement()


class _Lanes:
    """The ways on which links loop back: down, along a lane on the right, up."""

    def __init__(self, picture: Picture, grid: Grid, returns: Sequence[int]) -> None:
        self.lane: dict[int, int] = {}
        self.leaves: dict[int, int] = {}
        self.enters: dict[int, int] = {}
        self.below = [0] * len(grid.rows)
        self.above = [0] * len(grid.rows)
        many = [0] * len(picture.plates)

        def length(k: int) -> int:
            link = picture.links[k]
            return grid.layer[link.source] - grid.layer[link.target]

        for k in sorted(returns, key=length):  # short ones inside, so none cross
            link = picture.links[k]
            plate = picture.blocks[link.source].plate
            assert plate is not None
            bottom, top = grid.layer[link.source], grid.layer[link.target]
            self.lane[k], many[plate] = many[plate], many[plate] + 1
            self.leaves[k], self.below[bottom] = (
                self.below[bottom],
                (self.below[bottom] + 1),
            )
            self.enters[k], self.above[top] = self.above[top], self.above[top] + 1
        self.rooms = [_LANE * n for n in many]


class _Drawn:
    """Heights, ports and wires, once it is known what is left of what."""

    def __init__(
        self,
        picture: Picture,
        grid: Grid,
        x: Sequence[float],
        sides: Sequence[tuple[float, float]],
        lanes: _Lanes,
    ) -> None:
        self.picture, self.grid, self.x = picture, grid, x
        self.sides, self.lanes = sides, lanes
        heights = [b.height for b in picture.blocks]
        self.depth = [
            max((heights[i] for i in row if i < len(heights)), default=0.0)
            for row in grid.rows
        ]
        self.top = self._tops()
        self.inner_right = [
            max(x[i] + grid.width[i] / 2 for i, p in enumerate(grid.plate) if p == q)
            for q in range(len(picture.plates))
        ]
        self.entry: dict[int, float] = {}
        self.exit: dict[int, float] = {}
        self._spread_ports()

    def placement(self) -> Placement:
        """Return where everything is, moved so that it begins at the margin."""
        blocks, grid = self.picture.blocks, self.grid
        centres = [(self.x[i], self._middle(grid.layer[i])) for i in range(len(blocks))]
        wires = [self._wire(k, link) for k, link in enumerate(self.picture.links)]
        frames = [self._frame(p) for p in range(len(self.picture.plates))]
        return fitted(blocks, centres, wires, frames)

    def _tops(self) -> list[float]:
        tops, y = [], 0.0
        for at in range(len(self.grid.rows)):
            starts = sum(first == at for first, _ in self.grid.spans)
            y += self._over(at) + (_TITLE if starts else 0.0)
            tops.append(y)
            ends = any(last == at for _, last in self.grid.spans)
            y += self.depth[at] + _BELOW * self.lanes.below[at]
            y += _FOOT if ends else 0.0
        return tops

    def _over(self, at: int) -> float:
        """Return how much room there is above a row: more where links are flat."""
        x = self.x
        flat = max(
            (abs(x[i] - x[j]) for i in self.grid.rows[at] for j in self.grid.up[i]),
            default=0.0,
        )
        return _BETWEEN + min(0.08 * flat, 70.0) + _RUN * self.lanes.above[at]

    def _middle(self, at: int) -> float:
        return self.top[at] + self.depth[at] / 2

    def _bottom(self, at: int) -> float:
        return self.top[at] + self.depth[at]

    def _spread_ports(self) -> None:
        """Give the links of a block their own places at its top, and at its bottom."""
        entering: dict[int, list[tuple[float, int]]] = {}
        leaving: dict[int, list[tuple[float, int]]] = {}
        for k, link in enumerate(self.picture.links):
            if link.loops_back:
                before = _FAR - self.lanes.enters[k]
                after = _FAR - self.lanes.leaves[k]
            else:
                chain = self.grid.chains[k]
                before, after = self.x[chain[-2]], self.x[chain[1]]
            entering.setdefault(link.target, []).append((before, k))
            leaving.setdefault(link.source, []).append((after, k))
        for block, links in entering.items():
            self.entry.update(self._ports(block, links))
        for block, links in leaving.items():
            self.exit.update(self._ports(block, links))

    def _ports(self, block: int, links: list[tuple[float, int]]) -> dict[int, float]:
        """Spread links by where they come from; those of one bend share a place."""
        places = sorted({x for x, _ in links})
        width = self.picture.blocks[block].width
        room = min(0.6 * width, 16.0 * (len(places) - 1))
        step = room / (len(places) - 1) if len(places) > 1 else 0.0
        first = self.x[block] - room / 2
        at = {x: first + i * step for i, x in enumerate(places)}
        return {k: at[x] for x, k in links}

    def _edge(self, block: int, x: float, side: int) -> float:
        """Return the y of a block's outline at x: side -1 is above, 1 below."""
        shape = self.picture.blocks[block]
        half = shape.height / 2
        if shape.kind == "stochastic":
            across = (x - self.x[block]) / (shape.width / 2)
            half *= max(0.0, 1 - across**2) ** 0.5
        return self._middle(self.grid.layer[block]) + side * half

    def _wire(self, k: int, link: Link) -> Wire:
        start = self.exit[k], self._edge(link.source, self.exit[k], 1)
        end = self.entry[k], self._edge(link.target, self.entry[k], -1)
        if link.loops_back:
            return self._return(k, link, start, end)
        chain, layer = self.grid.chains[k], self.grid.layer
        points = [start]
        for a, b in pairwise(chain):
            x0 = self.exit[k] if a == link.source else self.x[a]
            x1 = self.entry[k] if b == link.target else self.x[b]
            y0, y1 = self._bottom(layer[a]), self.top[layer[b]]
            upright(points, (x0, y0))
            if x0 == x1:
                upright(points, (x1, y1))
                continue
            bend = (y1 - y0) / 2
            points += [(x0, y0 + bend), (x1, y1 - bend), (x1, y1)]
        upright(points, end)
        return Wire(tuple(points))

    def _return(self, k: int, link: Link, start: Point, end: Point) -> Wire:
        """Lead a link around the right of its loop's body."""
        lanes, layer = self.lanes, self.grid.layer
        plate = self.picture.blocks[link.source].plate
        assert plate is not None
        right = self.inner_right[plate] + 12 + _LANE * lanes.lane[k]
        low = self._bottom(layer[link.source]) + 8 + _BELOW * lanes.leaves[k]
        high = self.top[layer[link.target]] - 12 - _RUN * lanes.enters[k]
        corners = [start, (start[0], low), (right, low), (right, high), (end[0], high)]
        return Wire(rounded([*corners, end]), (right - 6, high - 3))

    def _frame(self, p: int) -> Box:
        first, last = self.grid.spans[p]
        left, right = self.sides[p]
        top = self.top[first] - _RUN * self.lanes.above[first] - _TITLE - 4
        bottom = self._bottom(last) + _BELOW * self.lanes.below[last] + _FOOT
        return Box(left, top, right, bottom)
