"""An estimator is legal on a node, and reads what it may, before anything runs."""

import numpy as np
import pytest
from check_graphs import coin, gaussian, learned, looped, refusal

import scg

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
