"""The adjoints of one reverse pass, by place, and how they are added up."""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.buffers import SMALL
from scg.owed import Owed
from scg.plan import Plan

__all__ = ["Adjoints"]


class Adjoints:
    """What has arrived at each place so far.

    An adjoint that nobody else holds is added to in place. Places of `shared` nodes
    take nothing.
    """

    __slots__ = ("at", "buffers", "crossings", "own", "shared")

    def __init__(self, plan: Plan, shared: frozenset[int]) -> None:
        self.at: list[Any] = [None] * plan.size
        self.own = bytearray(plan.size)
        self.buffers = plan.buffers
        self.crossings = plan.crossings
        self.shared = shared

    def has(self, place: int) -> bool:
        """Tell whether something has arrived at a place."""
        return self.at[place] is not None

    def take(self, place: int) -> Any:
        """Return what has arrived at a place, and forget it."""
        g, self.at[place] = self.at[place], None
        return g

    def add(self, place: int, g: Any, *, fresh: bool = False) -> None:
        """Add an adjoint at a place; `fresh` if nobody else holds the array."""
        if place in self.shared:
            return
        old = self.at[place]
        if old is None:
            self.at[place] = g
            # A view may be of what somebody else holds, or broadcast.
            self.own[place] = fresh and type(g) is np.ndarray and g.base is None
        elif self.own[place]:
            np.add(old, g, old)
        elif isinstance(old, Owed):
            self.at[place] = old.plus(g)
        elif isinstance(old, tuple):
            self.at[place] = tuple(a + b for a, b in zip(old, g, strict=True))
        else:
            self.at[place] = np.add(old, g, self.buffers.like(old))
            self.own[place] = True

    def cross(self, place: int, values: Any) -> None:
        """Take what has arrived at a place to the inputs of its call."""
        g = self.at[place]
        if g is None:
            return
        crossings = self.crossings[place]
        if not crossings:
            return
        self.at[place] = None
        for crossing in crossings:
            if crossing.to in self.shared:
                continue
            pull = crossing.pull
            back = pull.cross(values, g, self.buffers)
            self.add(crossing.to, back, fresh=pull.fresh)
        if type(g) is np.ndarray and g.nbytes >= SMALL:
            self.buffers.give(g)
