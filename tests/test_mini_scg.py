"""The example that does without the library agrees with the library."""

import numpy as np
import pytest
from test_examples import load

import scg

ROWS = 7


@pytest.fixture
def mini(monkeypatch):
    return load("mini_scg", monkeypatch)


def one_coin(graph, coin, normal):
    b = graph.sample("b", coin, graph.param("theta"))
    return [(b - 0.45) * (b - 0.45)]


def coins_in_a_row(graph, coin, normal):
    theta, phi = graph.param("theta"), graph.param("phi")
    a = graph.sample("a", coin, theta)
    b = graph.sample("b", coin, phi + a)
    c = graph.sample("c", coin, theta * b - phi)
    return [
        (a + 1) * (a + 1),
        (a + b - 3) * (a + b - 3),
        phi * c - a,
        theta * theta * b,
    ]


def a_net_of_coins(graph, coin, normal):
    x, y = graph.input("x"), graph.input("y")
    first = graph.sample("first", coin, x @ graph.param("w1") + graph.param("b1"))
    second = graph.sample("second", coin, np.tanh(first @ graph.param("w2")) + first)
    logit = second @ graph.param("v")
    return [np.logaddexp(0.0, logit) - y * logit, 0.1 * (first @ np.ones(4))]


def numbers_and_coins(graph, coin, normal):
    mean, slope = graph.param("v"), graph.param("theta")
    z = graph.sample("z", normal, mean)
    up = graph.sample("up", coin, z @ mean)
    return [np.tanh(z) @ mean * up, (slope - up) * (slope - up)]


MODELS = [one_coin, coins_in_a_row, a_net_of_coins, numbers_and_coins]
SHAPES = {"theta": (), "phi": (), "w1": (3, 4), "b1": (4,), "w2": (4, 4), "v": (4,)}
ROW_SHAPES = {"x": (3,), "y": ()}


class InTheLibrary:
    """The example's words for building a graph, said in the library's."""

    def __init__(self):
        self.graph = scg.Graph()

    def param(self, name):
        return self.graph.param(name, np.zeros(SHAPES[name]))

    def input(self, name):
        return self.graph.input(name, shape=ROW_SHAPES[name])

    def sample(self, name, family, parameter):
        return self.graph.sample(name, family(parameter))


def of_example(mini, model):
    graph = mini.Graph()
    normal = (
        lambda rng, mean: mean + rng.normal(size=mean.shape),
        lambda x, mean: -0.5 * (x - mean) * (x - mean),
    )
    graph.costs += model(graph, mini.BERNOULLI, normal)
    return graph


def of_library(model):
    words = InTheLibrary()
    coin, normal = scg.Bernoulli, lambda mean: scg.Normal(mean=mean, scale=1.0)
    costs = model(words, lambda logits: coin(logits=logits), normal)
    for i, cost in enumerate(costs):
        words.graph.cost(f"cost {i}", cost)
    return words.graph


def a_run(mini, model):
    """Run the example; return its graph, the values, and what a run was given."""
    rng = np.random.default_rng(5)
    graph = of_example(mini, model)
    leaves = {v.name: v.has_rows for v in graph.nodes if v.name and v.rule is None}
    params = {k: rng.normal(size=SHAPES[k]) for k, rows in leaves.items() if not rows}
    inputs = {
        k: rng.normal(size=(ROWS, *ROW_SHAPES[k])) for k, rows in leaves.items() if rows
    }
    values = graph.run(params | inputs, rng, ROWS)
    return graph, values, params, inputs


def draws_of(graph, values):
    return {w.name: values[w] for w in graph.log_prob}


def gradients(mini, model, baseline=True, break_it=lambda graph: None):
    """Return the gradients by the example and by the library, with the same draws."""
    graph, values, params, inputs = a_run(mini, model)
    break_it(graph)
    ours = mini.gradient(graph, values, mini.surrogate(graph, values, baseline))
    library = scg.BatchMean() if baseline else scg.NoBaseline()
    names = draws_of(graph, values)
    theirs = scg.estimate_gradient(
        of_library(model),
        params,
        inputs or None,
        estimators=dict.fromkeys(names, scg.ScoreFunction(baseline=library)),
        rng=np.random.default_rng(0),
        rows=None if inputs else ROWS,
        given=names,
    )
    return ours, theirs.gradient


def farthest(ours, theirs):
    assert ours.keys() == theirs.keys()
    return max(np.abs(ours[k] - theirs[k]).max() for k in ours)


@pytest.mark.parametrize("baseline", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_the_example_has_the_gradient_of_the_library(mini, model, baseline):
    assert farthest(*gradients(mini, model, baseline)) < 1e-10


def test_the_comparison_notices_credit_for_what_is_not_influenced(mini):
    def credit_all(graph):
        for cost in graph.costs:
            cost.past |= set(graph.log_prob)

    assert farthest(*gradients(mini, coins_in_a_row, True, credit_all)) > 0.01


def test_the_comparison_notices_a_wrong_rule(mini, monkeypatch):
    monkeypatch.setitem(mini.PULLS, np.tanh, lambda g, y, a: (g * (1 + y * y),))
    assert farthest(*gradients(mini, a_net_of_coins)) > 0.001


@pytest.mark.parametrize("model", MODELS)
def test_the_gradient_is_the_slope_of_the_surrogate_loss(mini, model):
    graph, values, params, inputs = a_run(mini, model)
    weights = mini.surrogate(graph, values)
    slope = mini.gradient(graph, values, weights)
    direction = {
        k: np.cos(np.arange(p.size)).reshape(p.shape) for k, p in params.items()
    }

    def loss(h):
        moved = {k: p + h * direction[k] for k, p in params.items()}
        found = graph.run(moved | inputs | draws_of(graph, values))
        return sum(np.sum(weight * found[v]) / ROWS for v, weight in weights)

    along = sum(np.sum(slope[k] * direction[k]) for k in params)
    assert along == pytest.approx((loss(1e-5) - loss(-1e-5)) / 2e-5, abs=1e-8)


def test_the_mean_gradient_is_that_of_the_expected_cost(mini):
    graph, rows = of_example(mini, one_coin), 200_000
    values = graph.run({"theta": 0.0}, np.random.default_rng(0), rows)
    found = mini.gradient(graph, values, mini.surrogate(graph, values, False))
    # The exact variance of one score times its cost is .0159.
    assert abs(found["theta"] - 0.025) < 4 * np.sqrt(0.0159 / rows)


def test_coins_learn_exclusive_or(mini):
    assert mini.main(mini.Config(num_steps=1000)) < 0.2
