"""The values of a loop's body as it sees them: at one step, or of many at once.

A trace holds them with a time axis before the rows. `Flat` folds time into the rows,
when a value is first asked for. A loop that keeps every k-th carry alone is gone
through in `spans` of k steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scg.extras import require
from scg.node import Loop, Node
from scg.trace import Trace

__all__ = ["Flat", "Step", "folded", "of_span", "some", "spans", "unfolded"]


def spans(loop: Loop, steps: int) -> list[range]:
    """Return the steps of a loop in the pieces that it goes through at a time.

    Examples
    --------
    >>> spans(Loop("scan", 5, keep_every=2), 5)
    [range(0, 2), range(2, 4), range(4, 5)]
    >>> spans(Loop("scan", 5), 5)
    [range(0, 5)]
    """
    every = loop.keep_every or max(steps, 1)
    return [range(steps)[t : t + every] for t in range(0, steps, every)]


def of_span(values: Sequence[Any], body: Sequence[Node], span: range) -> list[Any]:
    """Return the values by place, those of a loop's body at the steps of a span."""
    here = list(values)
    for node in body:
        here[node.index] = some(here[node.index], span)
    return here


def some(value: Any, steps: range) -> Any:
    """Return a value that has a time axis at some steps alone."""
    if isinstance(value, tuple):
        return tuple(some(part, steps) for part in value)
    return None if value is None else value[steps.start : steps.stop]


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
    """The values of some steps of a loop, time folded into the rows.

    `values` has those of the body at the steps of the span alone.
    """

    __slots__ = ("inside", "made", "span", "values")

    def __init__(
        self, values: Sequence[Any], body: Sequence[Node], span: range
    ) -> None:
        self.values = values
        self.span = span
        self.inside = {n.index for n in body}
        self.made: dict[int, Any] = {}

    def __getitem__(self, index: int) -> Any:
        if index not in self.inside:
            return self.values[index]
        if index not in self.made:
            self.made[index] = folded(self.values[index])
        return self.made[index]

    def noise(self, trace: Trace, node: Node) -> Any:
        """Return the noise of a pathwise draw at the span's steps."""
        return np.concatenate(some(trace.noise[node.index], self.span))


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


def unfolded(value: Any, steps: int) -> Any:
    """Take time out of the rows again; of sparse rows, a list of one step's."""
    if isinstance(value, tuple):
        return tuple(unfolded(part, steps) for part in value)
    if not isinstance(value, np.ndarray):
        return [value]
    return value.reshape(steps, -1, *value.shape[1:])
