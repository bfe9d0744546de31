"""Arrays used again once nobody holds them: what keeps a step from allocating.

A fresh array of more than some kilobytes comes from the operating system page by page,
which costs more than the arithmetic done on it. `Buffers` hands out arrays it has
handed out before. One is free when nothing but the pool refers to it (views count as
references), so that a value, a trace or a gradient is its holder's to keep for as long
as it is held, and nothing is ever overwritten under anyone's eyes.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["SMALL", "Buffers"]

Shape = tuple[int, ...]
Key = Any  # shape and dtype, or what the taker says

# Smaller arrays are as fast from the allocator, which keeps freed ones at hand.
SMALL = 65_536

# An array of a shape that so many sweeps have not seen taken is let go: the number of
# rows, or of a loop's steps, may be another each time.
_KEPT = 4


def _of_swept() -> int:
    """Return what `getrefcount` tells, in `sweep`, of an array nobody else holds."""
    lent = {0: (None, np.empty(0))}
    return min(sys.getrefcount(array) for _, (_, array) in list(lent.items()))


def _of_given() -> int:
    """Return what it tells, in `give`, of an array that the caller alone holds."""
    value = np.empty(0)
    lent = {0: (None, value)}

    def give(array: Any) -> int:
        entry = lent.get(0)
        return sys.getrefcount(array) if entry else 0

    return give(value)


# Python's versions differ in which of a function's own names they count.
_SWEPT, _GIVEN = _of_swept(), _of_given()


class Buffers:
    """A pool of arrays by shape and dtype.

    Threads may share one: each of its steps is a single operation on a list or dict.

    Examples
    --------
    >>> pool = Buffers()
    >>> first = pool.take((100, 200), np.dtype(float))
    >>> where = first.ctypes.data
    >>> pool.sweep()
    >>> pool.take((100, 200), np.dtype(float)).ctypes.data == where
    False
    >>> del first
    >>> pool.sweep()
    >>> again = [pool.take((100, 200), np.dtype(float)) for _ in range(2)]
    >>> where in [array.ctypes.data for array in again]
    True
    """

    __slots__ = ("_free", "_lent", "_sweeps", "_taken")

    def __init__(self) -> None:
        self._free: dict[Key, list[Any]] = {}
        self._lent: dict[int, tuple[Key, Any]] = {}
        self._sweeps = 0
        self._taken: dict[Key, int] = {}

    def take(self, shape: Shape, dtype: np.dtype[Any]) -> Any:
        """Return an array of unknown contents."""
        key = (shape, dtype)
        free = self._free.get(key)
        try:  # even if there is one, another thread may take it
            array = free.pop() if free else None
        except IndexError:
            array = None
        if array is None:
            array = np.empty(shape, dtype)
            if array.nbytes < SMALL:
                return array
        self._taken[key] = self._sweeps
        self._lent[id(array)] = (key, array)
        return array

    def like(self, array: Any) -> Any:
        """Return an array of the shape and dtype of another."""
        if array.nbytes < SMALL:
            return np.empty(array.shape, array.dtype)
        return self.take(array.shape, array.dtype)

    def give(self, array: Any) -> None:
        """Take back an array that the caller is done with, if nobody else holds it.

        The caller's own name for it must be the only one left.
        """
        entry = self._lent.get(id(array))
        if entry is None or sys.getrefcount(array) > _GIVEN:
            return
        del self._lent[id(array)]
        self._keep(entry[0], array)

    def take_whole(self, key: Any) -> Any:
        """Return what was given back under this key; None where nothing is left."""
        self._taken[key] = self._sweeps
        try:
            return self._free[key].pop()
        except (KeyError, IndexError):
            return None

    def give_whole(self, key: Any, whole: Any) -> None:
        """Take back several arrays that belong together, and that nobody holds."""
        self._keep(key, whole)

    def sweep(self) -> None:
        """Take back what nobody holds any more; let go of what is not needed."""
        for number, (key, array) in list(self._lent.items()):
            unused = sys.getrefcount(array) <= _SWEPT
            if unused and self._lent.pop(number, None) is not None:
                self._keep(key, array)
        self._sweeps += 1
        for key, last in list(self._taken.items()):
            if self._sweeps - last > _KEPT:
                self._taken.pop(key, None)
                self._free.pop(key, None)

    def _keep(self, key: Key, array: Any) -> None:
        if key in self._taken:
            self._free.setdefault(key, []).append(array)
