"""Families of distributions: densities, scores, entropies, divergences."""

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad, jacobian, make_vjp
from distribution_cases import CASES, Case, every_case

import scg.distributions as d
from scg.errors import NoClosedFormError


def broadcast(case: Case, name: str) -> Any:
    """Give each element its own copy of a parameter: the shape of the score."""
    shape = case.distribution.score(case.value)[name].shape
    return np.broadcast_to(case.distribution.parameters[name], shape).copy()


def log_prob_by(case: Case, name: str) -> Any:
    return lambda x: case.distribution.replace(**{name: x}).log_prob(case.value)


def differences(function: Any, x: Any, step: float = 1e-6) -> Any:
    """Differentiate each element's number in each entry of its own part of `x`."""
    out = np.zeros(x.shape)
    for entry in np.ndindex(x.shape[1:]):
        bump = np.zeros(x.shape)
        bump[(..., *entry)] = step
        out[(..., *entry)] = (function(x + bump) - function(x - bump)) / (2 * step)
    return out


@every_case
def test_the_log_density_is_scipys(case: Case) -> None:
    got = case.distribution.log_prob(case.value)
    assert got.shape == (4,)
    np.testing.assert_allclose(got, case.log_density(case.value), rtol=1e-13)


@every_case
def test_the_density_has_mass_one(case: Case) -> None:
    points, weights = case.grid
    mass = np.sum(weights * np.exp(case.distribution.log_prob(points)), axis=0)
    np.testing.assert_allclose(mass, 1.0, rtol=1e-9)


@every_case
def test_the_entropy_is_the_mean_of_minus_the_log_density(case: Case) -> None:
    if not case.has_entropy:
        with pytest.raises(NoClosedFormError, match=r"entropy of \w+ has no closed"):
            case.distribution.entropy()
        return
    exact = case.mean(lambda x: -case.log_density(x))
    np.testing.assert_allclose(case.distribution.entropy(), exact, rtol=1e-8)


@every_case
def test_the_divergence_is_the_mean_of_the_log_ratio(case: Case) -> None:
    exact = case.mean(lambda x: case.log_density(x) - case.other.log_prob(x))
    np.testing.assert_allclose(case.distribution.kl(case.other), exact, rtol=1e-8)
    itself = case.distribution.kl(case.distribution)
    np.testing.assert_allclose(itself, np.zeros(4), atol=1e-14)


@every_case
def test_the_means_over_a_grid_see_another_density(case: Case) -> None:
    points, weights = case.grid
    mass = weights * np.exp(case.other.log_prob(points))
    entropy = -np.sum(mass * np.maximum(case.log_density(points), -1e9), axis=0)
    if case.has_entropy:
        assert not np.allclose(entropy, case.distribution.entropy(), rtol=1e-3)
    ratio = case.mean(lambda x: case.log_density(x) - case.other.log_prob(x))
    assert np.max(ratio) > 1e-2


@every_case
def test_the_score_is_the_derivative_by_autograd_and_by_differences(case: Case) -> None:
    score = case.distribution.score(case.value)
    assert list(score) == list(case.learnt)
    for name, closed in score.items():
        x = broadcast(case, name)
        pull, log_p = make_vjp(log_prob_by(case, name))(x)
        automatic = pull(np.ones_like(log_p))
        np.testing.assert_allclose(closed, automatic, rtol=1e-11, atol=1e-14)
        numeric = differences(log_prob_by(case, name), x)
        np.testing.assert_allclose(closed, numeric, rtol=1e-6, atol=1e-8)


@every_case
def test_the_score_of_a_family_without_one_is_to_be_had(case: Case) -> None:
    score = case.distribution.score(case.value)
    consumed = {s.ndim - case.value.ndim for s in score.values()}
    if len(consumed) > 1 or case.constants:
        return
    automatic = d.elementwise_score(
        case.distribution, case.value, consumed=consumed.pop()
    )
    assert list(automatic) == list(case.distribution.parameters)
    for name, closed in score.items():
        np.testing.assert_allclose(closed, automatic[name], rtol=1e-11, atol=1e-14)


