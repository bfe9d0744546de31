"""Loops have the right derivatives at every order, by enumeration of short ones."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, hessian
from enumerated import Outcome, derivative, every_outcome, expected_cost
from test_loops import build

import scg

STEPS = 3


def random_loop(seed, recurrent):
    """Draw a model with a loop, written for graphs and for plain values alike."""
    rng = np.random.default_rng(seed)
    swap, read, feed, late = rng.uniform(size=4) < 0.5
    a, b, c = rng.normal(size=3)
    xs = rng.normal(size=STEPS)
    params = {name: float(rng.normal()) for name in "uvw"}

    def write(nodes, sample, cost, loop, weight=1.0):
        first = sample("first", nodes["u"] * a)

        def step(name, carry, x):
            h, g = carry
            if late:
                cost(name("early"), weight * (g - a) ** 2 * (1 + x * nodes["v"]))
            z = sample(name("z"), nodes["u"] * h + b * x)
            y = sample(name("y"), nodes["v"] * (z if feed else x) + c)
            value = (z - a) ** 2 + (g if read else y) * nodes["w"]
            cost(name("loss"), weight * value)
            new = np.tanh(nodes["w"] * h + z) if recurrent else z + 0.5 * x
            return (y + a * z, new) if swap else (new, g * 0.5 + y), new * x

        (h, g), total = loop(step, (first * nodes["w"], 0.1 * first))
        cost("last", weight * h * g)
        cost("outputs", weight * total**2)

    return write, params, xs


NAMES = ["first", *(f"{n}{t}" for t in range(STEPS) for n in "zy")]


def plain(write, xs):
    """Return the model with a Python loop."""

    def loop(step, carry):
        total = 0.0
        for t, x in enumerate(xs):
            carry, output = step(lambda name, t=t: f"{name}{t}", carry, x)
            total = total + output
        return carry, total

    return lambda nodes, sample, cost: write(nodes, sample, cost, loop)


def scanned(write, params, baseline):
    """Build the model with `Graph.scan`; an input weighs each row's costs."""
    graph = scg.Graph()
    nodes = {name: graph.param(name, value) for name, value in params.items()}
    weight, xs = graph.input("weight"), graph.input("xs", shape=(STEPS,))

    def sample(name, logits):
        return graph.sample(name, scg.Bernoulli(logits=logits))

    def loop(step, init):
        def body(carry, x):
            if baseline:  # it reads what samples of earlier steps have influenced
                graph.value("expected", weight * (1.3 + 0.4 * carry[1]))
            return step(str, carry, x)

        carry, outputs = graph.scan(body, init, xs=xs)
        return carry, outputs.sum(axis=-1)

    write(nodes, sample, graph.cost, loop, weight)
    return graph


def weighed_run(graph, model, params, xs, estimators):
    """Run every joint outcome as a row, weighed by its probability."""
    run = Outcome(every_outcome(NAMES))
    model(params, run.sample, run.cost)
    p = np.exp(run.log_prob)
    given = {
        name: np.stack([run.values[f"{name}{t}"] for t in range(STEPS)])
        for name in "zy"
    }
    given["first"] = run.values["first"]
    inputs = {"weight": p * len(p), "xs": np.tile(xs, (len(p), 1))}
    rng = np.random.default_rng(0)
    return scg.forward(
        graph, params, inputs, rng=rng, estimators=estimators, given=given
    )


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_the_hessian_of_a_random_loop_is_that_of_its_expected_cost(
    seed, recurrent, baseline
):
    write, params, xs = random_loop(seed, recurrent)
    kind = scg.LearnedBaseline("expected") if baseline else scg.NoBaseline()
    estimators = {n: scg.ScoreFunction(baseline=kind) for n in "zy"}
    graph, model = scanned(write, params, baseline), plain(write, xs)
    trace = weighed_run(graph, model, params, xs, estimators)
    loss = scg.surrogate_loss(graph, trace, estimators)
    exact = expected_cost(model, NAMES)
    for order in (0, 1, 2):
        found = derivative(loss, params, order)
        expected = derivative(exact, params, order)
        scale = max(1.0, np.abs(expected).max())
        assert np.allclose(found, expected, rtol=0, atol=1e-8 * scale), order


def chain(steps, estimator):
    """Build a loop of coins with a boundary; each step's cost reads all before it."""
    graph = scg.Graph()
    theta, phi = graph.param("theta", 0.3), graph.param("phi", -0.2)
    over = scg.black_box(lambda x: x > 0.8, (), bool)

    def step(total, x):
        graph.rename("over", over(x))
        first = graph.sample("a", scg.Bernoulli(logits=theta * x))
        second = graph.sample("b", scg.Bernoulli(logits=phi + theta * first))
        total = total + first - 0.7 * second
        graph.cost("loss", (total - 0.4) ** 2 * (1 + phi))
        return total

    graph.scan(step, 0.0, xs=graph.input("xs", shape=(steps,)))
    return graph, {"a": estimator, "b": estimator}


