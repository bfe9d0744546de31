"""The gradient of the surrogate loss is, exactly, that of the expected cost."""

import itertools

import autograd.numpy as anp
import numpy as np
import pytest
from oracles import expected_surrogate_gradient, finite_difference

import scg

SEEDS = range(70)
BASELINES = {
    "none": scg.NoBaseline(),
    "average": scg.MovingAverage(),
    "leave one out": scg.LeaveOneOut(),
}


def random_model(seed, count=3):
    """Make a random graph of binary samples: who feeds whom is drawn too."""
    rng = np.random.default_rng(seed)
    graph = scg.Graph(f"random {seed}")
    params, drawn = {}, []
    for i in range(count):
        params[f"t{i}"] = rng.normal()
        logits = graph.param(f"t{i}", params[f"t{i}"])
        for b in drawn:
            if rng.uniform() < 0.6:
                logits = logits + rng.normal() * b * graph[f"t{i}"]
        drawn.append(graph.sample(f"b{i}", scg.Bernoulli(logits=logits)))
        if rng.uniform() < 0.6 or i == count - 1:
            c = (drawn[-1] * rng.normal() + rng.normal()) ** 2
            for b in drawn[:-1]:
                if rng.uniform() < 0.5 or i == count - 1:
                    c = c * (1 + rng.normal() * b * np.tanh(graph["t0"]))
            graph.cost(f"c{i}", c)
    return graph, params, [f"b{i}" for i in range(count)]


def exact_cost(graph, names):
    step = scg.compile(graph, dict.fromkeys(names, scg.Enumeration()))
    return lambda params: step(params, rng=np.random.default_rng(0), rows=1).cost


def assert_same(gradient, expected, tolerance):
    for name, value in expected.items():
        assert np.allclose(gradient[name], value, rtol=0, atol=tolerance), name


