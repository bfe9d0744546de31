"""The derivative of a value node in place of what would come up from below."""

import numpy as np
import pytest
from episodes import Episodes
from tiny_environment import tiny_environment
from value_gradient_models import PARAMS, model, run, smooth

import scg
from scg import parts
from scg.credit import assign
from scg.program import Program
from scg.reverse import Reverse


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("samples", [1, 3])
def test_with_the_cost_as_its_value_node_it_is_pathwise(samples, kernels):
    pathwise = run(*model(smooth, estimator=scg.Pathwise()), samples=samples)
    box = scg.black_box(smooth, (), float)
    graph, estimators = model(box, value=smooth)
    inputs = {"x": np.random.default_rng(1).normal(size=(7, 2))}
    step = scg.compile(graph, estimators, kernels=kernels)
    here = step(PARAMS, inputs, rng=np.random.default_rng(0), samples=samples)
    for name in PARAMS:
        assert np.allclose(
            here.gradient[name], pathwise.gradient[name], rtol=0, atol=1e-13
        )
        assert np.abs(here.gradient[name]).max() > 1e-3
    assert here.cost == pathwise.cost


def test_values_that_no_param_is_behind_are_kept_for_it():
    def build(estimator, box):
        graph = scg.Graph()
        mu = graph.param("mu", 0.5)
        z = graph.sample("z", scg.Normal(mean=mu, scale=1.0))
        cost = np.sin(np.tanh(np.sin(z)) ** 2)
        cost_node = scg.black_box(lambda c: c, (), float)(cost) if box else cost
        graph.cost("loss", cost_node)
        if box:
            graph.value("q", np.sin(np.tanh(np.sin(z)) ** 2))
        return graph, {"z": estimator}

    found = []
    for estimator, box in [(scg.Pathwise(), False), (scg.ValueGradient("q"), True)]:
        graph, estimators = build(estimator, box)
        estimate = scg.estimate_gradient(
            graph,
            {"mu": 0.5},
            estimators=estimators,
            rng=np.random.default_rng(0),
            rows=30_000,
        )
        found.append(estimate.gradient["mu"])
    assert found[0] == pytest.approx(found[1], abs=1e-12)


def test_a_wrong_value_node_gives_another_gradient():
    pathwise = run(*model(smooth, estimator=scg.Pathwise()))
    wrong = run(*model(smooth, value=lambda z, x: smooth(z, x) + 0.1 * z))
    difference = wrong.gradient["w"] - pathwise.gradient["w"]
    x = np.random.default_rng(1).normal(size=(7, 2))
    assert np.allclose(difference, 0.1 * x.mean(axis=0), rtol=0, atol=1e-13)


def test_params_between_sample_and_value_get_the_regression_alone():
    graph = scg.Graph()
    mu = graph.param("mu", 0.3)
    a, b = graph.param("a", 0.7), graph.param("b", -0.2)
    z = graph.sample("z", scg.Normal(mean=mu, scale=1.0))
    graph.cost("loss", scg.black_box(np.sign, (), float)(z))
    graph.value("q", a * np.tanh(z) + b)
    params = graph.init(np.random.default_rng(0))
    estimate = scg.estimate_gradient(
        graph,
        params,
        rng=np.random.default_rng(0),
        rows=50,
        estimators={"z": scg.ValueGradient("q", weight=0.5)},
    )
    z = estimate.trace["z"]
    error = 0.5 * (0.7 * np.tanh(z) - 0.2 - np.sign(z))
    assert estimate.gradient["a"] == pytest.approx((error * np.tanh(z)).mean())
    assert estimate.gradient["b"] == pytest.approx(error.mean())
    assert estimate.gradient["mu"] == pytest.approx((0.7 / np.cosh(z) ** 2).mean())


def loop(estimator, *, box=False, value=True, until=None):
    """Write a loop whose cost at a step is all that its action influences."""
    graph = scg.Graph()
    w, k = graph.param("w", 0.4), graph.param("k", np.array([0.3, -0.2]))
    count = scg.black_box(lambda a: a, (), float) if box else lambda a: a

    def step(h):
        a = graph.sample("a", scg.Normal(mean=w * h + k[0], scale=np.exp(k[1])))
        graph.cost("loss", count((a - 0.3 * h) ** 2))
        if value:
            graph.value("q", (a - 0.3 * h) ** 2)
        graph.rename("over", h > 2.0)
        return h + 0.5

    graph.scan(step, graph.input("x"), length=6, until=until)
    return graph, {"a": estimator}


