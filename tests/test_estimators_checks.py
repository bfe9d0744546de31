"""Where estimators are legal: families, parameters, loops, ways down, options."""

import numpy as np
import pytest
from check_graphs import coin, gaussian, looped, refusal
from estimator_cases import EVERY

import scg

IN_LOOPS = {"straight through", "Gumbel-softmax", "hard Gumbel-softmax"}


@pytest.mark.parametrize("name", sorted(EVERY.keys() - IN_LOOPS))
def test_an_estimator_with_branches_is_refused_in_a_loop(name):
    estimator = EVERY[name][0]
    msg = refusal(looped(), {"action": estimator}, scg.EstimatorError)
    assert f"{type(estimator).__name__} needs a node outside of loops" in msg


@pytest.mark.parametrize("name", EVERY)
def test_a_family_without_a_rule_is_refused(name):
    estimator, graph = EVERY[name][0], scg.Graph()
    low = graph.param("t", 0.0)
    graph.cost("loss", graph.sample("x", scg.Laplace(mean=low, scale=1.0)) ** 2)
    if not estimator.families:
        needs = estimator.needs & {"support"}
        assert needs or type(estimator) is scg.ImportanceSampling
        return
    msg = refusal(graph, {"x": estimator}, scg.EstimatorError)
    assert f"{type(estimator).__name__} needs one of Bernoulli" in msg
    assert "got Laplace" in msg


def test_a_parameter_without_a_rule_is_refused_where_params_reach_it():
    graph = scg.Graph()
    t, x = graph.param("t", 0.3), graph.input("x")
    shape = np.exp(t * x)
    g = graph.sample("g", scg.Gamma(concentration=shape, rate=1.0))
    graph.cost("loss", np.floor(g) * 1.0)
    msg = refusal(graph, {"g": scg.MeasureValued()}, scg.EstimatorError)
    assert "differentiates Gamma by rate, got a concentration that params reach" in msg
    constant = scg.Graph()
    t, x = constant.param("t", 0.3), constant.input("x")
    shape, rate = np.exp(x), np.exp(t)
    g = constant.sample("g", scg.Gamma(concentration=shape, rate=rate))
    constant.cost("loss", g)
    constant.check({"g": scg.MeasureValued()})


@pytest.mark.parametrize(
    "estimator",
    [scg.StraightThrough(), scg.GumbelSoftmax(), scg.REBAR(), scg.MuProp()],
    ids=lambda estimator: type(estimator).__name__,
)
def test_an_estimator_that_goes_down_needs_a_differentiable_way(estimator):
    broken = coin(np.floor)
    msg = refusal(broken, {"b": estimator}, scg.NotDifferentiableError)
    assert "b → " in msg
    coin().check({"b": estimator})


def test_a_log_probability_has_no_derivative_by_the_bits():
    graph = scg.Graph()
    q = scg.Bernoulli(logits=graph.param("theta", 0.3))
    b = graph.sample("b", q)
    graph.cost("loss", q.log_prob(b) + b)
    for estimator in (scg.StraightThrough(), scg.REBAR()):
        msg = refusal(graph, {"b": estimator}, scg.NotDifferentiableError)
        assert "bernoulli_log_prob has no derivative rule" in msg
    graph.check({"b": scg.DisARM()})


@pytest.mark.parametrize(
    "estimator",
    [scg.ARM(), scg.DisARM(), scg.MeasureValued(), scg.RELAX(), scg.UnorderedSet()],
    ids=lambda estimator: type(estimator).__name__,
)
def test_an_estimator_that_weighs_costs_needs_no_derivative_below(estimator):
    coin(scg.black_box(np.floor, (), float)).check({"b": estimator})


def test_whole_numbers_cannot_be_made_smooth():
    graph = scg.Graph()
    k = graph.sample("k", scg.Categorical(logits=graph.param("t", np.zeros(3))))
    graph.cost("loss", k * 1.0)
    msg = refusal(graph, {"k": scg.GumbelSoftmax()}, scg.EstimatorError)
    assert "needs one of Bernoulli, OneHotCategorical, got Categorical" in msg


def test_a_joint_support_above_the_limit_is_refused():
    graph = scg.Graph()
    b = graph.sample("b", scg.Bernoulli(logits=graph.param("t", np.zeros(4))))
    graph.cost("loss", b.sum(axis=-1))
    for estimator, size in [
        (scg.UnorderedSet(limit=8), 16),
        (scg.MeasureValued(limit=4), 5),
    ]:
        with pytest.raises(scg.EstimatorError, match=f"at most .* got {size}"):
            scg.compile(graph, {"b": estimator})


