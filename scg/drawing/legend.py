"""The legend: what of the kinds and strokes is seen in a picture, in rows."""

from __future__ import annotations

from scg.drawing.marks import arrow, element, text
from scg.drawing.outlines import outline
from scg.drawing.picture import Box, Gradient, Kind, Picture
from scg.drawing.text import NOTE, text_size
from scg.drawing.theme import FAINT, INK, KINDS, STROKES

__all__ = ["legend"]

_ROW, _MARK, _SPACE = 22.0, 26.0, 18.0


def legend(
    picture: Picture, left: float, top: float, width: float
) -> tuple[str, float, float]:
    """Draw a legend; return it with the width and height it takes."""
    seen_kinds = {block.kind for block in picture.blocks}
    seen_links = {link.gradient for link in picture.links}
    x, y, drawn, widest = left, top, [], 0.0
    rows = [
        [(_link(g), s.meaning) for g, s in STROKES.items() if g in seen_links],
        [(_kind(kind), name) for kind, name in KINDS.items() if kind in seen_kinds],
    ]
    for row in rows:
        for mark, words in row:
            across = _MARK + 6 + text_size("", [words])[0]
            if x > left and x + across > left + width:
                x, y = left, y + _ROW
            drawn.append(_entry(mark, words, x, y))
            widest = max(widest, x + across - left)
            x += across + _SPACE
        if row:
            x, y = left, y + _ROW
    content = element("g", "".join(drawn), class_="legend")
    return content, widest, y - top


def _entry(mark: str, words: str, x: float, y: float) -> str:
    written = element(
        "text",
        text(words),
        x=_MARK + 6,
        y=0.36 * NOTE,
        font_size=NOTE,
        text_anchor="start",
        fill=FAINT,
    )
    place = f"translate({x:.2f} {y + _ROW / 2:.2f})"
    return element("g", mark + written, transform=place)


def _link(gradient: Gradient) -> str:
    points = [(0.0, 0.0), (0.0, 0.0), (_MARK, 0.0), (_MARK, 0.0)]
    return arrow(gradient, points)


def _kind(kind: Kind) -> str:
    if kind == "parameter":
        return element(
            "text",
            "θ",
            x=_MARK / 2,
            y=4.5,
            font_weight="bold",
            font_size=13.0,
            fill=INK,
        )
    half = 7.5
    across = half if kind == "stochastic" else 12.0
    box = Box(_MARK / 2 - across, -half, _MARK / 2 + across, half)
    drawn = outline(kind, box)
    if kind == "input":
        drawn += element(
            "text",
            "x",
            x=_MARK / 2,
            y=3.5,
            font_style="italic",
            font_size=13.0,
            fill=INK,
        )
    return drawn
