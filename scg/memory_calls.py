"""What can be done with a memory: begin one, write, find slots, fetch what is there.

Each is the function of an `Operation`: it computes, and says how an adjoint crosses it.
A read is two calls, so that the slots it found are recorded like any other value. They
do not depend on what was written, only on where.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from autograd.tracer import isbox

from scg.buffers import Buffers
from scg.cells import Beginning, Cells
from scg.errors import CellIndexError
from scg.owed import Owed
from scg.traced_cells import TracedCells

__all__ = ["AbstractMemoryCall", "Begin", "Fetch", "Locate", "Write", "check_cells"]


class AbstractMemoryCall(ABC):
    """A function of a memory among others.

    ``call(*args, buffers=...)`` takes arrays, and memories as `Cells`; without buffers
    it takes what autograd traces, too.
    """

    __slots__ = ("__name__",)

    # By argument: an adjoint crosses to it, it is taken as fixed, or neither.
    smooth: frozenset[int] = frozenset()
    constant: frozenset[int] = frozenset()
    # The arguments whose values are looked at when an adjoint crosses to one of them.
    reads: tuple[int, ...] = ()

    @abstractmethod
    def __call__(self, *args: Any, buffers: Buffers | None = None) -> Any:
        """Compute the value."""

    @abstractmethod
    def back(self, at: int, g: Any, value: Any, args: Any, buffers: Buffers) -> Any:
        """Return the adjoint of argument `at`, with rows where `g` has them."""


class Begin(AbstractMemoryCall):
    """Begin a memory: ``(number of rows, value)``.

    Parameters
    ----------
    cells : int
    cell : tuple of int
        The shape of one.
    dtype : dtype
    value_has_rows : bool
    """

    __slots__ = ("cell", "cells", "dtype", "value_has_rows")

    smooth = frozenset({1})
    reads = (1,)

    def __init__(
        self, cells: int, cell: tuple[int, ...], dtype: Any, *, value_has_rows: bool
    ) -> None:
        self.__name__ = "memory"
        self.cells = cells
        self.cell = cell
        self.dtype = dtype
        self.value_has_rows = value_has_rows

    def __call__(self, *args: Any, buffers: Buffers | None = None) -> Any:
        """Return a memory nothing has been written to."""
        rows, value = args
        which = np.arange(rows) if self.value_has_rows else None
        beginning = Beginning(value, self.cell, which)
        if isbox(value):
            return TracedCells(beginning, (), (rows, self.cells, *self.cell))
        return Cells.new(beginning, rows, self.cells, self.dtype, buffers or Buffers())

    def back(self, at: int, g: Any, value: Any, args: Any, buffers: Buffers) -> Any:
        """Return what is owed to cells that were never written."""
        out = buffers.take(args[1].shape, self.dtype)
        out.fill(0)
        return g.to_beginning(out, self.value_has_rows or None)


class Write(AbstractMemoryCall):
    """Write: ``(memory, index, value)``; `index_name` is for messages."""

    __slots__ = ("index_name", "several")

    smooth = frozenset({0, 2})
    reads = (-1, 1)

    def __init__(self, index_name: str, several: tuple[int, ...]) -> None:
        self.__name__ = "write"
        self.index_name = index_name
        self.several = several

    def __call__(self, *args: Any, buffers: Buffers | None = None) -> Any:
        """Return the version after a write."""
        memory, index, value = args
        at = _cells(self.index_name, memory, index, self.several)
        if isinstance(memory, TracedCells):
            return memory.write(at, value)
        if isbox(value):
            return TracedCells.of(memory).write(at, value)
        return memory.write(at, value)

    def back(self, at: int, g: Any, value: Any, args: Any, buffers: Buffers) -> Any:
        """Hand on what is owed to the version before, or take this write's own."""
        count = int(np.prod(self.several, dtype=int))
        g.settle(value.version, buffers)
        if at == 0:
            return g.leave(value.version - count)
        rows = value.shape[0]
        return g.take(value.version - count, (rows, *self.several), buffers)


class Locate(AbstractMemoryCall):
    """Find the slots that cells show: ``(memory, index)``."""

    __slots__ = ("index_name", "several")

    constant = frozenset({0})

    def __init__(self, index_name: str, several: tuple[int, ...]) -> None:
        self.__name__ = "locate"
        self.index_name = index_name
        self.several = several

    def __call__(self, *args: Any, buffers: Buffers | None = None) -> Any:
        """Return slots, or -1 - cell of cells never written."""
        memory, index = args
        return memory.locate(_cells(self.index_name, memory, index, self.several))

    def back(self, at: int, g: Any, value: Any, args: Any, buffers: Buffers) -> Any:
        """Slots are whole numbers, without a derivative."""
        raise NotImplementedError


class Fetch(AbstractMemoryCall):
    """Return what is found at slots: ``(memory, slots)``."""

    __slots__ = ()

    smooth = frozenset({0})
    reads = (1,)

    def __init__(self) -> None:
        self.__name__ = "read"

    def __call__(self, *args: Any, buffers: Buffers | None = None) -> Any:
        """Return what was written there."""
        memory, where = args
        if isinstance(memory, TracedCells):
            return memory.fetch(where)
        return memory.fetch(where, buffers)

    def back(self, at: int, g: Any, value: Any, args: Any, buffers: Buffers) -> Any:
        """Say what is owed to the slots."""
        return Owed(args[1], g)


def _cells(name: str, memory: Any, index: Any, several: tuple[int, ...]) -> Any:
    """Return the cells of each row, which there have to be."""
    rows, cells = memory.shape[:2]
    at = check_cells(name, index, cells, len(several))
    return np.broadcast_to(at, (rows, *several)) if at.ndim <= len(several) else at


def check_cells(name: str, index: Any, cells: int, axes: int) -> Any:
    """Return an index as an array, if all of it is from 0 to below `cells`.

    In one row it has so many axes; if there are no more, it is the same for all rows.

    Raises
    ------
    CellIndexError
        If not, with the first that is not.
    """
    at = np.asarray(index, np.intp)
    # As numbers without a sign, negative ones are large: one look tells of both ends.
    if at.size and at.view(np.uintp).max() >= cells:
        wrong = (at < 0) | (at >= cells)
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        row = f"row {place[0]}" if at.ndim > axes else "all rows"
        msg = (
            f"index {name}: expected whole numbers from 0 to {cells - 1}, the cells of "
            f"the memory, got {int(at[place])} in {row}. "
            "Keep it inside, with np.clip or % the number of cells, or draw it from a "
            "scg.Categorical of as many categories."
        )
        raise CellIndexError(msg)
    return at
