r"""The gradient of a bound made of several runs of each row (IWAE, VIMCO).

A run's summed cost C is read as a negative log-weight, :math:`C_k = -\log w_k`, and the
runs of a row are joined in :math:`B = -\log \frac1K \sum_k w_k`. Since B is not a sum
over runs, this is a method of its own and not an estimator: the estimators of a graph
see one run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scg.backward import backward, scores
from scg.credit import Credit
from scg.errors import EstimatorError
from scg.estimators import AbstractEstimator, ScoreFunction
from scg.functions import logsumexp
from scg.graph import Graph
from scg.parts import run
from scg.plates import SAMPLES, Layout
from scg.program import Program, schedule
from scg.surrogate import Estimate, mean_cost
from scg.trace import Trace

__all__ = ["credited", "estimate_bound_gradient", "total_costs", "weighed"]

Arrays = Mapping[str, Any]


def estimate_bound_gradient(  # noqa: PLR0913 - as `estimate_gradient`
    graph: Graph,
    params: Arrays,
    inputs: Arrays | None = None,
    *,
    estimators: Mapping[str, AbstractEstimator] | None = None,
    rng: np.random.Generator,
    samples: int,
    rows: int | None = None,
    given: Arrays | None = None,
    leave_one_out: bool = True,
) -> Estimate:
    r"""Estimate the gradient of the bound that several runs of each row make.

    .. math:: B = -\log \frac1K \sum_{k=1}^K e^{-C_k}, \qquad
              \nabla \mathbb E[B] = \mathbb E\Bigl[\sum_k \tilde w_k \nabla C_k
              + \sum_k \nabla \log p(s_k)\, (B - B_{-k})\Bigr]

    with :math:`C_k` all costs of run k, :math:`s_k` its scored samples,
    :math:`\tilde w = \mathrm{softmax}(-C)`, and :math:`B_{-k}` the bound with
    :math:`C_k` replaced by the mean of the others, which does not look at run k. With
    costs :math:`\log q(z) - \log p(x, z)` it is the importance-weighted bound on
    :math:`-\log p(x)`, the tighter the larger K. For pathwise samples alone this is the
    gradient of IWAE, for scored ones that of VIMCO. Unbiased for the gradient of
    :math:`\mathbb E[B]`.

    Parameters
    ----------
    graph, params, inputs, rng, rows, given
        As in `scg.estimate_gradient`.
    estimators : dict of str to AbstractEstimator
        ``ScoreFunction()`` without options, or one that is pathwise.
    samples : int
        K.
    leave_one_out : bool
        Whether to subtract :math:`B_{-k}`; for comparison.

    Returns
    -------
    Estimate
        Its cost is the mean of B over rows.

    Raises
    ------
    EstimatorError
        When an estimator has branches or options, or a node mixes rows.

    References
    ----------
    Burda, Grosse & Salakhutdinov 2016, "Importance weighted autoencoders", section 3;
    Mnih & Rezende 2016, "Variational inference for Monte Carlo objectives", section
    2.5.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> q = scg.Bernoulli(logits=theta)
    >>> z = graph.sample("z", q)
    >>> loss = graph.cost("loss", q.log_prob(z) - np.log(0.1 + 0.3 * z))
    >>> estimate = scg.estimate_bound_gradient(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=1000, samples=50)
    >>> round(estimate.cost, 2)  # with infinitely many samples, -log(0.1 + 0.4) = 0.69
    0.7
    """
    program = schedule(graph.store, estimators)
    _check(program)
    trace = run(
        program, params, inputs, rng=rng, rows=rows, samples=samples, given=given
    )
    mean_cost(program, trace)  # which refuses what is not finite
    c = total_costs(program, trace)
    bound = -(logsumexp(-c) - np.log(samples).astype(c.dtype))
    b = _without_one(c) if leave_one_out else np.zeros_like(c)
    advantage = bound[:, np.newaxis] - b
    credits = {
        i: Credit(*credited(program, trace, i, c, advantage), None, {})
        for i in program.scored
    }
    sites, seeds = scores(program, weighed(program, trace, 1.0), credits)
    shares = np.exp(bound[:, np.newaxis] - c) / samples
    gradient = backward(program, weighed(program, trace, shares), sites, (), seeds)
    return Estimate(gradient, float(bound.mean()), trace, {}, {})


def _check(program: Program) -> None:
    for i, estimator in program.estimators.items():
        plain = estimator == ScoreFunction() or estimator.pathwise
        if not plain or estimator.looks_down:
            msg = (
                f"node {program.nodes[i].name!r}: a bound of several runs expected "
                f"ScoreFunction() or a pathwise estimator, got {estimator!r}."
            )
            raise EstimatorError(msg)
    if program.mixing:
        names = [program.nodes[i].name for i in program.mixing]
        msg = f"a bound of several runs: expected no nodes that mix rows, got {names}."
        raise EstimatorError(msg)


def total_costs(program: Program, trace: Trace) -> Any:
    """Return the summed cost of each run, shape (rows, samples)."""
    count = trace.layout.count((SAMPLES,))
    total = np.zeros(count, program.store.float_dtype("costs"))
    for cost in program.costs:
        value = trace.values[cost.index]
        if cost.loop is not None:
            still = trace.still(cost)
            value = (value if still is None else value * still).sum(axis=0)
        if cost.has_rows:
            value = trace.layout.align(value, program.plates[cost.index], (SAMPLES,))
        total += value
    return total.reshape(trace.layout.rows, -1)


def _without_one(c: Any) -> Any:
    """Return the bound with each run's cost replaced by the mean of the others'."""
    k = c.shape[1]
    if k == 1:
        return np.zeros_like(c)
    others = (c.sum(axis=1, keepdims=True) - c) / (k - 1)
    replaced = np.where(np.eye(k, dtype=bool), others[:, :, None], c[:, None])
    return -(logsumexp(-replaced) - np.log(k).astype(c.dtype))


def credited(
    program: Program, trace: Trace, index: int, c: Any, advantage: Any
) -> tuple[Any, Any]:
    """Bring costs and advantages of runs to a sample, in a loop to all of its steps."""
    node = program.nodes[index]
    lead = trace.values[index].shape[:1] if node.loop is not None else ()
    shape = (*lead, c.size)
    flat = [np.broadcast_to(x.reshape(-1), shape) for x in (c, advantage)]
    return flat[0], flat[1]


def weighed(program: Program, trace: Trace, weights: Any) -> Trace:
    """Return the run with other weights of the runs of each row."""
    old = trace.layout
    layout = Layout(
        old.rows,
        old.sizes,
        {**program.plates, SAMPLES: (SAMPLES,)},
        {**old.weights, SAMPLES: np.reshape(weights, -1) if np.ndim(weights) else 1.0},
    )
    return replace(trace, layout=layout)
