"""The workloads as graphs."""

from collections.abc import Callable

import numpy as np

import scg
from peers.workloads import (
    NUM_INPUTS,
    NUM_PIXELS,
    NUM_SAMPLES,
    NUM_STEPS,
    NUM_UNITS,
    NUM_VARIABLES,
    Workload,
)


def chain(workload: Workload, seed: int) -> Callable[[], dict]:
    graph, params = start(workload)
    tables = workload.data["tables"]
    logits = params["theta"]
    for i in range(NUM_VARIABLES):
        z = graph.sample(f"z{i}", scg.Categorical(logits=logits))
        graph.cost(f"cost{i}", graph.constant(tables[i])[z])
        if i + 1 < NUM_VARIABLES:
            logits = params[f"W{i + 1}"][z]
    method = scg.ScoreFunction(baseline=scg.BatchMean())
    step = scg.compile(graph, {f"z{i}": method for i in range(NUM_VARIABLES)})
    rng = np.random.default_rng(seed)
    return lambda: step(workload.params, rng=rng, rows=workload.rows).gradient


def belief(workload: Workload, seed: int) -> Callable[[], dict]:
    graph, params = start(workload)
    x = graph.input("x", NUM_PIXELS)

    def layer(name, h):
        return scg.Bernoulli(logits=h @ params[f"{name}_W"] + params[f"{name}_b"])

    q1 = layer("encode1", x)
    h1 = graph.sample("h1", q1)
    q2 = layer("encode2", h1)
    h2 = graph.sample("h2", q2)
    p2 = scg.Bernoulli(logits=params["prior"])
    log_q = log_prob(q1, h1) + log_prob(q2, h2)
    log_p = log_prob(p2, h2) + log_prob(layer("decode1", h2), h1)
    log_p = log_p + log_prob(layer("decode0", h1), x)
    graph.cost("negative bound", log_q - log_p)
    method = scg.ScoreFunction(baseline=scg.LeaveOneOut())
    step = scg.compile(graph, {"h1": method, "h2": method})
    rng = np.random.default_rng(seed)
    inputs = workload.data
    return lambda: step(workload.params, inputs, rng=rng, samples=NUM_SAMPLES).gradient


def rnn(workload: Workload, seed: int) -> Callable[[], dict]:
    graph, params = start(workload)
    x = graph.input("x", (NUM_STEPS, NUM_INPUTS))
    target = graph.input("target", NUM_STEPS, int)

    def act(h, now):
        x, target = now
        h = np.tanh(x @ params["W_in"] + h @ params["W_hidden"] + params["b_hidden"])
        logits = h @ params["W_out"] + params["b_out"]
        action = graph.sample("action", scg.Categorical(logits=logits))
        graph.cost("missed", 1.0 * (action != target))
        return h

    graph.scan(act, np.zeros(NUM_UNITS), xs=(x, target))
    step = scg.compile(graph, {"action": scg.ScoreFunction(baseline=scg.BatchMean())})
    rng = np.random.default_rng(seed)
    return lambda: step(workload.params, workload.data, rng=rng).gradient


def toy(workload: Workload, seed: int) -> Callable[[], dict]:
    graph, params = start(workload)
    b = graph.sample("b", scg.Bernoulli(logits=params["theta"]))
    graph.cost("loss", (b - 0.45) ** 2)
    step = scg.compile(graph)
    rng = np.random.default_rng(seed)
    return lambda: step(workload.params, rng=rng, rows=workload.rows).gradient


def start(workload: Workload) -> tuple[scg.Graph, dict]:
    """Make a graph that has the params."""
    graph = scg.Graph(workload.name, dtype=np.float32)
    return graph, {k: graph.param(k, v) for k, v in workload.params.items()}


def log_prob(distribution, value):
    return np.sum(distribution.log_prob(value), axis=-1)
