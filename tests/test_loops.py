"""A scan is the Python loop: values, credit and gradients, on random step functions."""

import numpy as np
import pytest
from episodes import acting, double_loop
from oracles import finite_difference

import scg
from scg.credit import assign
from scg.parts import run
from scg.program import Program


def random_step(seed, graph, nodes, recurrent):
    """Return a step over three carries, with two samples and two costs."""
    rng = np.random.default_rng(seed)
    choose = lambda: rng.uniform() < 0.5  # noqa: E731
    swap, late, feed, read = (choose() for _ in range(4))
    a, b, c = rng.normal(size=3)

    def step(name, carry, x):
        h, g, k = carry
        if late:
            graph.cost(name("early"), (g - a) ** 2 * (1 + x**2))
        state = h if recurrent else scg.stop_gradient(h)
        z = graph.sample(name("z"), scg.Bernoulli(logits=nodes["u"] * state + b * x))
        logits = nodes["v"] * (z if feed else x) + c
        y = graph.sample(name("y"), scg.Normal(mean=logits, scale=0.8))
        graph.cost(name("loss"), (z - a) ** 2 + (np.sin(k) if read else y**2))
        new = np.tanh(nodes["w"] * h + z) if recurrent else z + 0.5 * x
        return (new, (k if swap else g + y), (g if swap else k * 0.5 + y)), new * x

    return step


