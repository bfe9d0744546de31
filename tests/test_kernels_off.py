"""Models with kernels and arrays that are used again are those without."""

import contextlib

import autograd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pooled import pooled
from random_models import AsGraph, write
from random_scans import RandomScan
from tiny_environment import tiny_environment

import scg
from scg import kernels
from scg.plan import plan_of

RNG = np.random.default_rng


def assert_close(found, expected, dtype=np.float64):
    tolerance = 1e-9 if dtype == np.float64 else 3e-4
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = 1 + np.abs(value).max()
        np.testing.assert_allclose(
            found[name] / scale, value / scale, rtol=0, atol=tolerance, err_msg=name
        )


def assert_same_without(graph, params, inputs, estimators=None, **options):
    """Compare an estimate, the second one of two, with that of autograd's rules."""
    step = scg.compile(graph, estimators)
    state = step(params, inputs, rng=RNG(0), **options).state
    found = step(params, inputs, rng=RNG(1), state=state, **options)
    block = plan_of(step.program).block  # these are drawn from other numbers
    drawn = {step.program.nodes[i].name: found.trace.values[i] for i in block}
    plain = scg.compile(graph, estimators, kernels=False)
    other = plain(params, inputs, rng=RNG(1), state=state, given=drawn, **options)
    dtype = graph.store.float_dtype("test")
    assert found.cost == pytest.approx(other.cost, rel=1e-4 if dtype == "f4" else 1e-9)
    assert_close(found.gradient, other.gradient, dtype)
    assert_close(found.state, other.state, dtype)
    assert {g.dtype for g in found.gradient.values()} == {dtype}
    return found


def small(*, is_small):
    return pooled() if is_small else contextlib.nullcontext()


# Random models


def chosen(seed, model, rows, *, values):
    """Choose an estimator for each sample."""
    rng = RNG(seed)
    found = dict.fromkeys(model.pathwise, scg.Pathwise())
    for drawn in model.drawn:
        score = scg.ScoreFunction
        options = [
            score(),
            score(baseline=scg.BatchMean() if rows > 1 else scg.NoBaseline()),
            score(baseline=scg.MovingAverage()),
        ]
        if not drawn.inside:
            branches = score(samples=2, baseline=scg.LeaveOneOut())
            options += [scg.Enumeration(), scg.Enumeration(), branches]
        if values:
            options = [score(baseline=scg.LearnedBaseline(f"v {drawn.name}"))]
        found[drawn.name] = options[rng.integers(len(options))]
    return found


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["plain", "values", "continuous", "float32"]),
    st.integers(1, 4),
    st.booleans(),
)
def test_a_random_model_is_the_same_without_kernels(seed, kind, rows, is_small):
    dtype = np.float32 if kind == "float32" else np.float64
    with small(is_small=is_small):
        model = AsGraph(values=kind == "values", dtype=dtype)
        write(seed, model, continuous=kind == "continuous")
        params = {k: np.asarray(v, dtype) for k, v in model.graph.init(RNG(0)).items()}
        inputs = {"x": RNG(seed).normal(size=rows).astype(dtype)}
        estimators = chosen(seed, model, rows, values=kind == "values")
        assert_same_without(
            model.graph, params, inputs, estimators, samples=1 + seed % 2
        )


def test_the_comparison_fails_on_a_wrong_kernel(monkeypatch):
    def wrong(out, g, y, x):
        np.multiply(g, 1 - y, out)

    monkeypatch.setitem(kernels.ELEMENTWISE, np.tanh, (wrong,))
    failed = 0
    for seed in range(6):
        scan = RandomScan(seed)
        with contextlib.suppress(AssertionError):
            assert_same_without(scan.graph, scan.params, scan.inputs, scan.estimators)
            failed -= 1
        failed += 1
    assert failed >= 2


@pytest.mark.parametrize("seed", range(4))
def test_a_random_model_of_many_rows_is_the_same_without_kernels(seed):
    model = AsGraph()
    write(seed, model, continuous=seed % 2)
    inputs = {"x": RNG(seed).normal(size=9000)}
    estimators = dict.fromkeys(model.pathwise, scg.Pathwise())
    assert_same_without(model.graph, model.graph.init(RNG(0)), inputs, estimators)


@pytest.mark.parametrize("is_small", [False, True])
@pytest.mark.parametrize("branches", [1, 3])
def test_a_bound_with_the_log_probability_of_its_draws_is_the_same(branches, is_small):
    with small(is_small=is_small):
        graph = scg.Graph()
        x, w = graph.input("x", shape=(3,)), graph.param("w", np.ones(3))
        logits = x * w
        h = graph.sample("h", scg.Bernoulli(logits=logits))
        g = graph.sample("g", scg.Bernoulli(logits=h * w))
        log_q = scg.Bernoulli(logits=logits).log_prob(h)
        log_p = scg.Bernoulli(logits=h * w).log_prob(g)
        graph.cost("bound", np.sum(log_q * log_p, axis=-1))
        score = scg.ScoreFunction(samples=branches)
        params, inputs = {"w": RNG(0).normal(size=3)}, {"x": RNG(1).normal(size=(4, 3))}
        found = assert_same_without(graph, params, inputs, {"h": score})
        assert_is_the_surrogate(found, graph, params, {"h": score})