def brute_force(trace, xs, discount, boundary):
    """Return the loss of a chain by the definition, in loops over steps and rows."""
    a, b = trace["a"], trace["b"]

    def log_prob(logits, value):
        return -anp.log(1 + anp.exp(-(2 * value - 1) * logits))

    def box(logs):
        tau = sum(logs, 0.0 * logs[0]) if logs else 0.0
        return anp.exp(tau - scg.stop_gradient(tau))

    def loss(params):
        theta, phi = params["theta"], params["phi"]
        total = 0.0
        for r in range(len(xs)):
            held, logs = 0.0, []
            for t, x in enumerate(xs[r]):
                logs.append((t, log_prob(theta * x, a[t, r])))
                logs.append((t, log_prob(phi + theta * a[t, r], b[t, r])))
                held = held + a[t, r] - 0.7 * b[t, r]
                factor = 1.0
                for j, (when, _) in enumerate(logs):
                    before = [log for _, log in logs[:j]]
                    rise = box([*before, logs[j][1]]) - box(before)
                    factor = factor + discount ** (t - when) * rise
                total = total + factor * (held - 0.4) ** 2 * (1 + phi)
                if boundary and x > 0.8:
                    logs = []
        return total / len(xs)

    return loss


@pytest.mark.parametrize("boundary", [None, "over"])
@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_a_discounted_or_bounded_loss_equals_a_double_loop(discount, boundary):
    rng = np.random.default_rng(3)
    xs = rng.normal(size=(3, 5))
    assert (xs[:, :-1] > 0.8).any()
    estimator = scg.ScoreFunction(discount=discount, boundary=boundary)
    graph, estimators = chain(5, estimator)
    params = {"theta": 0.3, "phi": -0.2}
    trace = scg.forward(graph, params, {"xs": xs}, rng=rng, estimators=estimators)
    loss = scg.surrogate_loss(graph, trace, estimators)
    expected = brute_force(trace, xs, discount, boundary)
    for order in (0, 1, 2, 3):
        found = derivative(loss, params, order)
        assert np.allclose(found, derivative(expected, params, order), atol=1e-9)


def test_a_constant_cost_adds_nothing_to_a_discounted_hessian():
    graph = scg.Graph()
    theta, weight = graph.param("theta", 0.3), graph.input("weight")

    def step(total):
        z = graph.sample("z", scg.Bernoulli(logits=theta + 0.2 * total))
        graph.cost("loss", weight * (1 + 0 * total))
        return total + z

    graph.scan(step, 0.0, length=3)
    given = np.array(list(np.ndindex(2, 2, 2)), float).T
    logits = 0.3 + 0.2 * np.concatenate([np.zeros((1, 8)), given.cumsum(axis=0)[:-1]])
    p = np.prod(1 / (1 + np.exp(-(2 * given - 1) * logits)), axis=0)
    estimators = {"z": scg.ScoreFunction(discount=0.6)}
    trace = scg.forward(
        graph,
        {"theta": 0.3},
        {"weight": 8 * p},
        rng=np.random.default_rng(0),
        estimators=estimators,
        given={"z": given},
    )
    loss = scg.surrogate_loss(graph, trace, estimators)
    for order in (1, 2, 3):
        assert derivative(loss, {"theta": 0.3}, order) == pytest.approx(0, abs=1e-12)


def test_where_rows_stop_one_by_one_every_order_is_exact():
    steps = 4
    graph = scg.Graph()
    theta, weight = graph.param("theta", 0.3), graph.input("weight")

    def step(count):
        b = graph.sample("b", scg.Bernoulli(logits=theta * (1 + count)))
        graph.rename("over", b == 1)
        graph.cost("steps", weight * (1 + theta**2 + count))
        return count + 1

    graph.scan(step, 0.0, length=steps, until="over")
    given = np.array(list(np.ndindex((2,) * steps)), float).T
    logits = 0.3 * np.arange(1, steps + 1)[:, None]
    p = np.prod(1 / (1 + np.exp(-(2 * given - 1) * logits)), axis=0)
    trace = scg.forward(
        graph,
        {"theta": 0.3},
        {"weight": p * len(p)},
        rng=np.random.default_rng(0),
        given={"b": given},
    )
    loss = scg.surrogate_loss(graph, trace)

    def exact(params):
        total, here = 0.0, 1.0
        for t in range(steps):
            total = total + here * (1 + params["theta"] ** 2 + t)
            here = here / (1 + anp.exp(params["theta"] * (1 + t)))
        return total

    for order in (0, 1, 2, 3):
        found = derivative(loss, {"theta": 0.3}, order)
        expected = derivative(exact, {"theta": 0.3}, order)
        assert np.allclose(found, expected, atol=1e-9), order


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_hessian_of_a_scan_is_that_of_its_python_loop(seed, recurrent):
    rng = np.random.default_rng(seed)
    params = {n: rng.normal() for n in "uvw"}
    inputs = {"start": rng.normal(size=4), "xs": rng.normal(size=(4, 5))}
    looped, unrolled = (build(seed, unroll, 5, recurrent) for unroll in (False, True))
    trace = scg.forward(looped, params, inputs, rng=rng)
    given = {"first": trace["first"]}
    for name in "zy":
        given |= {f"{name}{t}": trace[name][t] for t in range(5)}
    other = scg.forward(unrolled, params, inputs, rng=rng, given=given)
    one = derivative(scg.surrogate_loss(looped, trace), params, 2)
    two = derivative(scg.surrogate_loss(unrolled, other), params, 2)
    assert np.allclose(one, two, rtol=1e-9, atol=1e-9)


