"""Where the items of a layered drawing are from left to right.

Plates first, each by itself; then they are rigid pieces among the other items.
"""

from __future__ import annotations

from collections.abc import Sequence

from scg.drawing.grid import Grid
from scg.drawing.pulling import apart, pull, turns
from scg.drawing.rigid import Rigid

__all__ = ["INSIDE", "place"]

INSIDE = 18.0
_UPRIGHT = 3.0  # far less than the room between bends


def place(
    grid: Grid, lanes: Sequence[float], titles: Sequence[float]
) -> tuple[list[float], list[tuple[float, float]]]:
    """Return the x of each item's middle, and the left and right of each plate.

    Parameters
    ----------
    grid : Grid
        With its rows in order.
    lanes : sequence of float
        How much room each plate needs on its right, for what loops back.
    titles : sequence of float
        How wide each plate is at least.
    """
    x = [0.0] * len(grid.layer)
    halves = []
    for p, (lane, title) in enumerate(zip(lanes, titles, strict=True)):
        rows = [[i for i in row if grid.plate[i] == p] for row in grid.rows]
        first, last = grid.spans[p]
        _settle(grid, rows[first : last + 1], x)
        inside = [i for row in rows for i in row]
        left = min(x[i] - grid.width[i] / 2 for i in inside) - INSIDE
        right = max(x[i] + grid.width[i] / 2 for i in inside) + INSIDE + lane
        right = max(right, left + title)
        for i in inside:
            x[i] -= (left + right) / 2
        halves.append((right - left) / 2)
    rigid = Rigid(grid, x, halves)
    placed = _straightened(grid, rigid.placed())
    sides = [(m - h, m + h) for m, h in zip(rigid.middle, halves, strict=True)]
    return placed, sides


def _settle(grid: Grid, rows: list[list[int]], x: list[float]) -> None:
    """Place items that stand alone, row by row, down and up in turn."""
    inside = {i for row in rows for i in row}
    for row in rows:
        _pack(grid, row, x)
    for down in turns(grid):
        for row in rows if down else rows[::-1]:
            joined = [(*grid.up[i], *grid.down[i]) for i in row]
            pull(grid, row, x, [[n for n in near if n in inside] for near in joined])


def _pack(grid: Grid, row: Sequence[int], x: list[float]) -> None:
    at = 0.0
    for before, item in zip([None, *row], row, strict=False):
        at += apart(grid, before, item) if before is not None else 0.0
        x[item] = at
    for item in row:
        x[item] -= at / 2


def _straightened(grid: Grid, x: list[float]) -> list[float]:
    """Make nearly upright pieces of links upright."""
    for row in grid.rows:
        for item in row:
            above = grid.up[item]
            bends = not grid.width[item] and above and not grid.width[above[0]]
            if bends and abs(x[above[0]] - x[item]) < _UPRIGHT:
                x[item] = x[above[0]]
    return x
