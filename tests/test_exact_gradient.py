"""The exact gradient: in loops against autograd alone, outside in closed form."""

import itertools

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import scg
from scg.exact_gradient import exact_gradient

STEPS = 3
XS = np.array([[0.3, -1.0, 0.8], [-0.5, 0.4, 0.1]])
PARAMS = {
    "first": np.array(0.2),
    "bits": np.array([0.1, -0.4]),
    "choice": np.array([0.3, 0.0, -0.2]),
    "late": np.array(-0.3),
}


def model(dtype=np.float64):
    """Return a graph with samples before, inside and after a loop."""
    graph = scg.Graph(dtype=dtype)
    p = {name: graph.param(name, value.astype(dtype)) for name, value in PARAMS.items()}
    start = graph.sample("start", scg.Bernoulli(logits=p["first"]))

    def step(carry, x):
        h, last = carry
        pair = graph.sample("pair", scg.Bernoulli(logits=p["bits"] * (h + x)[:, None]))
        logits = p["choice"] + (last - 1)[:, None] * np.arange(3.0, dtype=dtype)
        pick = graph.sample(
            "pick", scg.Categorical(logits=logits * np.tanh(h)[:, None])
        )
        h = np.tanh(h * p["late"] + pair @ np.array([1.0, -0.5], dtype) + start)
        graph.cost("inside", (h - pick) ** 2 * x)
        return h, pick.astype(dtype)

    init = (np.ones((), dtype), np.zeros((), dtype))
    (h, last), _ = graph.scan(step, init=init, xs=graph.input("x", STEPS))
    end = graph.sample("end", scg.Bernoulli(logits=p["late"] * h))
    graph.cost("after", (end - 0.3 * last) ** 2 + p["first"] * h)
    return graph


def reference(params):
    """Return the expected cost, written again with autograd."""
    total = 0.0
    steps = list(itertools.product([0, 1], [0, 1], [0, 1, 2]))
    outcomes = itertools.product([0, 1], *[steps] * STEPS, [0, 1])
    rows = [(s, end, *mid) for s, *mid, end in outcomes]
    start, end = (np.array([r[k] for r in rows], float) for k in (0, 1))
    mid = np.array([r[2:] for r in rows], float)
    for xs in XS:
        h, last, cost = np.ones(len(rows)), np.zeros(len(rows)), 0.0
        log_p = bit(start, params["first"] + 0 * h)
        for t, x in enumerate(xs):
            for k in range(2):
                log_p = log_p + bit(mid[:, t, k], params["bits"][k] * (h + x))
            pick = mid[:, t, 2]
            logits = params["choice"] + (last - 1)[:, None] * np.arange(3.0)
            logits = logits * anp.tanh(h)[:, None]
            chosen = anp.sum(logits * (pick[:, None] == np.arange(3)), axis=1)
            log_p = log_p + chosen - anp.log(anp.sum(anp.exp(logits), axis=1))
            drive = mid[:, t, 0] - 0.5 * mid[:, t, 1] + start
            h = anp.tanh(h * params["late"] + drive)
            cost = cost + (h - pick) ** 2 * x
            last = pick
        log_p = log_p + bit(end, params["late"] * h)
        cost = cost + (end - 0.3 * last) ** 2 + params["first"] * h
        total = total + anp.sum(anp.exp(log_p) * cost)
    return total / len(XS)


def bit(b, logits):
    return b * logits - anp.log(1 + anp.exp(logits))


def test_samples_before_inside_and_after_a_loop():
    found = exact_gradient(model().store, PARAMS, {"x": XS}, limit=20_000)
    wanted = autograd.grad(reference)(PARAMS)
    for name, g in wanted.items():
        np.testing.assert_allclose(found[name], g, atol=1e-10)
    elsewhere = {k: v + 0.1 for k, v in PARAMS.items()}  # the control
    other = autograd.grad(reference)(elsewhere)
    assert min(np.abs(other[k] - found[k]).max() for k in found) > 1e-3


def test_float32_stays():
    params = {k: v.astype(np.float32) for k, v in PARAMS.items()}
    inputs = {"x": XS.astype(np.float32)}
    found = exact_gradient(model(np.float32).store, params, inputs, limit=20_000)
    wanted = autograd.grad(reference)(PARAMS)
    for name, g in wanted.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], g, atol=2e-5)


def test_beyond_the_limit_there_is_none():
    # 2 * 12^3 * 2 outcomes of 2 rows
    assert exact_gradient(model().store, PARAMS, {"x": XS}, limit=13_823) is None
    assert exact_gradient(model().store, PARAMS, {"x": XS}, limit=13_824) is not None


def looped(distribution, **options):
    graph = scg.Graph()
    theta = graph.param("theta", 0.5)

    def step(n):
        graph.rename("over", n > 5)
        b = graph.sample("b", distribution(theta + 0 * n))
        graph.cost("loss", b * 1.0)
        return n + b

    graph.scan(step, init=np.zeros(()), length=3, **options)
    return graph


