"""`explain` says why a gradient is what it is, in words that are easy to check."""

import numpy as np
import pytest
from tiny_environment import tiny_environment

import scg


def text(*lines):
    return "\n".join(lines)


def toy():
    graph = scg.Graph("toy")
    theta = graph.param("theta", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", (b - 0.45) ** 2)
    return graph


def gaussian():
    graph = scg.Graph()
    mu = graph.param("mu", 0.0)
    x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    h = graph.rename("h", np.tanh(x))
    graph.cost("loss", h**2)
    return graph


def loop(step_costs, **estimators):
    """Explain a loop in which `step_costs(graph, action, carry)` gives the carry."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)

    def step(carry):
        action = graph.sample("a", scg.Bernoulli(logits=theta))
        return step_costs(graph, action, carry)

    graph.scan(step, init=(0.0, 0.0), length=9)
    return graph.explain(estimators)


def test_a_score_function_is_told_with_its_costs():
    assert toy().explain() == text(
        "params",
        "  theta  ← b (score function) ← loss",
        "stochastic nodes",
        "  b  Bernoulli  score function  needs log_prob  credited with loss",
    )


def test_the_estimator_that_was_chosen_is_told_with_what_it_needs():
    assert toy().explain({"b": scg.Enumeration()}) == text(
        "params",
        "  theta  ← b (enumeration) ← loss",
        "stochastic nodes",
        "  b  Bernoulli  enumeration  needs log_prob, no loop, support  credited "
        "with loss",
    )


def test_a_pathwise_sample_is_passed_on_the_way_of_the_gradient():
    explained = gaussian().explain({"x": scg.Pathwise()})
    assert "  mu  ← x (pathwise) ← h ← loss" in explained.splitlines()
    assert "passes on the derivative of loss" in explained


def test_the_same_sample_ends_the_way_under_a_score_function():
    lines = gaussian().explain().splitlines()
    assert "  mu  ← x (score function) ← loss" in lines


def test_a_param_with_several_routes_has_a_line_for_each():
    graph = toy()
    theta = graph["theta"]
    graph.rename("penalty", theta**2)
    graph.cost("prior", graph["penalty"])
    graph.cost("late", graph["b"] * theta)
    lines = graph.explain().splitlines()
    assert lines[:4] == [
        "params",
        "  theta  ← b (score function) ← loss, late",
        "         ← penalty ← prior",
        "         ← late",
    ]


def test_a_chain_of_samples_is_credited_by_reachability():
    graph = scg.Graph()
    s, t = graph.param("s", 0.0), graph.param("t", 0.0)
    x = graph.sample("x", scg.Normal(mean=s, scale=1.0))
    graph.cost("first", x**2)
    y = graph.sample("y", scg.Normal(mean=x + t, scale=1.0))
    graph.cost("second", y**2)
    lines = graph.explain().splitlines()
    assert "  s  ← x (score function) ← first, second" in lines
    assert "  t  ← y (score function) ← second" in lines
    mixed = graph.explain({"x": scg.Pathwise()}).splitlines()
    assert "  s  ← x (pathwise) ← first" in mixed
    assert "     ← x (pathwise) ← y (score function) ← second" in mixed


def test_a_value_node_is_told_with_the_sample_that_reads_it():
    graph = toy()
    v = graph.param("v", 0.0)
    graph.value("baseline", v * 1.0)
    chosen = {"b": scg.ScoreFunction(baseline=scg.LearnedBaseline("baseline"))}
    explained = graph.explain(chosen)
    assert "  v      ← baseline (regression on the costs of b)" in explained
    assert explained.endswith("credited with loss; reads baseline")
    assert "  v      nothing: no estimator" in graph.explain()


def test_a_param_without_gradient_is_told_why():
    graph = toy()
    graph.param("idle", 0.0)
    held = graph.param("held", 0.0)
    graph.cost("more", scg.stop_gradient(held) * graph["b"])
    lines = graph.explain().splitlines()
    assert "  idle   nothing: nothing reads 'idle'" in lines
    (line,) = [line for line in lines if line.startswith("  held")]
    assert "nothing: stop_gradient holds 'held' constant (held → stop_gradient:" in line


def test_a_sample_that_influences_no_cost_is_pruned():
    graph = toy()
    graph.sample("aside", scg.Normal(mean=graph["b"], scale=1.0))
    assert graph.explain().splitlines()[-1] == (
        "  aside  Normal     score function  needs log_prob  pruned: influences no cost"
    )


def test_a_sample_that_no_param_reaches_is_told_so():
    graph = toy()
    noise = graph.sample("noise", scg.Normal(mean=0.0, scale=1.0))
    graph.cost("more", noise * graph["b"])
    assert "influences more; no param reaches it" in graph.explain()


def test_black_boxes_are_listed_with_what_they_read():
    graph = toy()
    box = scg.black_box(lambda b: b, name="compiler")
    graph.cost("errors", box(graph["b"]))
    assert graph.explain().splitlines()[-2:] == ["black boxes", "  compiler  reads b"]


def test_a_missing_derivative_is_explained_and_not_raised():
    graph = gaussian()
    graph.cost("more", np.round(graph["h"]))
    explained = graph.explain({"x": scg.Pathwise()})
    assert "derivatives that are needed and missing" in explained
    assert explained.endswith("round has no derivative rule")
    assert "missing" not in graph.explain()


@pytest.mark.parametrize(
    ("name", "error"),
    [("loss", scg.EstimatorError), ("q", scg.UnknownNameError)],
)
def test_an_estimator_for_what_is_no_sample_is_an_error(name, error):
    with pytest.raises(error):
        toy().explain({name: scg.ScoreFunction()})


def test_in_a_loop_a_cost_of_the_same_step_is_told_so():
    def costs(graph, action, carry):
        graph.cost("now", action)
        return carry

    explained = loop(costs)
    assert "a in scan" in explained
    assert explained.endswith("credited with now (same step)")


def test_in_a_loop_costs_of_later_steps_are_told_so():
    def costs(graph, action, carry):
        first, second = carry
        graph.cost("later", first)
        graph.cost("all", first + action)
        return first + action, second

    assert loop(costs).endswith(
        "credited with later (later steps), all (same step, later steps)"
    )


def test_in_a_loop_costs_of_some_steps_are_told_with_their_numbers():
    def costs(graph, action, carry):
        first, second = carry
        graph.cost("next", first)
        graph.cost("second", second)
        return action, first

    assert loop(costs).endswith(
        "credited with next (steps later: 1), second (steps later: 2)"
    )


def test_in_a_loop_costs_of_every_other_step_are_told_with_the_period():
    def costs(graph, action, carry):
        first, second = carry
        graph.cost("even", first)
        return second, first + action

    assert "even (steps later: 2, and 2 plus multiples of 2)" in loop(costs)


def test_a_cost_behind_a_loop_has_no_step():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)

    def step(state):
        a = graph.sample("a", scg.Bernoulli(logits=theta))
        return state + a

    last, _ = graph.scan(step, init=0.0, length=3)
    graph.cost("end", last)
    assert "theta  ← a (score function) ← end" in graph.explain()
    assert graph.explain().endswith("credited with end")


def test_a_sample_before_a_loop_is_credited_with_the_steps_it_reaches():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    a = graph.sample("a", scg.Bernoulli(logits=theta))
    b = graph.sample("b", scg.Bernoulli(logits=theta))

    def step(carry):
        first, second = carry
        graph.cost("each", a * 1.0)
        graph.cost("second step", second)
        return 0.0 * a, first

    graph.scan(step, init=(b, 0.0), length=5)
    explained = graph.explain()
    assert "each (every step), second step (steps 2 and all later)" in explained
    assert explained.endswith("credited with second step (steps 1)")


def test_an_environment_is_a_black_box():
    graph = scg.Graph()
    world, theta = tiny_environment("pong"), graph.param("theta", 0.0)

    def step(state):
        a = graph.sample("a", scg.Bernoulli(logits=theta * state))
        observation, reward, _ = world(a)
        graph.cost("minus reward", -reward)
        return observation

    graph.scan(step, init=world.reset(), length=3)
    lines = graph.explain().splitlines()
    assert "  theta  ← a (score function) ← minus reward" in lines
    assert lines[-3] == "black boxes"
    assert lines[-1].split() == [lines[-1].split()[0], "reads", "a"]
    assert lines[-1].split()[0].startswith("pong:")


def test_the_same_graph_is_explained_in_the_same_words():
    assert toy().explain() == toy().explain()


def test_columns_are_aligned():
    graph = toy()
    long = graph.param("a long name", 0.0)
    graph.cost("more", long * graph["b"])
    first, second = graph.explain().splitlines()[1:3]
    assert first.index("←") == second.index("←")


def test_no_line_ends_in_spaces():
    assert all(line == line.rstrip() for line in toy().explain().splitlines())
