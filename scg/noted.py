"""The adjoints that leave the core of a time loop, noted step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Noted"]


class Noted:
    """The adjoints at some nodes, step by step; equal ones are noted once.

    `since` is the earliest step at which one noted with another arrived.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.made: dict[int, Any] = {}
        self.same: dict[int, int] = {}
        self.since: dict[int, int] = {}
        self._last: tuple[int, Any] = (-1, None)

    def __contains__(self, index: int) -> bool:
        return index in self.made or index in self.same

    def __getitem__(self, index: int) -> Any:
        if index not in self.same:
            return self.made[index]
        whole, since = self.made[self.same[index]], self.since[index]
        return self._parted(index) if whole[:since].any() else whole

    def note(self, index: int, g: Any, t: int) -> None:
        """Note the adjoint that arrived at a node at step t; steps come backwards."""
        other, before = self._last
        if g is before and self._may_be_same(index, other, t):
            self.same[index], self.since[index] = other, t
            return
        self._last = (self.same.get(index, index), g)
        if index in self.same:
            self.made[index] = self._parted(index)
            del self.same[index]
            self._last = (index, g)
        if index not in self.made:
            # Where nothing arrives at a step, 0 does.
            self.made[index] = np.zeros((self.steps, *g.shape), g.dtype)
        self.made[index][t] = g

    def forget_last(self) -> None:
        """Hold no array of the step that is over."""
        self._last = (-1, None)

    def _parted(self, index: int) -> Any:
        """Copy what arrived at a node together with another."""
        copied = self.made[self.same[index]].copy()
        copied[: self.since[index]] = 0
        return copied

    def _may_be_same(self, index: int, other: int, t: int) -> bool:
        if index in self.same:
            return self.same[index] == other and self.since[index] == t + 1
        return t == self.steps - 1 and index not in self.made