@pytest.mark.parametrize("seed", SEEDS)
def test_enumeration_is_the_derivative_of_the_exact_cost(seed):
    graph, params, names = random_model(seed)
    estimate = scg.estimate_gradient(
        graph,
        params,
        estimators=dict.fromkeys(names, scg.Enumeration()),
        rng=np.random.default_rng(0),
        rows=1,
    )
    exact = finite_difference(exact_cost(graph, names), params)
    assert_same(estimate.gradient, exact, 1e-7)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_score_function_is_unbiased_over_all_outcomes(seed, baseline):
    graph, params, names = random_model(seed)
    exact = scg.estimate_gradient(
        graph,
        params,
        estimators=dict.fromkeys(names, scg.Enumeration()),
        rng=np.random.default_rng(0),
        rows=1,
    ).gradient
    samples = 2 if baseline == "leave one out" else 1
    estimators = {n: scg.ScoreFunction(baseline=BASELINES[baseline]) for n in names}
    options = {"samples": samples}
    if baseline == "average":
        options["state"] = {
            f"{names[0]}/mean": np.array(0.7),
            f"{names[0]}/weight": 1.0,
        }
    found = expected_surrogate_gradient(
        graph, params, estimators, names, dict.fromkeys(names, samples), **options
    )
    assert_same(found, exact, 1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_branches_of_one_node_among_others_stay_unbiased(seed):
    graph, params, names = random_model(seed)
    all_enumerated = dict.fromkeys(names, scg.Enumeration())
    rng = np.random.default_rng(0)
    exact = scg.estimate_gradient(graph, params, estimators=all_enumerated, rng=rng)
    branching = scg.ScoreFunction(baseline=scg.LeaveOneOut(), samples=2)
    mixed = {**all_enumerated, names[1]: branching}
    step = scg.compile(graph, mixed)
    plates = step.program.plates[graph[names[1]].index]
    count = int(np.prod([step.program.branching.get(p, 1) for p in plates]))
    found = expected_surrogate_gradient(
        graph, params, mixed, [names[1]], {names[1]: count}
    )
    assert_same(found, exact.gradient, 1e-9)


def test_the_check_fails_on_a_biased_estimator():
    graph, params, names = random_model(1)
    biased = {
        n: scg.ScoreFunction(discount=1.0, standardise=False, boundary=None)
        for n in names
    }
    found = expected_surrogate_gradient(
        graph, params, biased, names, dict.fromkeys(names, 1)
    )
    found = {k: 0.9 * v for k, v in found.items()}  # an average that holds its own cost
    exact = scg.estimate_gradient(
        graph,
        params,
        estimators=dict.fromkeys(names, scg.Enumeration()),
        rng=np.random.default_rng(0),
    ).gradient
    with pytest.raises(AssertionError):
        assert_same(found, exact, 1e-9)


@pytest.mark.parametrize(
    ("t", "p", "gradient", "variance", "mean_variance"),
    [(0.45, 0.5, 0.025, 1.593906e-2, 0.0), (0.45, 0.3, 0.021, 1.559381e-2, 3.360e-4)],
)
def test_the_toy_table_holds(t, p, gradient, variance, mean_variance):
    graph = scg.Graph()
    theta = graph.param("theta", np.log(p / (1 - p)))
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", (b - t) ** 2)
    step = scg.compile(graph)
    params = graph.init(np.random.default_rng(0))
    for baseline, expected in (
        (0.0, variance),
        (p * (1 - t) ** 2 + (1 - p) * t**2, mean_variance),
    ):
        values = []
        for outcome in (0.0, 1.0):
            estimate = step(
                params, rng=np.random.default_rng(0), rows=1, given={"b": [outcome]}
            )
            score = outcome - p
            values.append(float(estimate.gradient["theta"]) - baseline * score)
        mean = (1 - p) * values[0] + p * values[1]
        second = (1 - p) * values[0] ** 2 + p * values[1] ** 2
        assert mean == pytest.approx(gradient, abs=1e-12)
        assert second - mean**2 == pytest.approx(expected, abs=1e-8)


def loop_and_unrolled(pathwise):
    """Write one recurrent model twice: as a scan and as a Python loop."""
    steps = 4
    rng = np.random.default_rng(5)
    w, u = rng.normal(size=(3, 3)) / 2, rng.normal(size=3)

    def build(unroll):
        graph = scg.Graph()
        weights, read = graph.param("w", w), graph.param("u", u)

        def body(t, h):
            z = graph.sample(f"z{t}", scg.Normal(mean=h @ read, scale=0.7))
            h = np.tanh(h @ weights + z[:, None])
            graph.cost(f"c{t}", np.sum(h**2, axis=-1))
            return h

        start = graph.input("h0", shape=(3,))
        if unroll:
            h = start
            for t in range(steps):
                h = body(t, h)
        else:
            h, _ = graph.scan(lambda h: body("", h), start, length=steps)
        graph.cost("last", np.sum(h, axis=-1))
        return graph

    kind = scg.Pathwise() if pathwise else scg.ScoreFunction(baseline=scg.BatchMean())
    return build(True), build(False), kind, {"w": w, "u": u}, steps


def test_a_scan_equals_the_python_loop():
    unrolled, looped, kind, params, steps = loop_and_unrolled(pathwise=False)
    inputs = {"h0": np.random.default_rng(1).normal(size=(6, 3))}
    scan = scg.estimate_gradient(
        looped, params, inputs, estimators={"z": kind}, rng=np.random.default_rng(2)
    )
    given = {f"z{t}": scan.trace["z"][t] for t in range(steps)}
    loop = scg.estimate_gradient(
        unrolled,
        params,
        inputs,
        estimators=dict.fromkeys(given, kind),
        rng=np.random.default_rng(3),
        given=given,
    )
    assert scan.cost == pytest.approx(loop.cost, abs=1e-12)
    assert_same(scan.gradient, loop.gradient, 1e-12)


def test_a_pathwise_scan_is_the_derivative_with_the_noise_held():
    _, looped, kind, params, _ = loop_and_unrolled(pathwise=True)
    inputs = {"h0": np.random.default_rng(1).normal(size=(6, 3))}
    step = scg.compile(looped, {"z": kind})

    def cost(p):
        return step(p, inputs, rng=np.random.default_rng(2)).cost

    gradient = step(params, inputs, rng=np.random.default_rng(2)).gradient
    assert_same(gradient, finite_difference(cost, params), 1e-6)


def test_the_same_seed_gives_the_same_run():
    graph, params, _ = random_model(3)
    one, two = (
        scg.estimate_gradient(graph, params, rng=np.random.default_rng(7), rows=50)
        for _ in range(2)
    )
    assert all(np.array_equal(one.gradient[k], two.gradient[k]) for k in params)


def test_float32_stays_float32():
    graph = scg.Graph(dtype=np.float32)
    w = graph.param("w", np.ones((3, 2)))
    x = graph.input("x", shape=(3,))
    b = graph.sample("b", scg.Bernoulli(logits=np.tanh(x @ w) * np.sqrt(2.0)))
    graph.cost("loss", np.mean((b - 0.45) ** 2, axis=-1))
    estimate = scg.estimate_gradient(
        graph,
        graph.init(np.random.default_rng(0)),
        {"x": np.ones((5, 3))},
        rng=np.random.default_rng(0),
    )
    assert estimate.trace["loss"].dtype == np.float32
    assert estimate.gradient["w"].dtype == np.float32


def test_a_learned_baseline_gives_the_policy_no_gradient():
    graph = scg.Graph()
    theta, phi = graph.param("theta", 0.3), graph.param("phi", 0.2)
    x = graph.input("x")
    graph.value("v", x * phi * theta)
    b = graph.sample("b", scg.Bernoulli(logits=theta * x))
    graph.cost("loss", (b - 0.45) ** 2)
    params, inputs = {"theta": 0.3, "phi": 0.2}, {"x": np.array([1.0])}
    total = 0.0
    for outcome in (0.0, 1.0):
        estimate = scg.estimate_gradient(
            graph,
            params,
            inputs,
            estimators={"b": scg.ScoreFunction(baseline=scg.LearnedBaseline("v"))},
            rng=np.random.default_rng(0),
            given={"b": np.array([outcome])},
        )
        p = 1 / (1 + np.exp(-0.3))
        total += (p if outcome else 1 - p) * estimate.gradient["theta"]
        error = 0.06 - (outcome - 0.45) ** 2
        assert estimate.gradient["phi"] == pytest.approx(error * 0.3, abs=1e-12)
    assert total == pytest.approx(0.1 * p * (1 - p), abs=1e-12)


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("per_row", [False, True])
def test_a_cost_that_mixes_rows_is_credited_to_every_row(rows, samples, per_row):
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    mean = scg.deterministic(lambda b: anp.mean(b) ** 2, rows=False)(b)
    graph.cost("loss", mean * b if per_row else mean)
    outcomes = list(itertools.product([0.0, 1.0], repeat=rows * samples))

    def weight(outcome, logit):
        p = 1 / (1 + np.exp(-logit))
        return np.prod([p if b else 1 - p for b in outcome])

    def exact(logit):
        power = 3 if per_row else 2
        return sum(weight(o, logit) * np.mean(o) ** power for o in outcomes)

    found = sum(
        weight(o, 0.3)
        * scg.estimate_gradient(
            graph,
            {"theta": 0.3},
            rng=np.random.default_rng(0),
            rows=rows,
            samples=samples,
            given={"b": np.array(o)},
        ).gradient["theta"]
        for o in outcomes
    )
    slope = (exact(0.3 + 1e-5) - exact(0.3 - 1e-5)) / 2e-5
    assert found == pytest.approx(slope, abs=1e-9)


def test_a_learned_baseline_is_fitted_to_the_mean_over_branches():
    graph = scg.Graph()
    theta, phi = graph.param("theta", 0.3), graph.param("phi", 0.2)
    x = graph.input("x")
    graph.value("v", x * phi)
    b = graph.sample("b", scg.Bernoulli(logits=theta * x))
    graph.cost("loss", (b - 0.45) ** 2)
    baseline = scg.LearnedBaseline("v")
    estimate = scg.estimate_gradient(
        graph,
        {"theta": 0.3, "phi": 0.2},
        {"x": np.ones(1)},
        estimators={"b": scg.ScoreFunction(baseline=baseline, samples=4)},
        rng=np.random.default_rng(0),
    )
    expected = 0.2 - estimate.trace["loss"].mean()
    assert estimate.gradient["phi"] == pytest.approx(expected, abs=1e-12)


def test_values_can_be_given_only_to_samples_that_take_any():
    graph, params, names = random_model(0)
    rng = np.random.default_rng(0)
    with pytest.raises(scg.UnknownNameError, match="stochastic node"):
        scg.estimate_gradient(graph, params, rng=rng, given={"c2": [1.0]})
    with pytest.raises(scg.InputError, match="Enumeration"):
        scg.estimate_gradient(
            graph,
            params,
            rng=rng,
            estimators={names[0]: scg.Enumeration()},
            given={names[0]: [1.0]},
        )


def test_parameters_out_of_range_are_found_inside_a_loop():
    graph = scg.Graph()
    rate = graph.param("rate", 0.4)

    def step(p):
        b = graph.sample("b", scg.Bernoulli(probs=p))
        graph.cost("loss", b)
        return p + rate

    graph.scan(step, graph.input("p"), length=4)
    with pytest.raises(scg.DistributionError, match="'b'"):
        scg.estimate_gradient(
            graph, {"rate": 0.4}, {"p": np.array([0.1])}, rng=np.random.default_rng(0)
        )


def test_gae_refuses_costs_after_a_loop_in_which_credit_ends():
    graph = scg.Graph()
    theta = graph.param("theta", 0.1)

    def step(h):
        graph.value("v", h * theta)
        b = graph.sample("b", scg.Bernoulli(logits=h * theta))
        graph.cost("loss", b)
        graph.rename("many", h > 1)
        return h + b

    h, _ = graph.scan(step, 0.0, length=3)
    graph.cost("last", h)
    with pytest.raises(scg.EstimatorError, match="last"):
        scg.estimate_gradient(
            graph,
            {"theta": 0.1},
            estimators={"b": scg.ScoreFunction(boundary="many", critic=scg.GAE("v"))},
            rng=np.random.default_rng(0),
        )
