"""The reverse pass through one time loop, span by span, the last one first.

Where all of the loop was kept it is one span. Else each is computed again from the
carries it began with, taken back, and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from scg.adjoints import Adjoints
from scg.loop_run import run_again
from scg.node import Loop
from scg.plan import plan_of
from scg.program import Program
from scg.span_reverse import SpanReverse
from scg.trace import Trace
from scg.views import folded, spans, unfolded

__all__ = ["LoopReverse"]


class LoopReverse:
    """The reverse pass through one loop of a recorded run.

    Adjoints at the body's nodes have shape (time, rows, ...) when it begins.
    """

    def __init__(
        self,
        program: Program,
        trace: Trace,
        values: Sequence[Any],
        adjoints: Adjoints,
        loop: Loop,
    ) -> None:
        self.program = program
        self.trace = trace
        self.values = values
        self.adjoints = adjoints
        self.loop = loop
        self.body = program.bodies[loop.name]
        self.spans = spans(loop, trace.steps[loop.name])
        self.left: dict[int, Any] = {}

    def run(self, last: Mapping[int, Any]) -> Iterator[tuple[int, Any]]:
        """Go backwards through all steps.

        Parameters
        ----------
        last : dict of int to array
            Adjoints of the last carries, by position.

        Yields
        ------
        tuple of int and array
            The number of one of the scan's inputs, and the adjoint that leaves there,
            on the rows of the loop.
        """
        adjoints = self.adjoints
        arrived = [
            (n.index, adjoints.take(n.index), bool(adjoints.own[n.index]))
            for n in self.body
            if adjoints.has(n.index)
        ]
        if not arrived and not last:
            return
        carries = last
        for span in reversed(self.spans):
            for i, g, own in arrived:
                adjoints.add(i, folded(g[span.start : span.stop]), fresh=own)
            carries = self._back(span, carries)
            self._collect(span)
        yield from carries.items()
        yield from self._heads()

    def _back(self, span: range, last: Mapping[int, Any]) -> Mapping[int, Any]:
        """Take adjoints back through one span."""
        program, loop = self.program, self.loop
        if loop.keep_every is None:
            values: Sequence[Any] = self.values
        else:
            self.adjoints.buffers.sweep()
            values = run_again(plan_of(program), self.trace, loop, span)
        this = SpanReverse(program, self.trace, values, self.adjoints, loop, span)
        return this.run(last)

    def _collect(self, span: range) -> None:
        """Take up what arrived at the heads that a span's steps read."""
        for head in self.loop.slices:
            if self.adjoints.has(head.index):
                g = unfolded(self.adjoints.take(head.index), len(span))
                self._put(head.index, g, span)
        for head in self.loop.captured.values():
            if self.adjoints.has(head.index):
                g = unfolded(self.adjoints.take(head.index), len(span)).sum(axis=0)
                self.left[head.index] = self.left.get(head.index, 0) + g

    def _put(self, index: int, g: Any, span: range) -> None:
        """Note the adjoints of scanned values; 0 at steps that nothing arrives at."""
        length = self.loop.length or 0
        if len(span) == length:
            self.left[index] = g
            return
        if index not in self.left:
            self.left[index] = np.zeros((length, *g.shape[1:]), g.dtype)
        self.left[index][span.start : span.stop] = g

    def _heads(self) -> Iterator[tuple[int, Any]]:
        """Return what arrived at the loop's heads."""
        loop, left = self.loop, self.left
        for number, head in enumerate(loop.slices, len(loop.carries)):
            if head.index in left:
                yield number, np.moveaxis(left[head.index], 0, 1)
        start = len(loop.carries) + len(loop.slices)
        for number, head in enumerate(loop.captured.values(), start):
            if head.index in left:
                yield number, left[head.index]
