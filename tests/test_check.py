"""What is illegal is refused before anything runs, with the path and a way out."""

import numpy as np
import pytest
from tiny_environment import tiny_environment

import scg


def refusal(graph, estimators, error):
    with pytest.raises(error) as caught:
        graph.check(estimators)
    assert type(caught.value) is error
    return str(caught.value)


def gaussian(cost):
    """Make mu → x → cost(x)."""
    graph = scg.Graph("gaussian")
    mu = graph.param("mu", 0.3)
    x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    graph.cost("loss", cost(x))
    return graph


def coin(cost=lambda b: (b - 0.45) ** 2):
    graph = scg.Graph("coin")
    theta = graph.param("theta", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", cost(b))
    return graph


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


# Baselines and critics


def with_values():
    graph = scg.Graph("values")
    mu, v, x = graph.param("mu", 0.3), graph.param("v", 0.0), graph.input("x")
    graph.value("before", v * x)
    a = graph.sample("a", scg.Normal(mean=mu * x, scale=1.0))
    h = graph.rename("h", a * v)
    graph.value("after", h + x)
    graph.cost("loss", a**2)
    return graph


def learned(name):
    return scg.ScoreFunction(baseline=scg.LearnedBaseline(name))


def test_a_baseline_may_read_what_its_sample_does_not_influence():
    with_values().check({"a": learned("before")})


def test_a_baseline_may_not_read_what_its_sample_influences():
    msg = refusal(with_values(), {"a": learned("after")}, scg.BaselineError)
    assert "a → h → add:" in msg
    assert "such as 'before'" in msg


def test_a_baseline_that_reads_an_unknown_name_is_told_the_near_ones():
    msg = refusal(with_values(), {"a": learned("befor")}, scg.UnknownNameError)
    assert "did you mean 'before'" in msg


def test_a_baseline_may_read_value_nodes_only():
    msg = refusal(with_values(), {"a": learned("x")}, scg.BaselineError)
    assert "the input node 'x'" in msg
    assert "graph.value" in msg


def looped():
    graph = scg.Graph("looped")
    theta, v = graph.param("theta", 0.0), graph.param("v", 0.0)

    def step(state):
        graph.value("before", v * state)
        action = graph.sample("action", scg.Bernoulli(logits=theta * state))
        new = graph.rename("new", np.tanh(state + action))
        graph.value("after", v * new)
        graph.cost("loss", new)
        return new

    last, _ = graph.scan(step, init=1.0, length=3, name="steps")
    graph.value("outside", v * last)
    coin = graph.sample("coin", scg.Bernoulli(logits=theta))
    graph.cost("coin loss", coin * 1.0)
    return graph


def test_in_a_loop_the_state_before_the_action_may_be_read():
    looped().check({"action": learned("before")})


@pytest.mark.parametrize("name", ["after", "outside"])
def test_in_a_loop_what_the_action_influences_within_its_step_may_not(name):
    msg = refusal(looped(), {"action": learned(name)}, scg.BaselineError)
    assert "(action → " in msg
    assert f"→ {name})" in msg
    assert "such as 'before'" in msg
    assert ("within the step" in msg) == (name == "after")


def test_a_sample_outside_may_not_read_a_value_of_every_step():
    msg = refusal(looped(), {"coin": learned("before")}, scg.BaselineError)
    assert "one value for each step of the scan 'steps'" in msg


def test_a_critic_is_held_to_the_same_rule():
    critic = scg.ScoreFunction(critic=scg.GAE("after"))
    refusal(looped(), {"action": critic}, scg.BaselineError)


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


# What estimators need


def test_pathwise_needs_a_reparameterised_family():
    msg = refusal(coin(), {"b": scg.Pathwise()}, scg.EstimatorError)
    assert (
        "node 'b': Pathwise needs a reparameterised distribution, got Bernoulli" in msg
    )
    assert "Enumeration()" in msg


def test_enumeration_needs_a_finite_support():
    graph = gaussian(lambda x: x)
    msg = refusal(graph, {"x": scg.Enumeration()}, scg.EstimatorError)
    assert "needs a finite support, got Normal" in msg


def test_enumeration_is_legal_where_the_parameters_are_nodes():
    graph = scg.Graph()
    W, x = graph.param("W", np.zeros((2, 4))), graph.input("x", shape=(2,))
    k = graph.sample("k", scg.Categorical(logits=x @ W))
    graph.cost("loss", np.abs(k - 1.0))
    graph.check({"k": scg.Enumeration()})


def test_enumeration_is_refused_in_a_loop():
    msg = refusal(looped(), {"action": scg.Enumeration()}, scg.EstimatorError)
    assert "inside the scan 'steps'" in msg
    looped().check({"coin": scg.Enumeration(), "action": learned("before")})


def test_a_score_function_is_refused_where_a_param_moves_the_support():
    graph = scg.Graph()
    high = graph.param("high", 1.0)
    u = graph.sample("u", scg.Uniform(low=0.0, high=high))
    graph.cost("loss", u**2)
    msg = refusal(graph, {}, scg.EstimatorError)
    assert "Uniform, whose score has not mean 0" in msg
    assert "Pathwise()" in msg
    graph.check({"u": scg.Pathwise()})


def test_a_score_function_is_legal_where_data_moves_the_support():
    graph = coin()
    u = graph.sample("u", scg.Uniform(low=0.0, high=graph.input("x")))
    graph.cost("more", u * graph["b"])
    graph.check()


def test_an_estimator_for_a_name_nobody_has_lists_near_names():
    graph = scg.Graph()
    b = graph.sample("action", scg.Bernoulli(logits=graph.param("theta", 0.0)))
    graph.cost("loss", b)
    estimators = {"acton": scg.ScoreFunction()}
    msg = refusal(graph, estimators, scg.UnknownNameError)
    assert "did you mean 'action'" in msg


def test_an_estimator_for_a_node_that_is_not_drawn_is_an_error():
    msg = refusal(coin(), {"loss": scg.ScoreFunction()}, scg.EstimatorError)
    assert "got the cost node, which is not drawn" in msg
    assert "'b'" in msg


@pytest.mark.parametrize("wrong", [scg.ScoreFunction, "reinforce", None])
def test_what_is_no_estimator_is_an_error(wrong):
    msg = refusal(coin(), {"b": wrong}, scg.EstimatorError)
    assert "node 'b': expected an estimator" in msg


def test_a_class_in_place_of_an_estimator_is_told_to_be_made():
    msg = refusal(coin(), {"b": scg.Enumeration}, scg.EstimatorError)
    assert "Make one: Enumeration()" in msg


def test_a_graph_without_a_cost_is_an_error():
    graph = scg.Graph("empty")
    graph.sample("b", scg.Bernoulli(logits=graph.param("theta", 0.0)))
    msg = refusal(graph, {}, scg.GraphError)
    assert "graph 'empty': expected at least one cost" in msg


# Where credit ends


def bounded(boundary):
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)

    def step(state):
        action = graph.sample("action", scg.Bernoulli(logits=theta * state))
        graph.rename("point", action > 0.5)
        graph.rename("score", action * 2.0)
        graph.cost("loss", action * state)
        return state

    last, _ = graph.scan(step, init=1.0, length=3)
    graph.rename("outside", last > 0)
    graph.check({"action": scg.ScoreFunction(boundary=boundary)})


@pytest.mark.parametrize("boundary", ["episode", None, "point"])
def test_credit_may_end_at_episodes_or_at_a_boolean_node_of_the_loop(boundary):
    bounded(boundary)


@pytest.mark.parametrize("boundary", ["score", "outside"])
def test_credit_may_not_end_at_another_node(boundary):
    with pytest.raises(scg.EstimatorError, match="a boolean node of the same scan"):
        bounded(boundary)


def test_credit_may_not_end_at_a_name_nobody_has():
    with pytest.raises(scg.UnknownNameError, match="did you mean 'point'"):
        bounded("poin")


def test_a_large_graph_is_checked_quickly_and_without_recursion():
    graph = scg.Graph()
    theta, h = graph.param("theta", 0.5), graph.input("x")
    for i in range(300):
        h = graph.sample(f"z{i}", scg.Normal(mean=np.tanh(theta * h), scale=1.0))
    graph.cost("loss", h)
    graph.check({f"z{i}": scg.Pathwise() for i in range(0, 300, 2)})
