r"""Clipped-surrogate updates (PPO): many small steps on one run, for any graph.

A run is replayed under the params of the moment: the samples stay, their densities
change. Each sample's credit is weighed by the ratio of its density to that at the start
of the update, and is cut off where that ratio has left the trust interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scg.ahead import Ahead
from scg.autodiff import trace_vjp
from scg.backward import backward, site_of
from scg.clipping import global_norm
from scg.credit import Credit, assign
from scg.elementwise import Arrays, Optimizer
from scg.errors import EstimatorError, InputError
from scg.estimators import ScoreFunction, Site
from scg.estimators.base import per_event
from scg.finite import check_finite_costs
from scg.method import AbstractMethod, Data, MethodUpdate, State
from scg.node import Node
from scg.program import Program
from scg.ratios import log_prob
from scg.replay import Replay
from scg.roles import Draw
from scg.schedules import Schedule, as_schedule
from scg.surrogate import Compiled, mean_cost, recent_returns
from scg.trace import Trace

__all__ = ["Clipped"]


@dataclass(frozen=True, slots=True)
class Clipped(AbstractMethod):
    r"""Run the model once, then step many times along the clipped surrogate.

    .. math:: L = \frac{1}{|M|} \sum_{i \in M} \Bigl[
              \max\bigl(r_i A_i,\; \mathrm{clip}(r_i, 1 - \epsilon, 1 + \epsilon) A_i
              \bigr) - \beta H_i \Bigr], \qquad
              r_i = \frac{p_\theta(w_i)}{p_{\theta_0}(w_i)}

    over the decisions of a minibatch M, with the advantages A that the estimators of
    the graph assign (costs: positive is bad) and the entropy H of the distribution that
    was drawn from. Costs and pathwise samples that the params reach without a scored
    sample between enter with their own gradient, value nodes with their regression
    loss. The first of its steps follows the score-function gradient; the later ones are
    biased, by less than the clip lets them be.

    Where no carry of the loop depends on the params, a minibatch takes any decisions of
    any step; otherwise it takes whole rows, and L is the mean over rows of the sum over
    steps.

    Parameters
    ----------
    model : Compiled
        A graph with score-function estimators of one draw each, pathwise ones beside
        them.
    optimizer : Optimizer
        Takes the steps.
    epochs : int
        How many times each decision is used.
    batch_size : int
        Decisions in a minibatch (rows, where whole rows are taken).
    clip : float
        ``ε``, above 0.
    entropy : float or Schedule
        ``β``, the weight of the entropy, at least 0; a schedule goes by the steps of
        `fit`. One that ends at 0 lets the policy become as sure as it is right.
    ahead : bool
        Act with the params of the update before, in a second thread, while this one
        learns. Densities and values are computed anew before learning, so that only
        the states are a step old. A resumed run starts with a fresh run of the model,
        so it is then not bit for bit the one that was never stopped.
    data, rows : optional
        As in `fit`.

    Raises
    ------
    EstimatorError
        When an estimator has branches, or is not a score function or pathwise.
    InputError
        When a number is out of its range.

    References
    ----------
    Schulman, Wolski, Dhariwal, Radford & Klimov 2017, "Proximal policy optimization
    algorithms", equations 7 and 9.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> model = scg.compile(graph, {"b": scg.ScoreFunction(baseline=scg.BatchMean())})
    >>> method = scg.Clipped(model, scg.adam(0.05), batch_size=50, rows=200)
    >>> rng = np.random.default_rng(0)
    >>> run = scg.fit(method, graph.init(rng), rng=rng, num_steps=5, progress=False)
    >>> bool(run.params["theta"] < 0)
    True
    """

    model: Compiled
    optimizer: Optimizer
    epochs: int = 4
    batch_size: int = 256
    clip: float = 0.2
    entropy: float | Schedule = 0.0
    ahead: bool = False
    data: Data | None = None
    rows: int | None = None
    _ahead: Ahead[Trace] = field(default_factory=Ahead, repr=False)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                msg = f"{name}: expected at least 1, got {getattr(self, name)!r}."
                raise InputError(msg)
        if not self.clip > 0:
            msg = f"clip: expected a number above 0, got {self.clip!r}."
            raise InputError(msg)
        as_schedule(self.entropy)
        program = self.model.program
        for index in program.scored:
            estimator = program.estimators[index]
            if not isinstance(estimator, ScoreFunction) or estimator.samples > 1:
                msg = (
                    f"node {program.nodes[index].name!r}: expected ScoreFunction() "
                    f"with one sample, got {estimator!r}. A clipped surrogate weighs "
                    "one drawn value by its density."
                )
                raise EstimatorError(msg)

    def init(self, params: Arrays) -> Arrays:
        """Give the state of the optimiser."""
        return self.optimizer.init(params)

    def update(
        self,
        params: Arrays,
        optimizer_state: Arrays,
        state: State,
        *,
        rng: np.random.Generator,
        step: int,
    ) -> MethodUpdate:
        """Act, then learn from it in minibatches."""
        trace = self._run(params, rng, step)
        batch = _Batch(self.model.program, trace, params, state or {})
        entropy = as_schedule(self.entropy)(step)
        seen = []
        for _ in range(self.epochs):
            order = rng.permutation(batch.replay.count)
            for cells in np.array_split(order, -(-len(order) // self.batch_size)):
                gradient, figures = batch.gradient(params, cells, self.clip, entropy)
                params, optimizer_state = self.optimizer.update(
                    gradient, optimizer_state, params, donate=True
                )
                seen.append({**figures, "gradient_norm": global_norm(gradient)})
        cost = mean_cost(self.model.program, batch.before)
        metrics = {"cost": cost, **recent_returns(self.model.program), **_means(seen)}
        metrics |= batch.explained_variance()
        return params, optimizer_state, batch.state, metrics

    def settle(self) -> None:
        """Wait for the run that acts ahead, if there is one; the next update uses it.

        Until then its environment is in use by another thread.
        """
        self._ahead.wait()

    def _run(self, params: Arrays, rng: np.random.Generator, step: int) -> Trace:
        """Return a run to learn from; with `ahead`, start the next one."""
        if not self.ahead:
            return self._act(params, _child(rng), step)
        ready = self._ahead.take() or self._act(params, _child(rng), step)
        # The optimiser overwrites the params while the next run still reads them.
        acting = {name: value.copy() for name, value in params.items()}
        own = _child(rng)
        self._ahead.start(lambda: self._act(acting, own, step + 1))
        return ready

    def _act(self, params: Arrays, rng: np.random.Generator, step: int) -> Trace:
        inputs = self.data(rng, step) if self.data else None
        return self.model.forward(params, inputs, rng=rng, rows=self.rows)


def _child(rng: np.random.Generator) -> np.random.Generator:
    """Return a generator that a thread has for itself."""
    return np.random.default_rng(int(rng.integers(2**63)))


class _Batch:
    """A run with its credit and densities at the start of an update."""

    def __init__(
        self, program: Program, trace: Trace, params: Arrays, state: Mapping[str, Any]
    ) -> None:
        self.program = program
        self.replay = Replay(program, trace)
        self.before = self.replay(params)
        self.before.drawn_with = {
            i: log_prob(trace, program.nodes[i])
            for i in program.followers
            if program.estimators[i].critic.lookahead.rho is not None  # type: ignore[attr-defined]
        }
        check_finite_costs(program, self.before)
        self.credits = assign(program, self.before, state)
        self.state = {k: v for c in self.credits.values() for k, v in c.state.items()}
        self.log_prob = {
            i: log_prob(self.before, program.nodes[i]) for i in self.credits
        }

    def gradient(
        self, params: Arrays, cells: Any, clip: float, entropy: float
    ) -> tuple[Arrays, dict[str, float]]:
        """Return the gradient of the clipped surrogate on some cells, and figures."""
        now = self.replay(params, cells)
        sites, targets, seeds, seen = {}, [], [], []
        for i, credit in self.credits.items():
            node = self.program.nodes[i]
            weighed, figures = self._weighed(now, node, credit, cells, clip)
            site = site_of(self.program, now, node, weighed, weighed)
            sites[i] = self.program.estimators[i].adjoints(site)
            if entropy:
                figures["entropy"], slopes = _entropy(
                    node, site, weighed.shape, -entropy
                )
                seeds += slopes
            if credit.target is not None:
                value = self.program.nodes[credit.target.value]
                goal = self.replay.pick(value, credit.target.target, cells)
                targets.append(replace(credit.target, target=goal))
            seen.append(figures)
        gradient = backward(self.program, now, sites, targets, seeds)
        return gradient, _means(seen)

    def _weighed(
        self, now: Trace, node: Node, credit: Credit, cells: Any, clip: float
    ) -> tuple[Any, dict[str, float]]:
        """Return ratio times advantage, 0 where the ratio is clipped, and figures."""
        old = self.replay.pick(node, self.log_prob[node.index], cells)
        advantage = self.replay.pick(node, credit.advantage, cells)
        change = log_prob(now, node) - old
        # A ratio beyond e²⁰ is clipped, or as good as infinite.
        ratio = np.exp(np.minimum(change, 20))
        kept = ratio * advantage >= np.clip(ratio, 1 - clip, 1 + clip) * advantage
        figures = {
            "kl": float(np.mean(ratio - 1 - change)),
            "clipped": float(np.mean(np.abs(ratio - 1) > clip)),
        }
        return np.where(kept, ratio * advantage, advantage.dtype.type(0)), figures

    def explained_variance(self) -> dict[str, float]:
        """Return what share of the targets' variance the value nodes explain."""
        shares = []
        for credit in self.credits.values():
            if credit.target is not None:
                goal = credit.target.target
                error = goal - self.before.values[credit.target.value]
                shares.append(
                    1 - float(np.var(error)) / max(float(np.var(goal)), 1e-12)
                )
        return {"explained_variance": float(np.mean(shares))} if shares else {}


