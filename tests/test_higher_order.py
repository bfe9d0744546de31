"""The surrogate loss has the right derivatives at every order, with every baseline."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from enumerated import (
    derivative,
    expected_cost,
    expected_surrogate,
    graph_of,
)
from episodes import Episodes
from oracles import joint_probability
from test_loops import build
from test_surrogate import random_model

import scg

BASELINES = {
    "none": scg.NoBaseline(),
    "average": scg.MovingAverage(),
    "batch mean": scg.BatchMean(),
    "leave one out": scg.LeaveOneOut(),
}


def score(name="none", **options):
    return scg.ScoreFunction(baseline=BASELINES[name], **options)


def both(graph, params, estimators, *, state=None, **options):
    """Return the first-order engine's estimate, and the loss on the same run."""
    estimate = scg.estimate_gradient(
        graph,
        params,
        estimators=estimators,
        rng=np.random.default_rng(1),
        state=state,
        **options,
    )
    loss = scg.surrogate_loss(graph, estimate.trace, estimators, state=state)
    return estimate, loss


def assert_agree(estimate, loss, params, *, but=()):
    arrays = {name: np.asarray(value, float) for name, value in params.items()}
    assert loss(arrays) == pytest.approx(estimate.cost, rel=1e-12, abs=1e-12)
    gradient = grad(loss)(arrays)
    for name in params.keys() - set(but):
        expected = estimate.gradient[name]
        scale = max(1.0, np.abs(expected).max())
        assert np.allclose(gradient[name], expected, rtol=0, atol=1e-12 * scale), name


# The first order.


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("seed", range(15))
def test_the_first_order_is_that_of_the_engine(seed, baseline):
    graph, params, names = random_model(seed)
    state = {f"{names[0]}/mean": np.array(0.7), f"{names[0]}/weight": np.array(1.0)}
    estimators = dict.fromkeys(names, score(baseline))
    options = {"rows": 4, "samples": 3, "state": state}
    assert_agree(*both(graph, params, estimators, **options), params)


@pytest.mark.parametrize("seed", range(15))
def test_the_first_order_is_that_of_the_engine_with_branches(seed):
    graph, params, names = random_model(seed)
    kinds = [scg.Enumeration(), score("leave one out", samples=3), score("batch mean")]
    kinds = np.random.default_rng(seed).permutation(kinds)
    estimators = dict(zip(names, kinds, strict=True))
    options = {"rows": 3, "samples": 2}
    assert_agree(*both(graph, params, estimators, **options), params)


SCANS = {
    "score": {"z": score("batch mean"), "y": score("leave one out")},
    "per step": {"z": score(), "y": scg.ScoreFunction(baseline=scg.MovingAverage())},
    "pathwise": {"z": score("batch mean"), "y": scg.Pathwise(), "first": score()},
    "all pathwise": {"first": scg.Pathwise(), "y": scg.Pathwise()},
    "discount": {"z": score("batch mean", discount=0.8), "y": score(discount=0.5)},
}


@pytest.mark.parametrize("estimators", SCANS)
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_the_first_order_of_a_scan_is_that_of_the_engine(seed, recurrent, estimators):
    rng = np.random.default_rng(seed)
    params = {n: np.array(rng.normal()) for n in "uvw"}
    inputs = {"start": rng.normal(size=3), "xs": rng.normal(size=(3, 5))}
    graph = build(seed, False, 5, recurrent)
    options = {"inputs": inputs, "samples": 2}
    assert_agree(*both(graph, params, SCANS[estimators], **options), params)


