"""A Gaussian sample with a cost and a value node, for the tests of value gradients."""

import numpy as np

import scg

PARAMS = {"w": np.array([0.4, -0.3]), "s": np.array(0.2)}


def model(below, *, value=None, name="q", estimator=None):
    """Write z ~ N(w·x, e^s), a cost of it, and a value node; return graph, params."""
    graph = scg.Graph()
    w, s = graph.param("w", PARAMS["w"]), graph.param("s", PARAMS["s"])
    x = graph.input("x", shape=(2,))
    z = graph.sample("z", scg.Normal(mean=x @ w, scale=np.exp(s)))
    graph.cost("loss", below(z, x))
    if value is not None:
        graph.value(name, value(z, x))
    return graph, {"z": estimator or scg.ValueGradient("q")}


def smooth(z, x):
    return np.sin(z) * x[:, 0] + 0.5 * z**2


def run(graph, estimators, params=PARAMS, **options):
    inputs = {"x": np.random.default_rng(1).normal(size=(7, 2))}
    rng = np.random.default_rng(0)
    return scg.estimate_gradient(
        graph, params, inputs, estimators=estimators, rng=rng, **options
    )
