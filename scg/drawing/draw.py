"""A graph as a file: which layout, which format, and what can go wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from scg.drawing.blocks import picture_of
from scg.drawing.graphviz import by_dot, dot_program
from scg.drawing.html import html_of
from scg.drawing.layered import layered
from scg.drawing.picture import Picture, Placement
from scg.drawing.svg import svg_of
from scg.errors import InputError, PictureError
from scg.node import Store

__all__ = ["Layout", "draw", "drawn"]

Layout = Literal["layered", "dot"]


def draw(
    store: Store,
    path: str | os.PathLike[str],
    estimators: Mapping[str, Any],
    *,
    collapse: bool = True,
    layout: Layout = "layered",
) -> None:
    """Write a picture of a graph; see `scg.Graph.draw`."""
    where = Path(path)
    suffix = where.suffix.lower()
    if suffix not in {".svg", ".html"}:
        msg = (
            f"graph {store.title!r}: expected a picture's path that ends in .svg or "
            f".html, got {str(path)!r}."
        )
        raise InputError(msg)
    picture, svg = _drawn(store, estimators, collapse=collapse, layout=layout)
    content = html_of(picture, svg) if suffix == ".html" else f"{svg}\n"
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(content.encode("utf-8", "replace"))
    except OSError as error:
        msg = (
            f"graph {store.title!r}: expected to write its picture to {str(path)!r}, "
            f"got {error.strerror or error}. Choose another path."
        )
        raise PictureError(msg) from error


def drawn(store: Store, estimators: Mapping[str, Any]) -> str:
    """Return a picture of a graph as SVG, for notebooks."""
    return _drawn(store, estimators, collapse=True, layout="layered")[1]


def _drawn(
    store: Store, estimators: Mapping[str, Any], *, collapse: bool, layout: Layout
) -> tuple[Picture, str]:
    picture = picture_of(store, estimators, collapse=collapse)
    return picture, svg_of(picture, _placed(picture, layout))


def _placed(picture: Picture, layout: Layout) -> Placement:
    if layout not in get_args(Layout):
        msg = f"expected a layout among {get_args(Layout)}, got {layout!r}."
        raise InputError(msg)
    if layout == "layered" or not picture.blocks:
        return layered(picture)
    program = dot_program()
    if program is None:
        msg = (
            "layout='dot' needs Graphviz, whose program dot was not found. Install it, "
            "or draw with layout='layered', which needs no other program."
        )
        raise PictureError(msg)
    return by_dot(picture, program)
