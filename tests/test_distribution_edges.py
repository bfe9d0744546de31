"""Densities and derivatives at the edges, outside the support, in float32."""

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad, jacobian
from distribution_cases import (
    Case,
    cast,
    every_case,
    every_dtype,
)

import scg.distributions as d


@every_dtype
@pytest.mark.parametrize("logit", [0.0, 40.0, -40.0, 100.0, -100.0, 1e4])
def test_a_bernoulli_is_exact_at_the_edges(logit: float, dtype: Any) -> None:
    x, wide = np.array([logit] * 2, dtype), np.longdouble(logit)
    coin, bits = d.Bernoulli(x), np.array([0, 1], dtype)
    up, down = 1 / (1 + np.exp(-wide)), 1 / (1 + np.exp(wide))
    log_up, log_down = -np.log1p(np.exp(-wide)), -np.log1p(np.exp(wide))
    second = elementwise_grad(elementwise_grad(lambda x: d.Bernoulli(x).log_prob(bits)))
    checks = [
        (coin.log_prob(bits), [log_down, log_up]),
        (coin.score(bits)["logits"], [-up, down]),
        (elementwise_grad(lambda x: d.Bernoulli(x).log_prob(bits))(x), [-up, down]),
        (second(x), [-up * down] * 2),
        (coin.entropy(), [-up * log_up - down * log_down] * 2),
        (
            elementwise_grad(lambda x: d.Bernoulli(x).entropy())(x),
            [-wide * up * down] * 2,
        ),
    ]
    for got, expected in checks:
        assert got.dtype == dtype
        rtol, atol = 64 * np.finfo(dtype).eps, np.finfo(dtype).tiny
        exact = np.array(expected, np.longdouble)
        assert np.all(np.abs(got - exact) <= rtol * np.abs(exact) + atol)


@every_dtype
@pytest.mark.parametrize("gap", [0.0, 40.0, 100.0, 1e4])
def test_a_categorical_is_right_at_the_edges(gap: float, dtype: Any) -> None:
    x, wide = np.array([gap, 0.0], dtype), np.longdouble(gap)
    die = d.Categorical(x)
    up, down = 1 / (1 + np.exp(-wide)), 1 / (1 + np.exp(wide))
    log_up, log_down = -np.log1p(np.exp(-wide)), -np.log1p(np.exp(wide))
    curvature = up * down * np.array([[-1, 1], [1, -1]])
    second = jacobian(grad(lambda x: d.Categorical(x).log_prob(np.array(0))))(x)
    entropy = -up * log_up - down * log_down
    checks = [
        (die.log_prob(np.array([0, 1])), [log_up, log_down]),
        (die.score(np.array([0, 1]))["logits"], [[down, -down], [-up, up]]),
        (second, curvature),
        (die.entropy(), entropy),
    ]
    for got, expected in checks:
        assert got.dtype == dtype
        eps = np.finfo(dtype).eps
        exact = np.array(expected, np.longdouble)
        assert np.all(np.abs(got - exact) <= 8 * eps * (np.abs(exact) + 1))


def test_masked_categories_take_no_part_in_anything() -> None:
    masked, other = np.array([0.3, -np.inf, 1.0]), np.array([0.1, -np.inf, 0.0])
    keepers = [0, 2]
    free = masked[keepers]

    def entropy(x: Any) -> Any:
        return d.Categorical(x).entropy()

    def divergence(x: Any) -> Any:
        q = other if x.size == 3 else other[keepers]
        return d.Categorical(x).kl(d.Categorical(q))

    for function in (entropy, divergence):
        assert function(masked) == pytest.approx(function(free), rel=1e-14)
        first, second = grad(function), jacobian(grad(function))
        assert first(masked)[1] == 0.0
        np.testing.assert_allclose(first(masked)[keepers], first(free), atol=1e-15)
        got = second(masked)[np.ix_(keepers, keepers)]
        np.testing.assert_allclose(got, second(free), atol=1e-15)
    certain = d.Categorical(masked)
    assert certain.log_prob(np.array(1)) == -np.inf
    assert certain.kl(d.Categorical(np.array([-np.inf, 0.0, 0.0]))) == np.inf


