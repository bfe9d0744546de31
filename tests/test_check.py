"""What is illegal is refused before anything runs, with the path and a way out."""

import numpy as np
import pytest
from check_graphs import coin, gaussian, learned, refusal
from tiny_environment import tiny_environment

import scg


def deterministic(function):
    """Make theta → h → function(h) → loss, with no sample."""
    graph = scg.Graph("deterministic")
    theta = graph.param("theta", np.zeros(3))
    x = graph.input("x", shape=(3,))
    h = graph.rename("h", np.tanh(x * theta))
    graph.cost("loss", function(h) * 1.0)
    return graph


BLACK_BOX = scg.black_box(np.round)

NO_DERIVATIVE = {
    "a black box": scg.black_box(lambda h: h[:, 0], name="box"),
    "argmax": lambda h: np.argmax(h, axis=-1),
    "comparison": lambda h: (h[:, 0] > 0) * h[:, 1],
    "rounding": lambda h: np.round(h)[:, 0],
    "sign": lambda h: np.sign(h)[:, 0],
    "cast to integer": lambda h: h[:, 0].astype(int),
    "floor division": lambda h: h[:, 0] // 0.1,
    "index by argmax": lambda h: np.take_along_axis(
        h, np.argmax(h, axis=-1)[:, None], axis=-1
    )[:, 0],
    "rule-less function": lambda h: np.nextafter(h[:, 0], 1.0),
}

DIFFERENTIABLE = {
    "where": lambda h: np.where(h[:, 0] > 0, h[:, 1], 0.0),
    "maximum": lambda h: np.maximum(h[:, 0], 0.0),
    "max": lambda h: np.max(h, axis=-1),
    "sort": lambda h: np.sort(h, axis=-1)[:, 0],
    "abs": lambda h: np.abs(h[:, 0]),
    "where on a longer condition": lambda h: np.where(
        np.logical_and(h[:, 0] > 0, h[:, 1] < 1), h[:, 2], -h[:, 2]
    ),
    "cut, then a black box": lambda h: (
        h[:, 1] + NO_DERIVATIVE["a black box"](scg.stop_gradient(h))
    ),
    "a black box, then cut": lambda h: (
        h[:, 1] + scg.stop_gradient(NO_DERIVATIVE["a black box"](h))
    ),
}


@pytest.mark.parametrize("name", NO_DERIVATIVE)
def test_a_missing_derivative_on_the_way_to_a_cost_is_refused(name):
    msg = refusal(deterministic(NO_DERIVATIVE[name]), {}, scg.NotDifferentiableError)
    assert msg.startswith("param 'theta'")
    assert "→ h →" in msg
    assert "→ loss" in msg
    assert "stop_gradient" in msg


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_what_has_a_derivative_or_is_cut_on_purpose_is_legal(name):
    deterministic(DIFFERENTIABLE[name]).check()


@pytest.mark.parametrize("name", NO_DERIVATIVE)
def test_a_missing_derivative_that_leads_to_no_cost_is_legal(name):
    graph = deterministic(lambda h: h[:, 0])
    graph.rename("aside", NO_DERIVATIVE[name](graph["h"]) * 2.0)
    graph.check()


@pytest.mark.parametrize("name", NO_DERIVATIVE)
def test_a_missing_derivative_behind_a_scored_sample_is_legal(name):
    graph = scg.Graph()
    mu = graph.param("mu", np.zeros(3))
    x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    graph.cost("loss", NO_DERIVATIVE[name](x) * 1.0)
    graph.check()


@pytest.mark.parametrize("name", NO_DERIVATIVE)
def test_a_missing_derivative_behind_a_pathwise_sample_names_the_sample(name):
    graph = scg.Graph()
    mu = graph.param("mu", np.zeros(3))
    x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    graph.cost("loss", NO_DERIVATIVE[name](x) * 1.0)
    msg = refusal(graph, {"x": scg.Pathwise()}, scg.NotDifferentiableError)
    assert "mu → x →" in msg
    assert "ScoreFunction() for 'x'" in msg


def test_every_path_from_a_pathwise_sample_must_have_a_derivative():
    graph = gaussian(lambda x: x**2 + BLACK_BOX(x))
    msg = refusal(graph, {"x": scg.Pathwise()}, scg.NotDifferentiableError)
    assert "on the way mu → x → round:" in msg
    assert "is a black box" in msg


