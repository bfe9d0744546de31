r"""The surrogate loss as a function of the params, right at every order.

.. math:: L = \sum_c \square(W_c)\, c + \sum_w
          \bigl(\square(W_{\prec w}) - \square(W_{\prec w} \cup \{w\})\bigr)\, b_w,
          \qquad \square(W) = \prod_{w \in W} \frac{p_\theta(w)}{p_{\theta_0}(w)}

with the samples held, θ₀ the params they were drawn with, and :math:`W_x` the scored
samples that influence x. At θ₀ the box is DiCE's magic box in value and in every
derivative; elsewhere it is the likelihood ratio, of which the magic box is the germ.

References
----------
Foerster et al. 2018, "DiCE: the infinitely differentiable Monte-Carlo estimator"; Mao
et al. 2019, "A baseline for any order gradient estimation in stochastic computation
graphs"; Farquhar, Whiteson & Foerster 2019, "Loaded DiCE".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scg.boxes import Boxes
from scg.credit import assign
from scg.errors import EstimatorError
from scg.estimators import AbstractEstimator
from scg.graph import Graph
from scg.live import Live
from scg.phases import check_all_kept
from scg.plan import plan_of
from scg.program import Program, schedule
from scg.trace import Trace

__all__ = ["surrogate_loss"]

Arrays = Mapping[str, Any]


def surrogate_loss(
    graph: Graph,
    trace: Trace,
    estimators: Mapping[str, AbstractEstimator] | None = None,
    *,
    state: Arrays | None = None,
) -> Callable[[Arrays], Any]:
    r"""Return the surrogate loss of a run, to be differentiated any number of times.

    .. math:: L(\theta) = \sum_c \square(W_c)\, c + \sum_w
              \bigl(\square(W_{\prec w}) - \square(W_{\prec w} \cup \{w\})\bigr)\, b_w,
              \qquad
              \mathbb E[\nabla^n L] = \nabla^n \mathbb E\Bigl[\sum_c c\Bigr]

    averaged over rows and runs, for every n, at the params the run was made with. The
    value there is the run's cost, the gradient that of `estimate_gradient`, without the
    regression loss of learned baselines: a value node is a constant here. The samples
    of enumerated nodes have their probabilities as live weights; pathwise samples are
    functions of the params, with their noise held.

    Unbiased at every order where the estimators are unbiased. With a discount γ below 1
    the box of a cost k steps after a sample w enters as Loaded DiCE has it, as the sum
    over samples of :math:`\gamma^k (\square(W_{<w} \cup \{w\}) - \square(W_{<w}))`;
    where credit ends at a boundary, the box holds no sample from before it.

    Parameters
    ----------
    graph : Graph
    trace : Trace
        Of `forward` or `estimate_gradient`, with the same estimators.
    estimators : dict of str to AbstractEstimator
        By the name of the stochastic node; those not named get ``ScoreFunction()``.
    state : dict of str to array, optional
        What the run's baselines were given: ``estimate.state`` of the run before.

    Returns
    -------
    callable
        ``loss(params) -> scalar``; write what is done with it in ``autograd``.

    Raises
    ------
    EstimatorError
        When an estimator has no form for every order (a critic, standardised
        advantages, one of your own that does not say so), the run was made with other
        estimators, or lean, or a scan has `keep_every`.

    References
    ----------
    Foerster et al. 2018, section 3; Mao et al. 2019, section 4; Farquhar et al. 2019,
    section 4.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> from autograd import grad
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> estimators = {"b": scg.Enumeration()}
    >>> trace = scg.forward(graph, {"theta": -0.8}, estimators=estimators,
    ...                     rng=np.random.default_rng(0))
    >>> surrogate = scg.surrogate_loss(graph, trace, estimators)
    >>> first = grad(lambda theta: surrogate({"theta": theta}))
    >>> [round(float(f(-0.8)), 6) for f in (first, grad(first))]
    [0.021391, 0.008127]
    """
    program = schedule(graph.store, estimators)
    check_all_kept(program, "surrogate_loss")
    _check_orders(program)
    _check_run(program, trace)
    baselines = _baselines(program, trace, state or {})
    drawn = _drawn_with(program, trace)
    past = {i: drawn.log_prob(program.nodes[i]) for i in program.scored}

    def loss(params: Arrays) -> Any:
        live = Live(program, trace, params)
        boxes = Boxes(program, trace, live, past)
        total: Any = 0.0
        for cost in program.costs:
            total = total + boxes.mean(cost, boxes.of_cost(cost) * live.value(cost))
        for i, b in baselines.items():
            node = program.nodes[i]
            before, after = boxes.around(node)
            total = total + boxes.mean(node, (before - after) * b)
        return total

    return loss


def _baselines(program: Program, trace: Trace, state: Arrays) -> dict[int, Any]:
    """Return what is subtracted from each sample's costs, where anything is."""
    found = {i: c.cost - c.advantage for i, c in assign(program, trace, state).items()}
    return {i: b for i, b in found.items() if np.any(b)}


def _drawn_with(program: Program, trace: Trace) -> Live:
    params = {node.name: trace.values[node.index] for node in program.params}
    return Live(program, trace, params)


def _check_orders(program: Program) -> None:
    for i, estimator in program.estimators.items():
        reason = _first_order_only(estimator)
        if reason:
            msg = (
                f"node {program.nodes[i].name!r}: expected an estimator with a form "
                f"for every order of derivative, got one with {reason}. Use "
                "estimate_gradient, or ScoreFunction() with a baseline."
            )
            raise EstimatorError(msg)


def _first_order_only(estimator: Any) -> str:
    if not estimator.any_order:
        return f"the first order only, {type(estimator).__name__}"
    if getattr(estimator, "critic", None) is not None:
        return f"the critic {estimator.critic!r}, a constant that hides the costs"
    if getattr(estimator, "standardise", False):
        return "standardised advantages, which no loss has as its derivative"
    return ""


def _check_run(program: Program, trace: Trace) -> None:
    """Raise where the run was made with estimators that draw otherwise."""
    alike = len(trace.nodes) == len(program.nodes) and all(
        ours is theirs for ours, theirs in zip(program.nodes, trace.nodes, strict=True)
    )
    if not alike:
        msg = "surrogate_loss: expected a run of this graph as it is, got another's."
        raise EstimatorError(msg)
    if any(trace.values[i] is None for i in plan_of(program).recorded):
        msg = "surrogate_loss: expected a run with all it needs, got a lean one."
        raise EstimatorError(msg)
    for i in program.estimators:
        if not _drawn_alike(program, trace, i):
            msg = (
                f"node {program.nodes[i].name!r}: expected a run with the estimator "
                f"{program.estimators[i]!r}, got one with another. Give the same to "
                "both."
            )
            raise EstimatorError(msg)


def _drawn_alike(program: Program, trace: Trace, i: int) -> bool:
    pathwise = bool(program.estimators[i].pathwise)
    same_size = trace.layout.sizes.get(i) == program.branching.get(i)
    weighed = np.ndim(trace.layout.weights.get(i, 1.0)) > 0
    same_weights = weighed == (i in program.enumerated)
    return same_size and same_weights and pathwise == (i in trace.noise)
