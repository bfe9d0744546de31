"""The exact proof refuses biased estimators: each check has one that it must refuse."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from cases import CASES, Case, branched, learned, score
from expectation import (
    TOLERANCE,
    XS,
    distance,
    error_at_once,
    expected_one_by_one,
)
from random_models import exact_gradient

import scg
from scg import credit
from scg.baselines import AbstractBaseline
from scg.estimators import AbstractEstimator
from scg.program import Program

SEEDS = range(15)


@dataclass(frozen=True)
class Biased(AbstractBaseline):
    """A baseline made of a function of what baselines look at."""

    of: object
    reads = ()
    biases = ()

    def __call__(self, inputs):
        return self.of(inputs), {}


def mean_of_all_rows(inputs):
    return inputs.cost.mean(axis=inputs.row_axis, keepdims=True)


def mean_of_all_draws(inputs):
    return inputs.cost.mean(axis=inputs.plate_axis, keepdims=True)


def average_that_holds_the_present_cost(inputs):
    return 0.9 * 0.7 + 0.1 * inputs.cost


def what_the_outcome_tells(inputs):
    return np.sin(inputs.cost)


def branched_with(baseline):
    def choose(rng, name, inside):
        right = branched(rng, name, inside)
        is_right = right == scg.ScoreFunction(baseline=scg.LeaveOneOut(), samples=2)
        return replace(right, baseline=baseline) if is_right else right

    return choose


@dataclass(frozen=True)
class Wrong(AbstractEstimator):
    """An estimator but for its weights or its adjoints."""

    right: AbstractEstimator
    needs: ClassVar = frozenset()
    reads = ()
    biases = ()
    even_weights: bool = False
    scale: float = 1.0

    @property
    def lays_out(self):
        return self.right.lays_out

    def branches(self, distribution, event_shape):
        return self.right.branches(distribution, event_shape)

    def draw(self, distribution, shape, rng):
        drawn = self.right.draw(distribution, shape, rng)
        return replace(drawn, weights=None) if self.even_weights else drawn

    def adjoints(self, site):
        return {k: self.scale * a for k, a in self.right.adjoints(site).items()}


def share_refused(case):
    """Return the share of the models on which the proof refuses a case."""
    return np.mean([not error_at_once(seed, case) < TOLERANCE for seed in SEEDS])


BIASED = {
    "batch mean with its own row": replace(
        CASES["batch mean"], choose=score(baseline=Biased(mean_of_all_rows))
    ),
    "leave one out with its own sample": replace(
        CASES["leave one out over samples"],
        choose=score(baseline=Biased(mean_of_all_draws)),
    ),
    "leave one out with its own branch": Case(
        branched_with(Biased(mean_of_all_draws)), branches=True
    ),
    "moving average of past and present": Case(
        score(baseline=Biased(average_that_holds_the_present_cost))
    ),
    "a baseline that reads the outcome": Case(
        score(baseline=Biased(what_the_outcome_tells))
    ),
    "a score that is too long": Case(lambda *_: Wrong(scg.ScoreFunction(), scale=1.01)),
    "enumeration with even weights": Case(
        lambda rng, name, inside: (
            scg.ScoreFunction()
            if inside
            else Wrong(scg.Enumeration(), even_weights=True)
        )
    ),
}


@pytest.mark.parametrize("name", BIASED)
def test_the_proof_refuses(name):
    assert share_refused(BIASED[name]) > 0.9


@pytest.mark.parametrize("name", ["score function", "enumeration", "mixture"])
def test_the_proof_refuses_credit_that_drops_a_cost(name, monkeypatch):
    whole = credit._credit

    def without_one(ahead, node, q, state):
        program, trace = ahead.program, ahead.trace
        found = program.influence.descendants(node.index)
        first = min(c.index for c in program.costs if c.index in found)
        value = trace.values[first]
        trace.values[first] = 0 * value
        q = credit.outer_sums(program, trace).get(node.index)
        found = whole(ahead, node, q, state)
        trace.values[first] = value
        return found

    monkeypatch.setattr(credit, "_credit", without_one)
    monkeypatch.setattr(Program, "alike", [])  # each sample by itself
    assert share_refused(CASES[name]) > 0.9


def test_the_proof_refuses_a_learned_value_that_reads_the_outcome(monkeypatch):
    case = Case(learned, learns=True)
    whole = credit._baseline

    def peeking(program, trace, node, baseline, q, state):
        b, after = whole(program, trace, node, baseline, q, state)
        value = trace.values[node.index]
        return b + value.reshape(*q.shape, -1).sum(axis=-1), after

    monkeypatch.setattr(credit, "_baseline", peeking)
    assert share_refused(case) > 0.9


def test_the_proof_refuses_a_pathwise_sample_that_is_cut(monkeypatch):
    case, options = Case(score()), {"continuous": True, "budget": 8}
    refused = []
    monkeypatch.setattr("scg.reverse.Reverse._draw", lambda *_, **__: None)
    for seed in SEEDS:
        found, noise = expected_one_by_one(seed, case, **options)
        exactly = exact_gradient(seed, XS[0], noise=noise, **options)
        refused.append(not distance(found, [exactly]) < TOLERANCE)
    assert np.mean(refused) > 0.9