@every_case
def test_the_derivative_in_the_value_is_that_by_differences(case: Case) -> None:
    if case.distribution.discrete:
        return

    def total(x: Any) -> Any:
        return anp.sum(case.distribution.log_prob(x)) + 0 * anp.sum(x)

    numeric = differences(case.distribution.log_prob, case.value)
    got = grad(total)(case.value)
    np.testing.assert_allclose(got, numeric, rtol=1e-6, atol=1e-8)


@every_case
def test_the_mean_of_the_score_is_zero_where_the_support_is_fixed(case: Case) -> None:
    points, _ = case.grid
    score = case.distribution.score(points)
    for name, array in score.items():
        mean = case.mean(lambda _, a=array: a)
        exact = case.score_mean.get(name, 0.0)
        np.testing.assert_allclose(mean, np.broadcast_to(exact, mean.shape), atol=1e-8)
        # Derivatives in unnormalised probabilities sum to the derivative of 1.
        normalised = case.distribution.fixed_support and name != "probs"
        assert not normalised or name not in case.score_mean


@every_case
def test_the_second_derivative_is_the_closed_form(case: Case) -> None:
    for name, exact in case.second.items():
        log_prob, parameter = log_prob_by(case, name), broadcast(case, name)
        if parameter.ndim == 1:
            second = elementwise_grad(elementwise_grad(log_prob))(parameter)
        else:
            whole = jacobian(elementwise_grad(log_prob))(parameter)
            second = np.stack([whole[i, :, i, :] for i in range(4)])
        np.testing.assert_allclose(second, exact, rtol=1e-11, atol=1e-14)


@every_case
def test_the_second_derivative_is_the_difference_of_the_score(case: Case) -> None:
    directions, h = np.random.default_rng(0), 1e-5
    for name in case.learnt:
        x = broadcast(case, name)
        v = directions.normal(size=x.shape)
        first = elementwise_grad(log_prob_by(case, name))
        got = grad(lambda x, f=first, v=v: anp.sum(f(x) * v) + 0 * anp.sum(x))(x)
        up, down = (
            case.distribution.replace(**{name: x + s * h * v}).score(case.value)[name]
            for s in (1, -1)
        )
        np.testing.assert_allclose(got, (up - down) / (2 * h), rtol=1e-6, atol=1e-7)


@every_case
@pytest.mark.parametrize("quantity", ["entropy", "kl"])
def test_entropy_and_divergence_differentiate_twice(case: Case, quantity: str) -> None:
    if quantity == "entropy" and not case.has_entropy:
        return
    directions = np.random.default_rng(0)
    for name, parameter in case.learnt.items():
        direction = 0.1 * directions.normal(size=parameter.shape)

        def along(
            t: Any, name: str = name, x: Any = parameter, v: Any = direction
        ) -> Any:
            here = case.distribution.replace(**{name: x + t * v})
            out = here.entropy() if quantity == "entropy" else here.kl(case.other)
            # autograd warns of a constant first derivative; the square prevents it.
            return anp.sum(out) + 0.0 * t * t

        first, second, h = grad(along), grad(grad(along)), 1e-4
        numeric = (along(h) - along(-h)) / (2 * h)
        assert first(0.0) == pytest.approx(numeric, rel=1e-6, abs=1e-8)
        numeric = (first(h) - first(-h)) / (2 * h)
        assert second(0.0) == pytest.approx(numeric, rel=1e-6, abs=1e-8)


def test_every_family_has_a_row_in_the_matrix() -> None:
    families = {getattr(d, name) for name in d.__all__} - {
        d.AbstractDistribution,
        d.elementwise_score,
    }
    assert {case.family for case in CASES} == families
