"""A loop's estimate is the gradient of its surrogate loss, written out in plain NumPy.

The loss holds the recorded samples and the credit of a double loop constant, and
autograd differentiates it through the Python loop.
"""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from episodes import double_loop

import scg

STEPS, ROWS = 7, 3


def random_loop(seed, recurrent):
    """Return a step for nodes or numbers, which ends an episode now and then."""
    a, b, c, d = np.random.default_rng(seed).normal(size=4)

    def step(np_, p, h, x, draw, hold):
        """Return the next carry, the cost and whether an episode ends after it."""
        state = h if recurrent else hold(h)
        z = draw(p["u"] * state + b * x)
        cost = (z - a) ** 2 * (1 + np_.sin(state + d * x)) + c * p["v"] * z
        after = np_.tanh((p["w"] if recurrent else 0.6) * state + z + x)
        over = hold(after) * (1 if d > 0 else -1) > 0.7
        return np_.where(over, 0.1 * x, after), cost, over

    return step


def estimate(step, params, inputs, seed, **options):
    graph = scg.Graph()
    nodes = {name: graph.param(name, value) for name, value in params.items()}
    start, xs = graph.input("start"), graph.input("xs", shape=(STEPS,))

    def draw(logits):
        return graph.sample("z", scg.Bernoulli(logits=logits))

    def body(h, x):
        after, cost, over = step(np, nodes, h, x, draw, scg.stop_gradient)
        graph.cost("loss", cost)
        graph.rename("over", over)
        return after

    graph.scan(body, start, xs=xs)
    return scg.estimate_gradient(
        graph,
        params,
        inputs,
        estimators={"z": scg.ScoreFunction(**options)},
        rng=np.random.default_rng(seed),
    )


def surrogate(step, inputs, samples, advantage):
    """Return the surrogate loss as a function of the params."""

    def loss(params):
        h, total = inputs["start"], 0.0
        for t in range(STEPS):
            logits = []

            def draw(value, t=t, logits=logits):
                logits.append(value)
                return samples[t]

            h, cost, _ = step(anp, params, h, inputs["xs"][:, t], draw, hold)
            log_p = -anp.log(1 + anp.exp((1 - 2 * samples[t]) * logits[0]))
            total = total + anp.sum(log_p * advantage[t] + cost) / ROWS
        return total

    return loss


def hold(value):
    return getattr(value, "_value", value)


def differentiated(step, params, inputs, run, advantage):
    loss = surrogate(step, inputs, run.trace["z"], advantage)
    return autograd.grad(loss)(params)


def others(q):
    """Average the other rows, step by step."""
    return (q.sum(axis=1, keepdims=True) - q) / (ROWS - 1)


def case(seed, recurrent):
    rng = np.random.default_rng((seed, 1))
    params = {n: rng.normal() for n in ("uvw" if recurrent else "uv")}
    inputs = {"start": rng.normal(size=ROWS), "xs": rng.normal(size=(ROWS, STEPS))}
    return random_loop(seed, recurrent), params, inputs


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("boundary", ["over", None])
@pytest.mark.parametrize("seed", range(15))
def test_a_loop_with_ends_and_discount_is_its_surrogate(seed, boundary, recurrent):
    step, params, inputs = case(seed, recurrent)
    options = {"boundary": boundary, "discount": (1.0, 0.8)[seed % 2]}
    baseline = scg.BatchMean() if seed % 3 else scg.NoBaseline()
    run = estimate(step, params, inputs, seed, baseline=baseline, **options)
    cut = run.trace["over"] & (boundary is not None)
    q = double_loop(run.trace["loss"], cut, options["discount"])
    advantage = q - others(q) if seed % 3 else q
    exact = differentiated(step, params, inputs, run, advantage)
    for name, value in exact.items():
        assert run.gradient[name] == pytest.approx(value, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_surrogate_tells_an_end_that_is_missed(recurrent):
    told = []
    for seed in range(15):
        step, params, inputs = case(seed, recurrent)
        run = estimate(step, params, inputs, seed, boundary="over")
        over = run.trace["over"].copy()
        over[:-1] = False
        q = double_loop(run.trace["loss"], over, 1.0)
        exact = differentiated(step, params, inputs, run, q)
        told.append(abs(run.gradient["u"] - exact["u"]) > 1e-9)
    assert np.mean(told) > 0.7


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_standardised_returns_have_mean_0_and_deviation_1(seed, recurrent):
    step, params, inputs = case(seed, recurrent)
    run = estimate(step, params, inputs, seed, standardise=True, boundary="over")
    q = double_loop(run.trace["loss"], run.trace["over"], 1.0)
    advantage = (q - q.mean()) / (q.std() + 1e-8)
    exact = differentiated(step, params, inputs, run, advantage)
    for name, value in exact.items():
        assert run.gradient[name] == pytest.approx(value, rel=1e-9, abs=1e-11)


def test_options_that_bias_say_so():
    said = {
        "standardise": scg.ScoreFunction(standardise=True),
        "discount": scg.ScoreFunction(discount=0.9),
        "boundary": scg.ScoreFunction(boundary="over"),
        "critic": scg.ScoreFunction(critic=scg.GAE("v")),
        "shared": scg.ScoreFunction(baseline=scg.LearnedBaseline("v", shared=True)),
    }
    assert all(estimator.biases for estimator in said.values())
    assert scg.ScoreFunction(standardise=True).biases == ("standardised advantages",)
    assert not scg.ScoreFunction(baseline=scg.BatchMean()).biases