@pytest.mark.parametrize("until", [None, "over"])
def test_in_a_loop_it_is_pathwise_too(until):
    gradients = []
    inputs = {"x": np.array([0.5, -1.0, 1.1])}
    params = {"w": np.array(0.4), "k": np.array([0.3, -0.2])}
    for estimator, box in [(scg.Pathwise(), False), (scg.ValueGradient("q"), True)]:
        graph, estimators = loop(estimator, box=box, until=until, value=box)
        estimate = scg.estimate_gradient(
            graph,
            params,
            inputs,
            estimators=estimators,
            rng=np.random.default_rng(0),
        )
        gradients.append(estimate.gradient)
    for name in params:
        assert np.allclose(
            gradients[0][name], gradients[1][name], rtol=0, atol=1e-12
        ), name


def test_it_learns_to_act_in_an_environment():
    graph = scg.Graph()
    w = graph.param("w", np.array([0.3, -0.2]))
    world = tiny_environment()
    q = graph.param("q", np.array([0.2, 0.5]))

    def step(seen):
        graph.rename("seen", seen)
        a = graph.sample("a", scg.Normal(mean=w[0] * seen + w[1], scale=1.0))
        graph.value("value", q[0] * a * seen + q[1] * a**2)
        seen, reward, _ = world((a > 0).astype(np.int64))
        graph.cost("loss", -reward)
        return seen

    graph.scan(step, world.reset(), length=6)
    estimators = {"a": scg.ScoreFunction()}
    with pytest.raises(scg.UnreachableParamError):
        graph.check(estimators)
    params = graph.init(np.random.default_rng(0))
    estimate = scg.estimate_gradient(
        graph,
        params,
        estimators={"a": scg.ValueGradient("value")},
        rng=np.random.default_rng(0),
    )
    trace = estimate.trace
    seen = trace["seen"]
    slope = 0.2 * seen + 2 * 0.5 * trace["a"]
    expected = [(slope * seen).sum() / trace.rows, slope.sum() / trace.rows]
    assert np.allclose(estimate.gradient["w"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("steps", "lam"), [(1, 1.0), (3, 1.0), (None, 0.6)])
def test_its_target_looks_ahead_to_the_value_of_the_next_draw(steps, lam):
    graph = scg.Graph()
    w = graph.param("w", 0.3)
    world = scg.Environment(Episodes(truncate=True), seed=3)
    k = graph.param("k", 0.7)

    def step(count):
        a = graph.sample("a", scg.Normal(mean=w * count, scale=1.0))
        graph.value("q", k * a * (1 + count))
        count, reward, _ = world((a > 0).astype(np.int64))
        graph.cost("loss", -reward)
        return count

    graph.scan(step, world.reset(), length=20)
    estimator = scg.ValueGradient("q", steps=steps, lam=lam, discount=0.9)
    program = Program(graph.store, {"a": estimator})
    params = {"w": np.array(0.3), "k": np.array(0.7)}
    trace = parts.run(program, params, None, rng=np.random.default_rng(0))
    (credit,) = assign(program, trace, {}).values()
    (ends,) = trace.ends.values()
    over, c, q = ends.terminated | ends.truncated, trace["loss"], trace["q"]
    assert over.any()
    expected = np.zeros_like(c)
    for r in range(3):
        for t in range(20):
            factor, ahead = 1.0, 0
            for s in range(t, 20):
                follows = s < 19 and not over[s, r]
                after = q[s + 1, r] if follows else 0.0
                expected[t, r] += factor * (c[s, r] + 0.9 * after - q[s, r])
                factor, ahead = factor * 0.9 * lam, ahead + 1
                if not follows or ahead == steps:
                    break
    assert np.allclose(credit.target.target, expected + q, rtol=0, atol=1e-12)


def test_a_chain_of_them_is_fitted_one_step_ahead():
    graph = scg.Graph()
    w = graph.param("w", 0.3)
    a = graph.sample("a", scg.Normal(mean=w, scale=1.0))
    graph.cost("first", a**2)
    graph.value("qa", graph.param("ka", 0.2) * a)
    b = graph.sample("b", scg.Normal(mean=w * a, scale=1.0))
    graph.cost("second", a * b)
    graph.value("qb", graph.param("kb", 0.4) * b * a)
    estimators = {n: scg.ValueGradient(f"q{n}", steps=1) for n in "ab"}
    program = Program(graph.store, estimators)
    params = graph.init(np.random.default_rng(0))
    trace = parts.run(program, params, None, rng=np.random.default_rng(0), rows=5)
    targets = {
        graph.nodes[i].name: c.target for i, c in assign(program, trace, {}).items()
    }
    goal = trace["first"] + trace["qb"]
    assert np.allclose(targets["a"].target, goal, rtol=0, atol=1e-13)
    assert np.allclose(targets["b"].target, trace["second"], rtol=0, atol=1e-13)


def test_a_recurrent_policy_gets_it_through_time():
    def build(estimator, *, value):
        graph = scg.Graph()
        w = graph.param("w", 0.4)

        def step(h):
            a = graph.sample("a", scg.Normal(mean=w * h, scale=0.5))
            graph.cost("loss", np.sin(a) * 2.0)
            if value:
                graph.value("q", np.sin(a) * 2.0 + 0.0 * h)
            return np.tanh(w * h + 0.3)

        graph.scan(step, graph.input("x"), length=5)
        return graph, {"a": estimator}

    gradients = [
        scg.estimate_gradient(
            graph,
            {"w": 0.4},
            {"x": np.array([0.5, -1.0])},
            estimators=estimators,
            rng=np.random.default_rng(0),
        ).gradient["w"]
        for graph, estimators in [
            build(scg.Pathwise(), value=False),
            build(scg.ValueGradient("q"), value=True),
        ]
    ]
    assert gradients[0] == pytest.approx(gradients[1], abs=1e-12)


def test_with_branches_above_and_below():
    def build(estimator, box):
        graph = scg.Graph()
        t, mu = graph.param("t", 0.2), graph.param("mu", 0.5)
        b = graph.sample("b", scg.Bernoulli(logits=t))
        z = graph.sample("z", scg.Normal(mean=mu + b, scale=1.0))
        cost = np.cos(z) * (1 + b)
        cost = scg.black_box(lambda c: c, (), float)(cost) if box else cost
        graph.cost("loss", cost)
        if box:
            graph.value("q", np.cos(z) * (1 + b))
        return graph, {"b": scg.Enumeration(), "z": estimator}

    found = [
        scg.estimate_gradient(
            *build(estimator, box)[:1],
            {"t": 0.2, "mu": 0.5},
            estimators=build(estimator, box)[1],
            rng=np.random.default_rng(0),
            rows=5,
        ).gradient
        for estimator, box in [(scg.Pathwise(), False), (scg.ValueGradient("q"), True)]
    ]
    for name in ("t", "mu"):
        assert found[0][name] == pytest.approx(found[1][name], abs=1e-13)


def test_two_of_them_in_a_chain_each_take_their_own():
    graph = scg.Graph()
    w = graph.param("w", 0.7)
    x = graph.input("x")
    graph.value("unused", x)
    a = graph.sample("a", scg.Normal(mean=w * x, scale=1.0))
    graph.value("qa", 3.0 * a + x)
    b = graph.sample("b", scg.Normal(mean=w * a, scale=1.0))
    graph.value("qb", np.sin(b) * a)
    graph.cost("loss", scg.black_box(lambda a, b: a * b, (), float)(a, b))
    estimators = {"a": scg.ValueGradient("qa"), "b": scg.ValueGradient("qb")}
    x = np.array([0.4, 1.5, -2.0])
    estimate = scg.estimate_gradient(
        graph,
        {"w": 0.7},
        {"x": x},
        estimators=estimators,
        rng=np.random.default_rng(0),
    )
    a, b = estimate.trace["a"], estimate.trace["b"]
    # Nothing comes up from b to a: what a is worth below is what qa says.
    expected = (3.0 * x + np.cos(b) * a * a).mean()
    assert estimate.gradient["w"] == pytest.approx(expected, abs=1e-13)


def test_fitted_to_sampled_costs_it_finds_the_gradient():
    graph = scg.Graph()
    mu = graph.param("mu", 0.8)
    z = graph.sample("z", scg.Normal(mean=mu, scale=0.5))
    box = scg.black_box(lambda z: z**2 - z + 0.3, (), float)
    graph.cost("loss", box(z))
    c = graph.param("c", np.zeros(3))
    graph.value("q", c[0] + c[1] * z + c[2] * z**2)
    step = scg.compile(graph, {"z": scg.ValueGradient("q")})
    rng, params = np.random.default_rng(0), graph.init(np.random.default_rng(0))
    for _ in range(1500):
        gradient = step(params, rng=rng, rows=64).gradient
        params["c"] = params["c"] - 0.2 * gradient["c"]
    assert np.allclose(params["c"][1:], [-1.0, 1.0], atol=1e-3)
    estimates = [step(params, rng=rng, rows=64).gradient["mu"] for _ in range(200)]
    error = np.std(estimates) / np.sqrt(200)
    assert abs(np.mean(estimates) - 0.6) < 5 * error + 2e-3


def test_nothing_goes_back_below_the_sample(monkeypatch):
    """No cost is seeded that only the sample leads to."""
    seeded = []
    seed = Reverse.seed
    monkeypatch.setattr(
        Reverse,
        "seed",
        lambda self, node, g: (seeded.append(node.name), seed(self, node, g))[1],
    )
    run(*model(smooth, value=smooth))
    assert "loss" not in seeded
    assert "q" in seeded  # its regression
