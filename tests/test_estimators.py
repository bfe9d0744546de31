"""Every estimator, on every family it knows, in every graph: the matrix."""

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest
from estimator_cases import BIASED, EVERY, UNBIASED
from estimator_matrix import FAMILIES, GRAPHS, exact, single_estimates

import scg
from scg.estimators import AbstractEstimator
from scg.estimators.coupled import given_draw
from scg.slopes import all_scores
from scg.streams import Streams

ROWS = 20_000


def matrix(estimators, graphs=GRAPHS):
    return [
        pytest.param(graph, family, estimator, id=f"{name}-{family}-{graph}")
        for name, (estimator, families) in estimators.items()
        for family in families
        for graph in graphs
    ]


def largest_z(graph, family, estimator, rows=ROWS):
    """Return how many standard errors the mean estimate is from the exact gradient."""
    found, _ = single_estimates(graph, family, {"x": estimator}, rows)
    wanted, largest = exact(graph, family), 0.0
    for name, g in found.items():
        error = g.std(axis=0, ddof=1) / np.sqrt(rows)
        gap = np.abs(g.mean(axis=0) - wanted[name])
        largest = max(largest, np.max(gap / np.maximum(error, 1e-9)))
    return largest


@pytest.mark.statistical
@pytest.mark.parametrize(("graph", "family", "estimator"), matrix(UNBIASED))
def test_the_mean_estimate_is_the_exact_gradient(graph, family, estimator):
    assert largest_z(graph, family, estimator) < 5


@dataclass(frozen=True)
class Scaled(AbstractEstimator):
    """An estimator whose adjoints are too long by half."""

    right: Any
    biases: ClassVar = ()
    reads: ClassVar = ()
    lays_out: ClassVar = True

    @property
    def families(self):
        return self.right.families

    @property
    def looks_down(self):
        return self.right.looks_down

    @property
    def pathwise(self):
        return self.right.pathwise

    def branches(self, distribution, event_shape):
        return self.right.branches(distribution, event_shape)

    def draw(self, distribution, shape, rng):
        return self.right.draw(distribution, shape, rng)

    def adjoints(self, site):
        return {k: 1.5 * g for k, g in self.right.adjoints(site).items()}


@pytest.mark.statistical
@pytest.mark.parametrize("name", UNBIASED)
def test_an_estimate_that_is_too_long_is_refused(name):
    estimator, families = UNBIASED[name]
    assert largest_z("single", families[0], Scaled(estimator)) > 5


@pytest.mark.statistical
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("family", ["bernoulli", "one hot"])
@pytest.mark.parametrize("name", BIASED)
def test_a_declared_bias_is_there(name, family, graph):
    estimator, _ = BIASED[name]
    assert estimator.biases
    optional = type(estimator) is scg.ImportanceSampling
    assert estimator.unbiased == optional  # a class says what it is without options
    assert largest_z(graph, family, estimator) > 5


@pytest.mark.statistical
@pytest.mark.parametrize("drop", ["v", "slope", "score"])
def test_rebar_without_one_of_its_terms_is_refused(drop, monkeypatch):
    if drop == "v":  # the conditional noise held constant
        monkeypatch.setattr(
            "scg.estimators.rebar.given_draw",
            lambda d, v, b: (
                d.logits + scg.stop_gradient(given_draw(d, v, b) - d.logits)
            ),
        )
    elif drop == "slope":  # what comes up from samples below left out
        monkeypatch.setattr("scg.slopes.all_scores", lambda *_: ({}, []))
        monkeypatch.setattr("scg.surrogate.all_scores", all_scores)
    else:  # that of the smooth cost left out
        kept = itertools.cycle([1, 0])
        monkeypatch.setattr(
            "scg.estimators.rebar.scaled_score",
            lambda d, b, f: {"logits": next(kept) * f * (b - scg.sigmoid(d.logits))},
        )
    estimator = scg.REBAR(coefficient=1.0)
    assert largest_z("chain", "bernoulli", estimator, 200_000) > 5


