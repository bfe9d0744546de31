"""A layout by Graphviz' ``dot``, if that program is there; the drawing stays our own.

Blocks go in with their sizes and least distances in layers; their places and the curves
of links come back as JSON.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from scg.drawing.curves import along
from scg.drawing.fitting import fitted
from scg.drawing.layers import layers_of
from scg.drawing.picture import Box, Link, Picture, Placement, Point, Wire
from scg.drawing.text import NOTE, text_size
from scg.errors import PictureError

__all__ = ["by_dot", "dot_program"]

_INCH = 72.0
_SECONDS = 20.0
_TITLE = 24.0
_INSIDE = 14.0


def dot_program() -> str | None:
    """Find the program."""
    return shutil.which("dot")


def by_dot(picture: Picture, program: str, seconds: float = _SECONDS) -> Placement:
    """Lay a picture out with ``dot``.

    Raises
    ------
    PictureError
        When the program fails, or takes longer than `seconds`.
    """
    try:
        done = subprocess.run(
            [program, "-Tjson"],
            input=_source(picture),
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            check=True,
        )
        found = json.loads(done.stdout)
        return _placement(picture, found)
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        msg = (
            f"graph {picture.title!r}: expected a layout from {program}, got: {said}. "
            "Draw it with layout='layered', which needs no other program."
        )
        raise PictureError(msg) from error


def _source(picture: Picture) -> str:
    """Write the picture for ``dot``: numbers for names, so nothing is to be escaped."""
    lines = [
        "digraph {",
        "graph [rankdir=TB, nodesep=0.3, ranksep=0.42, splines=true, margin=0];",
        'node [fixedsize=true, label="", shape=box];',
        "edge [arrowhead=none];",
    ]
    for number, block in enumerate(picture.blocks):
        if block.plate is None:
            lines.append(_node(picture, number))
    for p, plate in enumerate(picture.plates):
        width = 1.15 * text_size("", [plate.title])[0] / _INCH
        lines += [
            f"subgraph cluster_{p} {{ margin={_INSIDE}; labeljust=l;",
            f"label=<<table border='0' fixedsize='true' width='{width * _INCH:.0f}' "
            f"height='{_TITLE:.0f}'><tr><td></td></tr></table>>;",
        ]
        for number, block in enumerate(picture.blocks):
            if block.plate == p:
                lines.append(_node(picture, number))
        lines.append("}")
    layer = layers_of(picture)
    lines += [_edge(k, link, layer) for k, link in enumerate(picture.links)]
    return "\n".join([*lines, "}"])


def _node(picture: Picture, number: int) -> str:
    block = picture.blocks[number]
    shape = ", shape=ellipse" if block.kind == "stochastic" else ""
    width, height = block.width / _INCH, block.height / _INCH
    return f"n{number} [width={width:.4f}, height={height:.4f}{shape}];"


def _edge(k: int, link: Link, layer: Sequence[int]) -> str:
    apart = layer[link.target] - layer[link.source]
    rank = "constraint=false" if link.loops_back else f"minlen={apart}"
    return f"n{link.source} -> n{link.target} [id={k}, {rank}];"


def _placement(picture: Picture, found: Mapping[str, Any]) -> Placement:
    objects = found.get("objects", [])
    nodes = {o["name"]: o for o in objects if "nodes" not in o}
    frames = {o["name"]: _box(o["bb"]) for o in objects if "nodes" in o}
    edges = {int(edge["id"]): edge for edge in found.get("edges", [])}
    return fitted(
        picture.blocks,
        [_point(nodes[f"n{i}"]["pos"]) for i in range(len(picture.blocks))],
        [_wire(picture.links[k], edges[k]) for k in range(len(picture.links))],
        [frames[f"cluster_{p}"] for p in range(len(picture.plates))],
    )


def _point(text: str) -> Point:
    x, y = text.split(",")
    return float(x), -float(y)


def _box(text: str) -> Box:
    left, bottom, right, top = map(float, text.split(","))
    return Box(left, -top, right, -bottom)


def _wire(link: Link, edge: Mapping[str, Any]) -> Wire:
    points = tuple(_point(p) for p in edge["pos"].split())
    if not link.loops_back:
        return Wire(points)
    course = list(along(points))
    x, y = course[len(course) // 2]
    return Wire(points, (x + text_size("", [link.label])[0] / 2, y + NOTE / 3))
