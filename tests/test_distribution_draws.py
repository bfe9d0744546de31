"""Draws: moments, repeatability, reparameterisation, no mass no draw."""

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, make_vjp
from distribution_case import ROW_PROBS, ROWS
from distribution_cases import (
    CASES,
    DTYPES,
    Case,
    cast,
    every_case,
    every_dtype,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import scg.distributions as d
from scg.errors import NotDifferentiableError

stats = pytest.importorskip("scipy.stats")


def assert_moments(draws: Any, mean: Any, variance: Any, max_z: float = 5.0) -> None:
    squares = (draws - mean) ** 2
    for sample, exact in ((draws, mean), (squares, variance)):
        error = sample.std(axis=0, ddof=1) / np.sqrt(len(sample))
        z = np.abs(sample.mean(axis=0) - exact) / np.maximum(error, 1e-12)
        assert np.all(z < max_z), f"|z| {z} over {max_z}"


def as_numbers(case: Case, draws: Any) -> Any:
    """Give categories as one-hot vectors, all else as it is."""
    if case.family is d.Categorical:
        return (draws[..., None] == np.arange(3)).astype(float)
    return draws


def moments(case: Case) -> tuple[Any, Any]:
    mean = case.mean(lambda x: as_numbers(case, x))
    return mean, case.mean(lambda x: (as_numbers(case, x) - mean) ** 2)


def draw(distribution: Any, case: Case, seed: int, rows: int) -> Any:
    rng = np.random.default_rng(seed)
    return distribution.sample(rng, (rows, *case.distribution.shape))


@pytest.mark.statistical
@every_case
@every_dtype
def test_draws_have_the_moments_of_the_family(case: Case, dtype: Any) -> None:
    distribution = cast(case.distribution, dtype)
    draws = draw(distribution, case, 1, 40_000)
    assert draws.dtype == distribution.dtype
    assert_moments(as_numbers(case, draws), *moments(case))


@pytest.mark.statistical
@every_case
def test_the_check_of_moments_fails_on_another_distribution(case: Case) -> None:
    draws = draw(case.other, case, 1, 40_000)
    with pytest.raises(AssertionError, match="over 5"):
        assert_moments(as_numbers(case, draws), *moments(case))


def p_values(case: Case, draws: Any) -> Any:
    """Test each element by Kolmogorov-Smirnov, or by chi-square of its values."""
    if case.levels is not None:
        levels = case.levels(draws).reshape(len(draws), -1)
        return [stats.kstest(column, "uniform").pvalue for column in levels.T]
    points, _ = case.grid
    masses = np.exp(case.log_density(points))
    axes = tuple(range(2, points.ndim))
    found = np.stack([np.all(draws == x, axis=axes).sum(axis=0) for x in points])
    return [chi_square(*columns) for columns in zip(found.T, masses.T, strict=True)]


def chi_square(found: Any, masses: Any) -> float:
    expected = found.sum() * masses
    many = expected > 5
    if many.sum() < 2:
        return 1.0
    # What is rare is one class.
    found = np.append(found[many], found[~many].sum() + 1e-9)
    expected = np.append(expected[many], expected[~many].sum() + 1e-9)
    expected *= found.sum() / expected.sum()
    return float(stats.chisquare(found, expected).pvalue)


@pytest.mark.statistical
@every_case
@every_dtype
def test_draws_follow_the_distribution(case: Case, dtype: Any) -> None:
    distribution = cast(case.distribution, dtype)
    draws = draw(distribution, case, 5, 20_000)
    assert np.min(p_values(case, draws)) > 1e-4


@pytest.mark.statistical
@every_case
def test_the_test_of_draws_fails_on_another_distribution(case: Case) -> None:
    draws = draw(case.other, case, 5, 20_000)
    with np.errstate(invalid="ignore"):
        assert np.min(p_values(case, draws)) < 1e-6


@every_case
def test_draws_are_in_the_support(case: Case) -> None:
    for dtype in DTYPES:
        distribution = cast(case.distribution, dtype)
        draws = draw(distribution, case, 6, 2_000)
        assert np.all(np.isfinite(distribution.log_prob(draws)))
        for score in distribution.score(draws).values():
            assert np.all(np.isfinite(score))


@pytest.mark.statistical
def test_parameters_without_rows_are_shared_by_all_rows() -> None:
    rng = np.random.default_rng(2)
    one_hot = d.Categorical(ROWS[0]).sample(rng, (20_000,))[:, None] == np.arange(3)
    assert_moments(
        one_hot.astype(float), ROW_PROBS[0], ROW_PROBS[0] * (1 - ROW_PROBS[0])
    )
    shared = d.Categorical(ROWS).sample(rng, (20_000, 4))[..., None] == np.arange(3)
    assert_moments(shared.astype(float), ROW_PROBS, ROW_PROBS * (1 - ROW_PROBS))


@every_case
def test_the_same_seed_draws_the_same(case: Case) -> None:
    one, two = (draw(case.distribution, case, 3, 5) for _ in "12")
    np.testing.assert_array_equal(one, two)


@every_case
@every_dtype
def test_a_reparameterised_draw_is_the_draw_of_its_noise(
    case: Case, dtype: Any
) -> None:
    distribution = cast(case.distribution, dtype)
    shape = (5, *distribution.shape)
    noise = distribution.noise(np.random.default_rng(4), shape)
    if not distribution.reparameterised:
        assert noise is None
        with pytest.raises(NotDifferentiableError, match=r"draw of \w+ is not"):
            distribution.reparameterise(noise)
        return
    drawn = distribution.sample(np.random.default_rng(4), shape)
    assert drawn.shape == shape
    np.testing.assert_array_equal(distribution.reparameterise(noise), drawn)
    assert noise is not None
    assert len(noise) == 5
    assert noise.dtype == drawn.dtype == dtype


every_reparameterised = pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.distribution.reparameterised],
    ids=lambda case: case.name,
)


