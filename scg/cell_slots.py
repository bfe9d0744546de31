"""Which slot each cell of a memory shows: by a table of all cells, or by hashing.

A few cells have one entry each. Of many, most are never written; those that are have
an entry in a table with open addressing, some times as large as there are slots, so
that a memory takes what is written to it, and no more.

References
----------
Knuth 1998, "The Art of Computer Programming", volume 3, section 6.4: multiplicative
hashing, and linear probing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

__all__ = ["AbstractSlots", "Direct", "Hashed", "slots_of"]

# Up to so many cells a row, one entry each takes little, and is faster.
_MANY = 4096

# Entries for each slot there is room for: where few are taken, few rows search twice.
_SPARSE = 16

# 2⁶⁴ divided by the golden ratio.
_SPREAD = np.uint64(11400714819323198485)


def slots_of(rows: int, cells: int, room: int) -> AbstractSlots:
    """Return a directory that shows no slots, with room for so many a row.

    Examples
    --------
    >>> for cells in (100, 10**12):
    ...     slots = slots_of(2, cells, room=16)
    ...     before = slots.put(np.array([3, 99]), 1)
    ...     slots.look(np.array([[3, 4], [3, 99]])).tolist()
    [[1, 0], [0, 1]]
    [[1, 0], [0, 1]]
    """
    return Direct(rows, cells) if cells <= _MANY else Hashed(rows, room)


class AbstractSlots(ABC):
    """The slot that each cell of each row shows, counted from 1; 0 of none."""

    __slots__ = ()

    @abstractmethod
    def look(self, index: Any) -> Any:
        """Return the slots of some cells, ``(rows, ...)``, as an array of its own."""

    @abstractmethod
    def put(self, index: Any, slot: int) -> Any:
        """Let one cell in each row show a slot; return what they showed before."""

    @abstractmethod
    def grown(self, room: int, written: Any) -> AbstractSlots:
        """Return what shows the same, with room for more.

        `written` has the cell of each slot so far, ``(slots, rows)``.
        """

    @abstractmethod
    def clear(self, written: Any) -> None:
        """Show no slots any more."""


class Direct(AbstractSlots):
    """A table of all cells."""

    __slots__ = ("offsets", "table")

    def __init__(self, rows: int, cells: int) -> None:
        self.table = np.zeros(rows * cells, np.int32)
        self.offsets = np.arange(rows) * cells

    def look(self, index: Any) -> Any:
        """Look up the entries of the cells."""
        found: Any = self.table.take(_beside(self.offsets, index) + index)
        return found

    def put(self, index: Any, slot: int) -> Any:
        """Replace the entries of the cells."""
        place = self.offsets + index
        before = self.table.take(place)
        self.table[place] = slot
        return before

    def grown(self, room: int, written: Any) -> AbstractSlots:
        """Return itself: there is an entry for every cell."""
        return self

    def clear(self, written: Any) -> None:
        """Undo the writes, or all of the table, whichever is less."""
        if written.size < len(self.table):
            self.table[(written + self.offsets).ravel()] = 0
        else:
            self.table.fill(0)


class Hashed(AbstractSlots):
    """A table of the cells that were written, one part of it for each row.

    An entry is found at the cell's hash, or at the next that is free behind it.
    """

    __slots__ = ("bits", "cells", "offsets", "rows", "slots")

    def __init__(self, rows: int, room: int) -> None:
        self.rows = rows
        self.bits = (_SPARSE * room - 1).bit_length()
        size = 1 << self.bits
        self.offsets = np.arange(rows) * size
        self.cells = np.full(rows * size, -1)
        self.slots = np.zeros(rows * size, np.int32)

    def look(self, index: Any) -> Any:
        """Look up the entries of the cells; a free one shows none."""
        found: Any = self.slots.take(self._entries(index))
        return found

    def put(self, index: Any, slot: int) -> Any:
        """Replace the entries of the cells, or take free ones."""
        place = self._entries(index)
        before = self.slots.take(place)
        self.cells[place] = index
        self.slots[place] = slot
        return before

    def grown(self, room: int, written: Any) -> AbstractSlots:
        """Put all in a larger table, in the order in which it was written."""
        larger = Hashed(self.rows, room)
        for k, index in enumerate(written):
            larger.put(index, k + 1)
        return larger

    def clear(self, written: Any) -> None:
        """Free all entries: not many more than were taken."""
        self.cells.fill(-1)
        self.slots.fill(0)

    def _entries(self, index: Any) -> Any:
        """Return the entry of each cell, or the free one where it would be."""
        hashed = np.multiply(index.view(np.uint64), _SPREAD)
        np.right_shift(hashed, np.uint64(64 - self.bits), hashed)
        place = hashed.view(np.int64)
        place += _beside(self.offsets, index)
        there = self.cells.take(place)
        others = np.flatnonzero((there != index) & (there >= 0))
        if not len(others):
            return place
        wanted, within = index.reshape(-1)[others], (1 << self.bits) - 1
        flat = place.reshape(-1)
        at = flat[others]
        while len(others):
            at = (at & ~within) | ((at + 1) & within)
            flat[others] = at
            there = self.cells.take(at)
            still = (there != wanted) & (there >= 0)
            others, wanted, at = others[still], wanted[still], at[still]
        return place


def _beside(by_row: Any, index: Any) -> Any:
    """Return numbers of the rows to go with ``(rows, ...)``."""
    if index.ndim == 1:
        return by_row
    return by_row.reshape(-1, *(1,) * (index.ndim - 1))
