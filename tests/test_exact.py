"""The expected estimate is, exactly, the derivative of the expected cost.

Every case is tried on 200 random models; what each biased variant of an estimator does
to the same comparison is in `test_exact_controls`.
"""

import pytest
from cases import CASES, Case, score
from expectation import (
    TOLERANCE,
    XS,
    distance,
    error_at_once,
    expected_one_by_one,
)
from random_models import exact_gradient

SEEDS = range(200)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_expected_estimate_is_the_derivative_of_the_expected_cost(seed, name):
    assert error_at_once(seed, CASES[name]) < TOLERANCE


@pytest.mark.parametrize("seed", SEEDS)
def test_with_its_noise_held_a_pathwise_sample_adds_no_error(seed):
    case, options = Case(score()), {"continuous": True, "budget": 8}
    found, noise = expected_one_by_one(seed, case, **options)
    exactly = exact_gradient(seed, XS[0], noise=noise, **options)
    assert distance(found, [exactly]) < TOLERANCE


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(12))
def test_samples_whose_params_have_no_rows_are_estimated_alike(seed, name):
    case, options = CASES[name], {"continuous": False, "budget": 6}
    rows = XS[: case.copies] if case.as_rows else XS[:1]
    found, _ = expected_one_by_one(seed, case, **options)
    exactly = [exact_gradient(seed, x, **options) for x in rows]
    assert distance(found, exactly) < TOLERANCE