# Random loops


def assert_is_the_surrogate(found, graph, params, estimators=None):
    """Compare with autograd's derivative of the loss that the run stands for."""
    loss = scg.surrogate_loss(graph, found.trace, estimators)
    assert_close(found.gradient, autograd.grad(loss)(params))


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 100_000), st.booleans(), st.booleans())
def test_a_random_loop_is_its_surrogate_loss(seed, until, is_small):
    with small(is_small=is_small):
        scan = RandomScan(seed, until=until)
        found = assert_same_without(
            scan.graph, scan.params, scan.inputs, scan.estimators
        )
        assert_is_the_surrogate(found, scan.graph, scan.params, scan.estimators)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000), st.booleans())
def test_a_random_loop_in_float32_is_the_same_without_kernels(seed, until):
    with pooled():
        scan = RandomScan(seed, until=until, dtype=np.float32)
        assert_same_without(scan.graph, scan.params, scan.inputs, scan.estimators)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 7), st.booleans())
def test_a_random_loop_that_keeps_few_values_is_the_same(seed, every, until):
    with pooled():
        scan = RandomScan(seed, until=until, keep_every=every)
        found = assert_same_without(
            scan.graph, scan.params, scan.inputs, scan.estimators
        )
        whole = RandomScan(seed, until=until)
        step = scg.compile(whole.graph, whole.estimators)
        expected = step(whole.params, whole.inputs, rng=RNG(1))
        assert found.cost == pytest.approx(expected.cost, rel=1e-9)
        assert_close(found.gradient, expected.gradient)


@pytest.mark.parametrize("until", [False, True])
def test_a_random_loop_of_many_rows_is_its_surrogate_loss(until):
    for seed in (3, 136):
        scan = RandomScan(seed, until=until, rows=5000)
        step = scg.compile(scan.graph, scan.estimators)
        found = step(scan.params, scan.inputs, rng=RNG(0))
        assert_is_the_surrogate(found, scan.graph, scan.params, scan.estimators)


def test_the_surrogate_loss_tells_a_gradient_that_a_little_is_missing_from():
    scan = RandomScan(136)
    found = scg.compile(scan.graph, scan.estimators)(
        scan.params, scan.inputs, rng=RNG(0)
    )
    found.gradient["w"][0] += 1e-6
    with pytest.raises(AssertionError):
        assert_is_the_surrogate(found, scan.graph, scan.params, scan.estimators)


