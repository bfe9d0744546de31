"""The adjoint of a memory: what its readers owe to the slots that they read.

It is not an array of the memory's size. A read adds its adjoint to the slots it found,
a write takes that of its own slot. Every slot is written once, so nothing has to be
zeroed, undone or taken in a certain order, but for a write coming after all reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scg.buffers import Buffers

__all__ = ["Owed"]

# Up to so many cells a row are added one by one, which is faster than `np.add.at`.
_FEW = 8


class Owed:
    """The adjoint of one version of a memory.

    Parameters
    ----------
    where : int array, shape (rows, ...)
        Where a read found its values: slots, or -1 - cell of those never written.
    g : array, shape (rows, ..., *cell)
        The adjoint of the read.

    Examples
    --------
    >>> owed = Owed(np.array([0, -4]), np.array([[2.0], [3.0]]))
    >>> owed = owed.plus(Owed(np.array([0, 0]), np.array([[1.0], [1.0]])))
    >>> owed.take(0, (2,), Buffers()).ravel().tolist()
    [3.0, 1.0]
    >>> owed.to_beginning(np.zeros((5, 1))).ravel().tolist()
    [0.0, 0.0, 0.0, 3.0, 0.0]
    """

    __slots__ = ("begun", "log", "open", "pieces")

    def __init__(self, where: Any, g: Any) -> None:
        self.pieces: list[tuple[Any, Any]] = [(where, g)]
        # By slot, (slots, rows, *cell), once it is needed.
        self.log: Any = None
        # The slots from here on have been taken, and are no longer looked at.
        self.open = 0
        # (rows, cells, adjoints) of cells that were never written, each of one axis.
        self.begun: list[tuple[Any, Any, Any]] = []

    def plus(self, other: Owed) -> Owed:
        """Return the sum, which may be one of the two."""
        if other is self:
            return self
        one, two = (self, other) if _slots(self) >= _slots(other) else (other, self)
        if two.log is not None:  # of two histories, which share what one began with
            shared = min(one.open, two.open)
            one.log[:shared] += two.log[:shared]
            one.open = shared
        one.pieces += two.pieces
        one.begun += two.begun
        return one

    def leave(self, slot: int) -> Owed:
        """Return what is owed to the version before a write whose first slot it is."""
        self.open = min(self.open, slot)
        return self

    def take(self, slot: int, index_shape: tuple[int, ...], buffers: Buffers) -> Any:
        """Return what is owed to a write: that of its slots, of which `slot` is first.

        `index_shape` is that of the cells it wrote to, rows first.
        """
        several = index_shape[1:]
        count = int(np.prod(several, dtype=int))
        self.settle(slot + count, buffers)
        if not several:
            return self.log[slot]
        found = np.moveaxis(self.log[slot : slot + count], 0, 1)
        return found.reshape(*index_shape, *found.shape[2:])

    def settle(self, slots: int, buffers: Buffers) -> None:
        """Add what has come in to the slots, of which there are at least so many."""
        if self.log is None:
            slots = max(slots, self._least())
        pieces, self.pieces = self.pieces, []
        if self.log is None and slots and pieces:
            where, g = pieces[0]
            shape = (slots, len(g), *g.shape[where.ndim :])
            self.log = buffers.take(shape, g.dtype)
            self.log.fill(0)
            self.open = slots
        for where, g in pieces:
            self._add(where, g)

    def to_beginning(self, out: Any, rows: Any = None) -> Any:
        """Add what is owed to cells never written to an array of zeros.

        Parameters
        ----------
        out : array, shape (cells, *cell) or (rows, cells, *cell)
            The latter has rows of its own.
        rows : True, optional
            That it has.
        """
        self.settle(0, Buffers())
        for row, cell, g in self.begun:
            np.add.at(out, cell if rows is None else (row, cell), g)
        return out

    def unaligned(self, rows: Any, summed: Callable[[Any], Any]) -> Owed:
        """Return the adjoint of a memory some of whose rows were repeated.

        Parameters
        ----------
        rows : int array
            The row each of the repeated ones came from.
        summed : callable
            Sums an array over the repetitions, on axis 0.
        """
        self.settle(0, Buffers())
        other = Owed(None, None)
        other.pieces = []
        other.begun = [(rows[row], cell, g) for row, cell, g in self.begun]
        if self.log is not None:
            by_row = summed(np.ascontiguousarray(np.moveaxis(self.log, 0, 1)))
            other.log = np.ascontiguousarray(np.moveaxis(by_row, 1, 0))
            other.open = self.open
        return other

    def _least(self) -> int:
        """Return how many slots there must be for what has come in."""
        return max((int(w.max(initial=-1)) + 1 for w, _ in self.pieces), default=0)

    def _add(self, where: Any, g: Any) -> None:
        never = np.less(where, 0)
        if not never.any():
            self._add_written(where, g)
            return
        self.begun.append((np.nonzero(never)[0], -1 - where[never], g[never]))
        if self.log is not None:
            written = ~never
            at = (where * self.log.shape[1] + _across(where))[written]
            np.add.at(self._flat(), at, g[written])

    def _add_written(self, where: Any, g: Any) -> None:
        """Add to slots that were all written; a row has each once in a column."""
        flat, at = self._flat(), where * self.log.shape[1] + _across(where)
        if where.ndim == 1:
            flat[at] += g
            return
        at, g = at.reshape(len(at), -1), g.reshape(len(at), -1, *flat.shape[1:])
        if at.shape[1] > _FEW:
            np.add.at(flat, at, g)
            return
        for j in range(at.shape[1]):
            flat[at[:, j]] += g[:, j]

    def _flat(self) -> Any:
        return self.log.reshape(-1, *self.log.shape[2:])


def _across(where: Any) -> Any:
    """Return the number of each row, to go with ``(rows, ...)``."""
    return np.arange(len(where)).reshape(-1, *(1,) * (where.ndim - 1))


def _slots(owed: Owed) -> int:
    return 0 if owed.log is None else len(owed.log)
