"""Baselines that look at scores or at past runs; coefficients that are fitted."""

import numpy as np
import pytest
from estimator_matrix import single_estimates

import scg
from scg.baselines import BaselineInputs
from scg.estimators import Site
from scg.estimators.control import controlled


def normal(rows, baseline):
    """Return single estimates of ∂μ of E (x - 0.25)², x ~ N(1, 1)."""
    graph = scg.Graph()
    row = graph.input("row", dtype=np.int64)
    mu = graph.param("mu", np.ones(rows))[row]
    x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    graph.cost("loss", (x - 0.25) ** 2)
    estimate = scg.estimate_gradient(
        graph,
        {"mu": np.ones(rows)},
        {"row": np.arange(rows)},
        estimators={"x": scg.ScoreFunction(baseline=baseline)},
        rng=np.random.default_rng(0),
    )
    return rows * estimate.gradient["mu"]


def z_of_variance(g, wanted):
    squares = (g - g.mean()) ** 2
    return abs(squares.mean() - wanted) / (squares.std() / np.sqrt(len(g)))


@pytest.mark.statistical
def test_the_optimal_constant_has_the_variance_of_the_table():
    a = 0.75
    g = normal(400_000, scg.OptimalConstant())
    assert abs(g.mean() - 2 * a) < 5 * g.std() / np.sqrt(len(g))
    assert z_of_variance(g, 8 * a**2 + 6) < 5
    assert z_of_variance(g, 8 * a**2 + 10) > 5  # that of the mean cost
    assert z_of_variance(normal(400_000, scg.BatchMean()), 8 * a**2 + 10) < 5


def test_the_optimal_constant_of_a_row_does_not_look_at_it():
    rng = np.random.default_rng(0)
    costs, squares = rng.normal(size=(2, 5, 3))
    inputs = BaselineInputs(costs, 1, 0, None, {}, "b", squares**2)
    b, _ = scg.OptimalConstant()(inputs)
    moved = costs.copy()
    moved[2] += 10
    again, _ = scg.OptimalConstant()(
        BaselineInputs(moved, 1, 0, None, {}, "b", squares**2)
    )
    np.testing.assert_allclose(again[2], b[2])
    assert (again[[0, 1, 3, 4]] != b[[0, 1, 3, 4]]).all()


def test_the_optimal_constant_needs_another_row():
    with pytest.raises(scg.BaselineError, match="OptimalConstant expected at least 2"):
        normal(1, scg.OptimalConstant())


def test_in_a_loop_each_step_has_its_optimal_constant():
    graph = scg.Graph()
    theta = graph.param("theta", np.array([0.3, -0.2]))

    def step(h):
        b = graph.sample("b", scg.Bernoulli(logits=theta * 1.0))
        graph.cost("loss", h * b[:, 0] + b[:, 1])
        return h + 1

    graph.scan(step, init=1.0, length=3)
    bits = np.random.default_rng(1).integers(2, size=(3, 4, 2)).astype(float)
    estimate = scg.estimate_gradient(
        graph,
        {"theta": np.array([0.3, -0.2])},
        estimators={"b": scg.ScoreFunction(baseline=scg.OptimalConstant())},
        rng=np.random.default_rng(0),
        rows=4,
        given={"b": bits},
    )
    s = bits - scg.sigmoid(np.array([0.3, -0.2]))
    w = (s**2).sum(axis=2)
    q = np.array([1.0, 2.0, 3.0])[:, None] * bits[..., 0] + bits[..., 1]
    b = ((w * q).sum(1, keepdims=True) - w * q) / (w.sum(1, keepdims=True) - w)
    wanted = (s * (q - b)[..., None]).sum(axis=(0, 1)) / 4
    np.testing.assert_allclose(estimate.gradient["theta"], wanted)


# A learned baseline, centred and normalised


def nvil(costs, state, **options):
    v = np.full_like(costs, 1.0)
    baseline = scg.LearnedBaseline("v", decay=0.5, **options)
    return baseline(BaselineInputs(costs, None, 0, v, state, "b"))


