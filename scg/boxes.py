"""Magic boxes: the likelihood ratios of the samples that influence something.

A box is an array on the plates of the node it belongs to, inside a loop with time
first. It is 1 at the params of the run, and its derivatives are products of scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np

from scg.ends import continues
from scg.functions import keep
from scg.live import Live
from scg.node import Node
from scg.program import Program
from scg.reach import entry_mask, exit_mask, lag_mask, mixes
from scg.trace import Trace

__all__ = ["Boxes"]


class Boxes:
    """The boxes of one run under some params.

    Parameters
    ----------
    program : Program
    trace : Trace
    live : Live
        The run under the params.
    past : mapping of int to array
        The log-density of each scored draw under the params of the run.
    """

    def __init__(
        self, program: Program, trace: Trace, live: Live, past: Mapping[int, Any]
    ) -> None:
        self.program = program
        self.trace = trace
        self.probabilities: dict[int, Any] = {}
        self.log_ratios: dict[int, Any] = {}
        for i in program.scored:
            node = program.nodes[i]
            log_prob = live.log_prob(node)
            if i in program.enumerated:
                self.probabilities[i] = anp.exp(log_prob)
            else:
                self.log_ratios[i] = self._counted(node, log_prob - past[i])

    def mean(self, node: Node, value: Any) -> Any:
        """Return the mean over rows of a value on a node's plates, time summed."""
        if not node.has_rows:
            return value
        total = anp.sum(self._counted(node, value) * self._weight(node))
        return total / self.trace.layout.rows

    def _counted(self, node: Node, value: Any) -> Any:
        """Put 0 where a row of a loop had stopped."""
        still = self.trace.still(node)
        return value if still is None else keep(value, still)

    def around(self, draw: Node) -> tuple[Any, Any]:
        """Return the box of what influences a draw, without the draw and with it."""
        before = self._outer(draw)
        for i in self._inner(draw):
            before = before + _along(self._credited(i, draw), self.log_ratios[i])
        return anp.exp(before), anp.exp(before + self.log_ratios[draw.index])

    def of_cost(self, cost: Node) -> Any:
        """Return the box of a cost; with a discount, Loaded DiCE's sum of boxes."""
        total, inner = self._outer(cost), self._inner(cost)
        if any(self._discount(i) < 1 for i in inner):
            return self._loaded(cost, total, inner)
        for i in inner:
            total = total + _along(self._credited(i, cost), self.log_ratios[i])
        return anp.exp(total)

    def _loaded(self, cost: Node, outer: Any, inner: list[int]) -> Any:
        """Return ``□(W₀) + Σ_w γ^k (□(W_<w ∪ {w}) − □(W_<w))``, for each step.

        W₀ holds the samples from outside of the loop. Those inside come one after the
        other, k steps before the cost; one that is not credited adds 0. A box with γ^k
        inside, exp(Σ γ^k log p), would not do: where a sample does not matter to the
        cost, its second derivative has mean (γ^2k − γ^k) × Fisher, not 0.
        """
        steps = len(self.trace.values[cost.index])
        lag = np.maximum(np.arange(steps)[:, None] - np.arange(steps), 0)
        terms = [
            _with_rows(self._credited(i, cost)) * self.log_ratios[i] for i in inner
        ]
        load = np.stack([self._discount(i) ** lag for i in inner], axis=2)
        flat = (steps, steps * len(inner), -1)
        start = anp.reshape(outer, (-1, 1, anp.shape(outer)[-1]))
        start = start + np.zeros((steps, 1, 1), cost.dtype)
        sums = start + anp.cumsum(anp.reshape(anp.stack(terms, axis=2), flat), axis=1)
        boxes = anp.exp(anp.concatenate([start, sums], axis=1))
        rises = load.reshape(flat) * (boxes[:, 1:] - boxes[:, :-1])
        return boxes[:, 0] + anp.sum(rises, axis=1)

    def _above(self, target: Node) -> list[Node]:
        """Return the sampled draws that influence a node."""
        below = self.program.influence.descendants
        return [
            self.program.nodes[i] for i in self.log_ratios if target.index in below(i)
        ]

    def _inner(self, target: Node) -> list[int]:
        """Return those of the target's own loop."""
        if target.loop is None:
            return []
        return [d.index for d in self._above(target) if d.loop is target.loop]

    def _outer(self, target: Node) -> Any:
        """Sum the log-ratios of those from outside of the target's loop."""
        total: Any = np.zeros(self._shape(target), self._dtype(target))
        for draw in self._above(target):
            if draw.loop is None or draw.loop is not target.loop:
                total = total + self._brought(draw, target)
        return total

    def _brought(self, draw: Node, target: Node) -> Any:
        """Bring a draw's log-ratio to the rows, and the steps, that it influences."""
        ratio = self.log_ratios[draw.index]
        if draw.loop is not None:
            ratio = anp.sum(
                ratio[exit_mask(self.program, draw, target, len(ratio))], axis=0
            )
        if mixes(self.program, draw, target):
            rows = self._shape(target)[-1:]
            ratio = anp.sum(ratio) + np.zeros(rows, self._dtype(draw))
        else:
            plates = self.program.plates
            have, want = plates[draw.index], plates[target.index]
            ratio = self.trace.layout.align(ratio, have, want)
        if target.loop is None:
            return ratio
        if draw.loop is not None:
            return ratio[None]
        steps = self.trace.steps[target.loop.name]
        return entry_mask(self.program, draw, target, steps)[:, None] * ratio[None]

    def _credited(self, i: int, target: Node) -> Any:
        """Return which steps of a draw are credited with which of a node of its loop.

        Shape (steps of `target`, steps of the draw), and rows where episodes end.
        """
        draw = self.program.nodes[i]
        steps = len(self.trace.values[i])
        mask = lag_mask(self.program, draw, target, steps)
        boundary = getattr(self.program.estimators[i], "boundary", "episode")
        goes_on = continues(self.program, self.trace, draw, boundary)
        if goes_on is None or goes_on.all():
            return mask
        ends = np.cumsum(goes_on == 0, axis=0)
        before = np.concatenate([np.zeros_like(ends[:1]), ends[:-1]])
        return mask[:, :, None] & (before[:, None] == before[None])

    def _discount(self, i: int) -> float:
        found: float = getattr(self.program.estimators[i], "discount", 1.0)
        return found

    def _shape(self, target: Node) -> tuple[int, ...]:
        if not target.has_rows:
            return ()
        count = self.trace.layout.count(self.program.plates[target.index])
        return (count,) if target.loop is None else (1, count)

    def _dtype(self, node: Node) -> np.dtype[Any]:
        return node.store.float_dtype(node.name)

    def _weight(self, node: Node) -> Any:
        """Return the weight of each branch, live where it is a probability."""
        layout, want = self.trace.layout, self.program.plates[node.index]
        product: Any = 1.0
        for plate in want:
            live = self.probabilities.get(plate)
            if live is None:
                product = product * layout.weight((plate,), want)
            else:
                product = product * layout.align(live, layout.homes[plate], want)
        return product


def _along(mask: Any, ratio: Any) -> Any:
    """Sum log-ratios of shape (time, rows) over the steps that a mask holds."""
    if mask.ndim == 2:
        return anp.matmul(mask.astype(ratio.dtype), ratio)
    return anp.sum(mask * ratio, axis=1)


def _with_rows(mask: Any) -> Any:
    return mask if mask.ndim == 3 else mask[:, :, None]
