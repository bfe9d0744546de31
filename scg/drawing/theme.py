"""Colours and strokes: told apart by the colour-blind, and in print by their dashes.

The hues are those of Okabe & Ito 2008, "Color universal design".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scg.drawing.picture import Gradient, Kind

__all__ = [
    "FAINT",
    "FONT",
    "INK",
    "KINDS",
    "LOOKS",
    "PALE",
    "PAPER",
    "STROKES",
    "Look",
    "Stroke",
]

INK, FAINT, PALE, PAPER = "#1a1a1a", "#5c5c5c", "#fafafa", "#ffffff"
FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Stroke:
    """How a link is drawn; `meaning` is for the legend."""

    colour: str
    width: float
    dashes: str
    has_bar: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class Look:
    """How a kind of block is filled and outlined."""

    fill: str
    line: str = INK
    width: float = 1.2
    dashes: str = ""


STROKES: Mapping[Gradient, Stroke] = {
    "backprop": Stroke("#0072b2", 1.9, "", False, "gradient is back-propagated"),
    "score": Stroke(
        "#d55e00", 1.9, "6 3.5", False, "gradient of the log-density, times credit"
    ),
    "missing": Stroke(
        "#000000", 2.4, "", True, "a derivative that is needed and missing"
    ),
    "blocked": Stroke("#6e6e6e", 1.1, "", True, "no derivative"),
    "none": Stroke("#9a9a9a", 0.9, "", False, "no gradient flows here"),
}
LOOKS: Mapping[Kind, Look] = {
    "stochastic": Look("#fdf1d5"),
    "deterministic": Look(PAPER),
    "black box": Look(PAPER),
    "environment": Look("#dff3ec", width=1.6),
    "cost": Look("#d9d9d9"),
    "value": Look("#f7e8f1"),
    "port": Look(PAPER, FAINT, 0.8, "2.5 2"),
}
KINDS: Mapping[Kind, str] = {
    "parameter": "parameter",
    "input": "input",
    "stochastic": "stochastic",
    "deterministic": "deterministic",
    "black box": "black box",
    "environment": "environment",
    "cost": "cost",
    "value": "value to fit",
}
