"""Loops of all kinds, written so that they can keep every k-th carry alone."""

from dataclasses import dataclass, field

import numpy as np
from episodes import Episodes

import scg

LENGTH = 11
ROWS = 3


@dataclass
class Model:
    """A graph with what it takes to run it; black boxes note their calls."""

    graph: scg.Graph
    estimators: dict[str, object] = field(default_factory=dict)
    inputs: dict[str, object] = field(default_factory=dict)
    calls: list[object] = field(default_factory=list)

    def estimate(self, **options):
        """Run it once and estimate the gradient."""
        return self._run(scg.compile(self.graph, self.estimators), options)

    def forward(self, **options):
        """Run it once."""
        return self._run(scg.compile(self.graph, self.estimators).forward, options)

    def _run(self, function, options):
        params = self.graph.init(np.random.default_rng(0))
        return function(params, self.inputs, rng=np.random.default_rng(1), **options)


def recurrent(keep_every, length=LENGTH, rows=ROWS, hidden=2, dtype=np.float64):
    """Keep a differentiable state; draw a bit and a pathwise number from it."""
    graph = scg.Graph(dtype=dtype)
    rng = np.random.default_rng(0)
    w = 0.7 / np.sqrt(hidden) * rng.normal(size=(hidden, hidden))
    w = graph.param("w", w.astype(dtype))
    u = graph.param("u", rng.normal(size=hidden).astype(dtype))

    def step(h):
        z = graph.sample("z", scg.Bernoulli(logits=h @ u))
        e = graph.sample("e", scg.Normal(mean=np.sin(h @ u), scale=0.5))
        graph.cost("loss", (z - 0.3) ** 2 + e**2)
        return np.tanh(h @ w + (z + 0.1 * e)[:, None])

    start = graph.input("start", shape=(hidden,), dtype=dtype)
    last, _ = graph.scan(step, start, length=length, keep_every=keep_every)
    graph.cost("last", np.sum(last**2, axis=-1))
    estimators = {"z": scg.ScoreFunction(discount=0.9), "e": scg.Pathwise()}
    start = np.linspace(0, 1, rows * hidden, dtype=dtype).reshape(rows, hidden)
    return Model(graph, estimators, {"start": start})


def swapped(keep_every):
    """Swap carries; scan and capture values with gradient; stack outputs."""
    graph = scg.Graph()
    a, b = graph.param("a", 0.7), graph.param("b", -0.4)
    start = graph.input("start")
    first = graph.sample("first", scg.Normal(mean=a * start, scale=1.0))

    def step(carry, x):
        h, g, k = carry
        k = np.sin(k + x * first)
        y = graph.sample("y", scg.Normal(mean=b * h + x, scale=0.8))
        graph.cost("loss", np.cos(y * g) + k)
        return (g, np.tanh(h + a * y), k), (k * y, g)

    xs = (b + start)[:, None] * np.linspace(0.5, 1.0, LENGTH)
    last, outputs = graph.scan(step, (start, first, 0.3), xs=xs, keep_every=keep_every)
    graph.cost("end", last[0] * last[2])
    graph.cost("outputs", np.mean(outputs[0] * outputs[1], axis=-1))
    estimators = {"y": scg.Pathwise(), "first": scg.Pathwise()}
    return Model(graph, estimators, {"start": np.array([0.1, -0.5, 1.2])})


def feed_forward(keep_every):
    """Act in an environment that cuts episodes off, with generalised advantages."""
    graph = scg.Graph()
    w = graph.param("w", np.array([[0.4, -0.2, 0.3]]))
    v = graph.param("v", np.array([0.1, 0.2, -0.3]))
    world = scg.Environment(Episodes(truncate=True), seed=3)

    def step(count):
        hidden = np.tanh(count[:, None] @ w)
        graph.value("value", hidden @ v)
        a = graph.sample("a", scg.Bernoulli(logits=np.sum(hidden, axis=-1)))
        count, reward, _ = world(a.astype(np.int64))
        graph.cost("loss", -reward)
        return count

    graph.scan(step, world.reset(), length=3 * LENGTH, keep_every=keep_every)
    critic = scg.GAE("value", lam=0.8)
    return Model(graph, {"a": scg.ScoreFunction(discount=0.9, critic=critic)})


def stopping(keep_every):
    """Stop row by row, after a state with gradient and a number drawn ahead."""
    graph = scg.Graph()
    theta = graph.param("theta", -0.5)
    x = graph.input("x")

    def step(h, slice_):
        ahead = graph.sample("ahead", scg.Normal(mean=theta * slice_, scale=0.3))
        b = graph.sample("b", scg.Bernoulli(logits=theta + 0.1 * h))
        graph.rename("over", b == 1)
        graph.cost("loss", (1 + h * theta) ** 2 + ahead)
        return np.tanh(h * theta + ahead) + x

    xs = x[:, None] * np.linspace(0.5, 1.0, 4 * LENGTH)
    graph.scan(step, x, xs=xs, until="over", keep_every=keep_every)
    x = np.array([0.3, 0.8, -0.4, 0.2])
    return Model(graph, {"ahead": scg.Pathwise()}, {"x": x})


def learned(keep_every):
    """Fit a baseline with params of its own, which reads the state."""
    graph = scg.Graph()
    theta, phi = graph.param("theta", 0.3), graph.param("phi", 0.6)

    def step(h):
        graph.value("value", np.tanh(phi * h) * phi)
        z = graph.sample("z", scg.Bernoulli(logits=np.sin(theta * h)))
        graph.cost("loss", (z - h) ** 2)
        return np.tanh(theta * h + z)

    graph.scan(step, graph.input("x"), length=LENGTH, keep_every=keep_every)
    baseline = scg.LearnedBaseline("value", weight=0.7)
    estimators = {"z": scg.ScoreFunction(baseline=baseline)}
    return Model(graph, estimators, {"x": np.array([0.3, 0.8, -0.4])})


def boxed(keep_every):
    """Ask a black box that answers otherwise each time."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    calls = []

    def count(z):
        calls.append(z)
        return np.stack([z + len(calls), 0.1 * z * len(calls)], axis=-1)

    box = scg.black_box(count, 2, float)

    def step(h):
        logits = np.stack([theta * h, h, 0 * h], axis=-1)
        z = graph.sample("z", scg.Categorical(logits=logits))
        answer = box(z * 1.0)
        graph.cost("loss", np.sin(theta * answer[:, 0]))
        return np.tanh(theta * h * answer[:, 1] + z)

    graph.scan(step, graph.input("x"), length=LENGTH, keep_every=keep_every)
    return Model(graph, {}, {"x": np.array([0.3, 0.8, -0.4])}, calls)


def mixing(keep_every):
    """Mix the rows at each step."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    centred = scg.deterministic(lambda x: x - x.mean(), rows=False)

    def step(h):
        e = graph.sample("e", scg.Normal(mean=theta * centred(h), scale=0.5))
        graph.cost("loss", np.cos(centred(h) * theta) + e)
        return np.tanh(h + e)

    graph.scan(step, graph.input("x"), length=LENGTH, keep_every=keep_every)
    x = np.array([0.3, 0.8, -0.4])
    return Model(graph, {"e": scg.Pathwise()}, {"x": x})


MODELS = {
    "recurrent": recurrent,
    "swapped": swapped,
    "feed forward": feed_forward,
    "stopping": stopping,
    "learned": learned,
    "boxed": boxed,
    "mixing": mixing,
}
