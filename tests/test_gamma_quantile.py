"""The derivative of a gamma quantile by the concentration, against other answers."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad
from distribution_grids import half_line

import scg.distributions as d
from scg.distributions._gamma_quantile import log_gamma_quantile

special = pytest.importorskip("scipy.special")

CONCENTRATIONS = [1e-3, 0.03, 0.4, 0.999, 1.0, 2.5, 30.0, 1e3, 1e5]
LEVELS = np.array([1e-10, 1e-4, 0.02, 0.3, 0.5, 0.7, 0.98, 1 - 1e-4, 1 - 1e-10])

slope = elementwise_grad(log_gamma_quantile, 0)


def differences(a, step):
    """Differentiate SciPy's quantile, in the logarithm, to the sixth order."""

    def log_x(a):
        # Where it underflows, it is the first term of its series.
        with np.errstate(divide="ignore"):
            x = np.log(special.gammaincinv(a, LEVELS))
        series = (np.log(LEVELS) + special.gammaln(a + 1)) / a
        return np.where(series < -40, series, x)

    weights = {1: 45.0, 2: -9.0, 3: 1.0}
    rises = (
        w * (log_x(a + k * step) - log_x(a - k * step)) for k, w in weights.items()
    )
    return sum(rises) / (60 * step)


@pytest.mark.parametrize("a", CONCENTRATIONS)
def test_the_slope_is_that_of_scipys_quantile(a):
    exact = differences(a, 0.01 * min(a, 1.0) if a < 10 else 0.1 * np.sqrt(a))
    np.testing.assert_allclose(slope(np.full(9, a), LEVELS), exact, rtol=2e-8)


def test_the_comparison_tells_a_slope_that_is_slightly_off():
    exact = differences(2.5, 0.01)
    wrong = slope(np.full(9, 2.5 + 1e-6), LEVELS)
    assert not np.allclose(wrong, exact, rtol=2e-8)


@pytest.mark.parametrize("a", [0.3, 1.0, 2.5, 30.0, 300.0])
def test_the_means_of_slopes_are_derivatives_of_means(a):
    """d E[x] / da = 1 and d E[log x] / da = ψ'(a), and once more: 0 and ψ''(a)."""
    x, weights = (column[:, 0] for column in half_line(reach=(-90.0, 8.0), points=4001))
    weights = weights * np.exp(d.Gamma(a).log_prob(x))
    lower = special.gammainc(a, x)
    seen = (lower > 1e-12) & (lower < 1 - 1e-12)
    levels, weights, x = lower[seen], weights[seen], x[seen]
    at = np.full(levels.shape, a)
    first = slope(at, levels)
    second = elementwise_grad(slope, 0)(at, levels)
    for got, exact in (
        (weights @ first, special.polygamma(1, a)),
        (weights @ (x * first), 1.0),
        (weights @ second, special.polygamma(2, a)),
        (weights @ (x * (second + first**2)), 0.0),
    ):
        assert got == pytest.approx(exact, rel=1e-7, abs=1e-7)


def test_small_concentrations_keep_the_logarithm_that_underflows():
    level = np.array([0.1])
    log_x = log_gamma_quantile(np.array([1e-3]), level)
    assert np.exp(log_x) == 0.0
    assert log_x == pytest.approx((np.log(0.1) + special.gammaln(1.001)) / 1e-3)
    draws = d.Beta(1e-3, 1e-3).sample(np.random.default_rng(0), (1000,))
    assert np.mean(draws > 0.5) == pytest.approx(0.5, abs=0.08)
    shares = d.Dirichlet(np.full(3, 1e-3)).sample(np.random.default_rng(0), (1000, 3))
    assert np.abs(shares.sum(axis=-1) - 1).max() < 1e-12


def test_many_slopes_are_those_of_each():
    a, level = np.linspace(0.1, 9.0, 3000).reshape(2, 1500), np.full((2, 1500), 0.4)
    some = slope(a[:, ::250], level[:, ::250])
    np.testing.assert_array_equal(slope(a, level)[:, ::250], some)
    assert slope(np.empty((0, 3)), np.empty((0, 3))).shape == (0, 3)


def test_both_sides_of_the_split_agree_where_they_meet():
    a = np.array([0.01, 0.5, 4.0, 200.0])
    x = np.exp(special.digamma(a + 1))
    around = [special.gammainc(a, x * (1 + h)) for h in (-1e-9, 1e-9)]
    below, above = (slope(a, level) for level in around)
    np.testing.assert_allclose(below, above, rtol=1e-7)


def test_derivatives_of_third_order_are_right():
    level = np.array([0.05, 0.6, 0.99])

    def total(a):
        return anp.sum(log_gamma_quantile(a * np.ones(3), level))

    second = grad(grad(total))
    third, h = grad(second)(1.7), 1e-4
    assert third == pytest.approx(
        (second(1.7 + h) - second(1.7 - h)) / (2 * h), rel=1e-6
    )


def test_the_noise_itself_has_no_derivative():
    with pytest.raises(NotImplementedError):
        elementwise_grad(log_gamma_quantile, 1)(np.ones(2), np.full(2, 0.5))
