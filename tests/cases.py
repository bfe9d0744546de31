"""The matrix of estimators and baselines that the exact proofs go through."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import scg


@dataclass(frozen=True)
class Case:
    """How one sample is estimated, given a source of choices and whether it loops.

    `copies` runs of the model share one outcome: as `rows`, or as `samples`.
    """

    choose: Callable
    copies: int = 1
    as_rows: bool = False
    learns: bool = False
    averages: bool = False
    branches: bool = False

    def wants(self, chosen):
        """Tell whether a choice tries what the case is for."""
        return not self.branches or any(
            getattr(e, "samples", 1) > 1 for e in chosen.values()
        )


def score(**options):
    return lambda rng, name, inside: scg.ScoreFunction(**options)


def enumerated(rng, name, inside):
    return scg.ScoreFunction() if inside else scg.Enumeration()


def branched(rng, name, inside):
    """Branch some samples, in others' branches too."""
    if inside or rng.uniform() < 0.2:
        return scg.ScoreFunction()
    if rng.uniform() < 0.3:
        return scg.Enumeration()
    return scg.ScoreFunction(baseline=scg.LeaveOneOut(), samples=2)


def learned(rng, name, inside):
    value = "v loop" if inside else f"v {name}"
    return scg.ScoreFunction(baseline=scg.LearnedBaseline(value, weight=0.7))


def mixed(rng, name, inside):
    """Give each sample another estimator, over two rows."""
    kind = 0 if inside else rng.integers(3)
    if kind == 0:
        baseline = scg.BatchMean() if rng.uniform() < 0.5 else scg.MovingAverage()
        return scg.ScoreFunction(baseline=baseline)
    if kind == 1:
        return scg.ScoreFunction(baseline=scg.BatchMean(), samples=2)
    return scg.Enumeration()


CASES = {
    "score function": Case(score()),
    "moving average": Case(score(baseline=scg.MovingAverage()), averages=True),
    "batch mean": Case(score(baseline=scg.BatchMean()), copies=2, as_rows=True),
    "leave one out over samples": Case(score(baseline=scg.LeaveOneOut()), copies=2),
    "leave one out over branches": Case(branched, branches=True),
    "learned value": Case(learned, learns=True),
    "enumeration": Case(enumerated),
    "mixture": Case(mixed, copies=2, as_rows=True, averages=True),
}


def choices(case, drawn, seed):
    """Return the estimators of a model's samples."""
    rng = np.random.default_rng(seed)
    return {d.name: case.choose(rng, d.name, d.inside) for d in drawn}