def test_a_pathwise_sample_that_no_param_reaches_needs_no_derivative():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    x = graph.sample("x", scg.Normal(mean=0.0, scale=1.0))
    graph.cost("loss", theta * BLACK_BOX(x))
    graph.check({"x": scg.Pathwise()})


def test_a_missing_derivative_on_the_way_to_a_samples_parameter_is_refused():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    other = graph.param("other", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=np.round(theta) + other))
    graph.cost("loss", b * 1.0)
    msg = refusal(graph, {}, scg.NotDifferentiableError)
    assert "from it to 'b'" in msg


def test_a_missing_derivative_on_the_way_to_a_pruned_sample_is_legal():
    graph = gaussian(lambda x: x)
    graph.sample("aside", scg.Bernoulli(logits=np.round(graph["mu"])))
    graph.check()


def test_the_sample_to_change_is_the_one_that_suffices():
    graph = scg.Graph()
    mu = graph.param("mu", 0.0)
    first = graph.sample("first", scg.Normal(mean=mu, scale=1.0))
    second = graph.sample("second", scg.Normal(mean=first, scale=1.0))
    graph.cost("loss", BLACK_BOX(second))
    both = {"first": scg.Pathwise(), "second": scg.Pathwise()}
    msg = refusal(graph, both, scg.NotDifferentiableError)
    assert "ScoreFunction() for 'second'" in msg
    graph.check({"first": scg.Pathwise()})

    graph.cost("more", BLACK_BOX(first))
    msg = refusal(graph, {"first": scg.Pathwise()}, scg.NotDifferentiableError)
    assert "ScoreFunction() for 'first'" in msg


def test_where_several_samples_join_all_of_them_are_named():
    graph = scg.Graph()
    mu = graph.param("mu", 0.0)
    x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    y = graph.sample("y", scg.Normal(mean=mu, scale=1.0))
    graph.cost("loss", np.round(x + y))
    both = {"x": scg.Pathwise(), "y": scg.Pathwise()}
    msg = refusal(graph, both, scg.NotDifferentiableError)
    assert "each pathwise sample above it (x, y)" in msg
    graph.check()


def test_a_param_may_not_lead_into_an_environment_without_a_sample():
    graph = scg.Graph()
    world, theta = tiny_environment(), graph.param("theta", 0.0)

    def step(state):
        _, reward, _ = world(theta * state)
        graph.cost("loss", -reward)
        return state

    graph.scan(step, init=0.0, length=3)
    msg = refusal(graph, {}, scg.NotDifferentiableError)
    assert "is an environment, of unknown density" in msg
    assert "a sample" in msg


def test_a_greedy_action_is_refused_with_the_sample_to_draw():
    graph = scg.Graph()
    world = tiny_environment(action_dtype=np.int64)
    W = graph.param("W", np.zeros((1, 3)))

    def step(observation):
        _, reward, _ = world(np.argmax(observation[:, None] @ W, axis=-1))
        graph.cost("loss", -reward)
        return observation

    graph.scan(step, init=0.0, length=3)
    msg = refusal(graph, {}, scg.NotDifferentiableError)
    assert "scg.Categorical" in msg


def test_an_action_that_is_sampled_may_lead_into_an_environment():
    graph = scg.Graph()
    world, theta = tiny_environment(), graph.param("theta", 0.0)

    def step(state):
        action = graph.sample("action", scg.Normal(mean=theta * state, scale=1.0))
        _, reward, _ = world(action)
        graph.cost("loss", -reward)
        return state

    graph.scan(step, init=world.reset(), length=3)
    graph.check()
    msg = refusal(graph, {"action": scg.Pathwise()}, scg.NotDifferentiableError)
    assert "ScoreFunction() for 'action'" in msg


def test_a_missing_derivative_is_found_through_the_carry_of_a_loop():
    graph = scg.Graph()
    theta, x = graph.param("theta", 0.0), graph.input("x")

    def step(carry):
        h, rounded = carry
        graph.cost("loss", rounded)
        return np.tanh(h * theta), np.round(h)

    graph.scan(step, init=(x, 0.0), length=3)
    msg = refusal(graph, {}, scg.NotDifferentiableError)
    assert "theta →" in msg
    assert "round_" in msg or "round" in msg
    assert "→ loss" in msg