@pytest.mark.parametrize("is_small", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_a_loop_in_an_environment_is_its_surrogate_loss(whole, is_small):
    with small(is_small=is_small):
        graph = scg.Graph()
        w, v = graph.param("w", 0.3), graph.param("v", 0.2)
        world = tiny_environment(action_dtype=np.int64 if whole else np.float64)

        def step(carry):
            h, seen = carry
            h = np.tanh(w * h + v * seen)
            a = graph.sample("a", scg.Bernoulli(logits=h))
            seen, reward, _ = world(a.astype(np.int64) if whole else a)
            graph.cost("loss", -reward * (1 + h))
            return h, seen

        graph.scan(step, init=(np.zeros(()), world.reset()), length=5)
        params = {"w": np.array(0.3), "v": np.array(0.2)}
        found = scg.compile(graph)(params, rng=RNG(0))
        assert_is_the_surrogate(found, graph, params)


# Loops that are told from others by where adjoints meet


def both(step, end, *, length=4):
    """Return the estimates of a loop and of the same model without one."""
    found = []
    params = {"u": np.array(0.7), "v": np.array(0.4)}
    inputs = {"x": np.array([1.0, 0.5, -0.8])}
    for looped in (True, False):
        graph = scg.Graph()
        nodes = {k: graph.param(k, 0.0) for k in params}
        x = graph.input("x")
        before, total = x * nodes["v"], 0.0
        carry = (x, before)
        if looped:

            def body(c, graph=graph, nodes=nodes, x=x):
                after, cost = step(c, nodes["u"], nodes["v"], x)
                graph.cost("step", cost)
                return after

            carry, _ = graph.scan(body, carry, length=length)
        else:
            for _ in range(length):
                carry, cost = step(carry, nodes["u"], nodes["v"], x)
                total = total + cost
            graph.cost("steps", total)
        graph.cost("end", end(carry, before))
        found.append(scg.compile(graph)(params, inputs, rng=RNG(0)))
    assert found[0].cost == pytest.approx(found[1].cost, rel=1e-12)
    return found[0].gradient, found[1].gradient


def summed(c, u, v, x):
    s = c[0] + c[1]
    first = np.tanh(s * u)
    return (first, np.sin(s * v)), first * first


def apart(c, u, v, x):
    b, a = c[0] * v, c[0] * u
    return (np.tanh(a), a + b), c[0] ** 2


def one_of_two(c, u, v, x):
    first = np.tanh(c[0] * u + x)
    return (first, c[1] * v), first**2


def handed_on(c, u, v, x):
    return (c[1] + 0.0, x + 0.1), c[0] * u + c[1]


def swapped(c, u, v, x):
    return (c[1] * u, c[0] + 0.0), c[0] * v


MEETING = {
    "carries that get one adjoint": (summed, lambda c, before: (c[0] + c[1]) ** 2),
    "values whose adjoints are equal for a while": (apart, lambda c, before: c[1] ** 2),
    "a last carry and a value": (one_of_two, lambda c, before: (c[0] + before) ** 2),
    "a carry that another is made of": (handed_on, lambda c, before: c[0] * before),
    "swapped carries": (swapped, lambda c, before: c[0] + before),
}


@pytest.mark.parametrize("is_small", [False, True])
@pytest.mark.parametrize("name", MEETING)
def test_adjoints_that_meet_in_a_loop_are_kept_apart(name, is_small):
    with small(is_small=is_small):
        assert_close(*both(*MEETING[name]))


# Models that are told from others by the arrays that they share


def viewed(x, w, cost):
    p = x * w
    view = p[:, ::-1]
    large = np.exp(p)
    cost(np.sum(large + 2.0 * view, axis=-1))


def shaped(x, w, cost):
    p = x * w
    square = np.reshape(p, (-1, 2, 2))
    cost(np.sum(np.exp(p), axis=-1))
    cost(np.sum(2.0 * square, axis=(1, 2)))


def charged(x, w, cost):
    total = np.sum(x * w, axis=-1) + 1.0
    cost(total)
    cost(np.exp(total))


@pytest.mark.parametrize("model", [viewed, shaped, charged])
def test_no_value_is_written_over_that_another_shows(model):
    x, w = RNG(0).normal(size=(5, 4)), np.full(4, 0.3)
    with pooled():
        graph = scg.Graph()
        nodes = graph.input("x", shape=(4,)), graph.param("w", w)
        costs = []
        model(*nodes, lambda c: costs.append(graph.cost(f"cost {len(costs)}", c)))
        found = scg.compile(graph)({"w": w}, {"x": x}, rng=RNG(0))
    expected = []
    model(x, w, expected.append)
    for node, value in zip(costs, expected, strict=True):
        np.testing.assert_allclose(found.trace[node.name], value, rtol=1e-12)


def test_a_row_of_params_and_one_row_of_data_get_adjoints_of_their_own():
    graph = scg.Graph()
    x, t = graph.input("x", shape=(3,)), graph.param("t", np.ones(3))
    b = graph.param("b", np.ones((1, 3)))
    h = x * t
    square = np.sum(x * (b * b * 5.0), axis=-1)
    graph.cost("loss", np.sum(np.sin(h + b), axis=-1) + square)
    params, inputs = graph.init(RNG(0)), {"x": np.array([[1.0, 2.0, 3.0]])}
    assert_same_without(graph, params, inputs)


def test_what_meets_a_wider_dtype_keeps_its_own():
    graph = scg.Graph(dtype=np.float32)
    x, W = graph.input("x", shape=(3,)), graph.param("W", np.ones((3, 2)))
    z = graph.sample("z", scg.Categorical(logits=np.zeros(3)))
    y = (np.tanh(x @ W) @ graph.param("V", np.ones((2, 2)))) * z[:, None]
    b = graph.sample("b", scg.Bernoulli(logits=y))
    graph.cost("loss", np.sum(y + b, axis=-1))
    params = {k: v.astype(np.float32) for k, v in graph.init(RNG(0)).items()}
    inputs = {"x": np.ones((4, 3), np.float32)}
    found = assert_same_without(graph, params, inputs)
    assert found.trace["b"].dtype == graph["b"].dtype == np.float64


def test_a_large_gradient_is_no_reason_for_a_warning():
    graph = scg.Graph(dtype=np.float32)
    graph.cost("loss", graph.param("w", np.ones(2)).sum() * 1e25)
    found = scg.compile(graph)({"w": np.ones(2, np.float32)}, rng=RNG(0))
    assert found.gradient["w"] == pytest.approx(1e25, rel=1e-6)


def test_only_hard_draws_are_known_to_be_bits():
    graph = scg.Graph()
    q = scg.Bernoulli(logits=graph.param("theta", 0.3))
    b = graph.sample("b", q)
    graph.cost("loss", b + scg.stop_gradient(q.log_prob(b)))
    step = scg.compile(graph, {"b": scg.GumbelSoftmax()})
    with pooled(), pytest.raises(scg.NonFiniteError, match="bernoulli_log_prob"):
        step({"theta": 0.3}, rng=np.random.default_rng(0), rows=5)