@pytest.mark.parametrize(
    "make",
    [
        lambda: scg.UnorderedSet(samples=0),
        lambda: scg.UnorderedSet(samples=13),
        lambda: scg.GumbelSoftmax(temperature=0.0),
        lambda: scg.REBAR(temperature=-1.0),
        lambda: scg.ImportanceSampling(lambda p: p, samples=0),
        lambda: scg.ImportanceSampling(lambda p: p, samples=1, normalise=True),
    ],
)
def test_options_out_of_range_are_refused(make):
    with pytest.raises(scg.EstimatorError, match="expected"):
        make()


def test_values_that_an_estimator_lays_out_cannot_be_given():
    with pytest.raises(scg.InputError, match="DisARM"):
        scg.estimate_gradient(
            coin(),
            {"theta": 0.0},
            estimators={"b": scg.DisARM()},
            rng=np.random.default_rng(0),
            given={"b": [1.0]},
        )


@pytest.mark.parametrize("name", EVERY)
def test_higher_orders_are_refused(name):
    estimator, families = EVERY[name]
    graph = coin() if "bernoulli" in families else gaussian(np.square)
    site = "b" if "bernoulli" in families else "x"
    params = graph.init(np.random.default_rng(0))
    rng = np.random.default_rng(0)
    trace = scg.forward(graph, params, estimators={site: estimator}, rng=rng)
    with pytest.raises(scg.EstimatorError, match="for every order"):
        scg.surrogate_loss(graph, trace, {site: estimator})


def summed(estimator, theta, seed=0, rows=3):
    """Return an estimate of a walk whose costs are its positions after each step."""
    graph = scg.Graph()
    logits = graph.param("theta", 0.4)

    def step(h):
        h = h + graph.sample("b", scg.Bernoulli(logits=logits + 0 * h))
        graph.cost("position", h)
        return h

    graph.scan(step, init=0.0, length=3)
    return scg.estimate_gradient(
        graph,
        {"theta": theta},
        estimators={"b": estimator},
        rng=np.random.default_rng(seed),
        rows=rows,
    )


def test_in_a_loop_straight_through_goes_back_through_time():
    p = scg.sigmoid(0.4)
    found = summed(scg.StraightThrough(), 0.4).gradient["theta"]
    assert found == pytest.approx(6 * p * (1 - p))


def test_in_a_loop_the_smooth_draws_are_differentiated_with_their_noise_held():
    estimator, h = scg.GumbelSoftmax(), 1e-6
    found = summed(estimator, 0.4).gradient["theta"]
    high, low = (summed(estimator, 0.4 + e).cost for e in (h, -h))
    assert found == pytest.approx((high - low) / (2 * h), rel=1e-6)


@pytest.mark.parametrize(("p", "t"), [(0.5, 0.45), (0.3, 0.45), (0.8, 0.1)])
def test_the_bias_of_straight_through_is_that_of_its_docstring(p, t):
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", (b - t) ** 2)
    rows, logits = 400, np.log(p / (1 - p))
    estimate = scg.estimate_gradient(
        graph,
        {"theta": logits},
        estimators={"b": scg.StraightThrough()},
        rng=np.random.default_rng(0),
        rows=rows,
    )
    share = estimate.trace["b"].mean()  # its mean over both values, by hand
    slope = p * (1 - p)
    found = estimate.gradient["theta"]
    assert found == pytest.approx(slope * 2 * (share - t))
    mean = found + slope * 2 * (p - share)
    assert mean - slope * (1 - 2 * t) == pytest.approx(slope * (2 * p - 1))


def test_an_explanation_says_what_is_credited_and_by_which_estimator():
    text = coin().explain({"b": scg.DisARM()})
    assert "disarm" in text
    assert "credited with loss" in coin().explain({"b": scg.REBAR()})


def test_a_graph_is_drawn_with_any_estimator(tmp_path):
    for estimator in (scg.REBAR(), scg.DisARM(), scg.GumbelSoftmax()):
        coin().draw(tmp_path / "coin.svg", {"b": estimator})
        assert (tmp_path / "coin.svg").read_text().startswith("<svg")
