"""A mean cost given a critic set leaves the gradient as it was, by enumeration."""

import itertools

import numpy as np
import pytest

import scg


class Finite:
    """A graph of coins with every joint outcome as a row, and their probabilities."""

    def __init__(self, seed, coins=5):
        rng = np.random.default_rng(seed)
        self.graph = graph = scg.Graph()
        theta = graph.param("theta", 0.3)
        nodes = []
        for i in range(coins):
            parents = [n for n in nodes if rng.uniform() < 0.5][-2:]
            logits = theta * rng.normal() + sum(2 * rng.normal() * p for p in parents)
            if i and rng.uniform() < 0.4:
                logits = graph.rename(f"h{i}", np.tanh(logits))
            b = graph.sample(f"b{i}", scg.Bernoulli(logits=logits))
            nodes.append(b)
            if rng.uniform() < 0.5 or i == coins - 1:
                some = [n for n in nodes if rng.uniform() < 0.5] or [b]
                product = 1.0
                for n in some:
                    product = product * (rng.normal() + rng.normal() * n)
                graph.cost(f"c{i}", product)
        self.names = [f"b{i}" for i in range(coins)]
        table = np.array(list(itertools.product([0.0, 1.0], repeat=coins))).T
        outcomes = dict(zip(self.names, table, strict=True))
        self.trace = scg.forward(
            graph,
            {"theta": 0.3},
            given=outcomes,
            rng=np.random.default_rng(0),
            rows=2**coins,
        )
        log_p = sum(
            self.trace.distribution(n).log_prob(self.trace[n]) for n in self.names
        )
        self.p = np.exp(log_p)

    def change(self, w, known):
        """Return how the gradient by w's logits changes with E[Q̂|known] for Q̂."""
        trace, p = self.trace, self.p
        q = sum(trace[c] for c in self.graph.downstream_costs(w))
        score = trace.distribution(w).score(trace[w])["logits"]
        columns = [np.broadcast_to(trace[n].round(9), p.shape) for n in sorted(known)]
        cells = np.stack([0 * p, *columns])
        _, cell = np.unique(cells, axis=1, return_inverse=True)
        cell = cell.reshape(-1)
        mean = np.bincount(cell, p * q) / np.bincount(cell, p)
        return float(p @ (score * (mean[cell] - q)))


@pytest.mark.parametrize("seed", range(12))
def test_a_critic_set_leaves_the_gradient_unchanged_and_no_other_does(seed):
    model = Finite(seed)
    readable = [
        n.name for n in model.graph.nodes if n.is_named and n.name not in {"theta"}
    ]
    rng = np.random.default_rng(seed)
    counts = {True: 0, False: 0}
    for w in model.names:
        if not model.graph.downstream_costs(w):
            continue
        sets = [{n for n in readable if rng.uniform() < 0.4} for _ in range(20)]
        sets += [{n for n in model.names if rng.uniform() < 0.4} for _ in range(10)]
        for known in [model.graph.critic_set(w), *sets]:
            legal = model.graph.is_critic_set(w, known)
            counts[True] += legal
            change = abs(model.change(w, known))
            # A number may tell all of what it was computed from, which no graph says.
            if legal:
                assert change < 1e-12, (w, known, change)
            elif known <= set(model.names):
                assert change > 1e-9, (w, known, change)
                counts[False] += 1
    assert min(counts.values()) > 2, counts


def every_run_of_a_loop(until, length=4):
    """Write a loop of coins, run every outcome; return graph, trace, probabilities."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)

    def step(carry):
        h, g = carry
        graph.rename("h", h)
        graph.rename("g", g)
        a = graph.sample("a", scg.Bernoulli(logits=theta * h + 0.2 * g))
        b = graph.sample("b", scg.Bernoulli(logits=0.7 * h - a))
        graph.cost("c", (h - 0.6 * a) ** 2 * (1 + b) + 0.3 * g * a)
        graph.rename("over", h * a * b > 0.5)
        return np.abs(a - b), np.abs(g - b)

    graph.scan(step, (graph.input("x"), graph.input("y")), length=length, until=until)
    table = np.array(list(itertools.product([0.0, 1.0], repeat=2 * length))).T
    rows = table.shape[1]
    trace = scg.forward(
        graph,
        {"theta": 0.3},
        {"x": np.ones(rows), "y": np.zeros(rows)},
        given={"a": table[:length], "b": table[length:]},
        rng=np.random.default_rng(0),
    )
    log_p = sum(trace.distribution(n).log_prob(trace[n]) for n in "ab")
    p = np.exp(log_p.sum(axis=0)) / 2 ** (2 * (len(log_p) - length))
    return graph, trace, p


@pytest.mark.parametrize("until", [None, "over"])
def test_in_a_loop_too_a_critic_set_leaves_the_gradient_unchanged(until):
    graph, trace, p = every_run_of_a_loop(until)
    alive = trace.alive.get("scan", np.ones(trace["c"].shape, bool))
    assert (until is None) == alive.all()
    score = trace.distribution("a").score(trace["a"])["logits"] * (1 + trace["g"])
    q = np.cumsum((trace["c"] * alive)[::-1], axis=0)[::-1]

    def change(known):
        total = 0.0
        for t, still in enumerate(alive):
            cells = np.stack([trace[n][t].round(9) for n in known])
            _, cell = np.unique(cells, axis=1, return_inverse=True)
            cell = cell.reshape(-1)
            mass = np.maximum(np.bincount(cell, p * still), 1e-300)
            mean = np.bincount(cell, p * still * q[t]) / mass
            total += (p * still) @ (score[t] * (mean[cell] - q[t]))
        return abs(total)

    for known in [("a", "h", "g"), ("a", "h"), ("a",), ("a", "g"), ("b", "h", "g")]:
        legal = graph.is_critic_set("a", [*known, "x", "y"])
        assert legal == (set(known) == {"a", "h", "g"})
        found = change(known)
        assert found < 1e-12 if legal else found > 1e-5, (known, found)
