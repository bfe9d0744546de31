"""The surrogate-loss engine, first order: one forward pass, credit, one reverse pass.

The gradient of the surrogate loss

    L(Θ, S) = Σ_w log p(w | DEPS_w) (Q̂_w − b_w) + Σ_c c(DEPS_c)

with samples and Q̂ held constant is found without building L: the reverse pass starts
with seeds at costs (pathwise) and at the parameters of samples (what the estimator
says).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.backward import backward
from scg.credit import assign
from scg.errors import EstimatorError
from scg.estimators import AbstractEstimator
from scg.finite import check_finite_costs
from scg.graph import Graph
from scg.parts import run
from scg.program import Program, schedule
from scg.ratios import log_prob
from scg.replay import Replay
from scg.roles import EnvironmentStep
from scg.slopes import all_scores
from scg.trace import Trace

__all__ = [
    "Compiled",
    "Estimate",
    "compile",
    "estimate_gradient",
    "forward",
    "mean_cost",
    "recent_returns",
]

Arrays = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate of the gradient of the expected cost.

    Attributes
    ----------
    gradient : dict of str to array
        Like the params.
    cost : float
        The mean over rows of the summed costs.
    trace : Trace
        The run it comes from.
    state : dict of str to array
        What baselines keep for the next run.
    metrics : dict of str to float
        ``"return"``: the mean of the last 20 episodes, where there is an environment.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> x = graph.input("x")
    >>> theta = graph.param("theta", 2.0)
    >>> loss = graph.cost("loss", theta * x)
    >>> inputs = {"x": np.array([1.0, 3.0])}
    >>> rng = np.random.default_rng(0)
    >>> estimate = scg.estimate_gradient(graph, {"theta": 2.0}, inputs, rng=rng)
    >>> estimate.cost, float(estimate.gradient["theta"])
    (4.0, 2.0)
    """

    gradient: dict[str, Any]
    cost: float
    trace: Trace
    state: dict[str, Any]
    metrics: dict[str, float]


