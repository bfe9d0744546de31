"""The example with a solver inside: its oracle, its gradient, and what it learns."""

import itertools

import numpy as np
import pytest
from test_examples import load
from test_prisoners_dilemma import assert_unbiased

import scg

pytest.importorskip("scipy")


@pytest.fixture
def lqr(monkeypatch):
    return load("lqr", monkeypatch)


def test_the_weights_that_are_learned_cost_nearly_the_least(lqr):
    config = lqr.Config(num_steps=50)
    assert lqr.multiple_of_best(lqr.design(lqr.NAMEPLATE), config) > 1.6
    assert lqr.main(config) < 1.05


def test_the_design_is_best_for_the_carts_that_the_solver_knows(lqr, monkeypatch):
    monkeypatch.setattr(lqr, "MASSES", np.ones(3))
    monkeypatch.setattr(lqr, "LAG", 1.0)  # which is none
    config = lqr.Config(length=200)
    best = lqr.multiple_of_best(lqr.design(lqr.NAMEPLATE), config)
    assert abs(best - 1) < 1e-6
    assert lqr.multiple_of_best(lqr.design(lqr.NAMEPLATE + 0.1), config) - 1 < 1e-6
    other = lqr.design(lqr.NAMEPLATE + np.array([0.1, 0, 0]))
    assert lqr.multiple_of_best(other, config) - 1 > 1e-5


def costs_of(gain, mass, start, length):
    """Steer a cart, and list the costs of its steps."""
    (x, v), force, costs = start, 0.0, []
    for _ in range(length):
        u = -gain @ [x, v]
        costs.append(x**2 + 0.1 * v**2 + 0.1 * u**2)
        force += 0.15 * (u - force)
        x, v = x + 0.1 * v, v + 0.1 * force / mass
    return np.array(costs)


def test_a_cart_goes_as_its_mass_and_its_gain_say(lqr):
    config, rng = lqr.Config(length=9), np.random.default_rng(0)
    trace = scg.forward(lqr.build(config), {"mean": lqr.NAMEPLATE}, rng=rng, rows=30)
    for row in range(30):
        gain = lqr.design(trace["weights"][row])
        mass = [0.5, 1.0, 2.0][trace["kind"][row]]
        costs = costs_of(gain, mass, trace["start"][row], 9)
        assert np.allclose(trace["cost"][:, row], costs, rtol=1e-9)


def test_the_expected_cost_is_the_sum_over_independent_starts(lqr):
    gain = np.array([1.3, 1.7])
    costs = [
        odds * costs_of(gain, mass, start, 30).sum()
        for mass, odds in ((0.5, 0.25), (1.0, 0.5), (2.0, 0.25))
        for start in np.eye(2)
    ]
    assert abs(lqr.expected_cost(gain, 30) - sum(costs)) < 1e-9


def smooth_cost(lqr, config, mean):
    """Average the exact cost over the weights, by Gauss-Hermite quadrature."""
    nodes, odds = np.polynomial.hermite_e.hermegauss(4)
    odds = odds / odds.sum()
    total = 0.0
    for places in itertools.product(range(4), repeat=3):
        log_weights = mean + config.spread * nodes[list(places)]
        cost = lqr.expected_cost(lqr.design(log_weights), config.length)
        total += np.prod(odds[list(places)]) * cost
    return total


@pytest.mark.statistical
def test_the_gradient_is_that_of_the_exact_cost(lqr):
    config = lqr.Config(length=20)
    graph, rng = lqr.build(config), np.random.default_rng(0)
    trial = scg.ScoreFunction(baseline=scg.LeaveOneOut(), samples=config.draws)
    estimate_gradient = scg.compile(graph, {"weights": trial})
    mean = lqr.NAMEPLATE
    found = [estimate_gradient({"mean": mean}, rng=rng, rows=40) for _ in range(25)]
    gradients = np.array([estimate.gradient["mean"] for estimate in found])
    slopes = [
        (smooth_cost(lqr, config, mean + h) - smooth_cost(lqr, config, mean - h)) / 2e-4
        for h in 1e-4 * np.eye(3)
    ]
    assert_unbiased(gradients, np.array(slopes))
    with pytest.raises(AssertionError):
        assert_unbiased(gradients, 0.5 * np.array(slopes))