def _entropy(
    node: Node, site: Site, lead: tuple[int, ...], weight: float
) -> tuple[float, list[tuple[Node, Any]]]:
    """Return the mean entropy, and `weight` times its slopes as adjoints of nodes."""
    role = node.role
    assert isinstance(role, Draw)
    parameters = [site.distribution.parameters[name] for name in role.names]
    shape, joint = np.shape(site.value), len(site.distribution.shape)
    dtype = node.store.float_dtype(node.name)

    def entropy(*values: Any) -> Any:
        each = role.at(values).entropy()
        # That of a joint density lacks the axes of the draw that it is joint over.
        axes = len(shape) - (joint - np.ndim(each))
        return each + np.zeros(shape[:axes], dtype)

    h, pull = trace_vjp(entropy, parameters, range(len(parameters)))
    zeros = np.zeros(np.shape(h), dtype)
    adjoint = (per_event(site.weight, zeros) * weight + zeros).astype(dtype)
    # In a loop, time comes back out of the rows.
    slopes = [
        (parent, g if parent.loop is None else g.reshape(*lead, *g.shape[1:]))
        for parent, g in zip(node.inputs, pull(adjoint), strict=True)
    ]
    return float(np.mean(h)), slopes


def _means(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {k: float(np.mean([s[k] for s in seen])) for k in seen[0]}
