"""Coefficients of control variates that a value node holds: trained on the variance."""

import numpy as np
import pytest

import scg
from scg.streams import Streams

START = np.array([0.4, -0.8, 0.1])
TARGET = np.array([0.3, 0.7, -0.2])


def bits(theta):
    return scg.Bernoulli(logits=theta)


def one_hot(theta):
    return scg.OneHotCategorical(logits=theta)


def loss_of(b):
    """Return a cost of the three entries of b, which is no sum of functions of each."""
    return (b @ TARGET - 0.3) ** 2 + 0.8 * b[:, 0] * b[:, 2] + 2.0


CASES = {
    "RELAX of bits": (scg.RELAX(coefficient="eta"), bits, 4),
    "RELAX of categories": (scg.RELAX(coefficient="eta"), one_hot, 4),
    "RELAX with a function": (
        scg.RELAX(lambda x: [x[:, 0] * x[:, 1]], coefficient="eta"), bits, 1
    ),
    "REBAR of bits": (scg.REBAR(coefficient="eta"), bits, 1),
    "REBAR of categories": (scg.REBAR(coefficient="eta"), one_hot, 1),
    "MuProp of bits": (scg.MuProp(coefficient="eta"), bits, 1),
}  # fmt: skip
EACH = pytest.mark.parametrize("name", CASES)


def model(family, count, rows, *, by_row=True):
    """Write a graph whose rows have logits of their own, and coefficients."""
    graph = scg.Graph()
    row, x = graph.input("row", dtype=np.int64), graph.input("x")
    theta = graph.param("theta", np.tile(START, (rows, 1)))[row]
    slope = graph.param("slope", np.linspace(0.2, 0.6, count))
    eta = x[:, None] * slope + 0.3 if by_row else slope
    graph.value("eta", eta)
    b = graph.sample("b", family(theta))
    graph.cost("loss", loss_of(b))
    x = np.random.default_rng(3).normal(size=rows)
    return graph, {"row": np.arange(rows), "x": x}


def estimate(graph, inputs, params, estimator, seed=0, **options):
    rng = np.random.default_rng(seed)
    step = scg.compile(graph, {"b": estimator})
    return step(params, inputs, rng=rng, **options).gradient


def mean_squared_length(gradient):
    """Return the mean over rows of half the squared length of a row's estimate."""
    each = len(gradient["theta"]) * gradient["theta"]
    return 0.5 * np.mean(np.sum(each**2, axis=1))


@EACH
@pytest.mark.parametrize("by_row", [True, False])
def test_what_trains_a_coefficient_is_the_slope_of_the_squared_length(name, by_row):
    estimator, family, count = CASES[name]
    graph, inputs = model(family, count, 5, by_row=by_row)
    params = graph.init(np.random.default_rng(0))
    found = estimate(graph, inputs, params, estimator)["slope"]
    wanted = np.zeros(count)
    for m in range(count):
        sides = []
        for step in (1e-5, -1e-5):
            moved = {**params, "slope": params["slope"] + step * np.eye(count)[m]}
            gradient = estimate(graph, inputs, moved, estimator)
            sides.append(mean_squared_length(gradient))
        wanted[m] = (sides[0] - sides[1]) / 2e-5
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)
    assert np.abs(wanted).min() > 1e-4


@EACH
def test_a_coefficient_that_is_the_same_everywhere_may_be_a_number(name):
    estimator, family, count = CASES[name]
    graph, inputs = model(family, count, 4, by_row=False)
    params = graph.init(np.random.default_rng(0)) | {"slope": np.full(count, 0.7)}
    learned = estimate(graph, inputs, params, estimator)["theta"]
    functions = {}
    if isinstance(estimator, scg.RELAX):
        functions["functions"] = estimator.functions or scg.estimators.relax.entries
    number = type(estimator)(coefficient=0.7, **functions)
    graph = model(family, count, 4, by_row=False)[0]
    graph.cost("trains the value node", 0 * graph["slope"].sum())
    given = estimate(graph, inputs, params, number)["theta"]
    np.testing.assert_allclose(learned, given, rtol=1e-9)


def exact(family):
    """Return the gradient of the expected cost by the logits."""
    p = family(START)
    support = (np.eye(3) if family is one_hot else
               np.array(np.meshgrid(*[[0.0, 1.0]] * 3)).reshape(3, -1).T)  # fmt: skip
    log_p = np.array([np.sum(p.log_prob(b)) for b in support])
    scores = np.array([p.score(b)["logits"] for b in support])
    return (np.exp(log_p) * loss_of(support)) @ scores


def test_params_of_the_model_get_no_gradient_from_what_trains_a_coefficient(
    monkeypatch,
):
    # The same draws, whatever the number of nodes.
    state = Streams._state
    monkeypatch.setattr(Streams, "_state", lambda self, node: state(self, 0))
    found = []
    for shared in (True, False):
        graph, rng = scg.Graph(), np.random.default_rng(0)
        theta, own = graph.param("theta", START), graph.param("own", 0.5)
        x, hidden = graph.input("x", 3), np.tanh(START * 2)
        above = np.tanh(theta * 2) if shared else graph.constant(hidden)
        graph.value("eta", (own * x * above).sum(axis=-1))
        b = graph.sample("b", scg.Bernoulli(logits=np.tanh(theta * 2) * x))
        graph.cost("loss", loss_of(b))
        inputs = {"x": np.random.default_rng(1).normal(size=(6, 3))}
        params = graph.init(rng)
        found.append(estimate(graph, inputs, params, scg.REBAR(coefficient="eta")))
    np.testing.assert_allclose(found[0]["theta"], found[1]["theta"], rtol=1e-12)
    np.testing.assert_allclose(found[0]["own"], found[1]["own"], rtol=1e-12)
    assert abs(found[0]["own"]) > 1e-3