@pytest.mark.parametrize("boundary", ["episode", "big", None])
@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_the_first_order_is_that_of_the_engine_in_an_environment(boundary, discount):
    graph = scg.Graph()
    theta, phi = graph.param("theta", 0.2), graph.param("phi", 0.1)
    world = scg.Environment(Episodes(truncate=True), seed=3)
    big = scg.black_box(lambda r: r > 1.2, (), bool)

    def step(carry):
        count, total = carry
        graph.value("v", np.sin(0.4 * count) * phi)
        a = graph.sample("a", scg.Bernoulli(logits=theta * (1 + count)))
        count, reward, _ = world(a.astype(np.int64))
        graph.rename("big", big(reward))
        graph.cost("loss", -reward + theta**2 * a)
        return count, total + reward

    (_, total), _ = graph.scan(step, (world.reset(), 0.0), length=9)
    graph.cost("last", total**2)
    params = {"theta": 0.2, "phi": 0.1}
    estimators = {
        "a": scg.ScoreFunction(
            baseline=scg.LearnedBaseline("v"), discount=discount, boundary=boundary
        )
    }
    estimate, loss = both(graph, params, estimators)
    (ends,) = estimate.trace.ends.values()
    assert ends.terminated.any()
    assert_agree(estimate, loss, params, but=["phi"])
    assert grad(loss)(params)["phi"] == 0


def test_the_first_order_is_that_of_the_engine_on_vectors_and_mixed_rows():
    rng = np.random.default_rng(0)
    graph = scg.Graph()
    w, u = graph.param("w", rng.normal(size=(3, 4))), graph.param("u", np.ones(2))
    x = graph.input("x", shape=(3,))
    h = np.tanh(x @ w)
    k = graph.sample("k", scg.Categorical(logits=h))
    z = graph.sample("z", scg.Normal(mean=h[:, :2] * u, log_scale=0.1 * u))
    centred = scg.deterministic(lambda z: z - anp.mean(z, axis=0), rows=False)(z)
    graph.cost("mixed", np.sum(centred**2, axis=-1) * k)
    graph.cost("own", np.where(k == 1, z[:, 0] * u[0], scg.stop_gradient(h[:, 1])))
    params = graph.init(rng)
    options = {"inputs": {"x": rng.normal(size=(4, 3))}, "samples": 2}
    assert_agree(*both(graph, params, None, **options), params)


# Every order, against enumeration of every joint outcome by autograd alone.


def random_write(seed, count=3):
    """Draw a model of binary samples whose costs depend on params too."""
    rng = np.random.default_rng(seed)
    params = {f"t{i}": float(rng.normal()) for i in range(count)}
    feeds = np.tril(rng.uniform(size=(count, count)) < 0.6, -1)
    reads = np.tril(rng.uniform(size=(count, count)) < 0.7)
    reads[-1] = True
    a, b, c = rng.normal(size=(3, count, count))

    def write(nodes, sample, cost):
        drawn = []
        for i in range(count):
            logits = nodes[f"t{i}"]
            for j in np.flatnonzero(feeds[i]):
                logits = logits + a[i, j] * drawn[j] * nodes[f"t{i}"]
            drawn.append(sample(f"b{i}", logits))
            value = np.tanh(nodes["t0"] * c[i, i])
            for j in np.flatnonzero(reads[i]):
                value = value * (1 + b[i, j] * drawn[j] * nodes[f"t{j}"])
            cost(f"c{i}", value)

    return write, params, [f"b{i}" for i in range(count)]


def exact(write, params, names, order):
    return derivative(expected_cost(write, names), params, order)


def assert_every_order(write, params, names, surrogate, *, orders=(1, 2)):
    for order in orders:
        found = derivative(surrogate, params, order)
        expected = exact(write, params, names, order)
        scale = max(1.0, np.abs(expected).max())
        assert np.allclose(found, expected, rtol=0, atol=1e-8 * scale), order


WAYS = {
    "none": {},
    "average": {},
    "leave one out": {"samples": 2},
    "batch mean": {"rows": 2},
}


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("seed", range(20))
def test_the_hessian_is_that_of_the_expected_cost(seed, baseline):
    write, params, names = random_write(
        seed, 3 if baseline in {"none", "average"} else 2
    )
    options = dict(WAYS[baseline])
    if baseline == "average":
        options["state"] = {f"{n}/mean": np.array(1.3) for n in names}
        options["state"] |= {f"{n}/weight": np.array(1.0) for n in names}
    surrogate = expected_surrogate(
        write, params, dict.fromkeys(names, score(baseline)), **options
    )
    assert_every_order(write, params, names, surrogate)


