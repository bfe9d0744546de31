"""Small graphs to check, and what refuses them."""

import numpy as np
import pytest

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


def learned(name):
    return scg.ScoreFunction(baseline=scg.LearnedBaseline(name))


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
