"""Measure choices of estimators on one model: bias, variance, time, credit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scg.audit_report import ChoiceFigures, SiteFigures, as_rich, as_text, draw
from scg.errors import InputError, unknown_name
from scg.exact_gradient import exact_gradient
from scg.gradient_figures import combined, followed, gradient_figures
from scg.graph import Graph
from scg.program import Program
from scg.routes import Routes
from scg.side_by_side import Estimators, Runs, Setting, side_by_side
from scg.site_figures import explained_variance

__all__ = ["Audit", "audit"]


@dataclass(frozen=True, slots=True)
class Audit:
    """Hold what an audit has found; ``print`` shows it as tables.

    Attributes
    ----------
    choices : tuple of ChoiceFigures
        The best first: by variance times seconds.
    exact : dict of str to array, or None
        The exact gradient, where it is known.
    reference : str or None
        Without an exact gradient, the choice that the others are measured against: the
        first that declares no bias.
    repeats : int

    Examples
    --------
    >>> Audit((), None, None, 100).repeats
    100
    """

    choices: tuple[ChoiceFigures, ...]
    exact: dict[str, NDArray[Any]] | None
    reference: str | None
    repeats: int

    @property
    def ranking(self) -> tuple[str, ...]:
        """The names of the choices, the best first."""
        return tuple(choice.name for choice in self.choices)

    def __getitem__(self, name: str) -> ChoiceFigures:
        """Return the figures of one choice."""
        for choice in self.choices:
            if choice.name == name:
                return choice
        raise unknown_name("choice", name, self.ranking)  # noqa: EM101

    def __str__(self) -> str:
        return as_text(self.choices, self._footer())

    def table(self) -> Any:
        """Return the ranking as a table of `rich` (extra ``train``)."""
        return as_rich(self.choices, self._footer())

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw variance against time, and the spread of up to four gradients.

        Parameters
        ----------
        path : path
            The picture, ``.png`` or ``.svg``; matplotlib is in the extra ``train``.
        """
        draw(self.choices, path)

    def _footer(self) -> str:
        if self.exact is not None:
            against = "the exact gradient"
        elif self.reference is not None:
            against = f"{self.reference!r}, which declares no bias"
        else:
            against = "nothing: every choice declares a bias"
        return f"{self.repeats} repeats; bias is measured against {against}"


def audit(  # noqa: PLR0913 - what a run depends on, by keyword
    graph: Graph,
    params: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    *,
    estimators: Mapping[str, Estimators] | Sequence[Estimators],
    rng: np.random.Generator,
    rows: int | None = None,
    samples: int = 1,
    repeats: int = 200,
    warm_up: int = 20,
    exact_limit: int = 100_000,
) -> Audit:
    r"""Run each choice of estimators many times, and say what each is worth.

    The choices are ranked by variance times seconds (Glynn & Whitt 1992): of two
    unbiased estimators, that with the smaller product comes to a given precision in
    less time. One that declares a bias, or whose mean is further from the right
    gradient than chance explains, is marked.

    Every choice gets the same seeds. The expectation is exact where supports are
    finite, in loops too, and by a quadrature where draws outside of loops are normal;
    where neither holds, choices are measured against the first that declares no bias.
    Baselines with a state learn it in `warm_up` runs and then keep it.

    Parameters
    ----------
    graph : Graph
    params : dict of str to array
    inputs : dict of str to array, shape (rows, ...)
    estimators : dict of str to dict, or list of dict
        The choices, by a name of yours; each maps stochastic nodes to estimators. Those
        of a list are named "1", "2" and so on.
    rng : Generator
    rows, samples : int
        As in `estimate_gradient`, for each repeat.
    repeats : int
        Runs of each choice, at least 2.
    warm_up : int
        Runs before those, for the averages of baselines.
    exact_limit : int
        The largest number of rows to lay all outcomes out in.

    Returns
    -------
    Audit

    Raises
    ------
    InputError
        When there is no choice, or a number is out of its range.

    References
    ----------
    Glynn & Whitt 1992, "The asymptotic efficiency of simulation estimators".

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> found = audit(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=4, repeats=100,
    ...     estimators={
    ...         "plain": {"b": scg.ScoreFunction()},
    ...         "others": {"b": scg.ScoreFunction(baseline=scg.BatchMean())},
    ...     })
    >>> found.ranking, round(float(found.exact["theta"]), 12)
    (('others', 'plain'), 0.025)
    >>> found["plain"].nodes["b"].costs, found["plain"].bias
    (('loss',), '')
    """
    choices = _named(estimators)
    params = {name: np.asarray(value) for name, value in params.items()}
    setting = Setting(params, inputs, rows, samples, repeats, warm_up)
    runs = side_by_side(graph, choices, setting, rng)
    reading = _reading(runs.values())
    exact = exact_gradient(
        graph.store, params, inputs, reading=reading, limit=exact_limit
    )
    unbiased = [name for name, run in runs.items() if not _declared(run.program)]
    reference = unbiased[0] if unbiased and exact is None else None
    found = [
        _choice(graph, name, run, exact, None if name == reference else other)
        for other in [runs.get(reference or "")]
        for name, run in runs.items()
    ]
    found.sort(key=lambda c: (c.work_normalised_variance, c.seconds))
    return Audit(tuple(found), exact, reference, repeats)


