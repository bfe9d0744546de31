"""Families of distributions: densities, scores, entropies, divergences."""

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad, jacobian
from distribution_cases import (
    MEAN,
    SCALE,
    Case,
    every_case,
)
from scipy.integrate import quad

import scg.distributions as d


def differences(case: Case, name: str, step: float = 1e-6) -> Any:
    """Differentiate the log-density in each entry of a parameter, numerically."""
    parameter = case.distribution.parameters[name]
    out = np.zeros(parameter.shape)
    for k in range(parameter.shape[-1] if parameter.ndim > 1 else 1):
        bump = np.zeros(parameter.shape[1:])
        bump[(k,) if parameter.ndim > 1 else ()] = step
        up, down = (
            case.distribution.replace(**{name: parameter + h}).log_prob(case.value)
            for h in (bump, -bump)
        )
        out[(..., k) if parameter.ndim > 1 else ...] = (up - down) / (2 * step)
    return out


def outcomes_of(case: Case) -> tuple[Any, Any]:
    """Give all values of one element, and their masses: shapes (K,) and (K, 4)."""
    support = case.distribution.support()
    assert support is not None
    values = [np.full(4, value) for value in support]
    return support, np.stack([np.exp(case.log_density(v)) for v in values])


def expected_under(case: Case, function: Callable[[Any], Any]) -> Any:
    """Take the mean of an elementwise function: a sum, or quadrature."""
    if case.distribution.discrete:
        support, masses = outcomes_of(case)
        return sum(
            m * function(np.full(4, v)) for v, m in zip(support, masses, strict=1)
        )
    centre, spread = MEAN, 12 * SCALE
    if isinstance(case.distribution, d.Uniform):
        spread = SCALE

    def one(i: int) -> float:
        def integrand(x: float) -> float:
            at = np.full(4, x)
            # The other elements may be outside their supports.
            with np.errstate(invalid="ignore"):
                return float((np.exp(case.log_density(at)) * function(at))[i])

        ends = centre[i] - spread[i], centre[i] + spread[i]
        return float(quad(integrand, *ends, limit=200)[0])

    return np.array([one(i) for i in range(4)])


@every_case
def test_the_log_density_is_scipys(case: Case) -> None:
    got = case.distribution.log_prob(case.value)
    np.testing.assert_allclose(got, case.log_density(case.value), rtol=1e-13)


@every_case
def test_the_density_has_mass_one(case: Case) -> None:
    one = expected_under(case, lambda x: np.ones(4))
    np.testing.assert_allclose(one, 1.0, rtol=1e-9)


@every_case
def test_the_entropy_is_the_mean_of_minus_the_log_density(case: Case) -> None:
    exact = expected_under(case, lambda x: -case.log_density(x))
    np.testing.assert_allclose(case.distribution.entropy(), exact, rtol=1e-8)


@every_case
def test_the_divergence_is_the_mean_of_the_log_ratio(case: Case) -> None:
    exact = expected_under(
        case,
        lambda x: case.log_density(x) - case.other.log_prob(x.astype(case.value.dtype)),
    )
    np.testing.assert_allclose(case.distribution.kl(case.other), exact, rtol=1e-8)
    itself = case.distribution.kl(case.distribution)
    np.testing.assert_allclose(itself, np.zeros(4), atol=1e-15)


@every_case
def test_the_score_is_the_derivative_by_autograd_and_by_differences(case: Case) -> None:
    score = case.distribution.score(case.value)
    automatic = d.elementwise_score(
        case.distribution,
        case.value,
        consumed=int(isinstance(case.distribution, d.Categorical)),
    )
    assert list(score) == list(case.distribution.parameters) == list(automatic)
    for name, closed in score.items():
        np.testing.assert_allclose(closed, automatic[name], rtol=1e-12, atol=1e-15)
        numeric = differences(case, name)
        np.testing.assert_allclose(closed, numeric, rtol=1e-6, atol=1e-8)


@every_case
def test_the_mean_of_the_score_is_zero_where_the_support_is_fixed(case: Case) -> None:
    for name, array in case.distribution.score(case.value).items():
        columns = [()] if array.ndim == 1 else [(k,) for k in range(3)]
        for k in columns:

            def score(x: Any, name: str = name, k: Any = k) -> Any:
                value = x.astype(case.value.dtype)
                return case.distribution.score(value)[name][(..., *k)]

            mean = expected_under(case, score)
            # Derivatives in unnormalised probabilities sum to the derivative of 1.
            normalised = case.distribution.fixed_support and name != "probs"
            assert np.allclose(mean, 0, atol=1e-8) == (
                normalised or (name == "probs" and array.ndim == 1)
            )


@every_case
def test_the_second_derivative_is_the_closed_form(case: Case) -> None:
    for name, exact in case.second.items():
        parameter = case.distribution.parameters[name]

        def log_prob(x: Any, name: str = name) -> Any:
            return case.distribution.replace(**{name: x}).log_prob(case.value)

        if parameter.ndim == 1:
            second = elementwise_grad(elementwise_grad(log_prob))(parameter)
        else:
            whole = jacobian(elementwise_grad(log_prob))(parameter)
            second = np.stack([whole[i, :, i, :] for i in range(4)])
        np.testing.assert_allclose(second, exact, rtol=1e-12, atol=1e-15)


@every_case
@pytest.mark.parametrize("quantity", ["entropy", "kl"])
def test_entropy_and_divergence_differentiate_twice(case: Case, quantity: str) -> None:
    directions = np.random.default_rng(0)
    for name, parameter in case.distribution.parameters.items():
        direction = directions.normal(size=parameter.shape)

        def along(
            t: Any, name: str = name, x: Any = parameter, v: Any = direction
        ) -> Any:
            here = case.distribution.replace(**{name: x + t * v})
            out = here.entropy() if quantity == "entropy" else here.kl(case.other)
            # autograd warns of a constant first derivative; the square prevents it.
            return anp.sum(out) + 0.0 * t * t

        first, second, h = grad(along), grad(grad(along)), 1e-5
        numeric = (along(h) - along(-h)) / (2 * h)
        assert first(0.0) == pytest.approx(numeric, rel=1e-7, abs=1e-9)
        numeric = (first(h) - first(-h)) / (2 * h)
        assert second(0.0) == pytest.approx(numeric, rel=1e-6, abs=1e-8)
