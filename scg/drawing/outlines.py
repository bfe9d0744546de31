"""What each kind of block looks like: its outline and its label."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scg.drawing.marks import element, number, text
from scg.drawing.picture import Box, Kind, Point
from scg.drawing.text import NOTE, NOTE_LINE, TITLE, TITLE_LINE
from scg.drawing.theme import FAINT, INK, LOOKS, PAPER, Look

__all__ = ["label", "outline"]

_CUT = 9.0
_HATCH = 7.0


def label(
    title: str, notes: Sequence[str], middle: Point, *, is_name: bool, kind: Kind
) -> str:
    """Write the lines of a block about its middle."""
    x, y = middle
    height = NOTE_LINE * len(notes) + (TITLE_LINE if title else 0.0)
    y -= height / 2
    lines = []
    if title:
        weight = "bold" if is_name else "normal"
        style = "italic" if kind == "input" or not is_name else "normal"
        lines.append(
            element(
                "text",
                text(title),
                x=x,
                y=y + 0.74 * TITLE_LINE,
                font_size=TITLE,
                font_weight=weight,
                font_style=style,
                fill=INK,
            )
        )
        y += TITLE_LINE
    for note in notes:
        y += NOTE_LINE
        lines.append(
            element(
                "text",
                text(note),
                x=x,
                y=y - 0.27 * NOTE_LINE,
                font_size=NOTE,
                fill=FAINT,
            )
        )
    return "".join(lines)


def outline(kind: Kind, box: Box, *, is_pruned: bool = False) -> str:
    """Draw what a kind of block looks like; params and inputs are bare."""
    if kind == "input":
        y = box.bottom - 2
        ends = {"x1": box.left + 4, "y1": y, "x2": box.right - 4, "y2": y}
        return element("line", **ends, stroke=FAINT, stroke_width=0.8)
    if kind not in LOOKS:
        return ""
    look = LOOKS[kind]
    stroke = _stroke(look, is_pruned)
    if kind == "stochastic":
        return element(
            "ellipse",
            cx=(box.left + box.right) / 2,
            cy=(box.top + box.bottom) / 2,
            rx=(box.right - box.left) / 2,
            ry=(box.bottom - box.top) / 2,
            **stroke,
        )
    if kind in {"cost", "environment"}:
        height = box.bottom - box.top
        cut = min(_CUT, height / 3)
        across, down = (cut, cut) if kind == "cost" else (height / 3, height / 2)
        corners = _chamfered(box, across, down)
        points = " ".join(f"{number(x)},{number(y)}" for x, y in corners)
        return element("polygon", points=points, **stroke)
    radius = {"port": (box.bottom - box.top) / 2, "value": 6.0}.get(kind, 0.0)
    drawn = _rectangle(box, radius, **stroke)
    if kind == "value":
        inner = Box(box.left + 3, box.top + 3, box.right - 3, box.bottom - 3)
        drawn += _rectangle(inner, 4.0, fill="none", stroke=INK, stroke_width=0.7)
    if kind == "black box":
        drawn += _hatched(box)
    return drawn


def _stroke(look: Look, is_pruned: bool) -> dict[str, str | float]:
    dashes = "1.5 3" if is_pruned else look.dashes
    return {
        "fill": "none" if is_pruned else look.fill,
        "stroke": look.line,
        "stroke_width": look.width,
        "stroke_dasharray": dashes,
    }


def _rectangle(box: Box, radius: float, /, **stroke: str | float) -> str:
    return element(
        "rect",
        x=box.left,
        y=box.top,
        width=box.right - box.left,
        height=box.bottom - box.top,
        rx=radius if radius else "",
        **stroke,
    )


def _chamfered(box: Box, across: float, down: float) -> list[Point]:
    return [
        (box.left + across, box.top),
        (box.right - across, box.top),
        (box.right, box.top + down),
        (box.right, box.bottom - down),
        (box.right - across, box.bottom),
        (box.left + across, box.bottom),
        (box.left, box.bottom - down),
        (box.left, box.top + down),
    ]


def _hatched(box: Box) -> str:
    """Hatch a box, and leave room for its label."""
    width, height = box.right - box.left, box.bottom - box.top
    lines = []
    for k in range(1, math.ceil((width + height) / _HATCH)):
        reach = k * _HATCH
        x0, y0 = min(reach, width), max(reach - width, 0.0)
        x1, y1 = max(reach - height, 0.0), min(reach, height)
        start = f"{number(box.left + x0)} {number(box.top + y0)}"
        lines.append(f"M{start}L{number(box.left + x1)} {number(box.top + y1)}")
    drawn = element("path", d="".join(lines), stroke="#b3b3b3", stroke_width=0.8)
    inner = Box(box.left + 7, box.top + 6, box.right - 7, box.bottom - 6)
    return drawn + _rectangle(inner, 3.0, fill=PAPER)