def test_what_the_value_leaves_is_centred_by_past_runs_alone():
    b, state = nvil(np.array([4.0, 6.0]), {}, centre=True)
    assert b.tolist() == [1, 1]
    b, _ = nvil(np.array([100.0, 0.0]), state, centre=True)
    assert b.tolist() == [5, 5]  # the value, and the mean of 3 and 5


def test_what_is_left_is_divided_by_its_past_deviation_where_that_is_above_1():
    costs = np.array([4.0, 10.0])
    _, state = nvil(costs, {}, normalise=True)
    later = np.array([8.0, -1.0])
    b, _ = nvil(later, state, normalise=True)
    np.testing.assert_allclose(later - b, (later - 1) / 3)
    _, state = nvil(np.array([1.0, 1.2]), {}, centre=True, normalise=True)
    b, _ = nvil(later, state, centre=True, normalise=True)
    np.testing.assert_allclose(b, 1.1)


def test_normalising_is_declared_a_bias_and_centring_is_not():
    assert scg.LearnedBaseline("v", centre=True).biases == ()
    assert scg.LearnedBaseline("v", normalise=True).biases == ("normalised costs",)


def test_a_learned_baseline_refuses_a_decay_out_of_range():
    with pytest.raises(scg.BaselineError, match="decay"):
        scg.LearnedBaseline("v", decay=1.0)


@pytest.mark.statistical
def test_a_centred_baseline_adds_no_bias():
    rows, graph = 40_000, scg.Graph()
    row, v = graph.input("row", dtype=np.int64), graph.param("v", 0.2)
    theta = graph.param("theta", np.zeros(rows))[row]
    graph.value("value", v * np.cos(row))
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", (b - 0.45) ** 2 + 7)
    centred = scg.LearnedBaseline("value", centre=True)
    estimate = None
    for seed in range(2):
        estimate = scg.estimate_gradient(
            graph,
            graph.init(np.random.default_rng(0)),
            {"row": np.arange(rows)},
            estimators={"b": scg.ScoreFunction(baseline=centred)},
            rng=np.random.default_rng(seed),
            state=estimate.state if estimate else None,
        )
    g = rows * estimate.gradient["theta"]
    assert abs(g.mean() - 0.025) < 5 * g.std() / np.sqrt(rows)
    assert g.var() < 0.1  # without centring, 7²/4


# Coefficients


def site(read=None):
    return Site("x", None, None, 1.0, np.zeros(6), None, read=read)


def test_a_coefficient_is_that_of_the_other_half_of_the_rows():
    rng = np.random.default_rng(0)
    h = [{"t": rng.normal(size=(6, 2))} for _ in range(2)]
    a = {"t": 2 * h[0]["t"] - h[1]["t"]}
    a["t"][::2] *= 3  # even rows want others than odd ones
    found = controlled("X", site(), a, h, None)["t"]
    np.testing.assert_allclose(found[1::2], a["t"][1::2] * (1 - 3))
    np.testing.assert_allclose(found[::2], a["t"][::2] * (1 - 1 / 3))


def test_fitted_coefficients_need_two_rows():
    with pytest.raises(scg.EstimatorError, match="expected at least 2, got 1"):
        controlled("X", site(), {"t": np.ones(1)}, [{"t": np.ones(1)}], None)


@pytest.mark.parametrize(
    ("estimator", "times"),
    [(scg.REBAR(), 2), (scg.RELAX(), 3), (scg.MuProp(coefficient=None), 1.5)],
)
@pytest.mark.parametrize("family", ["bernoulli", "one hot"])
def test_control_variates_lower_the_variance(estimator, times, family):
    rows = 20_000
    spread = {
        e: single_estimates("single", family, {"x": e}, rows)[0]["t"].var(axis=0).sum()
        for e in (scg.ScoreFunction(), estimator)
    }
    assert times * spread[estimator] < spread[scg.ScoreFunction()]