class Compiled:
    """A graph bound to its estimators; see `compile`."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def __call__(  # noqa: PLR0913 - as `estimate_gradient`
        self,
        params: Arrays,
        inputs: Arrays | None = None,
        *,
        rng: np.random.Generator,
        rows: int | None = None,
        samples: int = 1,
        state: Arrays | None = None,
        given: Arrays | None = None,
    ) -> Estimate:
        """Run the model once and estimate the gradient."""
        program = self.program
        trace = run(
            program, params, inputs, rng=rng, rows=rows, samples=samples, given=given
        )
        return self._estimate(trace, state)

    def _estimate(self, trace: Trace, state: Arrays | None) -> Estimate:
        program = self.program
        cost = mean_cost(program, trace)
        with np.errstate(over="ignore"):
            credits = assign(program, trace, state or {})
            sites, seeds = all_scores(program, trace, credits)
        targets = [c.target for c in credits.values() if c.target is not None]
        gradient = backward(program, trace, sites, targets, seeds)
        after = {k: v for credit in credits.values() for k, v in credit.state.items()}
        figures = recent_returns(program)
        return Estimate(gradient, cost, trace, after, figures)

    def again(
        self, trace: Trace, params: Arrays, *, state: Arrays | None = None
    ) -> Estimate:
        r"""Estimate the gradient under other params than a run was drawn with.

        Samples, environments and black boxes keep their values; densities, values and
        costs are computed again. Critics weigh what they see with the ratios of the
        densities, which `VTrace` cuts off.

        Parameters
        ----------
        trace : Trace
            What `forward`, or an estimate, gave.
        params : dict of str to array
        state : dict of str to array, optional
            As in `estimate_gradient`.

        Raises
        ------
        EstimatorError
            When a scored sample has another estimator than a score function with
            `VTrace`, or the run cannot be replayed.

        Examples
        --------
        >>> import scg
        >>> graph = scg.Graph()
        >>> theta = graph.param("theta", 0.0)
        >>> v = graph.value("v", graph.param("level", 0.0))
        >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
        >>> loss = graph.cost("loss", b)
        >>> model = scg.compile(graph, {"b": scg.ScoreFunction(critic=scg.VTrace("v"))})
        >>> then, rng = {"theta": 0.0, "level": 0.0}, np.random.default_rng(0)
        >>> trace = model.forward(then, rng=rng, rows=100_000)
        >>> now = {"theta": -1.0, "level": 0.0}
        >>> gradient = model.again(trace, now).gradient["theta"]
        >>> bool(abs(gradient - np.exp(-1) / (1 + np.exp(-1)) ** 2) < 0.01)
        True
        """
        program = self.program
        for i in program.scored:
            critic = getattr(program.estimators[i], "critic", None)
            if critic is None or critic.lookahead.rho is None:
                msg = (
                    f"node {program.nodes[i].name!r}: expected a VTrace critic, to "
                    "weigh what was drawn under other params, got "
                    f"{program.estimators[i]!r}."
                )
                raise EstimatorError(msg)
        now = Replay(program, trace)(params)
        now.drawn_with = {i: log_prob(trace, program.nodes[i]) for i in program.scored}
        return self._estimate(now, state)

    def forward(  # noqa: PLR0913 - as `forward`
        self,
        params: Arrays,
        inputs: Arrays | None = None,
        *,
        rng: np.random.Generator,
        rows: int | None = None,
        samples: int = 1,
        given: Arrays | None = None,
        lean: bool = False,
    ) -> Trace:
        """Run the model once, without a gradient; see `scg.forward`."""
        return run(
            self.program,
            params,
            inputs,
            rng=rng,
            rows=rows,
            samples=samples,
            given=given,
            lean=lean,
        )


def compile(
    graph: Graph,
    estimators: Mapping[str, AbstractEstimator] | None = None,
    *,
    kernels: bool = True,
    only: Collection[str] | None = None,
) -> Compiled:
    """Check a graph with its estimators and return `estimate_gradient`, bound to both.

    Parameters
    ----------
    graph : Graph
    estimators : dict of str to AbstractEstimator
        By the name of the stochastic node; those not named get ``ScoreFunction()``.
    kernels : bool
        False goes by the derivative rules of autograd and the families' own methods
        throughout, to compare with: slower, and equal but for rounding and for what is
        drawn.
    only : collection of str, optional
        Stochastic nodes: only their part of the gradient is estimated, and what their
        credit does not need is not run. With `KStep` critics that is all behind the
        k-th value node; with ``ValueGradient(..., weight=0)`` all but the value node.
        The cost and the gradient are those of the costs that are run. Draws are those
        of the whole model.

    Returns
    -------
    Compiled
        ``compiled(params, inputs, rng=...) -> Estimate``.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> step = scg.compile(graph, {"b": scg.Enumeration()})
    >>> round(step({"theta": 0.0}, rng=np.random.default_rng(0)).cost, 12)
    0.2525
    """
    return Compiled(schedule(graph.store, estimators, kernels=kernels, only=only))


def estimate_gradient(  # noqa: PLR0913 - what a run depends on, by keyword
    graph: Graph,
    params: Arrays,
    inputs: Arrays | None = None,
    *,
    estimators: Mapping[str, AbstractEstimator] | None = None,
    rng: np.random.Generator,
    rows: int | None = None,
    samples: int = 1,
    state: Arrays | None = None,
    given: Arrays | None = None,
) -> Estimate:
    r"""Estimate the gradient of the expected cost.

    What can be worked out before the first run is worked out once for a graph and its
    estimators, until a node is added.

    .. math:: \nabla_\theta \mathbb E\Bigl[\sum_c c\Bigr]

    Parameters
    ----------
    graph : Graph
    params : dict of str to array
    inputs : dict of str to array, shape (rows, ...)
    estimators : dict of str to AbstractEstimator
        By the name of the stochastic node; those not named get ``ScoreFunction()``.
    rng : Generator
    rows : int
        Only where no input says how many.
    samples : int
        Runs for each row.
    state : dict of str to array, optional
        ``estimate.state`` of the run before.
    given : dict of str to array, optional
        Values of stochastic nodes to use in place of drawing them.

    Returns
    -------
    Estimate

    References
    ----------
    Schulman et al. 2015, theorem 1 and equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"theta": 0.0}, estimators={"b": scg.Enumeration()},
    ...     rng=np.random.default_rng(0))
    >>> round(float(estimate.gradient["theta"]), 12)
    0.025
    """
    return compile(graph, estimators)(
        params, inputs, rng=rng, rows=rows, samples=samples, state=state, given=given
    )


def forward(  # noqa: PLR0913 - as `estimate_gradient`
    graph: Graph,
    params: Arrays,
    inputs: Arrays | None = None,
    *,
    rng: np.random.Generator,
    rows: int | None = None,
    estimators: Mapping[str, AbstractEstimator] | None = None,
    samples: int = 1,
    given: Arrays | None = None,
    lean: bool = False,
) -> Trace:
    """Run the model once and return its trace; the same seed gives the same trace.

    Parameters
    ----------
    graph, params, inputs, rng, rows, estimators, samples, given
        As in `estimate_gradient`.
    lean : bool
        Inside loops, keep the values of named nodes, samples, costs and values only: a
        long run then takes little memory, but gives no gradient afterwards.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> rng = np.random.default_rng(0)
    >>> scg.forward(graph, {"theta": 0.0}, rng=rng, rows=3)["b"].shape
    (3,)
    """
    program = schedule(graph.store, estimators)
    return run(
        program,
        params,
        inputs,
        rng=rng,
        rows=rows,
        samples=samples,
        given=given,
        lean=lean,
    )


def mean_cost(program: Program, trace: Trace) -> float:
    """Return the mean over rows of the summed costs.

    Raises
    ------
    NonFiniteError
        When a cost is NaN or infinite, naming where that began.
    """
    total, together = 0.0, []
    equal = trace.layout.weighs_equally()
    for cost in program.costs:
        value = trace.values[cost.index]
        if not cost.has_rows:
            total += float(value)
        elif equal and cost.loop is None and value.size == trace.rows:
            together.append(value)
        else:
            value = np.add.reduce(value, axis=0) if cost.loop is not None else value
            total += trace.layout.mean(value, program.plates[cost.index], equal=equal)
    if together:
        joined = np.concatenate(together) if len(together) > 1 else together[0]
        total += float(np.add.reduce(joined)) / trace.rows
    if not math.isfinite(total):
        check_finite_costs(program, trace)
    return total


def recent_returns(program: Program) -> dict[str, float]:
    """Return the mean return of the last 20 episodes; not a number before the first.

    With several environments, each has its own entry.
    """
    found = {
        node.role.environment.name: node.role.environment.recent_returns(20)
        for node in program.environments
        if isinstance(node.role, EnvironmentStep)
    }
    return {
        "return" if len(found) == 1 else f"return of {name}": (
            float(np.mean(returns)) if returns else float("nan")
        )
        for name, returns in found.items()
    }