@every_reparameterised
def test_a_draw_has_two_derivatives_in_its_parameters(case: Case) -> None:
    rng, h = np.random.default_rng(7), 1e-5
    shape = (6, *case.distribution.shape)
    noise, weight = case.distribution.noise(rng, shape), rng.normal(size=shape)
    assert noise is not None
    for name, x in case.learnt.items():
        direction = rng.normal(size=x.shape)

        def along(
            t: Any, name: str = name, x: Any = x, v: Any = direction, w: Any = weight
        ) -> Any:
            here = case.distribution.replace(**{name: x + t * v})
            return anp.sum(anp.tanh(here.reparameterise(noise)) * w) + 0.0 * t * t

        first, second = grad(along), grad(grad(along))
        numeric = (along(h) - along(-h)) / (2 * h)
        assert first(0.0) == pytest.approx(numeric, rel=1e-6, abs=1e-8)
        numeric = (first(h) - first(-h)) / (2 * h)
        assert second(0.0) == pytest.approx(numeric, rel=1e-5, abs=1e-7)


@every_reparameterised
def test_the_gradient_of_a_mean_is_the_mean_of_the_gradients(case: Case) -> None:
    distribution = case.distribution
    shape = (20_000, *distribution.shape)
    noise = distribution.noise(np.random.default_rng(8), shape)
    draws = distribution.reparameterise(noise)
    slopes = 1 - np.tanh(draws) ** 2
    for name in case.learnt:
        # The mean of f times the score, which the reparameterisation knows nothing of.
        exact = pathwise_mean_by_score(case, name)
        pull, _ = make_vjp(
            lambda x, n=name: distribution.replace(**{n: x}).reparameterise(noise)
        )(np.broadcast_to(case.learnt[name], (20_000, *case.learnt[name].shape)))
        each = pull(slopes)
        error = each.std(axis=0, ddof=1) / np.sqrt(len(each))
        assert np.all(np.abs(each.mean(axis=0) - exact) < 5 * np.maximum(error, 1e-9))
        assert np.any(np.abs(each.mean(axis=0)) > 5 * error)


