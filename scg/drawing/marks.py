"""Pieces of SVG: elements, text, arrows.

Nothing refers to anything by an identifier, so that several pictures fit into one page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from scg.drawing.picture import Gradient, Point
from scg.drawing.theme import STROKES

__all__ = ["arrow", "element", "number", "path", "text"]

# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def number(value: float) -> str:
    """Write a length: at most two digits after the point, never ``-0``."""
    near = round(value, 6)  # sums of floats differ in their last bits by version
    return f"{round(near, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def element(tag: str, content: str = "", /, **attributes: str | float) -> str:
    """Write an element; ``stroke_width`` is the attribute ``stroke-width``.

    Examples
    --------
    >>> element("g", "x", class_="node", data_name="a < b")
    '<g class="node" data-name="a &lt; b">x</g>'
    """
    given = [(k.rstrip("_").replace("_", "-"), v) for k, v in attributes.items()]
    shown = "".join(
        f" {k}={quoteattr(_valid(v) if isinstance(v, str) else number(v))}"
        for k, v in given
        if v != ""
    )
    return f"<{tag}{shown}>{content}</{tag}>" if content else f"<{tag}{shown}/>"


def text(content: str) -> str:
    """Escape text."""
    return escape(_valid(content))


def _valid(content: str) -> str:
    return _FORBIDDEN.sub("\ufffd", content)


def path(points: Sequence[Point]) -> str:
    """Write the data of a path of cubic curves."""
    shown = [f"{number(x)} {number(y)}" for x, y in points]
    curves = [" ".join(shown[i : i + 3]) for i in range(1, len(shown), 3)]
    return f"M{shown[0]}" + "".join(f"C{curve}" for curve in curves)


def arrow(gradient: Gradient, points: Sequence[Point]) -> str:
    """Draw a link with its head, and a bar across it where no derivative exists."""
    stroke = STROKES[gradient]
    end = points[-1]
    before = next(p for p in reversed(points) if math.dist(p, end) > 1e-6)
    length = math.dist(before, end)
    ux, uy = (end[0] - before[0]) / length, (end[1] - before[1]) / length
    size = 4.4 + 1.6 * stroke.width
    back = (end[0] - size * ux, end[1] - size * uy)
    side = 0.38 * size
    head = [
        end,
        (back[0] - side * uy, back[1] + side * ux),
        (back[0] + side * uy, back[1] - side * ux),
    ]
    corners = " ".join(f"{number(x)},{number(y)}" for x, y in head)
    drawn = element(
        "path",
        d=path([*points[:-1], back]),
        fill="none",
        stroke=stroke.colour,
        stroke_width=stroke.width,
        stroke_dasharray=stroke.dashes,
    )
    drawn += element("polygon", points=corners, fill=stroke.colour)
    return drawn + (_bar(gradient, back, (ux, uy)) if stroke.has_bar else "")


def _bar(gradient: Gradient, back: Point, along: Point) -> str:
    stroke = STROKES[gradient]
    half = 5.5 if gradient == "blocked" else 7.0
    x, y = back[0] - 2.5 * along[0], back[1] - 2.5 * along[1]
    return element(
        "line",
        x1=x - half * along[1],
        y1=y + half * along[0],
        x2=x + half * along[1],
        y2=y - half * along[0],
        stroke=stroke.colour,
        stroke_width=stroke.width + 0.9,
    )
