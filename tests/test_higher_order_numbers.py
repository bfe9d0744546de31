"""Derivatives known beforehand, and what the surrogate loss refuses."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from enumerated import derivative

import scg


def score(baseline=None, **options):
    return scg.ScoreFunction(baseline=baseline or scg.NoBaseline(), **options)


def coin(parameter, value):
    graph = scg.Graph()
    theta = graph.param("theta", value)
    b = graph.sample("b", scg.Bernoulli(**{parameter: theta}))
    graph.cost("loss", (b - 0.45) ** 2)
    return graph


def mean_second_derivative(losses, p, at):
    """Average the second derivatives of one loss for each outcome, 0 and 1."""
    return sum(
        q * grad(grad(loss))(at) for q, loss in zip([1 - p, p], losses, strict=True)
    )


def losses_of(graph, value, estimator, state=None):
    estimators = {"b": estimator}
    for outcome in (0.0, 1.0):
        trace = scg.forward(
            graph,
            {"theta": value},
            rng=np.random.default_rng(0),
            given={"b": [outcome]},
            estimators=estimators,
        )
        loss = scg.surrogate_loss(graph, trace, estimators, state=state)
        yield lambda theta, loss=loss: loss({"theta": theta})


@pytest.mark.parametrize("baseline", [None, scg.MovingAverage()])
@pytest.mark.parametrize(("parameter", "second"), [("logits", 0.0084), ("probs", 0.0)])
def test_the_second_derivative_of_the_toy(parameter, second, baseline):
    p = 0.3
    value = p if parameter == "probs" else np.log(p / (1 - p))
    state = {"b/mean": np.array(0.2), "b/weight": np.array(1.0)}
    losses = losses_of(coin(parameter, value), value, score(baseline), state)
    assert mean_second_derivative(losses, p, value) == pytest.approx(second, abs=1e-12)


def box(tau):
    return anp.exp(tau - scg.stop_gradient(tau))


def log_prob(theta, outcome):
    return anp.log(theta if outcome else 1 - theta)


def assert_a_baseline_adds_nothing(terms):
    assert mean_second_derivative(terms, 0.3, 0.3) == pytest.approx(0, abs=1e-9)


def test_a_baseline_adds_nothing_to_the_hessian():
    graph = coin("probs", 0.3)
    state = {"b/mean": np.array(1.0), "b/weight": np.array(1.0)}
    with_baseline = losses_of(graph, 0.3, score(scg.MovingAverage()), state)
    without = losses_of(graph, 0.3, score())
    terms = [
        lambda theta, f=f, g=g: f(theta) - g(theta)
        for f, g in zip(with_baseline, without, strict=True)
    ]
    slopes = [grad(term)(0.3) for term in terms]
    assert slopes == pytest.approx([1 / 0.7, -1 / 0.3], abs=1e-9)  # b = 1 it is
    assert_a_baseline_adds_nothing(terms)


def test_that_check_fails_on_the_shorter_form():
    terms = [
        lambda theta, b=b: box(log_prob(theta, b)) * (1 - box(log_prob(theta, b)))
        for b in (0, 1)
    ]
    slopes = [grad(term)(0.3) for term in terms]
    assert slopes == pytest.approx([1 / 0.7, -1 / 0.3], abs=1e-9)
    off = mean_second_derivative(terms, 0.3, 0.3)
    assert off == pytest.approx(-9.5238, abs=1e-4)
    with pytest.raises(AssertionError):
        assert_a_baseline_adds_nothing(terms)


def quadratic(k, estimator, value=False):
    """Build the cost (x − k)² of a normal x, weighed by an input for quadrature."""
    graph = scg.Graph()
    mu, sigma = graph.param("mu", 1.0), graph.param("sigma", 0.8)
    weight = graph.input("weight")
    if value:
        graph.value("v", 2.5 * weight)
    x = graph.sample("x", scg.Normal(mean=mu, scale=sigma))
    graph.cost("loss", weight * (x - k) ** 2)
    return graph, {"mu": 1.0, "sigma": 0.8}, {"x": estimator}


@pytest.mark.parametrize("baseline", [None, scg.LearnedBaseline("v")])
def test_the_hessian_of_a_gaussian_quadratic_by_quadrature(baseline):
    graph, params, estimators = quadratic(0.4, score(baseline), value=True)
    points, weights = np.polynomial.hermite_e.hermegauss(12)
    weights = weights / weights.sum()
    trace = scg.forward(
        graph,
        params,
        {"weight": weights * len(weights)},
        rng=np.random.default_rng(0),
        estimators=estimators,
        given={"x": 1.0 + 0.8 * points},
    )
    loss = scg.surrogate_loss(graph, trace, estimators)
    assert derivative(loss, params, 1) == pytest.approx([1.2, 1.6], abs=1e-9)
    assert np.allclose(derivative(loss, params, 2), 2 * np.eye(2), atol=1e-9)
    assert np.allclose(derivative(loss, params, 3), 0, atol=1e-8)


def test_a_pathwise_hessian_holds_the_noise():
    graph, params, estimators = quadratic(0.4, scg.Pathwise())
    inputs = {"weight": np.ones(5)}
    rng = np.random.default_rng(0)
    trace = scg.forward(graph, params, inputs, rng=rng, estimators=estimators)
    loss = scg.surrogate_loss(graph, trace, estimators)
    noise = trace.noise[graph["x"].index]
    expected = 2 * np.mean([[[1, e], [e, e * e]] for e in noise], axis=0)
    assert np.allclose(derivative(loss, params, 2), expected, atol=1e-12)


# What has no form for every order.


class OwnEstimator(scg.AbstractEstimator):
    """A score function that says nothing of higher orders."""

    reads = biases = ()
    branches = scg.ScoreFunction.branches
    draw = scg.ScoreFunction.draw
    adjoints = scg.ScoreFunction.adjoints
    samples = 1


@pytest.mark.parametrize(
    ("estimator", "word"),
    [
        (scg.ScoreFunction(standardise=True), "standardised"),
        (scg.ScoreFunction(critic=scg.GAE("v")), "critic"),
        (OwnEstimator(), "OwnEstimator"),
    ],
)
def test_what_has_no_form_for_every_order_is_refused(estimator, word):
    graph = coin("logits", 0.1)
    graph.value("v", graph["theta"] * graph.input("x"))
    estimators = {"b": estimator}
    inputs = {"x": np.ones(3)}
    rng = np.random.default_rng(0)
    trace = scg.forward(graph, {"theta": 0.1}, inputs, rng=rng)
    with pytest.raises(scg.EstimatorError, match=word):
        scg.surrogate_loss(graph, trace, estimators)


@pytest.mark.parametrize(
    "other", [scg.Enumeration(), score(samples=2), score(samples=3)]
)
def test_a_run_with_other_estimators_is_refused(other):
    graph = coin("logits", 0.1)
    rng = np.random.default_rng(0)
    run = {"b": score(samples=2)} if other != score(samples=2) else {}
    trace = scg.forward(graph, {"theta": 0.1}, rng=rng, estimators=run)
    with pytest.raises(scg.EstimatorError, match="'b'"):
        scg.surrogate_loss(graph, trace, {"b": other})


def test_a_run_of_another_graph_is_refused():
    rng = np.random.default_rng(0)
    trace = scg.forward(coin("logits", 0.1), {"theta": 0.1}, rng=rng)
    with pytest.raises(scg.EstimatorError, match="another"):
        scg.surrogate_loss(coin("logits", 0.1), trace)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"theta": 0.1, "phi": 1.0}, scg.UnknownNameError),
        ({}, scg.InputError),
        ({"theta": np.ones(2)}, scg.InputError),
    ],
)
def test_the_loss_takes_the_params_of_the_graph_only(params, error):
    graph = coin("logits", 0.1)
    trace = scg.forward(graph, {"theta": 0.1}, rng=np.random.default_rng(0))
    with pytest.raises(error):
        scg.surrogate_loss(graph, trace)(params)


def test_a_lean_run_is_refused():
    graph = scg.Graph()
    theta = graph.param("theta", 0.1)

    def step(total):
        b = graph.sample("b", scg.Bernoulli(logits=theta * total))
        graph.cost("loss", (total * theta + b) ** 2)
        return total + 1

    graph.scan(step, 0.0, length=2)
    rng = np.random.default_rng(0)
    lean = scg.forward(graph, {"theta": 0.1}, rng=rng, lean=True)
    with pytest.raises(scg.EstimatorError, match="lean"):
        scg.surrogate_loss(graph, lean)
