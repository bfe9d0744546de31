"""The iterated prisoner's dilemma: a value with a closed form, derived to any order.

States are CC, CD, DC, DD and the start; theta holds each agent's logits to cooperate,
in each state as that agent sees it. Gradients and Hessians of agent 1's return come
from autograd through the closed form.
"""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import hessian, jacobian

import scg

REWARD = np.array([-1.0, -3.0, 0.0, -2.0])
SWAPPED = [0, 2, 1, 3, 4]
GAMMA = 0.96
POINTS = {"zero": np.zeros(10), "random": np.random.default_rng(8).normal(size=10)}


def transitions(theta):
    """Return the probabilities of the four outcomes in each of the five states."""
    p = 1 / (1 + anp.exp(-theta[:5]))
    q = 1 / (1 + anp.exp(-theta[5:][SWAPPED]))
    return anp.stack([p * q, p * (1 - q), (1 - p) * q, (1 - p) * (1 - q)], axis=1)


def value(theta):
    """Return V₁ = p₀ᵀ (I − γP)⁻¹ r."""
    rows = transitions(theta)
    return rows[4] @ anp.linalg.solve(np.eye(4) - GAMMA * rows[:4], REWARD)


def value_of(steps):
    """Return the same for a game of some steps."""

    def function(theta):
        rows = transitions(theta)
        now, total = rows[4], 0.0
        for t in range(steps):
            total = total + GAMMA**t * now @ REWARD
            now = now @ rows[:4]
        return total

    return function


def game(steps):
    """Build the game; an input holds what each step's reward is worth in each row."""
    graph = scg.Graph("iterated prisoner's dilemma")
    agents = [graph.param(name, np.zeros(5)) for name in ("one", "two")]
    worth = graph.input("worth", shape=(steps,))

    def step(state, worth_t):
        graph.value("expected", -30.0 * worth_t)
        seen = np.where(state == 1, 2, np.where(state == 2, 1, state))
        a = graph.sample("a", scg.Bernoulli(logits=agents[0][state]))
        b = graph.sample("b", scg.Bernoulli(logits=agents[1][seen]))
        state = (3 - 2 * a - b).astype(np.int64)
        reward = (state[:, None] == np.arange(4)) @ REWARD
        graph.cost("return", worth_t * reward)
        return state

    graph.scan(step, np.array(4), xs=worth)
    return graph


def named(theta):
    return {"one": theta[:5], "two": theta[5:]}


def test_the_closed_form_has_the_numbers_known_beforehand():
    zero = POINTS["zero"]
    assert value(zero) == pytest.approx(-37.5, abs=1e-9)
    expected = [-1.5, -1.5, -1.5, -1.5, -0.25, 3, 3, 3, 3, 0.5]
    assert jacobian(value)(zero) == pytest.approx(expected, abs=1e-9)
    assert np.allclose(value_of(600)(zero), value(zero), atol=1e-8)


def all_games(theta, steps):
    """Return every course of a game: its actions and its probability."""
    actions = np.array(list(np.ndindex((2,) * (2 * steps))), float)
    actions = actions.reshape(-1, steps, 2).transpose(1, 2, 0)
    p, state = np.ones(actions.shape[-1]), np.full(actions.shape[-1], 4)
    rows = transitions(theta)
    for a, b in actions:
        after = (3 - 2 * a - b).astype(int)
        p, state = p * rows[state, after], after
    return actions, p


@pytest.mark.parametrize(
    "baseline", [scg.NoBaseline(), scg.LearnedBaseline("expected")]
)
@pytest.mark.parametrize("point", POINTS)
def test_a_short_game_has_the_exact_derivatives(point, baseline):
    steps, theta = 3, POINTS[point]
    actions, p = all_games(theta, steps)
    graph = game(steps)
    estimators = dict.fromkeys("ab", scg.ScoreFunction(baseline=baseline))
    trace = scg.forward(
        graph,
        named(theta),
        {"worth": len(p) * p[:, None] * GAMMA ** np.arange(steps)},
        rng=np.random.default_rng(0),
        estimators=estimators,
        given={"a": actions[:, 0], "b": actions[:, 1]},
    )
    surrogate = scg.surrogate_loss(graph, trace, estimators)

    def loss(x):
        return surrogate(named(x))

    exact = value_of(steps)
    assert loss(theta) == pytest.approx(exact(theta), abs=1e-10)
    assert np.allclose(jacobian(loss)(theta), jacobian(exact)(theta), atol=1e-10)
    assert np.allclose(hessian(loss)(theta), hessian(exact)(theta), atol=1e-8)


def assert_unbiased(samples, expected, *, max_z=5.0):
    standard_error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    z = np.abs(samples.mean(axis=0) - expected) / np.maximum(standard_error, 1e-12)
    assert np.all(z < max_z), f"|z| up to {z.max()} over {max_z}"


@pytest.mark.slow
@pytest.mark.statistical
def test_a_long_game_has_the_derivatives_of_the_closed_form():
    steps, rows, theta = 60, 200, POINTS["random"]
    graph = game(steps)
    estimators = dict.fromkeys("ab", scg.ScoreFunction(baseline=scg.BatchMean()))
    inputs = {"worth": np.tile(GAMMA ** np.arange(steps), (rows, 1))}
    rng = np.random.default_rng(11)
    gradients, hessians = [], []
    for _ in range(16):
        estimate = scg.estimate_gradient(
            graph, named(theta), inputs, estimators=estimators, rng=rng
        )
        gradients.append(np.concatenate([estimate.gradient[k] for k in ("one", "two")]))
        surrogate = scg.surrogate_loss(graph, estimate.trace, estimators)
        hessians.append(hessian(lambda x, f=surrogate: f(named(x)))(theta))
    exact = value_of(steps)
    assert_unbiased(np.array(gradients), jacobian(exact)(theta))
    assert_unbiased(np.array(hessians), hessian(exact)(theta))
    with pytest.raises(AssertionError):
        assert_unbiased(np.array(gradients), 1.5 * jacobian(exact)(theta))
    with pytest.raises(AssertionError):
        assert_unbiased(np.array(hessians), hessian(exact)(-theta))