TOGETHER = [
    (scg.REBAR(), scg.REBAR(), scg.REBAR()),
    (scg.MuProp(), scg.REBAR(), scg.MuProp()),
    (scg.ARM(), scg.DisARM(), scg.ARM()),
    (scg.DisARM(), scg.MuProp(), scg.Enumeration()),
    (scg.MeasureValued(), scg.UnorderedSet(samples=2), scg.DisARM()),
    (scg.RELAX(), scg.MeasureValued(), scg.RELAX()),
    (scg.UnorderedSet(samples=1), scg.ARM(), scg.REBAR()),
    (
        scg.ScoreFunction(baseline=scg.LeaveOneOut(), samples=2),
        scg.REBAR(),
        scg.ScoreFunction(baseline=scg.LeaveOneOut(), samples=2),
    ),
    (
        scg.ScoreFunction(baseline=scg.OptimalConstant()),
        scg.DisARM(),
        scg.ScoreFunction(baseline=scg.BatchMean()),
    ),
]


@pytest.mark.statistical
@pytest.mark.parametrize("several", TOGETHER, ids=range(len(TOGETHER)))
def test_estimators_above_and_below_each_other_are_unbiased(several):
    estimators = dict(zip("axd", several, strict=True))
    found, _ = single_estimates("chain", "bernoulli", estimators, ROWS)
    for name, wanted in exact("chain", "bernoulli").items():
        g = found[name]
        assert abs(g.mean() - wanted) < 5 * g.std(ddof=1) / np.sqrt(ROWS)


@pytest.mark.parametrize("name", EVERY)
def test_an_estimate_is_repeated_by_its_seed_and_does_not_depend_on_names(name):
    estimator, families = EVERY[name]
    for family in families:
        first, _ = single_estimates("chain", family, {"x": estimator}, 8)
        again, _ = single_estimates("chain", family, {"x": estimator}, 8)
        other, _ = single_estimates("chain", family, {"x": estimator}, 8, seed=1)
        renamed, _ = single_estimates(
            "chain", family, {"x": estimator}, 8, prefix="another "
        )
        for key, g in first.items():
            np.testing.assert_array_equal(g, again[key])
            np.testing.assert_array_equal(g, renamed[key])
        assert any((g != other[key]).any() for key, g in first.items())


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes_are_those_of_the_params(name, dtype):
    estimator, families = EVERY[name]
    for family in families:
        found, estimate = single_estimates(
            "chain", family, {"x": estimator}, 4, dtype=dtype
        )
        for key, value in FAMILIES[family].params.items():
            assert found[key].shape == (4, *np.shape(value))
        for g in estimate.gradient.values():
            assert g.dtype == dtype
        if "categorical" in family:  # a whole number times a float is of float64
            continue
        for value in estimate.trace.values:
            if value is not None and value.dtype.kind == "f":
                assert value.dtype == dtype


@pytest.mark.parametrize("name", EVERY)
def test_params_without_rows_have_the_summed_gradient(name, monkeypatch):
    """A table of equal params for each row, or one set of params: the same draws."""
    state = Streams._state
    monkeypatch.setattr(Streams, "_state", lambda self, node: state(self, 0))
    estimator, families = EVERY[name]
    for family in families:
        kind, graph = FAMILIES[family], scg.Graph()
        params = {k: graph.param(k, v) for k, v in kind.params.items()}
        x = kind.number(np, graph.sample("x", kind.make(*params.values())))
        graph.cost("loss", (np.tanh(x) - 0.3) ** 2)
        tabled = scg.Graph()
        row = tabled.input("row", dtype=np.int64)
        tables = {
            k: tabled.param(k, np.tile(v, (6, *(1,) * np.ndim(v))))[row]
            for k, v in kind.params.items()
        }
        x = kind.number(np, tabled.sample("x", kind.make(*tables.values())))
        tabled.cost("loss", (np.tanh(x) - 0.3) ** 2)
        one, each = (
            scg.estimate_gradient(
                model,
                model.init(np.random.default_rng(0)),
                inputs,
                estimators={"x": estimator},
                rng=np.random.default_rng(0),
                rows=6,
            ).gradient
            for model, inputs in [(graph, {}), (tabled, {"row": np.arange(6)})]
        )
        for key, g in one.items():
            np.testing.assert_allclose(each[key].sum(axis=0), g, rtol=1e-9, atol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("name", UNBIASED)
def test_several_runs_of_each_row_are_averaged(name):
    estimator, families = UNBIASED[name]

    def step(model, estimators):
        return partial(scg.compile(model, estimators), samples=3)

    found, _ = single_estimates("chain", families[0], {"x": estimator}, ROWS, step=step)
    for key, wanted in exact("chain", families[0]).items():
        error = found[key].std(axis=0, ddof=1) / np.sqrt(ROWS)
        assert np.all(np.abs(found[key].mean(axis=0) - wanted) < 5 * error)
