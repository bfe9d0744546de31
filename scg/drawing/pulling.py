"""One row of a layered drawing, moved towards what its items are joined to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from scg.drawing.grid import Grid
from scg.drawing.spacing import spaced

__all__ = ["GAP", "apart", "pull", "turns"]

GAP = 26.0
_BEND_GAP = 12.0
_MANY = 4_000
_PASSES = 40
_FEW_PASSES = 10


def turns(grid: Grid) -> list[bool]:
    """List the passes over all rows: True for downwards."""
    passes = _PASSES if len(grid.layer) < _MANY else _FEW_PASSES
    return [turn % 2 == 0 for turn in range(passes)]


def pull(
    grid: Grid,
    row: Sequence[int],
    x: list[float],
    near: Sequence[Sequence[int]],
    low: float = float("-inf"),
    high: float = float("inf"),
) -> None:
    """Place the items of a row between bounds; `near` is what each is joined to."""
    wanted, weights = [], []
    for item, others in zip(row, near, strict=True):
        pulls = [_stiffness(grid, item, other) for other in others]
        total = sum(pulls)
        mean = sum(w * x[o] for w, o in zip(pulls, others, strict=True))
        wanted.append(mean / total if total else x[item])
        weights.append(total or 0.1)
    gaps = [apart(grid, a, b) for a, b in pairwise(row)]
    for item, at in zip(row, spaced(wanted, gaps, weights, low, high), strict=True):
        x[item] = at


def apart(grid: Grid, a: int, b: int) -> float:
    """Return the least distance between the middles of two items of a row."""
    gap = GAP if grid.width[a] and grid.width[b] else _BEND_GAP
    return (grid.width[a] + grid.width[b]) / 2 + gap


def _stiffness(grid: Grid, a: int, b: int) -> float:
    """Return how much a piece of a link wants to be upright: long links most."""
    bends = (grid.width[a] == 0) + (grid.width[b] == 0)
    return (1.0, 2.0, 40.0)[bends]
