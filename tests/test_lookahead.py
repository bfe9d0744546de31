"""Bootstrapped credit is what plain loops by the definitions give."""

import numpy as np
import pytest
from critic_chains import DISCOUNT, chain
from enumerated import outcomes
from episodes import acting, last_observations
from random_models import AsGraph, write

import scg
from scg.credit import assign
from scg.parts import run
from scg.program import Program
from scg.ratios import log_prob


def value_of(observation):
    return np.sin(0.4 * (observation + 1))


def k_step_double_loop(trace, ends, k, lam):
    """Mix the j-step targets of j = 1 ... k, each by its definition."""
    cost, v = trace["loss"], trace["v"]
    finals, (steps, rows) = last_observations(ends), trace["loss"].shape

    def j_step(t, r, j):
        total = 0.0
        for i in range(j):
            now = t + i
            total += DISCOUNT**i * cost[now, r]
            if ends.terminated[now, r]:
                return total
            if ends.truncated[now, r]:
                return total + DISCOUNT ** (i + 1) * value_of(finals[now, r])
            if now + 1 == steps:
                return total + DISCOUNT ** (i + 1) * value_of(trace["last"][r])
        return total + DISCOUNT**j * v[t + j, r]

    out = np.zeros_like(cost)
    for t in range(steps):
        for r in range(rows):
            mixed = sum(
                (1 - lam) * lam ** (j - 1) * j_step(t, r, j) for j in range(1, k)
            )
            out[t, r] = mixed + lam ** (k - 1) * j_step(t, r, k) - v[t, r]
    return out


@pytest.mark.parametrize("lam", [1.0, 0.6])
@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_k_steps_in_a_loop_equal_a_double_loop(k, lam):
    critic = scg.KStep("v", k, lam=lam, partial=True)
    estimator = scg.ScoreFunction(discount=DISCOUNT, critic=critic)
    trace, credit, ends = acting(estimator, truncate=True, length=25)
    assert ends.terminated.any()
    assert ends.truncated.any()
    expected = k_step_double_loop(trace, ends, k, lam)
    assert np.allclose(credit.advantage, expected, rtol=0, atol=1e-12)
    assert np.allclose(credit.target.target, expected + trace["v"], rtol=0, atol=1e-12)


TABLE = np.array([[0.3, -0.8, 0.5], [1.0, 0.1, -0.4], [-0.6, 0.9, 0.2]])


CRITICS = {
    "gae": lambda v: scg.GAE(v, lam=0.7),
    "one step": lambda v: scg.KStep(v, 1),
    "three steps": lambda v: scg.KStep(v, 3),
    "three steps, mixed": lambda v: scg.KStep(v, 3, lam=0.4),
    "vtrace": lambda v: scg.VTrace(v, lam=0.8),
}


every_critic = pytest.mark.parametrize("critic", CRITICS.values(), ids=[*CRITICS])


@every_critic
def test_a_loop_and_the_same_loop_written_out_give_the_same_gradient(critic):
    def estimator(v):
        return scg.ScoreFunction(critic=critic(v))

    length, rng = 6, np.random.default_rng(0)
    x = rng.normal(size=4)
    drawn = rng.integers(2, size=(length, 4)).astype(float)
    z = {"z": np.array([1.0, 0.0, 0.0, 1.0])}
    params = {"theta": np.array(0.4), "w": np.array(0.7)}
    gradients = []
    for loop in (True, False):
        graph, estimators = chain(length, estimator, loop=loop, end=1.5)
        given = {"a": drawn} if loop else {f"a{t}": drawn[t] for t in range(length)}
        given |= z
        gradients.append(
            scg.estimate_gradient(
                graph, params, {"x": x}, estimators=estimators, rng=rng, given=given
            ).gradient
        )
    for name in params:
        assert np.allclose(gradients[0][name], gradients[1][name], rtol=0, atol=1e-12)
        assert abs(gradients[0][name]) > 1e-3


def tree():
    """Write a root decision with two subtrees, one of two decisions, and all values."""
    graph = scg.Graph()
    theta = graph.param("theta", np.array([0.3, -0.5, 0.8, 0.2]))
    graph.value("v0", graph.param("w", 0.4))
    a = graph.sample("a", scg.Bernoulli(logits=theta[0]))
    graph.cost("ca", (a - 0.2) ** 2)
    graph.value("v1", 0.5 - a)
    b = graph.sample("b", scg.Bernoulli(logits=theta[1] + a))
    graph.cost("cb", 2 * a * b + b)
    graph.value("v2", 0.1 + a + b)
    c = graph.sample("c", scg.Bernoulli(logits=theta[2] - b))
    graph.cost("cc", (a - c) * b + c)
    graph.value("v3", 0.7 * a)
    d = graph.sample("d", scg.Bernoulli(logits=theta[3] + 0.5 * a))
    graph.cost("cd", d * (1 + a))
    graph.cost("free", a * 0.3)
    return graph


