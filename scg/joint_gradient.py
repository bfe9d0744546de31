r"""The exact gradient from all joint outcomes of the samples, in loops too.

A run is made for every joint outcome, its samples given; each counts as often as it
would come:

.. math:: \nabla \mathbb E[C] = \sum_s p(s) \bigl(\nabla \log p(s)\, C(s)
          + \nabla C(s)\bigr)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scg.backward import backward, scores
from scg.bound import credited, total_costs, weighed
from scg.credit import Credit
from scg.errors import NonFiniteError
from scg.estimators import ScoreFunction
from scg.forward import run_part
from scg.influence import influence_of
from scg.node import Node, Store
from scg.program import Program
from scg.trace import Trace

__all__ = ["joint_gradient", "read_and_fitted"]


@dataclass(frozen=True, slots=True)
class _Reading(ScoreFunction):
    """A plain score function that reads value nodes, as others do in its place."""

    reading: tuple[str, ...] = ()
    fits: tuple[str, ...] = ()
    summary: ClassVar[str] = "every joint outcome, weighed"

    @property
    def reads(self) -> tuple[str, ...]:
        """What others read."""
        return self.reading


def joint_gradient(
    store: Store,
    params: Mapping[str, Any],
    inputs: Mapping[str, Any] | None,
    random: Sequence[Node],
    reading: Mapping[str, tuple[str, ...]],
    limit: int,
) -> dict[str, NDArray[Any]] | None:
    """Return the exact gradient of the expected cost, or None where it is out of reach.

    Parameters
    ----------
    store, params, inputs, reading, limit
        As in `scg.exact_gradient.exact_gradient`.
    random : sequence of Node
        The samples above the costs; all of them draws.

    Returns
    -------
    dict of str to array, or None
        None for a support that is not finite, a loop that rows leave early, rows that
        mix, outcomes of probability 0 whose score is infinite, or more than `limit`
        runs.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> def step(n):
    ...     b = graph.sample("b", scg.Bernoulli(logits=theta + 0 * n))
    ...     return n + b
    >>> n, _ = graph.scan(step, init=0.0, length=3)
    >>> loss = graph.cost("loss", n**2)
    >>> found = joint_gradient(
    ...     graph.store, {"theta": 0.0}, None, [graph["b"]], {}, 1000)
    >>> round(float(found["theta"]), 12)  # of 3 p (1 - p) + 9 p^2, by theta
    2.25
    """
    if any(n.loop is not None and n.loop.until is not None for n in random):
        return None
    chosen = {}
    for n in random:
        reads, fits = read_and_fitted(store, n, reading.get(n.name, ()))
        chosen[n.name] = _Reading(reading=reads, fits=fits)
    program = Program(store, chosen)
    if program.mixing:
        return None
    rng = np.random.default_rng(0)
    rows = None if inputs else 1
    once = run_part(program, params, inputs, rng=rng, rows=rows)
    given = _every_outcome(once, random, limit)
    if given is None:
        return None
    count = len(given[random[0].name]) if random else 1
    trace = run_part(
        program,
        params,
        inputs,
        rng=rng,
        rows=rows,
        samples=count,
        given={n.name: _for_all_rows(given[n.name], n, once) for n in random},
    )
    p = np.exp(sum((_log_prob(trace, n) for n in random), np.zeros(())))
    run = weighed(program, trace, p)
    c = total_costs(program, trace)
    credits = {
        i: Credit(*credited(program, trace, i, c, c), None, {}) for i in program.scored
    }
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        sites, seeds = scores(program, run, credits)
        try:
            return backward(program, run, sites, (), seeds)
        except NonFiniteError:
            return None


def read_and_fitted(
    store: Store, node: Node, names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part value nodes into those a sample may read and those that it influences."""
    below = influence_of(store).within_step(node)
    fits = tuple(name for name in names if store.find(name).index in below)
    return tuple(name for name in names if name not in fits), fits


def _every_outcome(
    once: Trace, random: Sequence[Node], limit: int
) -> dict[str, NDArray[Any]] | None:
    """Return the values of every sample in all joint outcomes, outcomes first."""
    bases, shapes, values = [], [], []
    for node in random:
        support = once.distribution(node.name).support()
        if support is None:
            return None
        steps = (once.steps[node.loop.name],) if node.loop is not None else ()
        lead = (*steps, *node.event_shape)
        shapes.append(lead[: len(lead) - support.ndim + 1])
        bases.append(len(support))
        values.append(support)
    sizes = [math.prod(shape) for shape in shapes]
    runs = math.log(once.layout.rows) + sum(
        size * math.log(base) for size, base in zip(sizes, bases, strict=True)
    )
    if runs > math.log(limit) + 1e-9:
        return None
    each = [range(b) for b, size in zip(bases, sizes, strict=True) for _ in range(size)]
    joint = np.array(list(itertools.product(*each)), np.intp)
    parts = np.split(joint, np.cumsum(sizes)[:-1], axis=1)
    return {
        node.name: support[part.reshape(len(joint), *shape)]
        for node, support, part, shape in zip(
            random, values, parts, shapes, strict=True
        )
    }


def _for_all_rows(values: NDArray[Any], node: Node, once: Trace) -> NDArray[Any]:
    """Repeat the outcomes for each row; in a loop, put time first."""
    each = np.concatenate([values] * once.layout.rows)
    return each if node.loop is None else np.moveaxis(each, 1, 0)


def _log_prob(trace: Trace, node: Node) -> NDArray[Any]:
    """Return the log-probability of a sample's values in each run, all steps."""
    log_p = trace.distribution(node.name).log_prob(trace[node.name])
    rows = 0 if node.loop is None else 1
    return np.moveaxis(log_p, rows, 0).reshape(log_p.shape[rows], -1).sum(axis=1)