def test_certain_draws_by_probs_have_no_entropy_and_no_warning() -> None:
    coin = d.Bernoulli(probs=np.array([0.0, 1.0]))
    assert coin.log_prob(np.array([0.0, 1.0])).tolist() == [0.0, 0.0]
    assert coin.log_prob(np.array([1.0, 0.0])).tolist() == [-np.inf, -np.inf]
    assert coin.entropy().tolist() == [0.0, 0.0]
    assert coin.kl(coin).tolist() == [0.0, 0.0]
    assert coin.kl(d.Bernoulli(probs=np.array([0.5, 0.0]))).tolist()[1] == np.inf
    die = d.Categorical(probs=np.array([1.0, 0.0]))
    assert die.log_prob(np.array([0, 1])).tolist() == [0.0, -np.inf]
    assert die.entropy() == die.kl(die) == 0.0
    assert die.kl(d.Categorical(probs=np.array([0.0, 1.0]))) == np.inf


OUTSIDE = [
    (d.Bernoulli(0.0), np.array([0.5, 2.0, -1.0])),
    (d.Bernoulli(probs=0.3), np.array([0.5, 2.0, -1.0])),
    (d.Categorical(np.zeros(2)), np.array([-1, 2, 7])),
    (d.Categorical(probs=np.array([0.4, 0.6])), np.array([-1, 2, 7])),
    (d.Uniform(0.0, 1.0), np.array([-1e-9, 1.5, np.inf])),
]


@pytest.mark.parametrize(("distribution", "value"), OUTSIDE, ids=str)
def test_a_value_outside_the_support_has_log_density_minus_infinity(
    distribution: Any, value: Any
) -> None:
    assert distribution.log_prob(value).tolist() == [-np.inf] * 3


@every_case
def test_float32_stays_float32(case: Case) -> None:
    distribution, other = (cast(x, np.float32) for x in (case.distribution, case.other))
    value = case.value.astype(distribution.dtype)
    results = [
        distribution.log_prob(value),
        distribution.entropy(),
        distribution.kl(other),
        *distribution.score(value).values(),
    ]
    for name, parameter in distribution.parameters.items():

        def total(x: Any, name: str = name) -> Any:
            here = distribution.replace(**{name: x})
            return anp.sum(here.log_prob(value) + here.entropy() + here.kl(other))

        results.append(grad(total)(parameter))
        results.append(grad(lambda x, t=total: anp.sum(grad(t)(x) ** 2))(parameter))
    assert {np.asarray(x).dtype for x in results} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (d.Normal(np.zeros(2, np.float32), 1.5), np.ones(2, np.float32)),
        (d.Normal(0, log_scale=np.zeros(2, np.float32)), np.ones(2, np.float32)),
        (d.Normal(np.zeros(2, np.float32), log_scale=0.5), np.ones(2, np.float32)),
        (d.Uniform(0, np.ones(2, np.float32)), np.ones(2, np.float32)),
        (d.Bernoulli(np.zeros(2, np.float32)), np.array([0, 1])),
        (d.Bernoulli(np.zeros(2, np.float32)), np.array([False, True])),
    ],
    ids=str,
)
def test_python_scalars_and_integer_draws_are_weak(
    distribution: Any, value: Any
) -> None:
    rng = np.random.default_rng(0)
    results = [
        distribution.sample(rng, (2,)),
        distribution.log_prob(value),
        distribution.entropy(),
        distribution.kl(distribution),
        *distribution.score(value).values(),
    ]
    assert distribution.shape == (2,)
    assert {x.dtype for x in results} == {np.dtype(np.float32)}
    assert {x.shape for x in results} == {(2,)}
