"""How wide text is, without a font at hand, and where a long line is broken."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["NOTE", "NOTE_LINE", "TITLE", "TITLE_LINE", "cut", "text_size", "wrapped"]

TITLE, NOTE = 13.0, 10.5
TITLE_LINE, NOTE_LINE = 17.0, 13.5

# Widths in em, not below those of the common sans-serif fonts (DejaVu is the widest).
_NARROW, _WIDE = frozenset("iljtfrI.,:;|!'`()[]{}/ -1"), frozenset("mwMWQOG@%—≺")
_BOLD = 1.1


def text_size(title: str, notes: Sequence[str]) -> tuple[float, float]:
    """Return the width, an upper estimate, and the height of a label."""
    widths = [_width_of(note, NOTE) for note in notes]
    height = NOTE_LINE * len(notes)
    if title:
        widths.append(_BOLD * _width_of(title, TITLE))
        height += TITLE_LINE
    return max(widths, default=0.0), height


def _width_of(text: str, size: float) -> float:
    return size * sum(map(_em, text))


def _em(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if character in _WIDE:
        return 0.95
    if character in _NARROW:
        return 0.42
    return 0.74 if character.isupper() else 0.65


def cut(text: str, length: int) -> str:
    """Return one line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def wrapped(text: str, length: int) -> list[str]:
    """Break a formula after spaces and brackets into lines of about `length`.

    Examples
    --------
    >>> wrapped("tanh(x @ W1 + b1) @ W2 + b2", 14)
    ['tanh(x @ W1 +', 'b1) @ W2 + b2']
    """
    lines = [""]
    for piece in re.findall(r"[^\s(]*[\s(]+|[^\s(]+", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > length:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines if line.strip()]
