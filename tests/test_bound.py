"""The bound of several runs: its gradient over all outcomes, and with noise held."""

import itertools

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import scg
from scg import bound

START = {"up": 0.4, "w": -0.6, "phi": 0.3}


def log_p(np, b, logits):
    return b * logits - np.log(1 + np.exp(logits))


def costs(np, params, a, z):
    """Return log q(a, z) less the log-weight of a and z under the model."""
    q = log_p(np, a, params["up"]) + log_p(np, z, params["w"] + a)
    model = params["phi"] * a - 0.5 * (z - a * params["phi"]) ** 2
    return q, q - model


def table_graph(rows):
    graph = scg.Graph()
    row = graph.input("row", dtype=np.int64)
    params = {k: graph.param(k, np.full(rows, v))[row] for k, v in START.items()}
    a = graph.sample("a", scg.Bernoulli(logits=params["up"]))
    z = graph.sample("z", scg.Bernoulli(logits=params["w"] + a))
    graph.cost("loss", costs(np, params, a, z)[1])
    return graph


def expected(k, **options):
    """Return the mean gradient, and the mean of its squares, over all outcomes."""
    outcomes = np.array(list(itertools.product([0.0, 1.0], repeat=2 * k)))
    a, z = outcomes[:, :k], outcomes[:, k:]
    rows, graph = len(outcomes), table_graph(len(outcomes))
    estimate = scg.estimate_bound_gradient(
        graph,
        graph.init(np.random.default_rng(0)),
        {"row": np.arange(rows)},
        rng=np.random.default_rng(0),
        samples=k,
        given={"a": a.reshape(-1), "z": z.reshape(-1)},
        **options,
    )
    p = np.exp(costs(np, START, a, z)[0].sum(axis=1))
    assert abs(p.sum() - 1) < 1e-12
    single = {name: rows * g for name, g in estimate.gradient.items()}
    return (
        {name: p @ g for name, g in single.items()},
        {name: p @ g**2 for name, g in single.items()},
    )


def exact(k):
    outcomes = np.array(list(itertools.product([0.0, 1.0], repeat=2 * k)))
    a, z = outcomes[:, :k], outcomes[:, k:]

    def mean_bound(params):
        q, c = costs(anp, params, a, z)
        each = -anp.log(anp.mean(anp.exp(-c), axis=1))
        return anp.sum(anp.exp(anp.sum(q, axis=1)) * each)

    return autograd.grad(mean_bound)(START)


@pytest.mark.parametrize("leave_one_out", [True, False])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_mean_over_all_outcomes_is_the_gradient_of_the_mean_bound(k, leave_one_out):
    found, _ = expected(k, leave_one_out=leave_one_out)
    for name, wanted in exact(k).items():
        assert found[name] == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize("k", [2, 3])
def test_leaving_one_out_lowers_the_variance(k):
    with_it, without = expected(k)[1], expected(k, leave_one_out=False)[1]
    assert all(with_it[name] < without[name] for name in ("up", "w"))


def test_a_bound_that_looks_at_its_own_run_is_noticed(monkeypatch):
    monkeypatch.setattr(bound, "_without_one", lambda c: c)
    found, _ = expected(2)
    assert abs(found["up"] - exact(2)["up"]) > 1e-3


def test_the_gradient_of_pathwise_samples_is_that_of_the_bound_with_noise_held():
    graph = scg.Graph()
    x, params = graph.input("x"), {k: graph.param(k, v) for k, v in START.items()}
    q = scg.Normal(mean=params["up"] * x, scale=np.exp(params["w"]))
    z = graph.sample("z", q)
    graph.cost("q", q.log_prob(z))
    graph.cost("p", 0.5 * z**2 + 0.5 * (x - params["phi"] * z) ** 2)
    graph.cost("penalty", 0.1 * params["phi"] ** 2)
    data = np.array([0.5, -1.0, 2.0])
    estimate = scg.estimate_bound_gradient(
        graph,
        START,
        {"x": data},
        estimators={"z": scg.Pathwise()},
        rng=np.random.default_rng(0),
        samples=4,
    )
    noise = estimate.trace.noise[z.index].reshape(3, 4)

    def mean_bound(params):
        scale = anp.exp(params["w"])
        z = params["up"] * data[:, None] + scale * noise
        c = -0.5 * noise**2 - params["w"] - 0.5 * np.log(2 * np.pi)
        c = c + 0.5 * z**2 + 0.5 * (data[:, None] - params["phi"] * z) ** 2
        c = c + 0.1 * params["phi"] ** 2
        return anp.mean(-anp.log(anp.mean(anp.exp(-c), axis=1)))

    assert estimate.cost == pytest.approx(mean_bound(START))
    for name, wanted in autograd.grad(mean_bound)(START).items():
        assert estimate.gradient[name] == pytest.approx(wanted)


