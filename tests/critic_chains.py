"""A chain of decisions with critics, as a loop and written out."""

import numpy as np

import scg

DISCOUNT = 0.9


def chain(length, estimator, *, loop, end=0.0, family=scg.Bernoulli):
    """Write a chain of decisions, as a scan or as a plain graph; and its estimators."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.4)
    w = graph.param("w", 0.7)

    def step(h, suffix=""):
        graph.value(f"v{suffix}", w * h + 0.3 * h**2)
        a = graph.sample(f"a{suffix}", family(logits=theta * h + 0.1))
        graph.cost(f"c{suffix}", (h - a) ** 2 + 0.2 * a)
        return np.tanh(0.5 * h + a - 0.3)

    x = graph.input("x")
    if loop:
        last, _ = graph.scan(lambda h: (step(h), None), x, length=length)
        estimators = {"a": estimator("v")}
    else:
        last = x
        for t in range(length):
            last = step(last, t)
        estimators = {f"a{t}": estimator(f"v{t}") for t in range(length)}
    if end:
        graph.cost("end", end * (last - 0.2) ** 2)
        graph.value("vz", w + last)
        z = graph.sample("z", family(logits=theta + last))
        graph.cost("cz", 2 * z * last)
        estimators["z"] = estimator("vz")
    return graph, estimators
