"""The reverse pass: values with parts, and loops that mix rows."""

import autograd.numpy as anp
import numpy as np
import pytest

import scg
from scg.adjoints import Adjoints
from scg.program import schedule
from scg.reverse import Reverse

LOGIT = 0.3


def centred(unroll):
    graph = scg.Graph()
    theta = graph.param("theta", LOGIT)
    start, xs = graph.input("start"), graph.input("xs", shape=(3,))
    centre = scg.deterministic(lambda v: v - anp.mean(v), rows=False)

    def step(h, x, t=""):
        graph.cost(f"loss{t}", (centre(x * theta) + x) ** 2)
        return h + x

    if unroll:
        h = start
        for t in range(3):
            h = step(h, xs[:, t], t)
    else:
        graph.scan(step, start, xs=xs)
    return graph


def test_rows_are_mixed_within_a_step_of_a_loop_only():
    rng = np.random.default_rng(0)
    inputs = {"start": rng.normal(size=2), "xs": rng.normal(size=(2, 3))}
    loop, unrolled = (
        scg.estimate_gradient(centred(unroll), {"theta": LOGIT}, inputs, rng=rng)
        for unroll in (False, True)
    )
    assert loop.gradient["theta"] == pytest.approx(unrolled.gradient["theta"])


def test_gradient_comes_through_each_part_of_a_function():
    graph = scg.Graph()
    theta, x = graph.param("theta", LOGIT), graph.input("x")
    pair = scg.deterministic(lambda v, t: (anp.sin(v * t), anp.cos(v) * t**2))
    up, down = pair(x, theta)
    whole = np.linalg.eigh(graph.param("a", np.diag([1.0, 2.0])))[0]
    graph.cost("loss", up**2 + down + whole[0] ** 2 + 3 * whole[1])
    params, inputs = graph.init(np.random.default_rng(0)), {"x": np.array([0.4, -1.0])}
    rng = np.random.default_rng(0)
    gradient = scg.estimate_gradient(graph, params, inputs, rng=rng).gradient
    v = inputs["x"]
    slope = np.sin(2 * v * LOGIT) * v + 2 * np.cos(v) * LOGIT
    assert gradient["theta"] == pytest.approx(slope.mean(), abs=1e-12)
    assert np.allclose(gradient["a"], np.diag([2.0, 3.0]), atol=1e-12)


def test_what_is_below_a_sample_is_taken_back_to_it_and_no_further(monkeypatch):
    graph = scg.Graph()
    theta, w = graph.param("theta", np.full(3, LOGIT)), graph.param("w", np.arange(3.0))
    x = graph.input("x", 3)
    mean = np.tanh(x * theta)
    h = graph.sample("h", scg.Bernoulli(logits=mean))
    graph.cost("loss", np.sum(h * w + mean, axis=-1) ** 2)
    params, rng = graph.init(np.random.default_rng(0)), np.random.default_rng(1)
    trace = scg.forward(
        graph, params, {"x": rng.normal(size=(4, 3))}, rng=rng,
        estimators={"h": scg.REBAR()},
    )  # fmt: skip
    program = schedule(graph.store, {"h": scg.REBAR()})
    cost = graph["loss"]
    wide = np.repeat(np.tanh(trace["x"] * LOGIT), 3, axis=0)
    slope = 2 * np.sum(trace["h"] * params["w"] + wide, -1)[:, np.newaxis] * params["w"]
    crossed, add = [], Adjoints.add

    def note(self, place, g, *, fresh=False):
        crossed.append(place)
        add(self, place, g, fresh=fresh)

    monkeypatch.setattr(Adjoints, "add", note)
    for below, ends, least, most in ((h, (), 2, 6), (None, (theta, w), 8, 20)):
        reverse = Reverse(program, trace, below=below)
        reverse.seed(cost, np.ones(12))
        crossed.clear()
        assert set(reverse.run()) == {node.index for node in ends}
        np.testing.assert_allclose(reverse.adjoints.at[h.index], slope, atol=1e-12)
        # Square, sum, the sum and the product with w; without `below` much more.
        assert least <= len(crossed) <= most
