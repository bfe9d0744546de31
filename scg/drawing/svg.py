"""A picture with places as SVG: one file, no references to anything outside of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from scg.drawing.curves import along
from scg.drawing.legend import legend
from scg.drawing.marks import arrow, element, number, text
from scg.drawing.outlines import label, outline
from scg.drawing.picture import Block, Box, Link, Picture, Placement, Point, Wire
from scg.drawing.text import NOTE, text_size
from scg.drawing.theme import FAINT, FONT, INK, PALE, PAPER, STROKES

__all__ = ["svg_of"]

_MARGIN = 16.0
_FINE = 40  # so many points on a curve that none steps over a title
_BACK_TO_FRONT = ("none", "blocked", "score", "backprop", "missing")


def svg_of(picture: Picture, placement: Placement) -> str:
    """Draw a picture."""
    key, key_width, key_height = legend(
        picture, _MARGIN, placement.height, max(placement.width, 460.0) - 2 * _MARGIN
    )
    width = max(placement.width, key_width + 2 * _MARGIN)
    height = placement.height + key_height + _MARGIN
    shift = (width - placement.width) / 2
    drawn = [
        *_frames(picture, placement),
        *_links(picture, placement),
        *_frame_titles(picture, placement),
        *(_block(picture, i, at) for i, at in enumerate(placement.centres)),
    ]
    moved = element("g", "\n".join(drawn), transform=f"translate({number(shift)} 0)")
    paper = element("rect", width=width, height=height, fill=PAPER)
    title = element("title", text(f"Graph {picture.title}"))
    return element(
        "svg",
        "\n".join([title, paper, moved, key]),
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=height,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        font_family=FONT,
        text_anchor="middle",
    )


def _frames(picture: Picture, placement: Placement) -> list[str]:
    return [
        element(
            "rect",
            class_="plate",
            data_name=plate.name,
            x=box.left,
            y=box.top,
            width=box.right - box.left,
            height=box.bottom - box.top,
            rx=8.0,
            fill=PALE,
            stroke=FAINT,
            stroke_width=1.1,
        )
        for plate, box in zip(picture.plates, placement.frames, strict=True)
    ]


def _frame_titles(picture: Picture, placement: Placement) -> list[str]:
    drawn = []
    wires = placement.wires if picture.plates else ()
    points = sorted((y, x) for wire in wires for x, y in along(wire.points, _FINE))
    for plate, box in zip(picture.plates, placement.frames, strict=True):
        width = 1.1 * text_size("", [plate.title])[0]
        x, y = _free_of_links(points, box, width)
        paper = element(
            "rect", x=x - 3, y=y - 11, width=width + 6, height=15.0, fill=PALE
        )
        drawn.append(
            paper
            + element(
                "text",
                text(plate.title),
                x=x,
                y=y,
                font_size=NOTE + 1,
                font_weight="bold",
                text_anchor="start",
                fill=FAINT,
            )
        )
    return drawn


def _free_of_links(points: Sequence[Point], box: Box, width: float) -> Point:
    """Return where a title crosses no link: at a frame's top, or at its bottom.

    `points` are those of the links, sorted, y first.
    """
    for low, y in ((box.top, box.top + 16), (box.bottom - 20, box.bottom - 6)):
        first, last = bisect_left(points, (low,)), bisect_left(points, (low + 20,))
        left = box.left + 10
        for x in [*sorted(x for _, x in points[first:last]), box.right]:
            if x - left > width + 12:
                return left, y
            left = max(left, x + 8)
    return box.left + 10, box.top + 16


def _links(picture: Picture, placement: Placement) -> list[str]:
    pairs = list(zip(picture.links, placement.wires, strict=True))
    pairs.sort(key=lambda pair: _BACK_TO_FRONT.index(pair[0].gradient))
    drawn = [_link(picture.blocks, link, wire) for link, wire in pairs]
    return drawn + [_link_label(link, wire) for link, wire in pairs if link.label]


def _link(blocks: tuple[Block, ...], link: Link, wire: Wire) -> str:
    source, target = blocks[link.source], blocks[link.target]
    names = f"{_called(source)} → {_called(target)}"
    again = ", at the next step" if link.loops_back else ""
    hint = element("title", text(f"{names}{again}: {STROKES[link.gradient].meaning}"))
    return element(
        "g",
        hint + arrow(link.gradient, wire.points),
        class_=f"link {link.gradient}" + (" back" if link.loops_back else ""),
        data_source=str(link.source),
        data_target=str(link.target),
    )


def _link_label(link: Link, wire: Wire) -> str:
    assert wire.label_at is not None
    x, y = wire.label_at
    width = 0.85 * text_size("", [link.label])[0]  # an estimate from above
    paper = element("rect", x=x - width, y=y - 9, width=width, height=11.0, fill=PALE)
    return paper + element(
        "text",
        text(link.label),
        x=x,
        y=y,
        font_size=NOTE,
        text_anchor="end",
        font_style="italic",
        fill=INK,
    )


def _block(picture: Picture, index: int, middle: Point) -> str:
    block = picture.blocks[index]
    x, y = middle
    box = Box(
        x - block.width / 2,
        y - block.height / 2,
        x + block.width / 2,
        y + block.height / 2,
    )
    told = "\n".join(f"{heading}: {words}" for heading, words in block.facts)
    content = [
        element("title", text(told)),
        outline(block.kind, box, is_pruned=block.is_pruned),
        label(
            block.title,
            block.notes,
            middle,
            is_name=block.name is not None,
            kind=block.kind,
        ),
    ]
    pruned = " pruned" if block.is_pruned else ""
    return element(
        "g",
        "".join(content),
        class_=f"node {block.kind.replace(' ', '-')}{pruned}",
        data_block=str(index),
        data_name=block.name or "",
    )


def _called(block: Block) -> str:
    return block.title or " ".join(block.notes)
