"""The size of each kind of block."""

from __future__ import annotations

from collections.abc import Sequence

from scg.drawing.picture import Kind
from scg.drawing.text import text_size

__all__ = ["size_of"]

_ROUND = 1.32  # an ellipse this much larger than its text's box holds it
_LEAST = 50.0
_PADDING: dict[Kind, tuple[float, float]] = {
    "parameter": (5.0, 3.0),
    "input": (5.0, 4.0),
    "constant": (4.0, 2.0),
    "port": (9.0, 3.0),
    "environment": (22.0, 9.0),
    "cost": (15.0, 9.0),
    "black box": (14.0, 10.0),
    "value": (13.0, 9.0),
}


def size_of(kind: Kind, title: str, notes: Sequence[str]) -> tuple[float, float]:
    """Return the width and height of a block that has room for its label."""
    width, height = text_size(title, notes)
    if kind == "stochastic":
        across = max(_ROUND * width + 4, _LEAST)
        down = max(_ROUND * height + 4, _LEAST)
        nearly_round = across < 1.4 * down
        return (max(across, down),) * 2 if nearly_round else (across, down)
    sideways, up = _PADDING.get(kind, (11.0, 7.0))
    return max(width + 2 * sideways, 18.0), height + 2 * up
