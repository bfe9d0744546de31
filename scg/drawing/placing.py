"""Where the items of a layered drawing are from left to right.

Plates first, each by itself; then they are rigid pieces among the other items, and the
last pass makes sure that nothing stands in a frame that does not belong to it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import pairwise

from scg.drawing.grid import Grid
from scg.drawing.spacing import spaced

__all__ = ["GAP", "INSIDE", "place"]

GAP = 26.0
INSIDE = 18.0
_BEND_GAP = 12.0
_MANY = 4_000
_PASSES = 40
_FEW_PASSES = 10


def place(grid: Grid, lanes: Sequence[float]) -> list[float]:
    """Return the x of each item's middle.

    Parameters
    ----------
    grid : Grid
        With its rows in order.
    lanes : sequence of float
        How much room each plate needs on its right, for what loops back.
    """
    x = [0.0] * len(grid.layer)
    sides: list[tuple[float, float]] = []
    for p, lane in enumerate(lanes):
        rows = [[i for i in row if grid.plate[i] == p] for row in grid.rows]
        first, last = grid.spans[p]
        _settle(grid, rows[first : last + 1], x)
        inside = [i for row in rows for i in row]
        left = min(x[i] - grid.width[i] / 2 for i in inside) - INSIDE
        right = max(x[i] + grid.width[i] / 2 for i in inside) + INSIDE + lane
        for i in inside:
            x[i] -= (left + right) / 2
        sides.append(((right - left) / 2, (right - left) / 2))
    return _around(grid, x, [half for half, _ in sides])


def _settle(grid: Grid, rows: list[list[int]], x: list[float]) -> None:
    """Place items that stand alone, row by row, down and up in turn."""
    inside = {i for row in rows for i in row}
    for row in rows:
        _pack(grid, row, x)
    for down in _turns(grid):
        for row in rows if down else rows[::-1]:
            _move(grid, row, x, [_near(grid, i, inside) for i in row])


def _turns(grid: Grid) -> list[bool]:
    """List the passes: True for downwards."""
    passes = _PASSES if len(grid.layer) < _MANY else _FEW_PASSES
    return [turn % 2 == 0 for turn in range(passes)]


def _near(grid: Grid, item: int, inside: Container[int]) -> list[int]:
    return [n for n in (*grid.up[item], *grid.down[item]) if n in inside]


def _pack(grid: Grid, row: Sequence[int], x: list[float]) -> None:
    at = 0.0
    for before, item in zip([None, *row], row, strict=False):
        at += _apart(grid, before, item) if before is not None else 0.0
        x[item] = at
    for item in row:
        x[item] -= at / 2


def _move(
    grid: Grid,
    row: Sequence[int],
    x: list[float],
    near: Sequence[Sequence[int]],
    low: float = float("-inf"),
    high: float = float("inf"),
) -> None:
    """Move the items of a row towards what they are joined to."""
    if not row:
        return
    wanted, weights = [], []
    for item, others in zip(row, near, strict=True):
        pulls = [_stiffness(grid, item, other) for other in others]
        total = sum(pulls)
        mean = sum(w * x[o] for w, o in zip(pulls, others, strict=True))
        wanted.append(mean / total if total else x[item])
        weights.append(total or 0.1)
    apart = [_apart(grid, a, b) for a, b in pairwise(row)]
    for item, at in zip(row, spaced(wanted, apart, weights, low, high), strict=True):
        x[item] = at


def _stiffness(grid: Grid, a: int, b: int) -> float:
    """Return how much a piece of a link wants to be upright: long links most."""
    bends = (grid.width[a] == 0) + (grid.width[b] == 0)
    return (1.0, 2.0, 40.0)[bends]


def _apart(grid: Grid, a: int, b: int) -> float:
    gap = GAP if grid.width[a] and grid.width[b] else _BEND_GAP
    return (grid.width[a] + grid.width[b]) / 2 + gap


def _around(grid: Grid, x: list[float], half: Sequence[float]) -> list[float]:
    """Place plates, whose items have places about their middle, and all else."""
    middle = [0.0] * len(half)
    offset = x[:]
    rows = [_pieces(grid, row) for row in grid.rows]
    everything = range(len(x))
    for down in _turns(grid):
        for row in rows if down else rows[::-1]:
            for low, items, high in _segments(grid, row, middle, half):
                near = [_near(grid, i, everything) for i in items]
                _move(grid, items, x, near, low, high)
        for p in range(len(half)):
            middle[p] += _drift(grid, p, x)
            for i, own in enumerate(grid.plate):
                if own == p:
                    x[i] = middle[p] + offset[i]
    return _apart_at_last(grid, rows, x, middle, half)


def _pieces(grid: Grid, row: Sequence[int]) -> list[tuple[bool, int]]:
    """List a row as (is a plate, number), each plate once."""
    found: list[tuple[bool, int]] = []
    for item in row:
        plate = grid.plate[item]
        piece = (False, item) if plate is None else (True, plate)
        if not found or found[-1] != piece:
            found.append(piece)
    return found


def _segments(
    grid: Grid,
    row: Sequence[tuple[bool, int]],
    middle: Sequence[float],
    half: Sequence[float],
) -> Iterable[tuple[float, list[int], float]]:
    """Cut a row at its plates: (least x, items, greatest x)."""
    low, items = float("-inf"), []
    for is_plate, number in row:
        if not is_plate:
            items.append(number)
            continue
        edge = middle[number] - half[number] - GAP
        if items:
            yield _inset(grid, low, items, edge)
        low, items = middle[number] + half[number] + GAP, []
    if items:
        yield _inset(grid, low, items, float("inf"))


def _inset(
    grid: Grid, low: float, items: list[int], high: float
) -> tuple[float, list[int], float]:
    first, last = grid.width[items[0]] / 2, grid.width[items[-1]] / 2
    return low + first, items, high - last


def _drift(grid: Grid, plate: int, x: Sequence[float]) -> float:
    """Return how far a plate is drawn sideways by what is above and below it.

    What stands beside it cannot come nearer; it would draw the plate along for ever.
    """
    first, last = grid.spans[plate]
    pulls = [
        x[other] - x[item]
        for item, own in enumerate(grid.plate)
        if own == plate
        for other in (*grid.up[item], *grid.down[item])
        if not first <= grid.layer[other] <= last
    ]
    return sum(pulls) / len(pulls) if pulls else 0.0


def _apart_at_last(
    grid: Grid,
    rows: Sequence[Sequence[tuple[bool, int]]],
    x: list[float],
    middle: Sequence[float],
    half: Sequence[float],
) -> list[float]:
    """Move pieces to the right until all keep their distance, and plates are rigid."""
    after: dict[tuple[bool, int], list[tuple[tuple[bool, int], float]]] = {}
    waiting: dict[tuple[bool, int], int] = {}
    at: dict[tuple[bool, int], float] = {}
    for row in rows:
        for piece in row:
            waiting.setdefault(piece, 0)
            at[piece] = middle[piece[1]] if piece[0] else x[piece[1]]
        for a, b in pairwise(row):
            after.setdefault(a, []).append((b, _between(grid, half, a, b)))
            waiting[b] += 1
    ready = [piece for piece, many in waiting.items() if not many]
    for a in ready:  # grows while it is read
        for b, distance in after.get(a, []):
            at[b] = max(at[b], at[a] + distance)
            waiting[b] -= 1
            if not waiting[b]:
                ready.append(b)
    assert len(ready) == len(waiting)
    for i, plate in enumerate(grid.plate):
        x[i] = at[False, i] if plate is None else x[i] + at[True, plate] - middle[plate]
    return _straightened(grid, x)


def _straightened(grid: Grid, x: list[float]) -> list[float]:
    """Make nearly upright pieces of links upright; the room between bends allows it."""
    for row in grid.rows:
        for item in row:
            above = grid.up[item]
            bends = not grid.width[item] and above and not grid.width[above[0]]
            if bends and abs(x[above[0]] - x[item]) < _BEND_GAP / 4:
                x[item] = x[above[0]]
    return x


def _between(
    grid: Grid, half: Sequence[float], a: tuple[bool, int], b: tuple[bool, int]
) -> float:
    if not a[0] and not b[0]:
        return _apart(grid, a[1], b[1])
    sides = [half[n] if is_plate else grid.width[n] / 2 for is_plate, n in (a, b)]
    return sum(sides) + GAP
