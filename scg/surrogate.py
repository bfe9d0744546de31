"""The surrogate-loss engine, first order: one forward pass, credit, one reverse pass.

The gradient of the surrogate loss

    L(Θ, S) = Σ_w log p(w | DEPS_w) (Q̂_w − b_w) + Σ_c c(DEPS_c)

with samples and Q̂ held constant is found without building L: the reverse pass starts
with seeds at costs (pathwise) and at the parameters of samples (what the estimator
says).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from scg.credit import Credit, Target, assign, cost_rows
from scg.errors import NonFiniteError
from scg.estimators import AbstractEstimator, Site
from scg.forward import check_finite_costs, run
from scg.graph import Graph
from scg.node import Node
from scg.program import Program, schedule
from scg.reverse import Reverse
from scg.roles import EnvironmentStep
from scg.trace import Trace

__all__ = [
    "Compiled",
    "Estimate",
    "backward",
    "compile",
    "estimate_gradient",
    "forward",
    "mean_cost",
    "recent_returns",
    "site_of",
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
        check_finite_costs(program, trace)
        credits = assign(program, trace, state or {})
        sites = {i: _adjoints(program, trace, i, c) for i, c in credits.items()}
        targets = [c.target for c in credits.values() if c.target is not None]
        gradient = backward(program, trace, sites, targets)
        after = {k: v for credit in credits.values() for k, v in credit.state.items()}
        figures = recent_returns(program)
        return Estimate(gradient, mean_cost(program, trace), trace, after, figures)

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
    graph: Graph, estimators: Mapping[str, AbstractEstimator] | None = None
) -> Compiled:
    """Check a graph with its estimators and return `estimate_gradient`, bound to both.

    Parameters
    ----------
    graph : Graph
    estimators : dict of str to AbstractEstimator
        By the name of the stochastic node; those not named get ``ScoreFunction()``.

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
    return Compiled(schedule(graph.store, estimators))


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
    """Return the mean over rows of the summed costs."""
    total = 0.0
    for cost in program.costs:
        value = cost_rows(program, trace, cost)
        value = value.sum(axis=0) if cost.loop is not None else value
        total += float(
            trace.layout.reduce(value, program.plates[cost.index], ()).mean()
        )
    return total


def recent_returns(program: Program) -> dict[str, float]:
    """Return the mean return of the last 20 episodes; not a number before the first.

    With several environments, each has its own entry.
    """
    found = {
        node.role.environment.name: node.role.environment.returns[-20:]
        for node in program.nodes
        if isinstance(node.role, EnvironmentStep)
    }
    return {
        "return" if len(found) == 1 else f"return of {name}": (
            float(np.mean(returns)) if returns else float("nan")
        )
        for name, returns in found.items()
    }


def backward(
    program: Program,
    trace: Trace,
    sites: Mapping[int, Mapping[str, Any]],
    targets: Iterable[Target] = (),
    seeds: Iterable[tuple[Node, Any]] = (),
) -> dict[str, Any]:
    """Take all that a surrogate loss consists of back to the params.

    Parameters
    ----------
    program : Program
    trace : Trace
    sites : dict of int to dict of str to array
        For each scored sample, the derivative by the parameters of its distribution.
    targets : iterable of Target
        What value nodes are fitted to.
    seeds : iterable of (Node, array)
        Further adjoints of nodes.

    Returns
    -------
    dict of str to array
        Like the params.

    Raises
    ------
    NonFiniteError
        When a param's gradient is NaN or infinite.
    """
    reverse = Reverse(program, trace)
    for cost in program.costs:
        if cost.index in program.flow.carrying:
            reverse.seed(cost, _cost_seed(program, trace, cost))
    for index, adjoints in sites.items():
        reverse.seed_site(program.nodes[index], adjoints)
    for node, adjoint in seeds:
        reverse.seed(node, adjoint)
    apart = [r for r in map(partial(_fit, reverse), targets) if r is not reverse]
    arrived = reverse.run()
    for private in apart:
        for index, adjoint in private.run().items():
            arrived[index] = arrived.get(index, 0) + adjoint
    return {node.name: _finished(node, arrived) for node in program.params}


def _fit(reverse: Reverse, target: Target) -> Reverse:
    """Seed a value node's regression, in a pass of its own where params are kept apart.

    What a value shares with the policy gets both gradients in one pass.
    """
    program, trace = reverse.program, reverse.trace
    value = program.nodes[target.value]
    where = reverse if target.shared else Reverse(program, trace, private=value)
    error = trace.values[target.value] - target.target
    where.seed(value, target.weight * error * _row_weight(program, trace, value))
    return where


def _finished(node: Node, arrived: Mapping[int, Any]) -> Any:
    if node.index not in arrived:
        return np.zeros(node.event_shape, node.dtype)
    found = np.asarray(arrived[node.index], node.dtype)
    if (
        not np.isfinite(np.add.reduce(found, axis=None))
        and not np.isfinite(found).all()
    ):
        msg = f"param {node.name!r}: its gradient is NaN or infinite."
        raise NonFiniteError(msg)
    return found


def _row_weight(program: Program, trace: Trace, node: Node) -> Any:
    """Return what a sum over rows needs to be a mean; 0 where a row has stopped."""
    plates = program.plates[node.index]
    weight = trace.layout.weight(plates, plates) / trace.layout.rows
    still = trace.still(node)
    return weight if still is None else weight * still


def _cost_seed(program: Program, trace: Trace, cost: Node) -> Any:
    if not cost.has_rows:
        return np.ones((), cost.dtype)
    weight = _row_weight(program, trace, cost)
    shape = trace.values[cost.index].shape
    return np.broadcast_to(weight, shape).astype(cost.dtype)


def _adjoints(
    program: Program, trace: Trace, index: int, credit: Credit
) -> dict[str, Any]:
    site = site_of(program, trace, program.nodes[index], credit.cost, credit.advantage)
    return program.estimators[index].adjoints(site)


def site_of(
    program: Program, trace: Trace, node: Node, cost: Any, advantage: Any
) -> Site:
    """Return one sample as its estimator sees it, with time folded into the rows."""
    role: Any = node.role
    want = program.plates[node.index]
    in_loop = node.loop is not None
    inputs = []
    for parent in node.inputs:
        value = trace.values[parent.index]
        if parent.has_rows and parent.loop is None and not in_loop:
            value = trace.layout.align(value, program.plates[parent.index], want)
        elif parent.loop is not None:
            value = value.reshape(-1, *value.shape[2:])
        inputs.append(value)
    value = trace.values[node.index]
    weight = _row_weight(program, trace, node)
    if in_loop:
        value = value.reshape(-1, *value.shape[2:])
        weight = np.broadcast_to(weight, cost.shape).reshape(-1)
    return Site(
        node.name,
        role.at(inputs),
        value,
        weight,
        cost.reshape(-1),
        advantage.reshape(-1),
    )