def test_one_run_is_the_expected_cost():
    options = {
        "rows": 5,
        "samples": 1,
        "given": {"a": [0, 1, 1, 0, 1], "z": np.ones(5)},
    }
    graph, inputs = table_graph(5), {"row": np.arange(5)}
    params = graph.init(np.random.default_rng(0))
    found, wanted = (
        estimate(graph, params, inputs, rng=np.random.default_rng(0), **options)
        for estimate in (scg.estimate_bound_gradient, scg.estimate_gradient)
    )
    assert found.cost == pytest.approx(wanted.cost)
    for name, g in wanted.gradient.items():
        np.testing.assert_allclose(found.gradient[name], g)


def test_a_bound_through_a_loop_is_that_of_the_model_unrolled():
    def model(looped):
        graph = scg.Graph()
        theta = graph.param("theta", 0.4)

        def step(h):
            b = graph.sample("b", scg.Bernoulli(logits=theta * h))
            graph.cost("loss", (b - 0.3 * h) ** 2)
            return h + b

        if looped:
            graph.scan(step, init=1.0, length=2)
            return graph
        h = 1.0
        for t in range(2):
            b = graph.sample(f"b{t}", scg.Bernoulli(logits=theta * h))
            graph.cost(f"loss {t}", (b - 0.3 * h) ** 2)
            h = h + b
        return graph

    bits = np.random.default_rng(0).integers(2, size=(2, 6)).astype(float)
    run = {"rng": np.random.default_rng(0), "rows": 2, "samples": 3}
    one = scg.estimate_bound_gradient(
        model(True), {"theta": 0.4}, given={"b": bits}, **run
    )
    each = {f"b{t}": bits[t] for t in range(2)}
    other = scg.estimate_bound_gradient(model(False), {"theta": 0.4}, given=each, **run)
    assert one.cost == pytest.approx(other.cost)
    assert one.gradient["theta"] == pytest.approx(other.gradient["theta"])


def test_estimators_with_branches_are_refused():
    graph = scg.Graph()
    b = graph.sample("b", scg.Bernoulli(logits=graph.param("theta", 0.0)))
    graph.cost("loss", b)
    chosen, rng = {"b": scg.Enumeration()}, np.random.default_rng(0)
    with pytest.raises(scg.EstimatorError, match=r"'b'.*Enumeration"):
        scg.estimate_bound_gradient(
            graph, {"theta": 0.0}, estimators=chosen, rng=rng, samples=2
        )


def test_nodes_that_mix_rows_are_refused():
    graph = scg.Graph()
    b = graph.sample("b", scg.Bernoulli(logits=graph.param("theta", 0.0)))
    mean = scg.deterministic(lambda x: anp.mean(x) + 0 * x, rows=False)(b)
    graph.cost("loss", mean)
    with pytest.raises(scg.EstimatorError, match="mix rows"):
        scg.estimate_bound_gradient(
            graph, {"theta": 0.0}, rng=np.random.default_rng(0), samples=2, rows=2
        )


def test_runs_of_equal_cost_move_nothing():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    z = graph.sample("z", scg.Bernoulli(logits=theta))
    graph.cost("loss", 0.7 + 0 * z)
    options = {"rng": np.random.default_rng(0), "rows": 5, "samples": 3}
    without, bare = (
        scg.estimate_bound_gradient(
            graph, {"theta": 0.3}, leave_one_out=leave_one_out, **options
        ).gradient["theta"]
        for leave_one_out in (True, False)
    )
    assert abs(without) < 1e-15
    assert abs(bare) > 1e-2
