"""The contents of a memory: values that never change, over arrays that do.

`Cells` is one version of a memory. Writing returns another version; both stay as they
are. All versions of one `History` share their arrays: each written value has a *slot*
of its own, and a directory tells which slot a cell shows (`scg.cell_slots`). A write
adds a slot and changes one entry for each row, a read looks the slot up and then its
value, whatever the number of cells. The directory shows the last version; an earlier
one is read by going back from slot to slot, each of which knows the one it replaced.

References
----------
Baker 1978, "Shallow binding in LISP 1.5", for versions of which the last is fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.buffers import Buffers
from scg.cell_slots import slots_of

__all__ = ["Beginning", "Cells"]

# Slots there is room for at first; it doubles.
_FEW = 16


@dataclass(frozen=True, slots=True)
class Beginning:
    """What cells hold before they are written.

    `value` is a number, an array of shape ``(cells, *cell)``, or one with rows before
    that. `rows` tells which of its rows each row of the memory has.
    """

    value: Any
    cell: tuple[int, ...]
    rows: Any = None

    def at(self, cells: Any) -> Any:
        """Return what some cells hold, ``(rows, ..., *cell)`` of ``(rows, ...)``."""
        if np.ndim(self.value) == 0:
            return self.value
        if self.rows is None:
            return self.value[cells]
        rows = self.rows.reshape(-1, *(1,) * (cells.ndim - 1))
        return self.value[rows, cells]

    def some(self, rows: Any) -> Beginning:
        """Return that of a memory with these rows."""
        if self.rows is None:
            return self
        return Beginning(self.value, self.cell, self.rows[rows])


class Cells:
    """One version of a memory.

    Attributes
    ----------
    history : History
        Where it is kept.
    version : int
        The number of slots written so far.

    Examples
    --------
    >>> empty = Cells.new(Beginning(0.0, (1,)), 2, 10, np.dtype(float), Buffers())
    >>> one = empty.write(np.array([3, 4]), np.array([[1.0], [2.0]]))
    >>> two = one.write(np.array([3, 3]), np.array([[5.0], [6.0]]))
    >>> at = np.array([3, 4])
    >>> [m.fetch(m.locate(at)).ravel().tolist() for m in (empty, one, two)]
    [[0.0, 0.0], [1.0, 2.0], [5.0, 2.0]]
    """

    __slots__ = ("history", "version")

    def __init__(self, history: History, version: int) -> None:
        self.history = history
        self.version = version

    @classmethod
    def new(
        cls,
        beginning: Beginning,
        rows: int,
        cells: int,
        dtype: np.dtype[Any],
        buffers: Buffers,
    ) -> Cells:
        """Return a memory nothing has been written to."""
        return cls(History(beginning, rows, cells, dtype, buffers), 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, cells, and the shape of one cell."""
        history = self.history
        return (history.rows, history.cells, *history.beginning.cell)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of what the cells hold."""
        return self.history.dtype

    def write(self, index: Any, value: Any) -> Cells:
        """Return the version after a write.

        Parameters
        ----------
        index : int array, shape (rows, ...)
            In range. Of a cell that is written twice, the last value stays.
        value : array, broadcast to shape (rows, ..., *cell)
        """
        history = self.history
        if self.version != history.size:  # somebody has written to this version before
            history = history.copied(self.version, slice(None))
        cell = history.beginning.cell
        value = np.broadcast_to(value, (*index.shape, *cell))
        if index.ndim == 1:
            history.add(index, value)
        else:
            flat = value.reshape(len(index), -1, *cell)
            for j, column in enumerate(index.reshape(len(index), -1).T):
                history.add(column, flat[:, j])
        return Cells(history, history.size)

    def locate(self, index: Any) -> Any:
        """Return where what cells hold is found: their slots, or -1 - cell of none.

        Parameters
        ----------
        index : int array, shape (rows, ...)
            In range.
        """
        history = self.history
        slots = history.slots.look(index)
        if self.version < history.size:
            slots = history.as_of(self.version, slots)
        found = np.subtract(slots, 1, dtype=np.intp)
        never = np.equal(slots, 0)
        if never.any():
            np.subtract(-1, index, out=found, where=never)
        return found

    def fetch(self, where: Any, buffers: Buffers | None = None) -> Any:
        """Return what is found there, ``(rows, ..., *cell)``."""
        history = self.history
        cell = history.beginning.cell
        out = (buffers.take if buffers else np.empty)((*where.shape, *cell), self.dtype)
        never = np.less(where, 0)
        some = never.any()
        if self.version == 0:
            out[...] = history.beginning.at(-1 - where)
            return out
        at = np.multiply(where, history.rows)
        at += history.across(where)
        flat = history.content.reshape(-1, *cell)
        flat.take(at, axis=0, out=out, mode="clip")
        if some:
            begun = history.beginning.at(np.where(never, -1 - where, 0))
            shown = never.reshape(*never.shape, *(1,) * len(cell))
            np.copyto(out, begun, where=shown, casting="same_kind")
        return out

    def dense(self) -> Any:
        """Return all cells as one array, which costs what its size does."""
        rows, cells, *cell = self.shape
        history, v = self.history, self.version
        out = np.empty(self.shape, self.dtype)
        every = np.broadcast_to(np.arange(cells), (rows, cells))
        out[...] = history.beginning.at(every)
        flat = out.reshape(rows * cells, *cell)
        at = history.written[:v] + history.arange * cells
        # Where a place comes more than once, the last value stays.
        flat[at.ravel()] = history.content[:v].reshape(-1, *cell)
        return out

    def __getitem__(self, rows: Any) -> Cells:
        """Return a memory with these rows of this one, which may repeat."""
        history = self.history.copied(self.version, rows)
        return Cells(history, history.size)


class History:
    """What is known of all versions of one memory.

    `slots` tells which slot each cell shows now, counted from 1. Of each slot,
    `written` has the cell, `before` the slot that the cell showed before, and `content`
    the value, one for each row.
    """

    __slots__ = (
        "arange",
        "before",
        "beginning",
        "buffers",
        "cells",
        "content",
        "dtype",
        "rows",
        "size",
        "slots",
        "written",
    )

    def __init__(
        self,
        beginning: Beginning,
        rows: int,
        cells: int,
        dtype: np.dtype[Any],
        buffers: Buffers,
    ) -> None:
        self.size = 0
        self.beginning = beginning
        self.rows = rows
        self.cells = cells
        self.dtype = dtype
        self.buffers = buffers
        self.arange = np.arange(rows)
        kept = buffers.take_whole(self._key())
        if kept is None:
            kept = (slots_of(rows, cells, _FEW), *self._room(_FEW))
        self.slots, self.written, self.before, self.content = kept

    def __del__(self) -> None:
        # The next run takes the arrays as they are, with slots that show nothing.
        try:
            whole = (self.slots, self.written, self.before, self.content)
        except AttributeError:  # there was no room to make them
            return
        self.slots.clear(self.written[: self.size])
        self.buffers.give_whole(self._key(), whole)

    def add(self, index: Any, value: Any) -> None:
        """Write one cell in each row."""
        k = self.size
        if k == len(self.content):
            self._grow()
        self.written[k] = index
        self.before[k] = self.slots.put(index, k + 1)
        self.content[k] = value
        self.size = k + 1

    def across(self, where: Any) -> Any:
        """Return the number of each row, to go with ``(rows, ...)``."""
        return self.arange.reshape(-1, *(1,) * (where.ndim - 1))

    def as_of(self, version: int, slots: Any) -> Any:
        """Go back from slots to those that were shown at a version."""
        row = np.broadcast_to(self.across(slots), slots.shape)
        while (late := slots > version).any():
            slots[late] = self.before[slots[late] - 1, row[late]]
        return slots

    def copied(self, version: int, rows: Any) -> History:
        """Return a history of its own that begins with a version of some rows."""
        which = self.arange[rows]
        other = History(
            self.beginning.some(which), len(which), self.cells, self.dtype, self.buffers
        )
        for k in range(version):
            other.add(self.written[k, which], self.content[k, which])
        return other

    def _key(self) -> tuple[Any, ...]:
        return "cells", self.rows, self.cells, self.beginning.cell, self.dtype

    def _room(self, slots: int) -> tuple[Any, Any, Any]:
        shape = slots, self.rows
        content = np.empty((*shape, *self.beginning.cell), self.dtype)
        return np.empty(shape, np.intp), np.empty(shape, np.int32), content

    def _grow(self) -> None:
        size = self.size
        more = self._room(2 * size)
        old = self.written, self.before, self.content
        for new, now in zip(more, old, strict=True):
            new[:size] = now
        self.slots = self.slots.grown(2 * size, self.written)
        self.written, self.before, self.content = more
