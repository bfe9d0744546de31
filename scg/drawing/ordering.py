"""The order within each layer: few crossings, and each plate in one piece.

Barycentres, from above and from below in turn (Sugiyama, Tagawa & Toda 1981). Plates
keep one order among themselves in all layers, so that their frames can be rectangles.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

from scg.drawing.grid import Grid

__all__ = ["crossings", "order"]

_SWEEPS = 16
_GAP = 24.0


def order(grid: Grid) -> None:
    """Sort the rows of a grid in place."""
    numbers, keys = [float(i) for i in range(len(grid.layer))], _plate_keys(grid)
    for row in grid.rows:
        _sort(grid, row, numbers, keys)
    best, fewest = [row[:] for row in grid.rows], crossings(grid)
    idle = 0
    for sweep in range(_SWEEPS):
        if not fewest or idle == 4:
            break
        _sweep(grid, downwards=sweep % 2 == 0)
        now = crossings(grid)
        idle += 1
        if now < fewest:
            best, fewest, idle = [row[:] for row in grid.rows], now, 0
    grid.rows = best


def crossings(grid: Grid) -> int:
    """Count the crossings of links between adjacent layers."""
    place = _ranks(grid)
    total = 0
    for row in grid.rows:
        seen: list[int] = []
        for item in row:
            ends = sorted(place[below] for below in grid.down[item])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _sweep(grid: Grid, *, downwards: bool) -> None:
    keys = _plate_keys(grid)
    place = _places(grid)
    rows = grid.rows if downwards else grid.rows[::-1]
    neighbours = grid.up if downwards else grid.down
    for row in rows:
        wanted = {
            item: sum(place[n] for n in neighbours[item]) / len(neighbours[item])
            if neighbours[item]
            else place[item]
            for item in row
        }
        for item in row:
            place[item] = wanted[item]
        _sort(grid, row, place, keys)
        _spread(grid, row, place)


def _sort(
    grid: Grid, row: list[int], place: Sequence[float], keys: Sequence[float]
) -> None:
    def key(item: int) -> tuple[float, int, float]:
        plate = grid.plate[item]
        if plate is None:
            return place[item], -1, 0.0
        return keys[plate], plate, place[item]

    row.sort(key=key)


def _places(grid: Grid) -> list[float]:
    place = [0.0] * len(grid.layer)
    for row in grid.rows:
        _spread(grid, row, place)
    return place


def _spread(grid: Grid, row: Sequence[int], place: list[float]) -> None:
    """Put the items of a row side by side, its middle at 0."""
    x = -sum(grid.width[i] + _GAP for i in row) / 2
    for item in row:
        place[item] = x + (grid.width[item] + _GAP) / 2
        x += grid.width[item] + _GAP


def _plate_keys(grid: Grid) -> list[float]:
    """Return where the middle of each plate is."""
    place = _places(grid)
    sums = [[0.0, 0.0] for _ in grid.spans]
    for item, plate in enumerate(grid.plate):
        if plate is not None:
            sums[plate][0] += place[item]
            sums[plate][1] += 1
    return [total / max(count, 1.0) for total, count in sums]


def _ranks(grid: Grid) -> list[int]:
    rank = [0] * len(grid.layer)
    for row in grid.rows:
        for i, item in enumerate(row):
            rank[item] = i
    return rank
