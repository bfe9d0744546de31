"""Moving a drawing to where its margin ends, and measuring it."""

from __future__ import annotations

from collections.abc import Sequence

from scg.drawing.picture import Block, Box, Placement, Point, Wire

__all__ = ["fitted"]

MARGIN = 16.0


def fitted(
    blocks: Sequence[Block],
    centres: Sequence[Point],
    wires: Sequence[Wire],
    frames: Sequence[Box],
) -> Placement:
    """Return a placement that begins at the margin."""
    boxes = [
        Box(x - b.width / 2, y - b.height / 2, x + b.width / 2, y + b.height / 2)
        for b, (x, y) in zip(blocks, centres, strict=True)
    ]
    boxes += frames
    points = [p for wire in wires for p in wire.points]
    boxes += [Box(x, y, x, y) for x, y in points]
    left = min((b.left for b in boxes), default=0.0) - MARGIN
    top = min((b.top for b in boxes), default=0.0) - MARGIN
    return Placement(
        tuple((x - left, y - top) for x, y in centres),
        tuple(
            Wire(
                tuple((x - left, y - top) for x, y in wire.points),
                wire.label_at and (wire.label_at[0] - left, wire.label_at[1] - top),
            )
            for wire in wires
        ),
        tuple(
            Box(f.left - left, f.top - top, f.right - left, f.bottom - top)
            for f in frames
        ),
        max((b.right for b in boxes), default=0.0) - left + MARGIN,
        max((b.bottom for b in boxes), default=0.0) - top + MARGIN,
    )