# Params


def test_a_param_that_nothing_reads_is_an_error():
    graph = coin()
    graph.param("idle", 0.0)
    msg = refusal(graph, {}, scg.UnreachableParamError)
    assert "param 'idle'" in msg
    assert "nothing reads 'idle'" in msg


def test_a_param_behind_stop_gradient_is_an_error_that_names_it():
    graph = coin()
    held = graph.param("held", 0.0)
    graph.cost("more", scg.stop_gradient(held * 2.0) * graph["b"])
    msg = refusal(graph, {}, scg.UnreachableParamError)
    assert "param 'held'" in msg
    assert "stop_gradient holds 'multiply:" in msg


def test_a_param_that_only_decides_a_condition_is_an_error():
    graph = coin()
    edge = graph.param("edge", 0.0)
    graph.cost("more", np.where(graph["b"] > edge, 1.0, 0.0))
    msg = refusal(graph, {}, scg.UnreachableParamError)
    assert "param 'edge'" in msg
    assert "is bool" in msg


def test_a_param_of_a_sample_that_influences_no_cost_is_an_error():
    graph = coin()
    phi = graph.param("phi", 0.0)
    graph.sample("aside", scg.Bernoulli(logits=phi))
    msg = refusal(graph, {}, scg.UnreachableParamError)
    assert "the sample 'aside' influences no cost" in msg


def test_a_param_of_a_sample_whose_value_is_cut_is_reached_by_its_score():
    coin(scg.stop_gradient).check()


def test_a_pathwise_sample_whose_value_is_cut_leaves_its_param_unreached():
    graph = gaussian(scg.stop_gradient)
    graph.check()
    msg = refusal(graph, {"x": scg.Pathwise()}, scg.UnreachableParamError)
    assert "mu → x → stop_gradient" in msg


def test_a_param_of_a_value_is_reached_where_an_estimator_reads_it():
    graph = coin()
    v = graph.param("v", 0.0)
    graph.value("baseline", v * 1.0)
    graph.check({"b": learned("baseline")})
    msg = refusal(graph, {}, scg.UnreachableParamError)
    assert "no estimator of a sample that influences a cost reads 'baseline'" in msg


def test_a_value_read_for_a_pruned_sample_is_not_fitted():
    graph = coin()
    v = graph.param("v", 0.0)
    graph.value("baseline", v * 1.0)
    graph.sample("aside", scg.Bernoulli(logits=0.0))
    refusal(graph, {"aside": learned("baseline")}, scg.UnreachableParamError)


def test_a_large_graph_is_checked_quickly_and_without_recursion():
    graph = scg.Graph()
    theta, h = graph.param("theta", 0.5), graph.input("x")
    for i in range(300):
        h = graph.sample(f"z{i}", scg.Normal(mean=np.tanh(theta * h), scale=1.0))
    graph.cost("loss", h)
    graph.check({f"z{i}": scg.Pathwise() for i in range(0, 300, 2)})


def test_a_cost_may_not_read_what_a_loop_ends_with_where_rows_stop_one_by_one():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)

    def step(total):
        b = graph.sample("b", scg.Bernoulli(logits=theta))
        graph.rename("over", b == 1)
        graph.cost("steps", theta + b)
        return total + b

    last, _ = graph.scan(step, graph.input("x"), length=3, until="over")
    graph.check()
    graph.cost("last", last**2)
    with pytest.raises(scg.GraphError, match="'over' is true"):
        graph.check()


@pytest.mark.parametrize("function", [np.sum, np.mean])
def test_a_sum_with_where_has_no_derivative(function):
    # autograd's rules leave it out, so the gradient would be silently wrong.
    graph = scg.Graph()
    theta, x = graph.param("theta", np.ones(3)), graph.input("x", shape=(3,))
    where = np.array([True, False, True])
    graph.cost("loss", function(theta * x, axis=-1, where=where))
    with pytest.raises(scg.NotDifferentiableError, match="no derivative rule"):
        scg.compile(graph)
