"""Draws: moments, repeatability, reparameterisation, no mass no draw."""

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from distribution_cases import (
    CASES,
    DTYPES,
    ROW_PROBS,
    ROWS,
    SCALE,
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


def assert_moments(draws: Any, mean: Any, variance: Any, max_z: float = 5.0) -> None:
    squares = (draws - mean) ** 2
    for sample, exact in ((draws, mean), (squares, variance)):
        error = sample.std(axis=0, ddof=1) / np.sqrt(len(sample))
        z = np.abs(sample.mean(axis=0) - exact) / np.maximum(error, 1e-12)
        assert np.all(z < max_z), f"|z| {z} over {max_z}"


def moments_of(case: Case, draws: Any) -> tuple[Any, Any, Any]:
    if case.moments is not None:
        return (draws, *case.moments)
    one_hot = (draws[..., None] == np.arange(3)).astype(float)
    return one_hot, ROW_PROBS, ROW_PROBS * (1 - ROW_PROBS)


@pytest.mark.statistical
@every_case
@every_dtype
def test_draws_have_the_moments_of_the_family(case: Case, dtype: Any) -> None:
    distribution = cast(case.distribution, dtype)
    draws = distribution.sample(np.random.default_rng(1), (40_000, 4))
    assert draws.dtype == distribution.dtype
    assert_moments(*moments_of(case, draws))


@pytest.mark.statistical
@every_case
def test_the_check_of_moments_fails_on_another_distribution(case: Case) -> None:
    draws = case.other.sample(np.random.default_rng(1), (40_000, 4))
    with pytest.raises(AssertionError, match="over 5"):
        assert_moments(*moments_of(case, draws))


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
    one, two = (
        case.distribution.sample(np.random.default_rng(3), (5, 4)) for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)


@every_case
@every_dtype
def test_a_reparameterised_draw_is_the_draw_of_its_noise(
    case: Case, dtype: Any
) -> None:
    distribution = cast(case.distribution, dtype)
    noise = distribution.noise(np.random.default_rng(4), (5, 4))
    if not distribution.reparameterised:
        assert noise is None
        with pytest.raises(NotDifferentiableError, match=r"draw of \w+ is not"):
            distribution.reparameterise(noise)
        return
    draw = distribution.sample(np.random.default_rng(4), (5, 4))
    np.testing.assert_array_equal(distribution.reparameterise(noise), draw)
    assert noise is not None
    assert noise.dtype == draw.dtype == dtype


def test_a_reparameterised_draw_has_the_derivatives_of_its_formula() -> None:
    noise = np.array([-0.5, 0.25, 2.0, 0.0])

    def total(name: str, value: Any, distribution: Any) -> Any:
        return anp.sum(distribution.replace(**{name: value}).reparameterise(noise))

    exact = {
        (0, "mean"): np.ones(4),
        (0, "scale"): noise,
        (1, "log_scale"): SCALE * noise,
        (2, "low"): 1 - noise,
        (2, "high"): noise,
    }
    for (which, name), expected in exact.items():
        distribution = CASES[4 + which].distribution
        got = grad(total, 1)(name, distribution.parameters[name], distribution)
        np.testing.assert_allclose(got, expected, atol=1e-15)


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
    assert (support is not None) == case.distribution.discrete
    if support is not None:
        draws = case.distribution.sample(np.random.default_rng(0), (500, 4))
        assert support.dtype == draws.dtype
        assert np.unique(draws).tolist() == support.tolist()


def test_draws_in_another_floating_dtype_have_that_dtype() -> None:
    rng = np.random.default_rng(0)
    half = np.zeros(3, np.float16)
    for distribution in (d.Bernoulli(half), d.Normal(half, 1.0), d.Uniform(half, 1.0)):
        assert distribution.sample(rng, (5, 3)).dtype == np.float16
