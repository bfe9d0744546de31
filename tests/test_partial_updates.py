"""What lies behind the frontier of a critic is not run for what lies before it."""

import numpy as np
import pytest

import scg
from scg.credit import assign

LENGTH = 5


class Calls:
    """A black box that counts its calls by name."""

    def __init__(self):
        self.seen = []

    def box(self, name, fn):
        def called(*inputs):
            self.seen.append(name)
            return fn(*inputs)

        return scg.black_box(called, (), float)


def chain(calls, critic, **options):
    """Write decisions with a param each, costs that are black boxes, and values."""
    graph = scg.Graph()
    h = graph.input("x")
    for t in range(LENGTH):
        theta = graph.param(f"theta{t}", 0.3 * t)
        graph.value(f"v{t}", graph.param(f"w{t}", 0.5) * h)
        a = graph.sample(f"a{t}", scg.Bernoulli(logits=theta + h))
        graph.cost(f"c{t}", calls.box(f"c{t}", lambda h, a: (h - a) ** 2)(h, a))
        h = np.tanh(h + a - 0.5)
    graph.cost("end", calls.box("end", lambda h: h**2)(h))
    estimators = {
        f"a{t}": scg.ScoreFunction(critic=critic(f"v{t}", **options))
        for t in range(LENGTH)
    }
    return graph, estimators


def both(graph, estimators, only, calls, rows=6):
    """Return the gradients of a whole and of a partial run, and what the latter ran."""
    params = graph.init(np.random.default_rng(0))
    inputs = {"x": np.random.default_rng(1).normal(size=rows)}
    whole = scg.compile(graph, estimators)(params, inputs, rng=np.random.default_rng(2))
    part = scg.compile(graph, estimators, only=only)
    calls.seen.clear()
    estimate = part(params, inputs, rng=np.random.default_rng(2))
    return whole, estimate, set(calls.seen)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("lam", [1.0, 0.6])
def test_costs_behind_the_frontier_are_not_called(steps, lam):
    calls = Calls()
    graph, estimators = chain(calls, scg.KStep, steps=steps, lam=lam)
    whole, part, ran = both(graph, estimators, ["a0"], calls)
    assert ran == {f"c{t}" for t in range(steps)}
    for name in ("theta0", "w0"):
        assert part.gradient[name] == pytest.approx(whole.gradient[name], abs=1e-14)
        assert abs(part.gradient[name]) > 1e-4
    others = [n for n in part.gradient if n not in {"theta0", "w0"}]
    assert all(part.gradient[n] == 0 for n in others)
    costs = sum(whole.trace[c].mean() for c in ran)
    assert part.cost == pytest.approx(costs)


def test_several_samples_take_what_each_needs():
    calls = Calls()
    graph, estimators = chain(calls, scg.KStep, steps=2)
    whole, part, ran = both(graph, estimators, ["a0", "a2"], calls)
    assert ran == {"c0", "c1", "c2", "c3"}
    for t in (0, 2):
        assert part.gradient[f"theta{t}"] == pytest.approx(
            whole.gradient[f"theta{t}"], abs=1e-14
        )
    assert part.gradient["theta1"] == 0


def test_a_critic_that_looks_all_the_way_needs_it():
    calls = Calls()
    graph, estimators = chain(calls, scg.GAE, lam=0.9)
    whole, part, ran = both(graph, estimators, ["a1"], calls)
    assert ran == {"c1", "c2", "c3", "c4", "end"}  # but not what a1 does not influence
    assert part.gradient["theta1"] == pytest.approx(whole.gradient["theta1"], abs=1e-14)


def test_a_baseline_needs_all_costs_of_its_sample():
    calls = Calls()
    graph, estimators = chain(calls, scg.GAE)
    estimators |= {"a3": scg.ScoreFunction(baseline=scg.LearnedBaseline("v3"))}
    whole, part, ran = both(graph, estimators, ["a3"], calls)
    assert ran == {"c3", "c4", "end"}
    assert part.gradient["theta3"] == pytest.approx(whole.gradient["theta3"], abs=1e-14)
    assert part.gradient["w3"] == pytest.approx(whole.gradient["w3"], abs=1e-14)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_value_gradient_runs_the_costs_only_to_fit(weight):
    calls = Calls()
    graph = scg.Graph()
    mu = graph.param("mu", 0.3)
    z = graph.sample("z", scg.Normal(mean=mu, scale=1.0))
    graph.value("q", graph.param("k", 0.7) * z**2)
    graph.cost("loss", calls.box("loss", np.sign)(z))
    estimators = {"z": scg.ValueGradient("q", weight=weight)}
    params = graph.init(np.random.default_rng(0))
    whole = scg.compile(graph, estimators)(params, rng=np.random.default_rng(0), rows=4)
    calls.seen.clear()
    part = scg.compile(graph, estimators, only=["z"])(
        params, rng=np.random.default_rng(0), rows=4
    )
    assert bool(calls.seen) == bool(weight)
    assert part.gradient["mu"] == pytest.approx(whole.gradient["mu"], abs=1e-14)
    assert part.gradient["k"] == pytest.approx(whole.gradient["k"], abs=1e-14)


