"""Exact variances of the estimators on two toys, against their closed forms.

The engine is run at each outcome, or at each node of a Gauss-Hermite quadrature; the
squares of these gradients are polynomials of degree 8, for which 9 nodes are exact.
"""

import itertools

import numpy as np
import pytest

import scg

COINS = [
    (0.45, 0.5, 0.025, 1.593906e-2, 0.0, 6.25e-4),
    (0.45, 0.3, 0.021, 1.559381e-2, 3.360e-4, 6.090e-4),
]
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
SHIFTS = [0.0, 0.75, -1.5]


def moments(values, weights):
    """Return the mean and the variance of a weighted list."""
    mean = np.sum(np.multiply(weights, values))
    return mean, np.sum(weights * (np.array(values) - mean) ** 2)


def coin(t, p, baseline, samples=1, constant=0.0):
    """Return the exact mean and variance of one estimate of the Bernoulli toy."""
    graph = scg.Graph()
    theta = graph.param("theta", np.log(p / (1 - p)))
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", (b - t) ** 2)
    step = scg.compile(graph, {"b": scg.ScoreFunction(baseline=baseline)})
    outcomes = list(itertools.product([0.0, 1.0], repeat=samples))
    gradients = [
        step(
            graph.init(np.random.default_rng(0)),
            rng=np.random.default_rng(0),
            samples=samples,
            given={"b": np.array(outcome)},
            state=past(constant, "b"),
        ).gradient["theta"]
        for outcome in outcomes
    ]
    return moments(
        gradients, [np.prod([p if b else 1 - p for b in o]) for o in outcomes]
    )


def past(mean, name):
    """Return the state of a moving average that has seen `mean` alone."""
    return {f"{name}/mean": np.array(mean), f"{name}/weight": np.array(1.0)}


@pytest.mark.parametrize(("t", "p", "gradient", "plain", "mean", "others"), COINS)
def test_the_bernoulli_table_holds(t, p, gradient, plain, mean, others):
    expected_cost = p * (1 - t) ** 2 + (1 - p) * t**2
    estimates = {
        plain: coin(t, p, scg.NoBaseline()),
        mean: coin(t, p, scg.MovingAverage(), constant=expected_cost),
        others: coin(t, p, scg.LeaveOneOut(), samples=2),
    }
    for variance, (found_mean, found) in estimates.items():
        assert found_mean == pytest.approx(gradient, abs=1e-12)
        assert found == pytest.approx(variance, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("t", "p", "gradient", "plain", "mean", "others"), COINS)
def test_the_bernoulli_table_tells_estimators_apart(
    t, p, gradient, plain, mean, others
):
    near = p * (1 - t) ** 2 + (1 - p) * t**2 + 0.01
    found_mean, found = coin(t, p, scg.MovingAverage(), constant=near)
    assert found_mean == pytest.approx(gradient, abs=1e-12)
    assert found != pytest.approx(mean, rel=1e-3, abs=1e-8)
    assert coin(t, p, scg.NoBaseline(), samples=2)[1] == pytest.approx(plain / 2)
    assert coin(t, p, scg.NoBaseline(), samples=2)[1] != pytest.approx(others, rel=0.1)


def bell(a, monkeypatch, *, pathwise=False, constant=0.0, offset=0.0):
    """Return mean and variance of both gradients of E (x - k)², x ~ N(1, 1).

    `offset` shifts where the quadrature puts its nodes: a wrong answer.
    """
    graph = scg.Graph()
    mu, sigma = graph.param("mu", 1.0), graph.param("sigma", 1.0)
    x = graph.sample("x", scg.Normal(mean=mu, scale=sigma))
    graph.cost("loss", (x - (1 - a)) ** 2)
    score = scg.ScoreFunction(baseline=scg.MovingAverage())
    step = scg.compile(graph, {"x": scg.Pathwise() if pathwise else score})
    found = {"mu": [], "sigma": []}
    for noise in NODES + offset:
        monkeypatch.setattr(
            scg.Normal, "noise", lambda self, rng, shape, e=noise: np.full(shape, e)
        )
        gradient = step(
            graph.init(np.random.default_rng(0)),
            rng=np.random.default_rng(0),
            given={} if pathwise else {"x": [1 + noise]},
            state=past(constant, "x"),
        ).gradient
        for name, values in found.items():
            values.append(gradient[name])
    return {name: moments(values, WEIGHTS) for name, values in found.items()}


def assert_moments(found, mean, variance):
    assert found[0] == pytest.approx(mean, rel=1e-10, abs=1e-10)
    assert found[1] == pytest.approx(variance, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("a", SHIFTS)
def test_the_gaussian_table_holds_for_the_mean(a, monkeypatch):
    rows = {
        0.0: a**4 + 14 * a**2 + 15,
        a**2 + 1: 8 * a**2 + 10,  # the mean cost
        a**2 + 3: 8 * a**2 + 6,  # E c s² / E s², the best constant
    }
    for constant, variance in rows.items():
        found = bell(a, monkeypatch, constant=constant)
        assert_moments(found["mu"], 2 * a, variance)
    assert_moments(bell(a, monkeypatch, pathwise=True)["mu"], 2 * a, 4)


@pytest.mark.parametrize("a", SHIFTS)
def test_the_gaussian_table_holds_for_the_scale(a, monkeypatch):
    variance = 2 * a**4 + 60 * a**2 + 74
    assert_moments(bell(a, monkeypatch)["sigma"], 2, variance)
    found = bell(a, monkeypatch, pathwise=True)
    assert_moments(found["sigma"], 2, 4 * a**2 + 8)


@pytest.mark.parametrize("a", SHIFTS)
def test_no_constant_beats_the_best_baseline(a, monkeypatch):
    best = bell(a, monkeypatch, constant=a**2 + 3)["mu"]
    for constant in (a**2 + 2.9, a**2 + 3.1):
        near = bell(a, monkeypatch, constant=constant)["mu"]
        assert near[0] == pytest.approx(best[0], abs=1e-10)
        assert near[1] > best[1] + 1e-3


@pytest.mark.parametrize("pathwise", [False, True])
def test_the_gaussian_table_refuses_wrong_nodes(pathwise, monkeypatch):
    found = bell(0.75, monkeypatch, pathwise=pathwise, offset=0.01)
    variance = 4 if pathwise else 0.75**4 + 14 * 0.75**2 + 15
    with pytest.raises(AssertionError):
        assert_moments(found["mu"], 1.5, variance)
