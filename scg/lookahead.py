r"""Advantages that bootstrap: sampled costs up to a value node, and that for the rest.

One recursion is all of GAE, k-step targets and V-trace, on plain graphs and over time.
With the costs paid from a sample w up to its followers u,

.. math:: \delta_w = \sum c + \gamma \sum_u V_u - V_w, \qquad
          D_w = \rho_w \delta_w + \gamma \lambda c_w \sum_u D_u

D is the target of w's value less that value. In a loop the follower is the next step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from scg.bootstrap import values_ahead
from scg.critics import Lookahead, critic_of
from scg.ends import continues
from scg.errors import EstimatorError
from scg.node import Node
from scg.program import Program
from scg.ratios import density_ratio
from scg.returns import decayed_sum
from scg.sums import summed
from scg.trace import Trace

__all__ = ["Lookaheads", "Step"]


class Step(NamedTuple):
    """What is seen from a sample: δ, the density ratio of the samples up to there.

    Inside a loop arrays have shape (time, rows), and `factor` is what D of the next
    step counts, but for λ and the ratio.
    """

    delta: Any
    factor: Any = 0.0
    ratio: Any = 1.0


@dataclass(slots=True)
class Lookaheads:
    """The advantages of the samples of one run that have critics."""

    program: Program
    trace: Trace
    steps: dict[int, Step] = field(default_factory=dict)
    known: dict[tuple[Lookahead, int | None], dict[int, Any]] = field(
        default_factory=dict
    )

    def of(self, node: Node, critic: Any) -> tuple[Any, Any]:
        """Return the advantage of a sample and what its value node is fitted to."""
        look = replace(critic.lookahead, steps=None)
        depth = critic.lookahead.steps
        d = self.corrections(look, depth)[node.index]
        return self._advantage(node, look, depth), d + self.value(node)

    def value(self, node: Node) -> Any:
        """Return the value node of a sample, on the sample's plates."""
        critic = critic_of(self.program.estimators[node.index])
        return self._onto(self.program.node(critic.value), node)

    def corrections(self, look: Lookahead, depth: int | None) -> Mapping[int, Any]:
        """Return D of each sample, `depth` followers ahead."""
        if (look, depth) not in self.known:
            found: dict[int, Any] = {}
            self.known[look, depth] = found
            for i in self._wanted(depth):
                node = self.program.nodes[i]
                if node.loop is None:
                    found[i] = self._once(node, look, depth)
                else:
                    found[i] = self._over_time(node, look, depth)
        return self.known[look, depth]

    def _wanted(self, depth: int | None) -> list[int]:
        """List the samples that D is asked for of, each after its followers."""
        every = sorted(self.program.followers, reverse=True)
        if self.program.only is None:
            return every
        looked, far = self.program.looked, math.inf if depth is None else depth
        return [i for i in every if looked.get(i, 0) >= far]

    def _ahead(self, look: Lookahead, depth: int | None) -> Mapping[int, Any]:
        """Return D of followers, as seen from one before them."""
        if depth is None:
            return self.corrections(look, None)
        return self.corrections(look, depth - 1) if depth > 1 else {}

    def _more(self, node: Node, look: Lookahead, depth: int | None) -> Any:
        """Return the sum of the followers' D on a sample's plates."""
        ahead = self._ahead(look, depth)
        samples = self.program.followers[node.index].samples
        return sum((self._first(u, ahead[u], node) for u in samples if u in ahead), 0.0)

    def _first(self, u: int, d: Any, node: Node) -> Any:
        """Return D of a follower, in a loop that of the first step."""
        other = self.program.nodes[u]
        d = d if other.loop is None else d[0]
        return self._moved(d, u, node)

    def _once(self, node: Node, look: Lookahead, depth: int | None) -> Any:
        step = self._step(node)
        rho, c = _cut(step.ratio, look)
        return rho * step.delta + look.lam * c * self._more(node, look, depth)

    def _over_time(self, node: Node, look: Lookahead, depth: int | None) -> Any:
        step = self._step(node)
        rho, c = _cut(step.ratio, look)
        factor = look.lam * c * step.factor + np.zeros_like(step.delta)
        x = rho * step.delta
        if not self.program.followers[node.index].samples:
            return decayed_sum(x, factor, depth)
        return self._with_tail(node, look, depth, x, factor)

    def _with_tail(
        self, node: Node, look: Lookahead, depth: int | None, x: Any, factor: Any
    ) -> Any:
        """Sum over time where samples with critics follow after the loop."""
        if depth is None:
            x = x.copy()
            x[-1] += factor[-1] * self._more(node, look, None)
            return decayed_sum(x, factor, None)
        total = np.empty_like(x)
        before = self.corrections(look, depth - 1)[node.index] if depth > 1 else 0 * x
        total[:-1] = x[:-1] + factor[:-1] * before[1:]
        total[-1] = x[-1] + factor[-1] * self._more(node, look, depth)
        return total

    def _advantage(self, node: Node, look: Lookahead, depth: int | None) -> Any:
        """Return what the score is weighed with."""
        step = self._step(node)
        rho, _ = _cut(step.ratio, look)
        if node.loop is None:
            return rho * (step.delta + look.lam * self._more(node, look, depth))
        ahead = self._ahead(look, depth).get(node.index)
        later = np.zeros_like(step.delta)
        if ahead is not None:
            later[:-1] = ahead[1:]
        later[-1] = self._more(node, look, depth)
        return rho * (step.delta + look.lam * step.factor * later)

    def _step(self, node: Node) -> Step:
        if node.index not in self.steps:
            made = self._outside if node.loop is None else self._inside
            self.steps[node.index] = made(node)
        return self.steps[node.index]

    def _outside(self, node: Node) -> Step:
        ahead = self._paid(node) - self.value(node)
        return Step(ahead, ratio=self._ratio(node, [node]))

    def _paid(self, node: Node) -> Any:
        """Return the costs on the way to a sample's followers, and their values."""
        after = self.program.followers[node.index]
        total = summed(self.program, self.trace, node, after.costs)
        for u in after.samples:
            v = self.value(self.program.nodes[u])
            total = total + self._first(u, v, node)
        return total

    def _inside(self, node: Node) -> Step:
        program, trace = self.program, self.trace
        estimator: Any = program.estimators[node.index]
        discount = estimator.discount
        keep = continues(program, trace, node, estimator.boundary)
        after = program.followers[node.index]
        found = program.influence.descendants(node.index)
        costs = [c for c in program.inner_costs if c.index in found]
        costs = [c for c in costs if c.loop is node.loop]
        v = self.value(node)
        cost = sum((trace.values[c.index] for c in costs), np.zeros_like(v))
        cost = cost.astype(v.dtype, copy=False)
        if after.costs or after.samples:
            ahead = self._into_the_open(node, v, keep)
        else:
            ahead = self._later(node, v, keep)
        alike = [program.nodes[i] for i in program.scored]
        alike = [n for n in alike if n.loop is node.loop]
        factor = discount if keep is None else discount * keep
        delta = cost + discount * ahead - v
        return Step(delta, factor, ratio=self._ratio(node, alike))

    def _later(self, node: Node, v: Any, keep: Any) -> Any:
        """Return the values of the next step, 0 where nothing follows.

        A value node that reads the sample has none of what was cut off.
        """
        estimator: Any = self.program.estimators[node.index]
        if estimator.differentiates:
            ahead = np.concatenate([v[1:], np.zeros_like(v[:1])])
            return ahead if keep is None else ahead * keep
        value = self.program.node(estimator.critic.value)
        return values_ahead(
            self.program, self.trace, node, value, keep, estimator.boundary
        )

    def _into_the_open(self, node: Node, v: Any, keep: Any) -> Any:
        """Return the values ahead where costs follow after the loop."""
        if keep is not None:
            after = self.program.followers[node.index]
            late = [self.program.nodes[c].name for c in after.costs]
            late += [self.program.nodes[u].name for u in after.samples]
            assert node.loop is not None
            msg = (
                f"node {node.name!r}: a critic expected all its costs inside the scan "
                f"{node.loop.name!r}, where episodes or rows end, got {late} after it. "
                "Use LearnedBaseline."
            )
            raise EstimatorError(msg)
        return np.concatenate([v[1:], self._paid(node)[None]])

    def _ratio(self, node: Node, together: list[Node]) -> Any:
        """Return the density ratio of the samples between one and its followers."""
        program, trace = self.program, self.trace
        if not trace.drawn_with:
            return 1.0
        ratio = 1.0
        covered = {n.index for n in together}
        for n in together:
            ratio = ratio * density_ratio(trace, n)
        below = program.influence.descendants
        for u in program.followers[node.index].samples:
            covered |= {u, *below(u)}
        after = below(node.index)
        mine = {c.index for c in program.costs if c.index in after}
        for i in program.scored:
            if i in covered or node.index in below(i) or not mine & below(i):
                continue
            msg = (
                f"node {node.name!r}: with a run drawn under other params, expected a "
                f"critic of its own for {program.nodes[i].name!r}, which has a part in "
                f"the costs of {node.name!r}."
            )
            raise EstimatorError(msg)
        return ratio

    def _onto(self, value: Node, node: Node) -> Any:
        """Return a value node's value on a sample's plates."""
        v = self.trace.values[value.index]
        v = v.astype(node.store.float_dtype(node.name), copy=False)
        if value.loop is not None:
            return v
        count = self.trace.layout.count(self.program.plates[value.index])
        return self._moved(np.broadcast_to(v, (count,)), value.index, node)

    def _moved(self, value: Any, index: int, node: Node) -> Any:
        """Take the mean over branches that a sample lacks, repeat along those it has.

        In a loop, of what is outside of it.
        """
        layout, plates = self.trace.layout, self.program.plates
        have, want = plates[index], plates[node.index]
        common = tuple(p for p in want if p in have)
        return layout.align(layout.reduce(value, have, common), common, want)


def _cut(ratio: Any, look: Lookahead) -> tuple[Any, Any]:
    """Return ρ and c."""
    if look.rho is None or look.c is None:
        return 1.0, 1.0
    return np.minimum(ratio, look.rho), np.minimum(ratio, look.c)
