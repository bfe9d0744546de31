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

stats = pytest.importorskip("scipy.stats")


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
    (d.Exponential(2.0), np.array([-1e-9, -3.0, -np.inf])),
    (d.LogNormal(0.0, 1.0), np.array([0.0, -1.0, np.inf])),
    (d.TanhNormal(0.0, 1.0), np.array([-1.0, 1.0, 2.0])),
    (d.TruncatedNormal(0.0, 1.0, 0.5), np.array([0.4, -1.0, -np.inf])),
    (d.Gamma(2.0), np.array([-1e-9, 0.0, np.inf])),
    (d.Beta(2.0, 2.0), np.array([-0.1, 1.1, 0.0])),
    (
        d.Dirichlet(np.ones(2)),
        np.array([[0.5, 0.6], [-0.5, 1.5], [np.inf, 0.0]]),
    ),
    (d.Poisson(2.0), np.array([-1.0, 0.5, np.inf])),
    (d.Geometric(0.0), np.array([-1.0, 0.5, np.inf])),
    (d.Geometric(probs=1.0), np.array([-1.0, 0.5, 1.0])),
    (d.Binomial(3, 0.0), np.array([-1.0, 0.5, 4.0])),
    (d.Binomial(3, probs=1.0), np.array([-1.0, 0.5, 2.0])),
    (
        d.OneHotCategorical(np.zeros(2)),
        np.array([[1.0, 1.0], [0.5, 0.5], [0.0, 0.0]]),
    ),
]


@pytest.mark.parametrize(("distribution", "value"), OUTSIDE, ids=str)
def test_a_value_outside_the_support_has_log_density_minus_infinity(
    distribution: Any, value: Any
) -> None:
    assert distribution.log_prob(value).tolist() == [-np.inf] * 3


NORMAL = stats.norm.logpdf
INSIDE = [
    (d.Exponential(2.0), 0.0, np.log(2)),
    (d.Gamma(1.0, 2.0), 0.0, np.log(2)),
    (d.Gamma(0.5), 0.0, np.inf),
    (d.Beta(1.0, 2.0), np.array([0.0, 1.0]), [np.log(2), -np.inf]),
    (d.Beta(0.5, 1.0), np.array([0.0, 1.0]), [np.inf, np.log(0.5)]),
    (d.Dirichlet(np.ones(3)), np.array([1.0, 0.0, 0.0]), np.log(2)),
    (
        d.TruncatedNormal(0.0, 1.0, -1.0, 1.0),
        1.0,
        stats.truncnorm(-1, 1).logpdf(1),
    ),
    (d.TruncatedNormal(0.0, 1.0), 1.0, NORMAL(1.0)),
    (d.Geometric(probs=1.0), 0.0, 0.0),
    (d.Binomial(3, probs=0.0), 0.0, 0.0),
    (d.Binomial(3, probs=1.0), 3.0, 0.0),
    (d.Binomial(0, 0.3), 0.0, 0.0),
    (d.Poisson(2.0), 0.0, -2.0),
    (d.OneHotCategorical([0.0, -np.inf]), np.array([1.0, 0.0]), 0.0),
]


@pytest.mark.parametrize(("distribution", "value", "expected"), INSIDE, ids=str)
def test_a_value_on_the_boundary_has_the_density_of_the_limit(
    distribution: Any, value: Any, expected: Any
) -> None:
    np.testing.assert_allclose(distribution.log_prob(value), expected, atol=1e-9)


def test_what_cannot_happen_leaves_scores_and_entropies_finite() -> None:
    assert d.Geometric(probs=1.0).score(np.array(0.0))["probs"] == 1.0
    assert d.Geometric(probs=1.0).entropy() == 0.0
    assert d.Geometric(probs=1.0).kl(d.Geometric(probs=1.0)) == 0.0
    assert d.Geometric(probs=0.5).kl(d.Geometric(probs=1.0)) == np.inf
    certain = d.Binomial(np.array([2, 2]), probs=np.array([0.0, 1.0]))
    assert certain.score(np.array([0.0, 2.0]))["probs"].tolist() == [-2.0, 2.0]
    assert certain.entropy().tolist() == [0.0, 0.0]
    assert certain.kl(certain).tolist() == [0.0, 0.0]
    cut = d.TruncatedNormal(0.0, 1.0, 0.0, 2.0)
    assert cut.kl(d.TruncatedNormal(0.0, 1.0, 0.0, 1.0)) == np.inf


def far(family: Any, *parameters: float) -> Any:
    return family(*(np.array([x]) for x in parameters))