def entered(unroll, recurrent):
    """Let params enter a loop in every way, and two loops follow each other."""
    graph = scg.Graph()
    p, q = graph.param("p", 0.4), graph.param("q", -0.3)
    x = graph.input("x")
    table = np.array([1.0, -0.5, 0.7])
    held = p * x
    rows, shared = q * x[:, None] * table, p * table

    def first(h, row, common, t=""):
        z = graph.sample(f"z{t}", scg.Normal(mean=h * held + row, scale=np.exp(common)))
        graph.cost(f"one{t}", np.sin(z) * common * row)
        return (np.tanh(z * p + h) if recurrent else z), z * held

    def second(h, t=""):
        y = graph.sample(f"y{t}", scg.Bernoulli(logits=h * q))
        graph.cost(f"two{t}", (y - p * h) ** 2)
        return h * q + y

    if unroll:
        h, out = q * x, []
        for t in range(3):
            h, o = first(h, rows[:, t], shared[t], t)
            out.append(o)
        total = sum(out)
        for t in range(2):
            h = second(h, t)
    else:
        h, out = graph.scan(
            lambda c, xs: first(c, *xs), q * x, xs=(rows, shared), name="1"
        )
        total = out.sum(axis=-1)
        h, _ = graph.scan(second, h, length=2, name="2")
    graph.cost("last", np.cos(h) * total)
    return graph


@pytest.mark.parametrize("recurrent", [False, True])
def test_params_enter_a_loop_in_every_way(recurrent):
    params, rng = {"p": 0.4, "q": -0.3}, np.random.default_rng(0)
    inputs = {"x": np.array([0.5, -1.2, 0.9])}
    looped, unrolled = entered(False, recurrent), entered(True, recurrent)
    estimate = scg.estimate_gradient(looped, params, inputs, rng=rng)
    trace = estimate.trace
    given = {f"z{t}": trace["z"][t] for t in range(3)}
    given |= {f"y{t}": trace["y"][t] for t in range(2)}
    other = scg.forward(unrolled, params, inputs, rng=rng, given=given)
    one, two = scg.surrogate_loss(looped, trace), scg.surrogate_loss(unrolled, other)
    gradient = [float(estimate.gradient[name]) for name in "pq"]
    assert derivative(one, params, 1) == pytest.approx(gradient, rel=1e-12)
    for order in (0, 1, 2, 3):
        found, expected = (derivative(f, params, order) for f in (one, two))
        assert np.allclose(found, expected, rtol=1e-9, atol=1e-9), order


def test_sparse_observations_in_a_loop_of_float32():
    sparse = pytest.importorskip("scipy.sparse")
    graph = scg.Graph(dtype=np.float32)
    w, xs = graph.param("w", np.full((3, 2), 0.1)), graph.input("xs", shape=(4, 3))
    see = scg.black_box(sparse.csr_array, (3,), sparse=True)

    def step(total, x):
        logits = np.tanh(see(x) @ w)
        z = graph.sample("z", scg.Bernoulli(logits=logits))
        graph.cost("loss", (z.sum(axis=-1) - total) ** 2)
        return total + z[:, 0]

    graph.scan(step, 0.0, xs=xs)
    rng = np.random.default_rng(0)
    params, inputs = graph.init(rng), {"xs": rng.normal(size=(5, 4, 3))}
    estimate = scg.estimate_gradient(graph, params, inputs, rng=rng)
    loss = scg.surrogate_loss(graph, estimate.trace)
    gradient = grad(loss)(params)["w"]
    assert gradient.dtype == np.float32
    assert np.allclose(gradient, estimate.gradient["w"], rtol=1e-4, atol=1e-5)
    assert hessian(lambda w: loss({"w": w}))(params["w"]).shape == (3, 2, 3, 2)
