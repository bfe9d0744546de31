"""Small graphs that a run can be replayed on: feed-forward, recurrent, without time."""

import numpy as np

import scg

LENGTH = 4


def feed_forward(graph):
    """A loop whose carry the samples alone change, with a pathwise draw and costs."""
    w = graph.param("w", np.array([0.3, -0.2]))
    c = graph.param("c", np.array([0.1, 0.4, -0.3]))
    scale = graph.param("scale", 0.2)
    x = graph.input("x", shape=(2,))

    def step(state):
        drive = state @ w
        graph.value("v", np.tanh(drive) * scale)
        logits = drive[:, None] * np.arange(3.0) + c
        k = graph.sample("k", scg.Categorical(logits=logits))
        z = graph.sample("z", scg.Normal(mean=drive, log_scale=scale))
        graph.cost("near", (z - 1.0) ** 2)
        graph.cost("far", (k - 1.2) ** 2 * (1 + state[:, 0]))
        return state * 0.5 + (k[:, None] - 1.0) * np.array([1.0, -0.5])

    graph.scan(step, init=x, length=LENGTH)
    return {"z": scg.Pathwise(), "k": score()}


def recurrent(graph):
    """A loop with a differentiable carry, and a term of its last value."""
    u = graph.param("u", 0.7)
    w = graph.param("w", np.array([0.3, -0.2]))
    x = graph.input("x", shape=(2,))

    def step(h):
        h = np.tanh(u * h + 0.1)
        graph.value("v", h @ w)
        k = graph.sample("k", scg.Bernoulli(logits=h @ w))
        graph.cost("far", (k - 0.4) ** 2 + k * h[:, 1])
        return h + 0.2 * k[:, None]

    last, _ = graph.scan(step, init=x, length=LENGTH)
    graph.cost("end", last[:, 0] ** 2)
    return {"k": score()}


def timeless(graph):
    """Two samples one after the other, no loop."""
    w = graph.param("w", np.array([0.3, -0.2]))
    x = graph.input("x", shape=(2,))
    graph.value("v", x @ w)
    k = graph.sample("k", scg.Bernoulli(logits=x @ w))
    z = graph.sample("m", scg.Normal(mean=k * w[0], scale=np.array(0.5)))
    graph.cost("far", (z - 1) ** 2 + k * x[:, 0] * w[1])
    return {"k": score(), "m": scg.ScoreFunction()}


def vectors(graph):
    """A loop of vectors with a joint density, and a draw of implicit noise."""
    w = graph.param("w", np.array([[0.3, -0.2], [0.1, 0.4]]))
    factor = graph.param("factor", np.array([[2.0, 0.0], [0.5, 1.5]]))
    x = graph.input("x", shape=(2,))

    def step(state):
        drive = state @ w
        graph.value("v", np.tanh(drive[:, 0]))
        y = graph.sample("y", scg.MultivariateNormal(drive, scale_tril=factor))
        k = graph.sample("k", scg.OneHotCategorical(logits=drive))
        g = graph.sample("g", scg.Gamma(np.exp(drive), 2.0))
        graph.cost("near", ((g - 1.0) ** 2).sum(axis=-1))
        graph.cost("far", (y[:, 0] - k[:, 1]) ** 2 + y[:, 1] * state[:, 0])
        return state * 0.5 + k

    graph.scan(step, init=x, length=LENGTH)
    return {"g": scg.Pathwise(), "k": score(), "y": score()}


def score():
    """Credit with a value node that shares its params."""
    return scg.ScoreFunction(baseline=scg.LearnedBaseline("v", weight=0.5, shared=True))


BUILDERS = [feed_forward, recurrent, timeless, vectors]


def compiled(build):
    """Compile a graph; return it with params away from its start and some inputs."""
    graph = scg.Graph(build.__name__)
    model = scg.compile(graph, build(graph))
    rng = np.random.default_rng(1)
    params = graph.init(rng)
    moved = {k: v + 0.3 * rng.normal(size=np.shape(v)) for k, v in params.items()}
    return model, params, moved, {"x": rng.normal(size=(5, 2))}