def pathwise_mean_by_score(case: Case, name: str) -> Any:
    """Differentiate the mean of the sum of tanh over a draw in one parameter."""
    points, _ = case.grid
    score = case.distribution.score(points)[name]
    total = np.tanh(points).sum(axis=tuple(range(2, points.ndim)))
    mean = case.mean(lambda _: total[(..., *(None,) * (score.ndim - 2))] * score)
    if case.distribution.fixed_support:
        return mean
    low, high = case.distribution.parameters.values()
    # The mean of tanh over an interval, differentiated at its ends.
    area = np.log(np.cosh(high) / np.cosh(low)) / (high - low)
    edge = np.tanh(low) if name == "low" else np.tanh(high)
    return (area - edge if name == "low" else edge - area) / (high - low)


class Extreme:
    """A generator whose uniform noise is the largest or the smallest there is."""

    def __init__(self, *, largest: bool) -> None:
        self.largest = largest

    def random(self, shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
        top = 1 - np.finfo(dtype).epsneg
        return np.full(shape, top if self.largest else 0.0, dtype)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=1, max_dims=2, max_side=6),
            elements=st.one_of(
                st.floats(-100, 100, width=32), st.just(-np.inf), st.just(0.0)
            ),
        )
    ),
    st.booleans(),
    st.booleans(),
)
def test_a_categorical_never_draws_what_has_no_mass(
    logits: Any, largest: bool, by_probs: bool
) -> None:
    logits[..., 0] = np.where(np.isneginf(logits).all(axis=-1), 0, logits[..., 0])
    masses = np.exp(
        d.Categorical(logits).log_prob(np.arange(logits.shape[-1])[:, None])
    )
    masses = masses if logits.ndim == 2 else masses[:, 0]
    probs = np.moveaxis(masses, 0, -1).astype(logits.dtype)
    chosen = d.Categorical(probs=probs) if by_probs else d.Categorical(logits)
    shape = (3, *logits.shape[:-1])
    draws = chosen.sample(Extreme(largest=largest), shape)  # type: ignore[arg-type]
    assert draws.shape == shape
    assert draws.dtype == np.int64
    assert np.all(np.isfinite(d.Categorical(logits).log_prob(draws)))


@every_case
def test_a_support_lists_what_is_drawn(case: Case) -> None:
    support = case.distribution.support()
    infinite = case.family in {d.Poisson, d.Geometric}
    assert (support is not None) == (case.distribution.discrete and not infinite)
    if support is not None:
        draws = draw(case.distribution, case, 0, 500)
        assert support.dtype == draws.dtype
        event = (-1, *support.shape[1:])
        drawn = np.unique(draws.reshape(event), axis=0)
        assert sorted(drawn.tolist()) == sorted(support.tolist())


def test_draws_in_another_floating_dtype_have_that_dtype() -> None:
    rng = np.random.default_rng(0)
    zeros, ones = np.zeros(3, np.float16), np.ones(3, np.float16)
    for distribution in (
        d.Bernoulli(zeros),
        d.Normal(zeros, 1.0),
        d.Uniform(zeros, 1.0),
        d.Exponential(ones),
        d.Laplace(zeros, 1.0),
        d.Gamma(ones),
        d.Beta(ones, 2.0),
        d.Dirichlet(ones),
        d.Poisson(ones),
        d.TruncatedNormal(zeros, 1.0, -1.0, 1.0),
        d.MultivariateNormal(zeros, 1.0),
    ):
        assert distribution.sample(rng, (5, 3)).dtype == np.float16


@pytest.mark.parametrize("rate", [np.nan, -1.0, np.inf, 1e30])
def test_parameters_out_of_range_are_left_to_the_check_after_a_loop(rate: Any) -> None:
    rng = np.random.default_rng(0)
    assert d.Poisson(np.array([rate])).sample(rng, (2, 1)).shape == (2, 1)
    assert d.Binomial(3, probs=np.array([rate])).sample(rng, (2, 1)).shape == (2, 1)
    assert d.Geometric(probs=np.array([rate])).sample(rng, (2, 1)).shape == (2, 1)
    assert d.Gamma(np.array([rate])).sample(rng, (2, 1)).shape == (2, 1)
    ends = d.TruncatedNormal(np.array([rate]), 1.0, 0.0, 1.0)
    with np.errstate(invalid="ignore"):
        assert ends.sample(rng, (2, 1)).shape == (2, 1)
