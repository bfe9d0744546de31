"""What is drawn, before and after it has places: records that every drawing step reads.

A `Picture` says what there is to see, a `Placement` where it is. Lengths are in pixels,
y grows downwards, and a block's place is its centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Block",
    "Box",
    "Gradient",
    "Kind",
    "Link",
    "Picture",
    "Placement",
    "Plate",
    "Point",
    "Wire",
]

Kind = Literal[
    "parameter",
    "input",
    "constant",
    "deterministic",
    "black box",
    "stochastic",
    "environment",
    "cost",
    "value",
    "port",
]
Gradient = Literal["backprop", "score", "missing", "blocked", "none"]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Block:
    """One thing to see: the node `head`, and the nodes whose drawing it takes over.

    `name` is the head's own where it was given one; `title` and `notes` are the label.
    `plate` is the number of the loop it is repeated in.
    """

    head: int
    members: tuple[int, ...]
    kind: Kind
    name: str | None
    title: str
    notes: tuple[str, ...]
    plate: int | None
    width: float
    height: float
    facts: tuple[tuple[str, str], ...]
    is_pruned: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A dependence of one block on another, and what gradient does there.

    `label` names what a loop hands to its next step; other links have none.
    """

    source: int
    target: int
    gradient: Gradient
    loops_back: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Plate:
    """The frame of a loop's body."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Picture:
    """All there is to see. Links that do not loop back have no cycle.

    `credits` joins each scored sample with the costs that it is credited with.
    """

    title: str
    blocks: tuple[Block, ...]
    links: tuple[Link, ...]
    plates: tuple[Plate, ...]
    credits: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A frame by its edges."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Wire:
    """A link's course: a start, then three points for each cubic Bézier curve.

    `label_at` is where its label ends, at the baseline.
    """

    points: tuple[Point, ...]
    label_at: Point | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where it all is: centres of blocks, wires of links, frames of plates."""

    centres: tuple[Point, ...]
    wires: tuple[Wire, ...]
    frames: tuple[Box, ...]
    width: float
    height: float