def build(seed, unroll, steps, recurrent):
    graph = scg.Graph()
    nodes = {n: graph.param(n, 0.3) for n in "uvw"}
    graph.cost("penalty", 0.1 * (nodes["u"] ** 2 + nodes["v"] ** 2 + nodes["w"] ** 2))
    start, xs = graph.input("start"), graph.input("xs", shape=(steps,))
    first = graph.sample("first", scg.Normal(mean=nodes["u"] * start, scale=1.0))
    step = random_step(seed, graph, nodes, recurrent)
    carry = (first, start, 0.1 * start)
    if unroll:
        outputs = []
        for t in range(steps):
            carry, output = step(lambda n, t=t: f"{n}{t}", carry, xs[:, t])
            outputs.append(output)
        total = sum(outputs)
    else:
        carry, output = graph.scan(lambda c, x: step(str, c, x), carry, xs=xs)
        total = output.sum(axis=-1)
    graph.cost("last", carry[0] * carry[1])
    graph.cost("outputs", total**2)
    return graph


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_a_random_scan_equals_its_python_loop(seed, recurrent):
    steps = 5
    rng = np.random.default_rng(seed)
    params = {n: np.array(rng.normal()) for n in "uvw"}
    inputs = {"start": rng.normal(size=4), "xs": rng.normal(size=(4, steps))}
    looped = build(seed, False, steps, recurrent)
    scan = scg.estimate_gradient(looped, params, inputs, rng=rng)
    given = {"first": scan.trace["first"]}
    for name in ("z", "y"):
        given |= {f"{name}{t}": scan.trace[name][t] for t in range(steps)}
    unrolled = build(seed, True, steps, recurrent)
    loop = scg.estimate_gradient(unrolled, params, inputs, rng=rng, given=given)
    assert scan.cost == pytest.approx(loop.cost, rel=1e-12)
    for name in params:
        assert scan.gradient[name] == pytest.approx(loop.gradient[name], rel=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_a_random_pathwise_scan_is_the_derivative_with_noise_held(seed):
    rng = np.random.default_rng(seed)
    graph = scg.Graph()
    w, b = (
        graph.param("w", rng.normal(size=(2, 2))),
        graph.param("b", rng.normal(size=2)),
    )
    xs, bias = graph.input("xs", shape=(4, 2)), graph.input("bias", shape=(2,))

    def step(h, x):
        z = graph.sample("z", scg.Normal(mean=h @ w + x * b, scale=np.exp(0.1 * x)))
        graph.cost("loss", np.sum(np.sin(z) * (bias + b), axis=-1))
        return np.tanh(z), z

    h, zs = graph.scan(step, bias * b, xs=xs)
    graph.cost("last", np.sum(h, axis=-1) + np.sum(zs**2, axis=(1, 2)))
    compiled = scg.compile(graph, {"z": scg.Pathwise()})
    inputs = {"xs": rng.normal(size=(3, 4, 2)), "bias": rng.normal(size=(3, 2))}
    params = graph.init(rng)

    def run(values):
        return compiled(values, inputs, rng=np.random.default_rng(1))

    exact = finite_difference(lambda p: run(p).cost, params)
    for name, value in run(params).gradient.items():
        assert np.allclose(value, exact[name], atol=1e-6)


def test_scanned_inputs_have_no_gradient_past_the_step_where_all_rows_stop():
    graph = scg.Graph()
    a, b = graph.param("a", 0.7), graph.param("b", 0.2)
    xs = graph.input("xs", shape=(6,))

    def step(h, x):
        graph.cost("loss", np.sin(x) * h)
        graph.rename("over", scg.stop_gradient(x) > 1.0)
        return h + b * x

    graph.scan(step, graph.input("h"), xs=np.tanh(a) * xs**2, until="over")
    compiled = scg.compile(graph)
    inputs = {"xs": np.array([[0.3, 1.1, 1.9, 0.2, 4.0, 1.0]] * 2), "h": np.ones(2)}
    inputs["xs"][1, 1] = 2.0

    def run(params):
        return compiled(params, inputs, rng=np.random.default_rng(0))

    params = {"a": np.array(0.7), "b": np.array(0.2)}
    estimate = run(params)
    assert estimate.trace["loss"].shape == (3, 2)
    exact = finite_difference(lambda p: run(p).cost, params)
    for name, value in exact.items():
        assert estimate.gradient[name] == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize("boundary", ["episode", "big", None])
@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_credit_equals_a_double_loop(boundary, discount, truncate):
    estimator = scg.ScoreFunction(discount=discount, boundary=boundary)
    trace, credit, ends = acting(estimator, truncate=truncate)
    over = ends.terminated | ends.truncated
    assert ends.terminated.any()
    assert ends.truncated.any() == truncate
    cut = np.zeros_like(over) if boundary is None else over.copy()
    if boundary == "big":
        assert trace["big"].any()
        cut |= trace["big"]
    assert np.allclose(credit.cost, double_loop(trace["loss"], cut, discount))


def test_the_double_loop_tells_one_end_of_an_episode():
    _, credit, ends = acting(scg.ScoreFunction())
    cut = ends.terminated.copy()
    cut[tuple(np.argwhere(cut[:-1])[0])] = False
    cost = acting(scg.ScoreFunction())[0]["loss"]
    assert not np.allclose(credit.cost, double_loop(cost, cut, 1.0))


def delay_line(unroll, steps=6):
    """Hold each sample for two steps, then put it out: only some reach what follows."""
    graph = scg.Graph()
    theta, start = graph.param("theta", 0.4), graph.input("start")

    def step(name, carry):
        fresh, old = carry
        z = graph.sample(name, scg.Normal(mean=theta * (1 + start), scale=1.0))
        return (z, fresh), old

    carry = (start, start)
    if unroll:
        outputs = []
        for t in range(steps):
            carry, output = step(f"z{t}", carry)
            outputs.append(output)
        total = sum(np.sin((1 + t) * output) for t, output in enumerate(outputs))
    else:
        carry, output = graph.scan(lambda c: step("z", c), carry, length=steps)
        total = np.sin(np.arange(1.0, steps + 1) * output).sum(axis=-1)
    graph.cost("outputs", total)
    graph.cost("last", carry[0] * np.cos(carry[1]))
    return graph


def test_samples_are_credited_with_later_costs_only_where_they_arrive():
    params, inputs = {"theta": 0.4}, {"start": np.array([0.3, -1.0, 2.0])}
    rng = np.random.default_rng(0)
    scan = scg.estimate_gradient(delay_line(False), params, inputs, rng=rng)
    given = {f"z{t}": z for t, z in enumerate(scan.trace["z"])}
    loop = scg.estimate_gradient(delay_line(True), params, inputs, rng=rng, given=given)
    # The stacked output is one value to the graph, so a sample that reaches any step
    # of it is credited with all of the cost; the last two reach only the carry.
    program = Program(delay_line(False).store, None)
    trace = run(program, params, inputs, rng=np.random.default_rng(0))
    (credit,) = assign(program, trace, {}).values()
    outputs, last = trace["outputs"], trace["last"]
    expected = [outputs, outputs, outputs, outputs, last, last]
    assert np.allclose(credit.cost, expected)
    assert scan.cost == pytest.approx(loop.cost, rel=1e-12)


def test_a_cost_of_the_params_alone_counts_once_a_step():
    graph = scg.Graph()
    theta, x = graph.param("theta", 0.5), graph.input("x")

    def step(h):
        graph.cost("penalty", theta**2)
        return h

    graph.scan(step, x, length=3)
    graph.cost("loss", x)
    inputs = {"x": np.array([1.0, 2.0])}
    rng = np.random.default_rng(0)
    estimate = scg.estimate_gradient(graph, {"theta": 0.5}, inputs, rng=rng, samples=2)
    assert estimate.cost == pytest.approx(3 * 0.25 + 1.5, abs=1e-12)
    assert estimate.gradient["theta"] == pytest.approx(3 * 2 * 0.5, abs=1e-12)
