"""Plates: how branches multiply rows, and how values with different plates meet.

A value downstream of branch points has one plate for each; its row axis is the rows of
the run times the sizes of its plates, rows outermost, plates in the order of their
sites. Aligning repeats a value along the plates it lacks; reducing takes the weighted
sum over plates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scg.buffers import Buffers
from scg.owed import Owed

__all__ = ["SAMPLES", "Layout", "Plates", "merge"]

Plates = tuple[int, ...]
SAMPLES = -1


def merge(*plates: Plates) -> Plates:
    """Return the union of plates in their one order.

    Examples
    --------
    >>> merge((3,), (-1, 7), ())
    (-1, 3, 7)
    """
    several = set(plates)
    if len(several) == 1:
        return several.pop()
    return tuple(sorted({p for group in several for p in group}))


@dataclass(slots=True)
class Layout:
    """The sizes of rows and plates in one run, and the weights of the branches.

    ``weights[p]`` is the probability weight of each branch of plate p: a number, or an
    array on the plates ``homes[p]`` (which include p).
    """

    rows: int
    sizes: Mapping[int, int]
    homes: Mapping[int, Plates]
    weights: dict[int, Any] = field(default_factory=dict)

    def count(self, plates: Plates) -> int:
        """Return the length of the row axis of a value with these plates."""
        total = self.rows
        for p in plates:
            total *= self.sizes[p]
        return total

    def split(self, value: Any, plates: Plates) -> Any:
        """View a value with an axis for the rows and one for each plate."""
        return value.reshape(
            self.rows, *(self.sizes[p] for p in plates), *value.shape[1:]
        )

    def align(
        self, value: Any, have: Plates, want: Plates, buffers: Buffers | None = None
    ) -> Any:
        """Repeat a value along the plates it lacks."""
        if have == want or self.count(have) == self.count(want):
            return value
        if not isinstance(value, np.ndarray):  # sparse rows, memory: repeat by index
            return value[self.align(np.arange(value.shape[0]), have, want)]
        event = value.shape[1:]
        slim = [self.sizes[p] if p in have else 1 for p in want]
        full = [self.sizes[p] for p in want]
        shape = (self.count(want), *event)
        out = (buffers.take if buffers else np.empty)(shape, value.dtype)
        spread = value.reshape(self.rows, *slim, *event)
        np.copyto(out.reshape(self.rows, *full, *event), spread)
        return out

    def unalign(self, adjoint: Any, have: Plates, want: Plates) -> Any:
        """Sum over the plates that `want` lacks: the transpose of `align`."""
        if have == want or self.count(have) == self.count(want):
            return adjoint
        if isinstance(adjoint, Owed):
            from_row = self.align(np.arange(self.count(want)), want, have)
            return adjoint.unaligned(from_row, lambda a: self.unalign(a, have, want))
        axes = tuple(i + 1 for i, p in enumerate(have) if p not in want)
        summed = self.split(adjoint, have).sum(axis=axes)
        return summed.reshape(self.count(want), *adjoint.shape[1:])

    def weight(self, which: Plates, on: Plates) -> Any:
        """Return the product of the weights of plates `which`, as a value on `on`."""
        product: Any = 1.0
        for p in which:
            w = self.weights[p]
            product = product * (
                w if np.ndim(w) == 0 else self.align(w, self.homes[p], on)
            )
        return product

    def weighs_equally(self) -> bool:
        """Tell whether the branches of each plate weigh the same."""
        return all(isinstance(w, float) for w in self.weights.values())

    def _is_equal(self, plates: Plates) -> bool:
        return all(np.ndim(self.weights[p]) == 0 for p in plates)

    def mean(self, value: Any, plates: Plates, *, equal: bool = False) -> float:
        """Return the mean over rows of the expectation over branches."""
        if equal:
            return float(np.add.reduce(value, axis=None)) / len(value)
        return float(self.reduce(value, plates, ()).mean())

    def reduce(self, value: Any, have: Plates, to: Plates) -> Any:
        """Take the expectation over the branches that `to` lacks.

        The value's first axis is the row axis, the rest is kept.
        """
        if have == to:
            return value
        gone = tuple(p for p in have if p not in to)
        # A plate of one branch may have a weight other than 1.
        if self.count(have) == self.count(to) and self._is_equal(gone):
            return value
        w = self.weight(gone, have)
        if np.ndim(w):
            w = w.reshape(len(w), *(1,) * (value.ndim - 1))
        return self.unalign(value * w, have, to)
