"""A memory that autograd can trace, to be differentiated any number of times.

It is to `scg.cells` what autograd's boxes are to arrays: the written values are kept in
a list, and a read stacks them all. That costs what has been written so far, at each
read, but nothing that grows with the number of cells.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from scg.cells import Beginning, Cells

__all__ = ["TracedCells"]


class TracedCells:
    """One version of a memory: where it begins, and what was written, slot by slot.

    Parameters
    ----------
    beginning : Beginning
        Its value may be one of autograd's boxes.
    log : tuple of array, shape (rows, *cell)
        They may be boxes.
    shape : tuple of int

    Examples
    --------
    >>> from autograd import grad
    >>> empty = TracedCells(Beginning(0.0, ()), (), (2, 10))
    >>> at = np.array([3, 4])
    >>> def f(x):
    ...     return anp.sum(empty.write(at, x).fetch(np.array([0, -5])) ** 3)
    >>> grad(f)(np.array([2.0, 5.0])).tolist()
    [12.0, 0.0]
    """

    def __init__(
        self, beginning: Beginning, log: tuple[Any, ...], shape: tuple[int, ...]
    ) -> None:
        self.beginning = beginning
        self.log = log
        self.shape = shape

    @classmethod
    def of(cls, cells: Cells) -> TracedCells:
        """Return the same memory, which has been run, for autograd to go on with."""
        history = cells.history
        return cls(
            history.beginning, tuple(history.content[: cells.version]), cells.shape
        )

    def write(self, index: Any, value: Any) -> TracedCells:
        """Return the version after a write; where to, the recorded slots know."""
        rows, cell = index.shape[0], self.beginning.cell
        full = value + np.zeros((*index.shape, *cell), bool)
        flat = anp.reshape(full, (rows, -1, *cell))
        more = tuple(flat[:, j] for j in range(flat.shape[1]))
        return TracedCells(self.beginning, self.log + more, self.shape)

    def fetch(self, where: Any) -> Any:
        """Return what is found at recorded slots, or at -1 - cell of none."""
        cell = self.beginning.cell
        never = (where < 0).reshape(*where.shape, *(1,) * len(cell))
        begun = self.beginning.at(np.where(where < 0, -1 - where, 0))
        if not self.log:
            return begun + np.zeros((*where.shape, *cell), bool)
        rows = np.arange(len(where)).reshape(-1, *(1,) * (where.ndim - 1))
        written = anp.stack(self.log)[np.maximum(where, 0), rows]
        return anp.where(never, begun, written)

    def __getitem__(self, rows: Any) -> TracedCells:
        """Return a memory with these rows of this one, which may repeat."""
        some = tuple(value[rows] for value in self.log)
        which = np.arange(self.shape[0])[rows]
        return TracedCells(
            self.beginning.some(which), some, (len(which), *self.shape[1:])
        )