@pytest.mark.parametrize("seed", range(3))
def test_the_third_order_is_that_of_the_expected_cost(seed):
    write, params, names = random_write(seed, 2)
    estimators = dict.fromkeys(names, score("leave one out"))
    surrogate = expected_surrogate(write, params, estimators, samples=2)
    assert_every_order(write, params, names, surrogate, orders=[3])


@pytest.mark.parametrize("seed", range(10))
def test_enumeration_is_the_expected_cost_at_every_param(seed):
    write, params, names = random_write(seed)
    graph, estimators = graph_of(write, params), dict.fromkeys(names, scg.Enumeration())
    rng = np.random.default_rng(0)
    trace = scg.forward(graph, params, rng=rng, estimators=estimators)
    loss = scg.surrogate_loss(graph, trace, estimators)
    assert_every_order(write, params, names, loss, orders=[0, 1, 2])
    elsewhere = {name: value + 0.5 for name, value in params.items()}
    assert_every_order(write, elsewhere, names, loss, orders=[0, 1, 2])


@pytest.mark.parametrize("seed", range(5))
def test_away_from_the_params_of_the_run_boxes_are_likelihood_ratios(seed):
    write, params, names = random_write(seed)
    surrogate = expected_surrogate(write, params, dict.fromkeys(names, score()))
    elsewhere = {name: value + 0.5 for name, value in params.items()}
    assert_every_order(write, elsewhere, names, surrogate, orders=[0, 1, 2])


@pytest.mark.parametrize("seed", range(10))
def test_branches_among_enumerated_nodes_have_the_right_hessian(seed):
    write, params, names = random_write(seed)
    graph = graph_of(write, params)
    estimators = dict.fromkeys(names, scg.Enumeration())
    estimators[names[1]] = score("leave one out", samples=2)
    step = scg.compile(graph, estimators)
    plates = step.program.plates[graph[names[1]].index]
    count = int(np.prod([step.program.branching.get(p, 1) for p in plates]))
    losses = []
    for flat in np.ndindex((2,) * count):
        given = {names[1]: np.array(flat, float)}
        trace = step.forward(params, rng=np.random.default_rng(0), given=given)
        p = joint_probability(trace, graph, [names[1]], step)
        losses.append((p, scg.surrogate_loss(graph, trace, estimators)))
    assert_every_order(write, params, names, lambda x: sum(p * f(x) for p, f in losses))


@pytest.mark.parametrize("inside", [False, True])
def test_parts_of_a_function_and_costs_of_params_alone_are_live(inside):
    graph = scg.Graph()
    theta, x = graph.param("theta", 0.4), graph.input("x", shape=(3,))
    pair = scg.deterministic(lambda v, t: (anp.sin(v * t), anp.cos(v) + t))

    def step(total, v):
        up, down = pair(v, theta)
        b = graph.sample("b", scg.Bernoulli(logits=up))
        graph.cost("loss", (b - down) ** 2)
        graph.cost("penalty", theta**2)
        return total + b

    if inside:
        graph.scan(step, 0.0, xs=x)
    else:
        step(0.0, x[:, 0])
    inputs = {"x": np.random.default_rng(0).normal(size=(4, 3))}
    estimate, loss = both(graph, {"theta": 0.4}, {}, inputs=inputs, samples=2)
    assert_agree(estimate, loss, {"theta": 0.4})
    second = grad(grad(lambda t: loss({"theta": t})))(0.4)
    slope = grad(lambda t: loss({"theta": t}))
    assert second == pytest.approx((slope(0.40001) - slope(0.39999)) / 2e-5, rel=1e-6)