@pytest.mark.statistical
@EACH
def test_learned_coefficients_add_no_bias(name):
    rows = 40_000
    estimator, family, count = CASES[name]
    graph, inputs = model(family, count, rows)
    params = graph.init(np.random.default_rng(0))
    each = rows * estimate(graph, inputs, params, estimator)["theta"]
    error = each.std(axis=0, ddof=1) / np.sqrt(rows)
    z = np.abs(each.mean(axis=0) - exact(family)) / error
    assert z.max() < 5
    assert (np.abs(each.mean(axis=0) - 1.5 * exact(family)) / error).max() > 5


@EACH
def test_training_lowers_the_variance(name):
    rows = 500
    estimator, family, count = CASES[name]
    graph, inputs = model(family, count, rows, by_row=False)
    params = graph.init(np.random.default_rng(0)) | {"slope": np.zeros(count)}
    optimizer = scg.adam(0.03)
    state = optimizer.init({"slope": params["slope"]})

    def away():
        gradient = estimate(graph, inputs, params, estimator, seed=99)
        return (rows * gradient["theta"]).var(axis=0).sum()

    before = away()
    for step in range(120):
        gradient = estimate(graph, inputs, params, estimator, seed=step)
        gradient = {"slope": gradient["slope"]}
        slope, state = optimizer.update(gradient, state, {"slope": params["slope"]})
        params = params | slope
    assert away() < (0.7 if name == "RELAX with a function" else 0.03) * before


@pytest.mark.statistical
def test_coefficients_may_depend_on_branches_above():
    """Three samples, one below the other: the coefficients read what is above."""
    rows = 20_000
    graph = scg.Graph()
    row = graph.input("row", dtype=np.int64)
    up = graph.param("up", np.full(rows, 0.3))[row]
    theta = graph.param("theta", np.tile(START, (rows, 1)))[row]
    a = graph.sample("a", scg.Bernoulli(logits=up))
    graph.value("eta", np.stack([a, 1 - a, 0.5 * a, 0.1 + a], axis=1))
    b = graph.sample("b", scg.Bernoulli(logits=theta + a[:, None]))
    graph.cost("loss", loss_of(b) * (1 + a))
    found = scg.estimate_gradient(
        graph,
        graph.init(np.random.default_rng(0)),
        {"row": np.arange(rows)},
        estimators={"a": scg.Enumeration(), "b": scg.RELAX(coefficient="eta")},
        rng=np.random.default_rng(0),
    ).gradient
    wanted = scg.estimate_gradient(
        graph,
        graph.init(np.random.default_rng(0)),
        {"row": np.arange(rows)},
        estimators={"a": scg.Enumeration(), "b": scg.Enumeration()},
        rng=np.random.default_rng(0),
    ).gradient
    for name, g in found.items():
        apart = rows * (g - wanted[name])
        error = apart.std(axis=0, ddof=1) / np.sqrt(rows)
        assert np.all(np.abs(apart.mean(axis=0)) < 5 * error)


def small(eta, estimator, *, above=None):
    graph = scg.Graph()
    theta = graph.param("theta", START)
    x = graph.input("x", 3)
    other = graph.sample("other", scg.Bernoulli(logits=theta.sum()))
    b = graph.sample("b", scg.Bernoulli(logits=theta * x))
    graph.value("eta", eta(x, b, other))
    graph.cost("loss", loss_of(b) + other)
    scg.estimate_gradient(
        graph,
        graph.init(np.random.default_rng(0)),
        {"x": np.ones((2, 3))},
        estimators={"b": estimator} | ({"other": above} if above else {}),
        rng=np.random.default_rng(0),
    )


def test_coefficients_must_be_as_many_as_functions():
    with pytest.raises(scg.EstimatorError, match=r"RELAX expected .* shape \(4,\).*3"):
        small(lambda x, b, other: x, scg.RELAX(coefficient="eta"))
    with pytest.raises(scg.EstimatorError, match=r"REBAR expected .* shape \(1,\)"):
        small(lambda x, b, other: x, scg.REBAR(coefficient="eta"))


def test_coefficients_may_not_look_at_the_draw():
    with pytest.raises(scg.BaselineError, match="would bias"):
        small(lambda x, b, other: b.sum(axis=-1), scg.REBAR(coefficient="eta"))


def test_coefficients_may_not_differ_between_branches_of_another_sample():
    with pytest.raises(scg.EstimatorError, match=r"branches of \['other'\]"):
        small(
            lambda x, b, other: other,
            scg.REBAR(coefficient="eta"),
            above=scg.DisARM(),
        )


def test_a_baseline_is_one_number_a_row():
    learned = scg.ScoreFunction(baseline=scg.LearnedBaseline("eta"))
    with pytest.raises(scg.BaselineError, match=r"one number a row, got 'eta'"):
        small(lambda x, b, other: x, learned)
