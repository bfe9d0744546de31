"""The values of a loop's body as it sees them: at one step, or of all steps at once.

A trace holds them with a time axis before the rows. `Flat` folds time into the rows,
when a value is first asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scg.extras import require
from scg.node import Node
from scg.trace import Trace

__all__ = ["Flat", "Step", "folded"]


class Step:
    """The values of one step, seen through the indices of nodes."""

    def __init__(self, values: Sequence[Any], body: Sequence[Node], t: int) -> None:
        self.values = values
        self.inside = {n.index for n in body}
        self.t = t

    def __getitem__(self, index: int) -> Any:
        value = self.values[index]
        if index not in self.inside:
            return value
        return (
            tuple(p[self.t] for p in value)
            if isinstance(value, tuple)
            else value[self.t]
        )

    def noise(self, trace: Trace, node: Node) -> Any:
        """Return the noise of a pathwise draw at this step."""
        return trace.noise[node.index][self.t]


class Flat:
    """The values of all steps of a loop, time folded into the rows."""

    __slots__ = ("inside", "made", "steps", "values")

    def __init__(self, values: Sequence[Any], body: Sequence[Node], steps: int) -> None:
        self.values = values
        self.steps = steps
        self.inside = {n.index for n in body}
        self.made: dict[int, Any] = {}

    def __getitem__(self, index: int) -> Any:
        if index not in self.inside:
            return self.values[index]
        if index not in self.made:
            self.made[index] = folded(self.values[index])
        return self.made[index]

    def noise(self, trace: Trace, node: Node) -> Any:
        """Return the noise of a pathwise draw at all steps."""
        return np.concatenate(trace.noise[node.index])


def folded(value: Any) -> Any:
    """Fold time into the rows."""
    if value is None:
        return None
    if isinstance(value, tuple):
        return tuple(folded(part) for part in value)
    if isinstance(value, list):  # sparse rows, one array a step
        if len(value) == 1:
            return value[0]
        return require("scipy.sparse", extra="atari").vstack(value, format="csr")
    return value.reshape(-1, *value.shape[2:])
