"""Plates as rigid pieces among the other items of a layered drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from scg.drawing.grid import Grid
from scg.drawing.pulling import GAP, apart, pull, turns

__all__ = ["Rigid"]

Piece = tuple[bool, int]  # whether it is a plate, and its number


class Rigid:
    """The places of plates and of all that stands around them.

    Parameters
    ----------
    grid : Grid
        With its rows in order.
    x : list of float
        The places of the plates' items about the middle of their plate.
    half : sequence of float
        Half the width of each plate.
    """

    def __init__(self, grid: Grid, x: list[float], half: Sequence[float]) -> None:
        self.grid = grid
        self.half = half
        self.offset = x
        self.x = x[:]
        self.middle = [0.0] * len(half)
        self.inside: list[list[int]] = [[] for _ in half]
        for item, plate in enumerate(grid.plate):
            if plate is not None:
                self.inside[plate].append(item)
        self.rows = [_pieces(grid, row) for row in grid.rows]

    def placed(self) -> list[float]:
        """Return the x of each item's middle; no strange item stands in a frame."""
        self._settle(drifting=True)
        self._part()
        if self.half:  # what was moved with a plate comes after it
            self._settle(drifting=False)
            self._part()
        return self.x

    def _settle(self, *, drifting: bool) -> None:
        grid = self.grid
        for down in turns(grid):
            for row in self.rows if down else self.rows[::-1]:
                for low, items, high in self._segments(row):
                    near = [(*grid.up[i], *grid.down[i]) for i in items]
                    pull(grid, items, self.x, near, low, high)
            if drifting:
                self._move([m + self._drift(p) for p, m in enumerate(self.middle)])

    def _segments(
        self, row: Sequence[Piece]
    ) -> Iterable[tuple[float, list[int], float]]:
        """Cut a row at its plates: (least x, items, greatest x)."""
        low = float("-inf")
        items: list[int] = []
        for is_plate, number in row:
            if not is_plate:
                items.append(number)
                continue
            high = self.middle[number] - self.half[number] - GAP
            if items:
                yield self._inset(low, items, high)
            low, items = self.middle[number] + self.half[number] + GAP, []
        if items:
            yield self._inset(low, items, float("inf"))

    def _inset(
        self, low: float, items: list[int], high: float
    ) -> tuple[float, list[int], float]:
        width = self.grid.width
        return low + width[items[0]] / 2, items, high - width[items[-1]] / 2

    def _drift(self, plate: int) -> float:
        """Return how far a plate is drawn sideways by what is above and below it.

        What stands beside it cannot come nearer; it would draw the plate along for
        ever.
        """
        grid = self.grid
        first, last = grid.spans[plate]
        pulls = [
            self.x[other] - self.x[item]
            for item in self.inside[plate]
            for other in (*grid.up[item], *grid.down[item])
            if not first <= grid.layer[other] <= last
        ]
        return sum(pulls) / len(pulls) if pulls else 0.0

    def _move(self, middle: list[float]) -> None:
        """Move plates with all that is in them."""
        self.middle = middle
        for items, at in zip(self.inside, middle, strict=True):
            for item in items:
                self.x[item] = at + self.offset[item]

    def _part(self) -> None:
        """Move pieces to the right until all keep their distance."""
        after: dict[Piece, list[tuple[Piece, float]]] = {}
        waiting: dict[Piece, int] = {}
        for row in self.rows:
            waiting.update({piece: waiting.get(piece, 0) for piece in row})
            for a, b in pairwise(row):
                after.setdefault(a, []).append((b, self._between(a, b)))
                waiting[b] += 1
        at = {(p, n): self.middle[n] if p else self.x[n] for p, n in waiting}
        ready = [piece for piece, many in waiting.items() if not many]
        for a in ready:  # grows while it is read
            for b, distance in after.get(a, []):
                at[b] = max(at[b], at[a] + distance)
                waiting[b] -= 1
                if not waiting[b]:
                    ready.append(b)
        assert len(ready) == len(waiting)
        self._move([at.get((True, p), 0.0) for p in range(len(self.half))])
        for (is_plate, number), place in at.items():
            if not is_plate:
                self.x[number] = place

    def _between(self, a: Piece, b: Piece) -> float:
        if not a[0] and not b[0]:
            return apart(self.grid, a[1], b[1])
        width = self.grid.width
        return GAP + sum(self.half[n] if p else width[n] / 2 for p, n in (a, b))


def _pieces(grid: Grid, row: Sequence[int]) -> list[Piece]:
    """List a row with each plate once."""
    found: list[Piece] = []
    for item in row:
        plate = grid.plate[item]
        piece = (False, item) if plate is None else (True, plate)
        if not found or found[-1] != piece:
            found.append(piece)
    return found