def test_a_value_gradient_looks_no_further_than_its_steps():
    calls = Calls()
    graph = scg.Graph()
    w = graph.param("w", 0.3)
    h = graph.input("x")
    for t in range(4):
        h = graph.sample(f"z{t}", scg.Normal(mean=w * h, scale=1.0))
        graph.value(f"q{t}", graph.param(f"k{t}", 0.5) * h)
        graph.cost(f"c{t}", calls.box(f"c{t}", np.sign)(h))
    estimators = {f"z{t}": scg.ValueGradient(f"q{t}", steps=2) for t in range(4)}
    whole, part, ran = both(graph, estimators, ["z0"], calls)
    assert ran == {"c0", "c1"}
    assert part.gradient["k0"] == pytest.approx(whole.gradient["k0"], abs=1e-14)
    assert part.gradient["k1"] == 0


def test_a_loop_behind_the_frontier_does_not_run():
    calls = Calls()
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    graph.value("v", graph.param("w", 0.2))
    a = graph.sample("a", scg.Bernoulli(logits=theta))
    graph.value("u", 2.0 * a)
    b = graph.sample("b", scg.Bernoulli(logits=theta + a))
    box = calls.box("loop", lambda h: h)

    def step(h):
        graph.cost("c", box(h))
        return 0.5 * h

    graph.scan(step, b, length=4)
    estimators = {
        "a": scg.ScoreFunction(critic=scg.KStep("v", 1)),
        "b": scg.ScoreFunction(critic=scg.KStep("u", 1)),
    }
    params = graph.init(np.random.default_rng(0))
    rng = np.random.default_rng(0)
    scg.compile(graph, estimators, only=["a"])(params, rng=rng, rows=4)
    assert not calls.seen
    scg.compile(graph, estimators, only=["b"])(params, rng=rng, rows=4)
    assert calls.seen


def test_what_follows_a_loop_is_left_out_behind_its_frontier():
    calls = Calls()
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)

    def step(h):
        graph.value("v", h * 1.0)
        a = graph.sample("a", scg.Bernoulli(logits=theta * h))
        graph.cost("c", (h - a) ** 2)
        return 0.5 * h + a

    last, _ = graph.scan(step, graph.input("x"), length=4)
    graph.value("u", last * 2.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta + last))
    graph.cost("after", calls.box("after", lambda b, h: b * h)(b, last))
    estimators = {
        "a": scg.ScoreFunction(critic=scg.KStep("v", 1)),
        "b": scg.ScoreFunction(critic=scg.KStep("u", 1)),
    }
    model = scg.compile(graph, estimators, only=["a"])
    whole = scg.compile(graph, estimators)
    credits = []
    for each in (whole, model):
        calls.seen.clear()
        trace = each.forward(
            {"theta": 0.3}, {"x": np.ones(3)}, rng=np.random.default_rng(0)
        )
        credits.append(assign(each.program, trace, {})[graph["a"].index].advantage)
    assert not calls.seen
    assert np.array_equal(credits[0], credits[1])


def test_draws_are_those_of_the_whole_model():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    graph.cost("other", graph.sample("b", scg.Bernoulli(logits=2 * theta)))
    graph.cost("loss", graph.sample("a", scg.Bernoulli(logits=theta)))
    drawn = [
        scg.compile(graph, only=only)(
            {"theta": 0.3}, rng=np.random.default_rng(0), rows=40
        ).trace["a"]
        for only in (None, ["a"])
    ]
    assert np.array_equal(*drawn)


def test_only_is_for_samples_that_are_scored():
    calls = Calls()
    graph, estimators = chain(calls, scg.KStep, steps=1)
    with pytest.raises(scg.EstimatorError, match="expected samples that are scored"):
        scg.compile(graph, estimators, only=["v0"])
    with pytest.raises(scg.UnknownNameError):
        scg.compile(graph, estimators, only=["a9"])


def test_the_whole_model_is_compiled_beside_its_part():
    calls = Calls()
    graph, estimators = chain(calls, scg.KStep, steps=1)
    part = scg.compile(graph, estimators, only=["a0"])
    whole = scg.compile(graph, estimators)
    assert part.program is not whole.program
    assert scg.compile(graph, estimators, only=("a0",)).program is part.program
