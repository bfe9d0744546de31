"""Bootstrapped credit is what plain loops by the definitions give."""

import numpy as np
import pytest
from enumerated import outcomes
from episodes import acting, last_observations
from random_models import AsGraph, write

import scg
from scg import lookahead
from scg.credit import assign
from scg.parts import run
from scg.program import Program
from scg.ratios import density_ratio, log_prob
from scg.replay import Replay

DISCOUNT = 0.9


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


def chain(length, estimator, *, loop, end=0.0, family=scg.Bernoulli):
    """Write a chain of decisions, as a scan or as a plain graph; and its estimators."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.4)
    w = graph.param("w", 0.7)

    def step(h, suffix=""):
        graph.value(f"v{suffix}", w * h + 0.3 * h**2)
        a = graph.sample(f"a{suffix}", family(logits=theta * h + 0.1))
        graph.cost(f"c{suffix}", (h - a) ** 2 + 0.2 * a)
        return np.tanh(0.5 * h + a - 0.3)

    x = graph.input("x")
    if loop:
        last, _ = graph.scan(lambda h: (step(h), None), x, length=length)
        estimators = {"a": estimator("v")}
    else:
        last = x
        for t in range(length):
            last = step(last, t)
        estimators = {f"a{t}": estimator(f"v{t}") for t in range(length)}
    if end:
        graph.cost("end", end * (last - 0.2) ** 2)
        graph.value("vz", w + last)
        z = graph.sample("z", family(logits=theta + last))
        graph.cost("cz", 2 * z * last)
        estimators["z"] = estimator("vz")
    return graph, estimators


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


def vtrace_double_loop(cost, v, last, ratio, discount, lam, rho, c):
    """Give targets and advantages by the sums of their definitions."""
    steps, rows = cost.shape
    v = np.concatenate([v, last[None]])
    r, s = np.minimum(ratio, rho), lam * np.minimum(ratio, c)
    target, advantage = v.copy(), np.zeros_like(cost)
    for i in range(rows):
        for t in range(steps):
            for k in range(t, steps):
                delta = cost[k, i] + discount * v[k + 1, i] - v[k, i]
                weight = np.prod([discount * s[j, i] for j in range(t, k)])
                target[t, i] += weight * r[k, i] * delta
        for t in range(steps):
            ahead = (1 - lam) * v[t + 1, i] + lam * target[t + 1, i]
            advantage[t, i] = r[t, i] * (cost[t, i] + discount * ahead - v[t, i])
    return advantage, target[:-1]


@pytest.mark.parametrize(("rho", "c"), [(1.0, 1.0), (0.7, 0.5), (2.0, 1.3), (9e9, 9e9)])
@pytest.mark.parametrize("lam", [1.0, 0.6])
def test_vtrace_on_a_replayed_run_equals_a_double_loop(lam, rho, c):
    critic = scg.VTrace("v", lam=lam, rho=rho, c=c)
    graph, estimators = chain(
        7, lambda v: scg.ScoreFunction(discount=DISCOUNT, critic=critic), loop=True
    )
    model = scg.compile(graph, estimators)
    rng = np.random.default_rng(1)
    x = rng.normal(size=5)
    then = {"theta": np.array(0.4), "w": np.array(0.7)}
    now = {"theta": np.array(-0.9), "w": np.array(0.2)}
    trace = model.forward(then, {"x": x}, rng=rng)
    again = model.again(trace, now)
    ratio = np.exp(
        log_prob(Replay(model.program, trace)(now), graph["a"])
        - log_prob(trace, graph["a"])
    )
    assert ratio.min() < 0.6
    assert ratio.max() > 1.2
    seen = again.trace
    last = trace.last_carries["scan"][0]
    after = 0.2 * last + 0.3 * last**2
    advantage, target = vtrace_double_loop(
        seen["c"], seen["v"], after, ratio, DISCOUNT, lam, rho, c
    )
    (credit,) = assign(model.program, seen, {}).values()
    assert np.allclose(credit.advantage, advantage, rtol=0, atol=1e-12)
    assert np.allclose(credit.target.target, target, rtol=0, atol=1e-12)


def test_vtrace_written_out_equals_the_loop_on_a_replayed_run():
    def estimator(v):
        return scg.ScoreFunction(critic=scg.VTrace(v, lam=0.9, rho=1.2, c=0.8))

    length, rng = 5, np.random.default_rng(0)
    x = rng.normal(size=4)
    drawn = rng.integers(2, size=(length, 4)).astype(float)
    z = {"z": np.array([1.0, 0.0, 0.0, 1.0])}
    then = {"theta": np.array(0.4), "w": np.array(0.7)}
    now = {"theta": np.array(-0.9), "w": np.array(0.2)}
    gradients = []
    for loop in (True, False):
        graph, estimators = chain(length, estimator, loop=loop, end=1.5)
        given = {"a": drawn} if loop else {f"a{t}": drawn[t] for t in range(length)}
        given |= z
        model = scg.compile(graph, estimators)
        trace = model.forward(then, {"x": x}, rng=rng, given=given)
        gradients.append(model.again(trace, now).gradient)
    for name in now:
        assert np.allclose(gradients[0][name], gradients[1][name], rtol=0, atol=1e-12)


def test_a_run_of_ones_own_params_has_no_ratios():
    graph, estimators = chain(
        5, lambda v: scg.ScoreFunction(critic=scg.VTrace(v, lam=0.7)), loop=True
    )
    plain = {"a": scg.ScoreFunction(critic=scg.GAE("v", lam=0.7))}
    params = {"theta": np.array(0.4), "w": np.array(0.7)}
    inputs = {"x": np.arange(3.0)}
    model = scg.compile(graph, estimators)
    estimate = model(params, inputs, rng=np.random.default_rng(0))
    other = scg.compile(graph, plain)(params, inputs, rng=np.random.default_rng(0))
    again = model.again(estimate.trace, params)
    for name in params:
        assert estimate.gradient[name] == pytest.approx(other.gradient[name], abs=1e-14)
        assert again.gradient[name] == pytest.approx(other.gradient[name], abs=1e-14)


def test_other_params_need_vtrace():
    graph, estimators = chain(
        3, lambda v: scg.ScoreFunction(critic=scg.GAE(v)), loop=True
    )
    model = scg.compile(graph, estimators)
    params = {"theta": np.array(0.4), "w": np.array(0.7)}
    trace = model.forward(params, {"x": np.ones(2)}, rng=np.random.default_rng(0))
    with pytest.raises(scg.EstimatorError, match="expected a VTrace critic"):
        model.again(trace, params)


def test_a_sample_without_vtrace_that_has_a_part_in_the_costs_is_refused():
    graph = scg.Graph()
    theta = graph.param("theta", 0.1)
    values = [graph.value(f"v{i}", graph.param(f"w{i}", 0.1)) for i in range(2)]
    a = graph.sample("a", scg.Bernoulli(logits=theta))
    b = graph.sample("b", scg.Bernoulli(logits=2 * theta))
    graph.cost("loss", (a - b) ** 2)
    assert len(values) == 2
    model = scg.compile(
        graph,
        {n: scg.ScoreFunction(critic=scg.VTrace(f"v{i}")) for i, n in enumerate("ab")},
    )
    params = graph.init(np.random.default_rng(0))
    trace = model.forward(params, rng=np.random.default_rng(0), rows=3)
    with pytest.raises(scg.EstimatorError, match="which has a part in the costs"):
        model.again(trace, params)


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


@pytest.mark.parametrize("ahead", [False, True])
def test_a_clipped_update_that_acts_ahead_is_corrected_by_vtrace(ahead, monkeypatch):
    graph, estimators = chain(
        4, lambda v: scg.ScoreFunction(critic=scg.VTrace(v)), loop=True
    )
    seen = []

    def ratio(trace, node):
        seen.append(density_ratio(trace, node))
        return seen[-1]

    monkeypatch.setattr(lookahead, "density_ratio", ratio)
    method = scg.Clipped(
        scg.compile(graph, estimators),
        scg.sgd(0.5),
        epochs=1,
        batch_size=8,
        ahead=ahead,
        data=lambda rng, step: {"x": rng.normal(size=8)},
    )
    params = {"theta": np.array(0.4), "w": np.array(0.7)}
    rng = np.random.default_rng(0)
    scg.fit(method, params, rng=rng, num_steps=3, progress=False)
    off = [np.abs(r - 1).max() for r in seen]
    assert len(seen) == 3
    assert off[0] < 1e-12
    assert (max(off) > 1e-3) == ahead


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


def test_a_value_that_reads_too_little_is_refused_with_the_open_path():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    x = graph.input("x")
    graph.value("v0", x)
    a = graph.sample("a", scg.Bernoulli(logits=theta * x))
    graph.value("v1", 2.0 * x)
    b = graph.sample("b", scg.Bernoulli(logits=theta + a))
    graph.cost("loss", b * x)

    def estimators(**options):
        return {
            "a": scg.ScoreFunction(critic=scg.KStep("v0", 1, **options)),
            "b": scg.ScoreFunction(critic=scg.KStep("v1", 1)),
        }

    with pytest.raises(scg.CriticError, match=r"'v1' to read .* open path a → .* → b"):
        graph.check(estimators())
    graph.check(estimators(partial=True))


def test_in_a_loop_the_next_steps_value_must_read_enough():
    def build(read):
        graph = scg.Graph()
        theta = graph.param("theta", 0.3)

        def step(carry):
            h, g = carry
            graph.value("v", h + (g if read else 0.0))
            a = graph.sample("a", scg.Bernoulli(logits=theta * h))
            graph.cost("c", g * a)
            return (h + 1.0, g + a)

        graph.scan(step, (graph.input("x"), graph.input("y")), length=5)
        return graph

    critic = {"a": scg.ScoreFunction(critic=scg.KStep("v", 2))}
    build(read=True).check(critic)
    with pytest.raises(scg.CriticError, match="'v' of the next step"):
        build(read=False).check(critic)


def test_that_a_row_goes_on_is_known_to_the_next_steps_value():
    def build(read):
        graph = scg.Graph()
        theta = graph.param("theta", 0.3)

        def step(carry):
            h, g = carry
            graph.value("v", h + (g if read else 0.0))
            a = graph.sample("a", scg.Bernoulli(logits=theta * h * g))
            graph.cost("c", (h + g) * a)
            graph.rename("over", h + g * a > 2.0)
            return h + 1.0, g + 0.0

        start = graph.input("x"), graph.input("y")
        graph.scan(step, start, length=5, until="over")
        return graph

    critic = {"a": scg.ScoreFunction(critic=scg.KStep("v", 1))}
    build(read=True).check(critic)
    with pytest.raises(scg.CriticError, match="'v' of the next step"):
        build(read=False).check(critic)


def test_values_that_are_only_subtracted_may_read_anything():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    a = graph.sample("a", scg.Normal(mean=theta, scale=1.0))
    graph.value("qa", a * graph.param("k", 1.0))
    b = graph.sample("b", scg.Normal(mean=theta * a, scale=1.0))
    graph.value("qb", b * 2.0)
    graph.cost("loss", a * b)

    def check(**options):
        blind = scg.ValueGradient("qb", partial=True)
        graph.check({"a": scg.ValueGradient("qa", **options), "b": blind})

    check()
    check(steps=1, partial=True)
    for options in ({"steps": 1}, {"lam": 0.5}):
        with pytest.raises(scg.CriticError, match="expected the value node 'qb'"):
            check(**options)


def test_samples_of_the_same_loop_do_not_come_after_it():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)

    def step(h):
        graph.value("v", 1.0 * h)
        a = graph.sample("a", scg.Bernoulli(logits=theta + h))
        graph.value("u", h + a)
        b = graph.sample("b", scg.Bernoulli(logits=theta - a))
        return 0.5 * h + b

    last, _ = graph.scan(step, graph.input("x"), length=3)
    graph.cost("end", last**2)
    estimators = {
        n: scg.ScoreFunction(critic=scg.GAE(v, lam=0.5))
        for n, v in zip("ab", "vu", strict=True)
    }
    program = Program(graph.store, estimators)
    found = [program.followers[graph[n].index] for n in "ab"]
    assert [f.samples for f in found] == [(), ()]
    assert [f.costs for f in found] == [(graph["end"].index,)] * 2


def test_from_before_a_loop_the_value_of_its_first_step_must_read_enough():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    graph.value("v", graph.param("w", 0.2))
    a = graph.sample("a", scg.Bernoulli(logits=theta))

    def step(carry):
        h, g = carry
        graph.value("v_t", h)
        b = graph.sample("b", scg.Bernoulli(logits=theta + g))
        graph.cost("c", h * b)
        return g, g

    graph.scan(step, (0.0, a), length=4)
    with pytest.raises(
        scg.CriticError, match="node 'a': expected the value node 'v_t'"
    ):
        graph.check(
            {
                "a": scg.ScoreFunction(critic=scg.KStep("v", 1)),
                "b": scg.ScoreFunction(critic=scg.GAE("v_t")),
            }
        )


def test_a_critic_of_a_loop_needs_a_value_of_each_step():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    x = graph.input("x")
    graph.value("v", x)

    def step(h):
        a = graph.sample("a", scg.Bernoulli(logits=theta * h))
        graph.cost("c", h * a)
        return h + a

    graph.scan(step, x, length=3)
    with pytest.raises(scg.EstimatorError, match="a value node of each step"):
        graph.check({"a": scg.ScoreFunction(critic=scg.GAE("v"))})


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
