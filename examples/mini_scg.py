r"""The whole idea in one file: a stochastic computation graph without the library.

Problem. A model draws some values at random and pays costs c for what came of them. We
want the gradient of the expected cost J. A coin that came up heads has no derivative;
its *probability* has one, and that is enough: ∇ Σ p(x) Q(x) = E[Q(x) ∇ log p(x)].

Graph. A node is a parameter, an input, a sample, or a NumPy function of other nodes.
Nothing is computed before `Graph.run`, and then in rows: independent runs of the model.

Influence. Node v influences w, v ≺ w, if a path leads from v to w: v is in ``w.past``.
A sample is credited with Q, the costs that it influences; others would add noise only.
From Q we may take what the sample does not influence: b, the mean of other rows' Q.

Surrogate. With samples, Q and b held constant, the mean over rows of

.. math:: L = \sum_c c + \sum_w (Q_w - b_w) \log p(w), \quad Q_w = \sum_{c: w \prec c} c

has ∇J as its expected gradient. L is a weighted sum of nodes, so back-propagation finds
that gradient: it starts with the weights, and ends at params and at samples.

``main`` trains a net whose hidden units are coins. It learns exclusive or: the cost,
-log of the right answer's probability, falls from about log 2 = .69 to less than .1.

Schulman et al. 2015, "Gradient estimation using stochastic computation graphs".
"""

import argparse
from dataclasses import dataclass

import numpy as np


class Node(np.lib.mixins.NDArrayOperatorsMixin):
    """A value to come, computed from the parents' values by a rule."""

    __hash__ = object.__hash__

    def __init__(self, graph, rule, *parents, name=None, has_rows=False):
        self.graph, self.rule, self.parents, self.name = graph, rule, parents, name
        self.has_rows = has_rows or any(v.has_rows for v in parents)
        self.past = {self}.union(*(v.past for v in parents))
        graph.nodes.append(self)  # parents stand before their children

    def __array_ufunc__(self, ufunc, method, *inputs):  # np.tanh(node), node + 1, ...
        constant = lambda x: Node(self.graph, lambda: np.asarray(x))  # noqa: E731
        parents = (x if isinstance(x, Node) else constant(x) for x in inputs)
        return Node(self.graph, ufunc, *parents)


class Graph:
    """Nodes in order, those that are costs, the log-probability of each sample."""

    def __init__(self):
        self.nodes, self.costs, self.log_prob = [], [], {}

    def param(self, name):
        return Node(self, None, name=name)

    def input(self, name):
        return Node(self, None, name=name, has_rows=True)

    def sample(self, name, family, parameter):
        w = Node(self, family[0], parameter, name=name, has_rows=True)
        self.log_prob[w] = family[1](w, parameter)
        return w

    def run(self, given, rng=None, rows=1):
        """Compute all values. Params and inputs are given; samples may be."""
        values = {}
        for node in self.nodes:
            x = [values[v] for v in node.parents]
            if node.name in given:
                values[node] = np.asarray(given[node.name])
            elif node in self.log_prob:
                lead = () if node.parents[0].has_rows else (rows,)
                values[node] = node.rule(rng, np.broadcast_to(*x, lead + x[0].shape))
            else:
                values[node] = node.rule(*x)
        return values


BERNOULLI = (  # a family: how to draw; log p up to a constant, as a function of nodes
    lambda rng, logits: (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))) * 1.0,
    lambda b, logits: b * logits - np.logaddexp(0.0, logits),
)
PULLS = {  # for y = f(a, b): from the gradient by y to those by a and b
    np.add: lambda g, y, a, b: (g, g),
    np.subtract: lambda g, y, a, b: (g, -g),
    np.multiply: lambda g, y, a, b: (g * b, g * a),
    np.matmul: lambda g, y, a, b: (np.c_[g] @ np.c_[b].T, a.T @ g),
    np.tanh: lambda g, y, a: (g * (1 - y * y),),
    np.logaddexp: lambda g, y, a, b: (g * np.exp(a - y), g * np.exp(b - y)),
}


def surrogate(graph, values, baseline=True):
    """Return L, as pairs of a node and its weight: costs with 1, log p with Q - b."""
    weights = [(c, np.ones_like(values[c])) for c in graph.costs]
    for w, log_prob in graph.log_prob.items():
        Q = sum(values[c] * (w in c.past) for c in graph.costs)
        b = (Q.sum() - Q) / (len(Q) - 1) if baseline else 0.0
        weights.append((log_prob, (Q - b).reshape(-1, *[1] * (values[w].ndim - 1))))
    return weights


def gradient(graph, values, weights):
    """Back-propagate from the weights of a surrogate loss to the params."""
    grads = {v: np.zeros(x.shape) for v, x in values.items()}
    grads |= {v: weight / len(weight) for v, weight in weights}
    for node in reversed(graph.nodes):
        if node.rule in PULLS:
            x = [values[v] for v in node.parents]
            pulled = PULLS[node.rule](grads[node], values[node], *x)
            for v, g in zip(node.parents, pulled, strict=True):
                # A value without rows was repeated in all of them: their sum counts.
                grads[v] = grads[v] + g.sum(axis=tuple(range(g.ndim - values[v].ndim)))
    return {v.name: grads[v] for v in graph.nodes if not (v.rule or v.has_rows)}


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    seed: int = 0
    num_steps: int = 2000
    learning_rate: float = 2.0


def main(config: Config) -> float:
    """Train the net; return its cost at the end."""
    rng, graph = np.random.default_rng(config.seed), Graph()
    shapes = {"w1": (2, 6), "b1": 6, "w2": 6, "b2": ()}
    w1, b1, w2, b2 = map(graph.param, shapes)
    x, y = map(graph.input, "xy")
    logit = graph.sample("hidden", BERNOULLI, x @ w1 + b1) @ w2 + b2
    graph.costs.append(np.logaddexp(0.0, logit) - y * logit)
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    bits = np.tile([(0, 0), (0, 1), (1, 0), (1, 1)], (32, 1))
    data = {"x": bits, "y": bits[:, 0] ^ bits[:, 1]}
    for _ in range(config.num_steps):
        values = graph.run(params | data, rng)
        slope = gradient(graph, values, surrogate(graph, values))
        params = {k: p - config.learning_rate * slope[k] for k, p in params.items()}
    return float(values[graph.costs[0]].mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    print(f"mean cost {main(Config(**vars(parser.parse_args()))):.3f}, at first 0.69")
