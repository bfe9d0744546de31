"""Courses of links: a start, then three points for each cubic Bézier curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from scg.drawing.picture import Point

__all__ = ["along", "rounded", "upright"]


def along(points: Sequence[Point], pieces: int = 12) -> Iterator[Point]:
    """Return points on a path of cubic curves."""
    for i in range(0, len(points) - 3, 3):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points[i : i + 4]
        for k in range(pieces + 1):
            t = k / pieces
            u = 1 - t
            a, b, c, d = u**3, 3 * u * u * t, 3 * u * t * t, t**3
            yield (
                a * x0 + b * x1 + c * x2 + d * x3,
                a * y0 + b * y1 + c * y2 + d * y3,
            )


def upright(points: list[Point], end: Point) -> None:
    """Go straight on to `end`."""
    if len(points) > 3 and all(x == end[0] for x, _ in points[-4:]):
        del points[-3:]  # one piece with the straight one before
    if points[-1] != end:
        points += [points[-1], end, end]


def rounded(corners: Sequence[Point], radius: float = 6.0) -> tuple[Point, ...]:
    """Return a line through corners, with its inner corners rounded."""
    points = [corners[0]]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        upright(points, _towards(corner, before, radius))
        points += [corner, corner, _towards(corner, after, radius)]
    upright(points, corners[-1])
    return tuple(points)


def _towards(start: Point, end: Point, radius: float) -> Point:
    length = math.dist(start, end)
    share = min(radius, length / 2) / length if length else 0.0
    across, down = end[0] - start[0], end[1] - start[1]
    return start[0] + share * across, start[1] + share * down