def test_what_cannot_be_laid_out_has_none():
    params = {"theta": 0.5}

    def coin(x):
        return scg.Bernoulli(logits=x)

    assert exact_gradient(looped(coin).store, params, None) is not None
    poisson = looped(lambda x: scg.Poisson(rate=x))
    assert exact_gradient(poisson.store, params, None) is None
    assert exact_gradient(looped(coin, until="over").store, params, None) is None


def test_an_outcome_that_cannot_come_is_no_gradient_in_silence():
    graph = looped(lambda x: scg.Bernoulli(probs=x))
    assert exact_gradient(graph.store, {"theta": 0.0}, None) is None


@pytest.mark.parametrize("reads", [True, False])
def test_params_of_a_value_node_get_none_of_it(reads):
    graph = scg.Graph()
    theta, w = graph.param("theta", 0.3), graph.param("w", 0.1)

    def step(total):
        graph.value("v", w * total)
        b = graph.sample("b", scg.Bernoulli(logits=theta + 0 * total))
        graph.cost("loss", (b + total) ** 2 + (0 if reads else w))
        return total + b

    graph.scan(step, init=np.zeros(()), length=2)
    params = {"theta": 0.3, "w": 0.1}
    found = exact_gradient(graph.store, params, None, reading={"b": ("v",)})
    assert found["w"] == pytest.approx(0.0 if reads else 2.0)
    p = scg.sigmoid(0.3)  # E = p + E[(b1 + b2)^2] = p + 2p + 2p^2
    assert found["theta"] == pytest.approx((3 + 4 * p) * p * (1 - p))


def test_one_hot_vectors_are_laid_out_as_wholes():
    graph = scg.Graph()
    t = graph.param("t", np.zeros((2, 3)))
    worth = np.array([1.0, 2.0, 4.0])

    def step(n):
        k = graph.sample("k", scg.OneHotCategorical(logits=t + 0 * n[:, None, None]))
        graph.cost("loss", (k @ worth).sum(axis=-1) ** 2)
        return n + 1

    graph.scan(step, init=np.zeros(()), length=2)
    logits = np.array([[0.3, -0.2, 0.1], [0.0, 0.4, -0.1]])
    found = exact_gradient(graph.store, {"t": logits}, None)

    def expected(logits):
        p = anp.exp(logits) / anp.sum(anp.exp(logits), axis=1, keepdims=True)
        return 2 * sum(
            p[0, i] * p[1, j] * (worth[i] + worth[j]) ** 2
            for i in range(3)
            for j in range(3)
        )

    np.testing.assert_allclose(found["t"], autograd.grad(expected)(logits), atol=1e-12)


# Outside of loops


def test_a_quadrature_is_the_closed_form():
    graph = scg.Graph()
    mu, sigma = graph.param("mu", 1.0), graph.param("sigma", 1.5)
    b = graph.sample("b", scg.Bernoulli(logits=0.4))
    x = graph.sample("x", scg.Normal(mean=mu + b, scale=sigma))
    graph.cost("loss", (x - 2.0) ** 2)
    found = exact_gradient(graph.store, {"mu": 1.0, "sigma": 1.5}, None)
    p = 1 / (1 + np.exp(-0.4))
    assert found["mu"] == pytest.approx(2 * (1 + p - 2), abs=1e-10)
    assert found["sigma"] == pytest.approx(2 * 1.5, abs=1e-10)


def test_a_quadrature_of_a_jump_is_not_believed():
    graph = scg.Graph()
    mu = graph.param("mu", 0.3)
    x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    graph.cost("loss", np.where(x > 0, 1.0, 0.0))
    assert exact_gradient(graph.store, {"mu": 0.3}, None) is None


def test_beyond_the_limit_there_is_no_exact_gradient():
    graph = scg.Graph()
    theta = graph.param("theta", np.zeros(6))
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", b.sum(axis=-1) ** 2)
    params = {"theta": np.zeros(6)}
    assert exact_gradient(graph.store, params, None, limit=64) is not None
    assert exact_gradient(graph.store, params, None, limit=63) is None


def test_a_family_that_cannot_be_laid_out_has_no_exact_gradient():
    graph = scg.Graph()
    rate = graph.param("rate", 2.0)
    n = graph.sample("n", scg.Poisson(rate=rate))
    graph.cost("loss", n**2)
    assert exact_gradient(graph.store, {"rate": 2.0}, None) is None


def test_the_exact_gradient_is_the_mean_over_the_rows_of_the_inputs():
    graph = scg.Graph()
    x = graph.input("x")
    theta = graph.param("theta", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", x * b)
    inputs = {"x": np.array([1.0, 3.0])}
    found = exact_gradient(graph.store, {"theta": 0.0}, inputs)
    assert found["theta"] == pytest.approx(2.0 * 0.25)