def test_a_sample_with_two_ways_below_it_adds_up_both():
    graph = tree()

    def estimators(**options):
        return {
            n: scg.ScoreFunction(critic=scg.KStep(f"v{i}", **options))
            for i, n in enumerate("abcd")
        }

    params = {"theta": graph.init(np.random.default_rng(0))["theta"], "w": 0.4}
    for k, lam in [(1, 1.0), (2, 0.6), (3, 0.6), (9, 1.0)]:
        model = scg.compile(graph, estimators(steps=k, lam=lam))
        trace = model.forward(params, rng=np.random.default_rng(2), rows=9)
        credits = assign(model.program, trace, {})
        got = {graph.nodes[i].name: c.advantage for i, c in credits.items()}
        t = {n.name: trace[n.name] for n in graph.nodes if n.is_named}
        paid = {"a": t["ca"] + t["free"], "b": t["cb"], "c": t["cc"], "d": t["cd"]}
        below = {"a": "bd", "b": "c", "c": "", "d": ""}
        own = dict(zip("abcd", ["v0", "v1", "v2", "v3"], strict=True))

        def d(n, depth, lam=lam, t=t, paid=paid, below=below, own=own):
            total = paid[n] - t[own[n]]
            for u in below[n]:
                total = total + t[own[u]]
                if depth > 1:
                    total = total + lam * d(u, depth - 1)
            return total

        for n in "abcd":
            assert np.allclose(got[n], d(n, k), rtol=0, atol=1e-13), (n, k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(25))
def test_all_the_way_and_trusting_samples_what_is_left_is_the_cost(seed, dtype):
    model = AsGraph(values=True, dtype=dtype)
    write(seed, model)
    names = {
        d.name: ("v loop" if d.inside else f"v {d.name}")
        for d in model.drawn
        if model.graph.downstream_costs(d.name)
    }
    estimators = {
        n: scg.ScoreFunction(critic=scg.GAE(v, lam=1.0)) for n, v in names.items()
    }
    program = Program(model.graph.store, estimators)
    params = {
        k: np.asarray(v, dtype)
        for k, v in model.graph.init(np.random.default_rng(seed)).items()
    }
    inputs = {"x": np.random.default_rng(seed).normal(size=6).astype(dtype)}
    trace = run(program, params, inputs, rng=np.random.default_rng(seed))
    for i, credit in assign(program, trace, {}).items():
        v = trace[names[program.nodes[i].name]]
        assert credit.advantage.dtype == credit.target.target.dtype == dtype
        tolerance = 1e-4 if dtype == np.float32 else 1e-11
        assert np.allclose(credit.advantage, credit.cost - v, rtol=0, atol=tolerance)
    assert names


def true_values(length, theta, end):
    """Return E[costs from t on | h] of `chain`, by running every outcome."""

    def value(t, h):
        if t == length:
            return end * (h - 0.2) ** 2
        p = 1 / (1 + np.exp(-(theta * h + 0.1)))
        total = 0.0
        for a, weight in ((1.0, p), (0.0, 1 - p)):
            cost = (h - a) ** 2 + 0.2 * a
            total += weight * (cost + value(t + 1, np.tanh(0.5 * h + a - 0.3)))
        return total

    return value


