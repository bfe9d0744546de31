"""Compare two choices of estimators on one model, run by run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scg.audit_report import aligned, number
from scg.gradient_figures import GradientFigures, gradient_figures
from scg.graph import Graph
from scg.side_by_side import Estimators, Runs, Setting, side_by_side

__all__ = ["Comparison", "Ratio", "compare"]

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of b to a, with the interval that holds it 95 times of 100."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        low, high = number(self.low), number(self.high)
        return f"{number(self.value)}  [{low}, {high}]"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold how choice b differs from choice a.

    Attributes
    ----------
    gradient : dict of str to GradientFigures
        Of the differences b - a of the gradients: their z tells whether the means
        differ, which for two unbiased choices they do not.
    cost, cost_error : float
        The mean difference b - a of the costs, and its standard error.
    variance : Ratio
        Of the variances of the whole gradient, with a jackknife interval.
    seconds : Ratio
        Of the times of one call: the median over pairs.
    repeats : int

    Examples
    --------
    >>> same = Ratio(1.0, 0.9, 1.1)
    >>> print(Comparison({}, 0.0, 0.0, same, same, 10))
    b to a           95 % interval
    variance     1  [0.9, 1.1]
    seconds      1  [0.9, 1.1]
    cost, b - a  0  ± 0
    """

    gradient: dict[str, GradientFigures]
    cost: float
    cost_error: float
    variance: Ratio
    seconds: Ratio
    repeats: int

    @property
    def work(self) -> float:
        """The ratio of variance times seconds: below 1, b is the better one."""
        return self.variance.value * self.seconds.value

    def __str__(self) -> str:
        rows = [
            ("b to a", "    95 % interval"),
            ("variance", str(self.variance)),
            ("seconds", str(self.seconds)),
            ("cost, b - a", f"{number(self.cost)}  ± {number(self.cost_error)}"),
        ]
        rows += [
            (f"gradient of {name}", f"max |z| of b - a: {number(figures.max_z)}")
            for name, figures in self.gradient.items()
        ]
        return aligned(rows)


def compare(  # noqa: PLR0913 - what a run depends on, by keyword
    graph: Graph,
    params: Mapping[str, Any],
    a: Estimators,
    b: Estimators,
    inputs: Mapping[str, Any] | None = None,
    *,
    rng: np.random.Generator,
    rows: int | None = None,
    samples: int = 1,
    repeats: int = 200,
    warm_up: int = 20,
) -> Comparison:
    r"""Run two choices of estimators on the same random numbers, in turn.

    A sample's draws do not depend on the estimators of other samples, so that what is
    alike in the two runs of a pair cancels in their difference. The interval of the
    variance's ratio is that of the jackknife over pairs, on the ratio's logarithm; that
    of the time's ratio is made of order statistics.

    Parameters
    ----------
    graph : Graph
    params : dict of str to array
    a, b : dict of str to AbstractEstimator
    inputs, rng, rows, samples
        As in `estimate_gradient`, for each run.
    repeats : int
        The number of pairs, at least 2.
    warm_up : int
        Pairs before those, for the averages of baselines.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        When a number is out of its range.

    References
    ----------
    Efron & Stein 1981, "The jackknife estimate of variance".

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> found = compare(
    ...     graph, {"theta": 0.0}, {"b": scg.ScoreFunction()},
    ...     {"b": scg.ScoreFunction(baseline=scg.BatchMean())},
    ...     rng=np.random.default_rng(0), rows=4)
    >>> found.variance.high < 0.1, found.cost
    (True, 0.0)
    """
    params = {name: np.asarray(value) for name, value in params.items()}
    setting = Setting(params, inputs, rows, samples, repeats, warm_up)
    runs = side_by_side(graph, {"a": a, "b": b}, setting, rng)
    one, two = runs["a"], runs["b"]
    sizes = {n.name: math.prod(n.event_shape) for n in one.program.params}
    gradient = {
        name: gradient_figures(two.gradients[name] - g, sizes[name], np.zeros(()))
        for name, g in one.gradients.items()
    }
    cost = two.costs - one.costs
    return Comparison(
        gradient,
        float(cost.mean()),
        float(cost.std(ddof=1)) / math.sqrt(repeats),
        _jackknife(_distances(one, sizes), _distances(two, sizes)),
        _median(two.seconds / one.seconds),
        repeats,
    )


def _distances(runs: Runs, sizes: Mapping[str, int]) -> NDArray[np.float64]:
    """Return the squared distance of each run's gradient from their mean."""
    total = np.zeros(len(runs.costs))
    for name, estimates in runs.gradients.items():
        away = np.asarray(estimates - estimates.mean(axis=0), np.float64)
        least = 64 * np.finfo(estimates.dtype).eps * np.abs(estimates).max(initial=0)
        away[np.abs(away) <= least] = 0.0
        total += (away**2).sum(axis=1) * sizes[name] / max(away.shape[1], 1)
    return total


def _jackknife(one: NDArray[np.float64], two: NDArray[np.float64]) -> Ratio:
    """Return the ratio of two variances, from the distances of paired runs."""
    if not one.sum() > 0:
        value = math.inf if two.sum() > 0 else math.nan
        return Ratio(value, value, value)
    if not two.sum() > 0:
        return Ratio(0.0, 0.0, 0.0)
    count = len(one)
    # Without run i the sum of squares about the mean is less by n / (n - 1) d_i.
    left = [d.sum() - count / (count - 1) * d for d in (one, two)]
    value = math.log(two.sum() / one.sum())
    if min(part.min() for part in left) <= 0:
        return Ratio(math.exp(value), 0.0, math.inf)
    logs = np.log(left[1] / left[0])
    spread = math.sqrt((count - 1) / count * float(((logs - logs.mean()) ** 2).sum()))
    low, high = (math.exp(value + sign * _Z95 * spread) for sign in (-1, 1))
    return Ratio(math.exp(value), low, high)


def _median(ratios: NDArray[np.float64]) -> Ratio:
    """Return a median, with the order statistics that hold it 95 times of 100."""
    ordered, count = np.sort(ratios), len(ratios)
    reach = _Z95 * math.sqrt(count) / 2
    low = max(int(count / 2 - reach), 0)
    high = min(math.ceil(count / 2 + reach), count - 1)
    return Ratio(float(np.median(ordered)), float(ordered[low]), float(ordered[high]))
