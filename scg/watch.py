"""Watch a run for what is known to go wrong, without changing it.

Nothing is drawn and nothing is written to; what takes time is looked at only now and
then, at steps that do not depend on the clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scg.credit import Credit, assign
from scg.findings import Findings
from scg.gradient_noise import GradientNoise
from scg.method import Inputs, State, Step, StepEstimate
from scg.node import Node
from scg.program import Program
from scg.roles import Call, Draw
from scg.site_figures import (
    credit_moments,
    explained_variance,
    mean_entropy,
    subtracts,
)
from scg.surrogate import Compiled, Estimate

__all__ = ["GRADIENT_EVERY", "NODES_EVERY", "Watch"]

# Steps from one look to the next, at the gradient and at the nodes.
GRADIENT_EVERY = 10
NODES_EVERY = 100

# Looks in a row before something is said.
_GRADIENT_LOOKS = 30
_NODE_LOOKS = 5
_METHOD_STEPS = 50

# Of a larger graph, this many nodes are looked at.
_MOST = 24
_COLLAPSED = 0.01  # of the largest entropy
_BURIED = 0.05  # signal to noise
_CLIPPED = 0.5  # of the decisions
_DIVERGED = 0.1
_RELU_LIKE = frozenset({"maximum", "clip", "where", "fmax"})


class Watch:
    """Figures of a run, and sentences about what went wrong in it.

    ``watch.around(step)`` is the same step, looked at; `figures` are metrics, and
    ``watch.findings.said`` the sentences.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", b)
    >>> watch = Watch()
    >>> step = watch.around(scg.compile(graph))
    >>> estimate = step({"theta": 0.0}, None, rng=np.random.default_rng(0), rows=4)
    >>> round(watch.figures["entropy"], 3)
    0.693
    """

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.findings = Findings()
        self._noise = GradientNoise()
        self._calls = 0
        self._moments: dict[str, Any] = {}
        self._costs: dict[str, tuple[float, float]] = {}
        self._silent: dict[str, tuple[int, Any]] = {}

    def around(self, step: Step) -> Step:
        """Return a step that is looked at."""

        def watched(
            params: Mapping[str, Any],
            inputs: Inputs | None,
            *,
            rng: np.random.Generator,
            rows: int | None = None,
            samples: int = 1,
            state: State = None,
        ) -> StepEstimate:
            estimate = step(
                params, inputs, rng=rng, rows=rows, samples=samples, state=state
            )
            if self._calls % GRADIENT_EVERY == 0:
                self._look_at_gradient(estimate.gradient)
            if self._calls % NODES_EVERY == 0:
                self._look(step, estimate, state)
            self._calls += 1
            return estimate

        return watched

    def _look(self, step: Step, estimate: StepEstimate, state: State) -> None:
        """Look at the nodes, where the step is that of a graph."""
        if isinstance(step, Compiled) and isinstance(estimate, Estimate):
            self._look_at_nodes(step.program, estimate, state)

    def see(self, metrics: Mapping[str, float]) -> None:
        """Look at what a method says of its own steps."""
        if "explained_variance" in metrics:
            idle = metrics["explained_variance"] <= 0
            self._method("nothing explained", "the value nodes", idle)
        if "clipped" in metrics:
            self._method("clipped", "", metrics["clipped"] > _CLIPPED)
        if "kl" in metrics:
            self._method("divergence", "", metrics["kl"] > _DIVERGED)

    def _method(self, kind: str, name: str, holds: bool) -> None:
        self.findings.note(kind, name, holds, looks=_METHOD_STEPS, every=1)

    def _gradient(self, kind: str, name: str, holds: bool, **values: float) -> None:
        looks, every = _GRADIENT_LOOKS, GRADIENT_EVERY
        self.findings.note(kind, name, holds, looks=looks, every=every, **values)

    def _node(self, kind: str, name: str, holds: bool, **values: float) -> None:
        looks, every = _NODE_LOOKS, NODES_EVERY
        self.findings.note(kind, name, holds, looks=looks, every=every, **values)

    def _look_at_gradient(self, gradient: Mapping[str, Any]) -> None:
        self._noise.add(gradient)
        ratio = self.figures["signal_to_noise"] = self._noise.ratio
        self._gradient("noise", "", ratio < _BURIED, times=1 / _BURIED)
        for name, value in gradient.items():
            self._gradient("no gradient", name, not np.any(value))

    def _look_at_nodes(self, program: Program, estimate: Estimate, state: Any) -> None:
        entropies = [self._entropy(program, estimate, i) for i in _some(program)]
        known = [h for h in entropies if h is not None]
        if known:
            self.figures["entropy"] = float(np.mean(known))
        credits = assign(program, estimate.trace, state or {})
        for i in _evenly(list(credits)):
            self._credit(program, estimate, program.nodes[i], credits[i])
        shares = [
            share
            for i in _evenly(_relu_like(program))
            if (share := self._dead(program.nodes[i], estimate)) is not None
        ]
        if shares:
            self.figures["dead_units"] = float(np.mean(shares))

    def _entropy(self, program: Program, estimate: Estimate, i: int) -> float | None:
        node = program.nodes[i]
        found = mean_entropy(program, estimate.trace, node)
        most = _most_entropy(node)
        if found is not None and most:
            low = found < _COLLAPSED * most
            self._node("no entropy", node.name, low, share=_COLLAPSED)
        return found

    def _credit(
        self, program: Program, estimate: Estimate, node: Node, credit: Credit
    ) -> None:
        cost = np.asarray(credit.cost)
        low, high = self._costs.get(node.name, (math.inf, -math.inf))
        low, high = min(low, float(cost.min())), max(high, float(cost.max()))
        self._costs[node.name] = low, high
        idle = low == high or not np.any(credit.advantage)
        self._node("no credit", node.name, idle)
        estimator = program.estimators[node.index]
        if estimator.reads and subtracts(estimator):
            now = credit_moments(program, estimate.trace, node, credit)
            moments = 0.8 * self._moments.get(node.name, 0.0) + now
            self._moments[node.name] = moments
            found = explained_variance(moments)
            if found is not None:
                self.figures["explained_variance"] = found
                who = f"node {node.name!r}"
                self._node("nothing explained", who, found <= 0)

    def _dead(self, node: Node, estimate: Estimate) -> float | None:
        """Return the share of a layer's units that were 0 in all rows at recent looks.

        Of a single row, half of the units are 0 at any time, but not always the same.
        """
        value = estimate.trace.values[node.index]
        if value is None or not value.size or value.min() < 0:
            return None
        lead = value.ndim - len(node.event_shape)
        dead = value.max(axis=tuple(range(lead))) == 0
        looks, before = self._silent.get(node.name, (0, 0))
        silent = (before + 1) * dead
        self._silent[node.name] = looks + 1, silent
        share = float(np.mean(silent >= min(looks + 1, _NODE_LOOKS)))
        self._node("dead units", node.name, share >= 0.5, share=share)
        return share


def _evenly(indices: list[int]) -> list[int]:
    """Return some of the nodes, evenly spread where there are many."""
    return indices[:: -(-len(indices) // _MOST)] if indices else []


def _some(program: Program) -> list[int]:
    """Return the samples that count whose entropy is looked at."""
    counts = {*program.scored, *program.flow.pathwise}
    return _evenly([i for i in program.estimators if i in counts])


def _most_entropy(node: Node) -> float | None:
    """Return the entropy of a uniform choice, where the support is finite."""
    assert isinstance(node.role, Draw)
    support = node.role.distribution.support()
    if support is None or len(support) < 2:
        return None
    own = len(node.event_shape) - support[0].ndim
    return math.log(len(support)) * math.prod(node.event_shape[:own])


def _relu_like(program: Program) -> list[int]:
    """Return the named nodes that may be rectified units."""
    return [
        node.index
        for node in program.nodes
        if node.is_named
        and node.has_rows
        and node.event_shape
        and isinstance(node.role, Call)
        and node.role.operation.name in _RELU_LIKE
    ]