def written_out(length, value, estimator):
    """Write `chain` with value nodes that are black boxes of the state."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.4)
    h = graph.input("x")
    for t in range(length):
        box = scg.black_box(lambda h, t=t: value(t, h), (), float)
        graph.value(f"v{t}", box(h))
        a = graph.sample(f"a{t}", scg.Bernoulli(logits=theta * h + 0.1))
        graph.cost(f"c{t}", (h - a) ** 2 + 0.2 * a)
        h = np.tanh(0.5 * h + a - 0.3)
    graph.cost("end", 1.5 * (h - 0.2) ** 2)
    return graph, {f"a{t}": estimator(f"v{t}") for t in range(length)}


def mean_gradient(graph, estimators, names):
    """Weigh the gradient of every outcome with its probability: exact."""
    model = scg.compile(graph, estimators)
    params, total = {"theta": np.array(0.4)}, 0.0
    for outcome in outcomes(names, 1):
        estimate = model(
            params, {"x": np.array([0.5])}, rng=np.random.default_rng(0), given=outcome
        )
        p = np.exp(sum(log_prob(estimate.trace, graph[n]).sum() for n in names))
        total += p * estimate.gradient["theta"]
    return float(total)


@every_critic
def test_right_values_leave_no_bias_and_wrong_ones_do(critic):
    length = 4
    names = [f"a{t}" for t in range(length)]
    value = true_values(length, 0.4, 1.5)

    def estimator(v):
        return scg.ScoreFunction(critic=critic(v))

    plain, _ = written_out(length, value, estimator)
    exact = mean_gradient(plain, {n: scg.ScoreFunction() for n in names}, names)
    h = 1e-5
    slope = [true_values(length, 0.4 + s, 1.5)(0, 0.5) for s in (h, -h)]
    assert exact == pytest.approx((slope[0] - slope[1]) / (2 * h), abs=1e-8)
    right = mean_gradient(*written_out(length, value, estimator), names)
    assert right == pytest.approx(exact, abs=1e-12)
    wrong = mean_gradient(
        *written_out(length, lambda t, h: value(t, h) + h, estimator), names
    )
    assert abs(wrong - exact) > 1e-3


def test_branches_below_count_as_their_mean():
    graph = tree()
    estimators = {
        n: scg.ScoreFunction(critic=scg.GAE(f"v{i}", lam=1.0), samples=1 + (n == "b"))
        for i, n in enumerate("abcd")
    }
    model = scg.compile(graph, estimators)
    params = {"theta": graph.init(np.random.default_rng(0))["theta"], "w": 0.4}
    trace = model.forward(params, rng=np.random.default_rng(2), rows=9)
    credits = assign(model.program, trace, {})
    got = {graph.nodes[i].name: c for i, c in credits.items()}
    for i, n in enumerate("abcd"):  # with lam = 1 the values in between cancel
        v = trace[f"v{i}"]
        v = np.repeat(v, len(got[n].cost) // len(np.atleast_1d(v)))
        assert np.allclose(got[n].advantage, got[n].cost - v, rtol=0, atol=1e-13)


def test_a_decision_before_a_loop_looks_into_it():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    graph.value("v", graph.param("w", 0.2))
    a = graph.sample("a", scg.Bernoulli(logits=theta))
    graph.cost("first", 2 * a)

    def step(h):
        graph.value("v_t", 1.0 + h)
        b = graph.sample("b", scg.Bernoulli(logits=theta + h))
        graph.cost("c", h * b)
        return 0.5 * h + b

    graph.scan(step, a, length=4)
    graph.check({"a": scg.ScoreFunction(critic=scg.KStep("v", 1))})
    params = {"theta": np.array(0.3), "w": np.array(0.2)}
    for steps, lam in [(1, 1.0), (3, 0.5)]:
        estimators = {
            "a": scg.ScoreFunction(critic=scg.KStep("v", steps, lam=lam)),
            "b": scg.ScoreFunction(critic=scg.KStep("v_t", 2)),
        }
        model = scg.compile(graph, estimators)
        trace = model.forward(params, rng=np.random.default_rng(0), rows=6)
        credits = assign(model.program, trace, {})
        v = trace["v_t"]
        delta = trace["c"][:-1] + v[1:] - v[:-1]
        more = 0.0 if steps == 1 else lam * (delta[0] + lam * delta[1])
        expected = trace["first"] + v[0] + more - 0.2
        got = credits[graph["a"].index].advantage
        assert np.allclose(got, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "make",
    [
        lambda: scg.KStep("v", 0),
        lambda: scg.KStep("v", 1, lam=1.5),
        lambda: scg.VTrace("v", rho=0.0),
        lambda: scg.VTrace("v", lam=-0.1),
    ],
    ids=["no steps", "lam above 1", "rho 0", "lam below 0"],
)
def test_options_out_of_range_are_refused(make):
    with pytest.raises(scg.EstimatorError):
        make()


def test_a_chain_of_thousands_needs_no_recursion():
    length = 1200
    graph, estimators = chain(
        length, lambda v: scg.ScoreFunction(critic=scg.GAE(v, lam=0.9)), loop=False
    )
    params = {"theta": np.array(0.4), "w": np.array(0.7)}
    estimate = scg.estimate_gradient(
        graph,
        params,
        {"x": np.ones(2)},
        estimators=estimators,
        rng=np.random.default_rng(0),
    )
    assert np.isfinite(estimate.gradient["theta"])