EXTREME = [
    (far(d.Gamma, 1e-3), stats.gamma(1e-3).logpdf, [1e-200, 1e-3, 2.0]),
    (far(d.Gamma, 1e6), stats.gamma(1e6).logpdf, [0.99e6, 1e6, 1.01e6]),
    (
        far(d.Beta, 0.01, 0.02),
        stats.beta(0.01, 0.02).logpdf,
        [1e-100, 0.5, 1 - 1e-16],
    ),
    (far(d.Beta, 1e5, 1e5), stats.beta(1e5, 1e5).logpdf, [0.49, 0.5, 0.51]),
    (far(d.Poisson, 1e-8), stats.poisson(1e-8).logpmf, [0.0, 1.0, 5.0]),
    (far(d.Poisson, 1e8), stats.poisson(1e8).logpmf, [0.0, 1e8, 1.1e8]),
    (
        far(d.TruncatedNormal, 0.0, 1.0, 30.0, 31.0),
        stats.truncnorm(30, 31).logpdf,
        [30.0, 30.1, 31.0],
    ),
    (
        far(d.TruncatedNormal, 0.0, 1.0, -31.0, -30.0),
        stats.truncnorm(-31, -30).logpdf,
        [-31.0, -30.1, -30.0],
    ),
    (
        far(d.Exponential, 1e-30),
        stats.expon(scale=1e30).logpdf,
        [0.0, 1e30, 1e32],
    ),
    (far(d.LogNormal, 0.0, 1e-3), stats.lognorm(1e-3).logpdf, [0.99, 1.0, 1.01]),
]


@pytest.mark.parametrize(
    ("distribution", "exact", "values"), EXTREME, ids=[str(row[0]) for row in EXTREME]
)
def test_extreme_parameters_have_scipys_density_and_draws_inside(
    distribution: Any, exact: Any, values: Any
) -> None:
    values = np.array(values)
    got = distribution.log_prob(values)
    np.testing.assert_allclose(got, exact(values), rtol=1e-9, atol=1e-7)
    draws = distribution.sample(np.random.default_rng(0), (1000, 1))
    assert np.all(np.isfinite(distribution.log_prob(draws)))
    assert np.all(np.isfinite(draws))


def test_a_normal_cut_to_next_to_nothing_is_uniform() -> None:
    wide = d.TruncatedNormal(0.5, 1e8, 0.0, 1.0)
    for got, exact in ((wide.log_prob(0.3), 0.0), (wide.entropy(), 0.0)):
        assert got == pytest.approx(exact, abs=1e-12)
    assert wide.reparameterise(np.array(0.25)) == pytest.approx(0.25, abs=1e-7)


@every_case
def test_float32_is_as_right_as_it_can_be(case: Case) -> None:
    wide, value = case.distribution, case.value
    narrow = cast(wide, np.float32)
    close = {"rtol": 1e-4, "atol": 1e-5}
    number = value.astype(narrow.dtype)
    np.testing.assert_allclose(narrow.log_prob(number), wide.log_prob(value), **close)
    for name, score in narrow.score(number).items():
        np.testing.assert_allclose(score, wide.score(value)[name], **close)
    divergence = narrow.kl(cast(case.other, np.float32))
    np.testing.assert_allclose(divergence, wide.kl(case.other), **close)
    if case.has_entropy:
        np.testing.assert_allclose(narrow.entropy(), wide.entropy(), **close)


def test_large_terms_that_cancel_do_so_in_float64() -> None:
    many = np.float32(1e5)
    for distribution, value in (
        (d.Gamma(many), many),
        (d.Poisson(many), many),
        (d.Beta(many, many), np.float32(0.5)),
        (d.Binomial(200_000, np.float32(0.0)), many),
    ):
        exact = cast(distribution, np.float64).log_prob(np.float64(value))
        assert distribution.log_prob(value) == pytest.approx(exact, rel=1e-6)


@every_case
def test_no_rows_are_no_trouble(case: Case) -> None:
    shape = (0, *case.distribution.shape)
    draws = case.distribution.sample(np.random.default_rng(0), shape)
    assert draws.shape == shape
    assert case.distribution.log_prob(draws).shape == (0, 4)
    for name, score in case.distribution.score(draws).items():
        assert score.shape == (0, *case.distribution.score(case.value)[name].shape)


@every_case
def test_float32_stays_float32(case: Case) -> None:
    distribution, other = (cast(x, np.float32) for x in (case.distribution, case.other))
    value = case.value.astype(distribution.dtype)
    results = [
        distribution.log_prob(value),
        distribution.kl(other),
        *distribution.score(value).values(),
    ]
    if case.has_entropy:
        results.append(distribution.entropy())
    noise = distribution.noise(np.random.default_rng(0), distribution.shape)
    for name in case.learnt:
        parameter = distribution.parameters[name]

        def total(x: Any, name: str = name) -> Any:
            here = distribution.replace(**{name: x})
            sum_ = anp.sum(here.log_prob(value) + here.kl(other))
            if case.has_entropy:
                sum_ = sum_ + anp.sum(here.entropy())
            if noise is not None:
                sum_ = sum_ + anp.sum(here.reparameterise(noise))
            return sum_

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
        (d.Exponential(np.ones(2, np.float32)), np.array([0, 1])),
        (d.Laplace(np.zeros(2, np.float32), 1.5), np.ones(2, np.float32)),
        (d.LogNormal(0.5, np.ones(2, np.float32)), np.array([1, 2])),
        (d.Gamma(np.ones(2, np.float32), 1.5), np.array([1, 2])),
        (d.Beta(np.ones(2, np.float32), 1.5), np.full(2, 0.5, np.float32)),
        (d.TruncatedNormal(np.zeros(2, np.float32), 1, -1, 2), np.array([0, 1])),
        (d.Geometric(np.zeros(2, np.float32)), np.array([0, 1])),
        (d.Binomial(3, np.zeros(2, np.float32)), np.array([0, 1])),
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