def _named(
    estimators: Mapping[str, Estimators] | Sequence[Estimators],
) -> dict[str, Estimators]:
    if isinstance(estimators, Mapping):
        found = dict(estimators)
    else:
        found = {str(k): choice for k, choice in enumerate(estimators, 1)}
    if not found or not all(isinstance(c, Mapping) for c in found.values()):
        msg = (
            "estimators: expected choices, each a dict from the names of stochastic "
            f"nodes to estimators, such as [{{'b': scg.ScoreFunction()}}], got "
            f"{estimators!r}."
        )
        raise InputError(msg)
    return found


def _declared(program: Program) -> tuple[str, ...]:
    """Return the biases that estimators declare, of samples that count."""
    return tuple(b for i in program.scored for b in program.estimators[i].biases)


def _reading(runs: Any) -> dict[str, tuple[str, ...]]:
    """Return the value nodes that any choice reads, by stochastic node."""
    found: dict[str, tuple[str, ...]] = {}
    for run in runs:
        for name, estimator in run.estimators.items():
            found[name] = (*found.get(name, ()), *estimator.reads)
    return {name: tuple(dict.fromkeys(reads)) for name, reads in found.items()}


def _choice(
    graph: Graph,
    name: str,
    run: Runs,
    exact: Mapping[str, Any] | None,
    reference: Runs | None,
) -> ChoiceFigures:
    routes = Routes(graph.store, run.estimators)
    params, counted = {}, []
    for node in run.program.params:
        only_fitted = all(r.end in routes.readers for r in routes.routes(node))
        known = exact is not None and not only_fitted
        compared = reference is not None and not only_fitted
        right = followed(exact[node.name]) if known and exact else None
        other = reference.gradients[node.name] if compared and reference else None
        size = int(np.prod(node.event_shape, dtype=int))
        figures = gradient_figures(run.gradients[node.name], size, right, other)
        params[node.name] = figures
        counted += [] if only_fitted else [figures]
    total = counted[0] if len(counted) == 1 else combined(counted)
    nodes = _sites(run)
    seconds = float(np.median(run.seconds))
    return ChoiceFigures(name, params, total, nodes, float(run.costs.mean()), seconds)


def _sites(run: Runs) -> dict[str, SiteFigures]:
    program, found = run.program, {}
    for i, estimator in program.estimators.items():
        node = program.nodes[i]
        costs = program.influence.downstream_costs(node)
        live = i in program.scored or i in program.flow.pathwise
        moments = run.moments.get(node.name)
        known = [e for e in run.entropies[node.name] if e is not None]
        found[node.name] = SiteFigures(
            type(estimator).__name__,
            tuple(estimator.biases),
            tuple(costs) if live else (),
            None if moments is None else explained_variance(moments),
            float(np.mean(known)) if known else None,
        )
    return found
