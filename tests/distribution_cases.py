"""One matrix of distributions, each with independent answers about it."""

from typing import Any

import numpy as np
import pytest
from distribution_case import (
    BITS,
    LOGITS,
    MEAN,
    PICKS,
    PROBS,
    REALS,
    ROW_PROBS,
    ROWS,
    SCALE,
    Case,
    curvature_of_categorical,
)
from distribution_families import CONTINUOUS, DISCRETE, VECTOR
from distribution_grids import counts, interval, line

import scg.distributions as d

stats = pytest.importorskip("scipy.stats")

DTYPES = [np.float32, np.float64]
Z = (REALS - MEAN) / SCALE
FIRST = [
    Case(
        "Bernoulli logits",
        d.Bernoulli(LOGITS),
        d.Bernoulli(probs=np.array([0.1, 0.5, 0.9, 0.3])),
        BITS,
        stats.bernoulli(PROBS).logpmf,
        counts(1),
        {"logits": -PROBS * (1 - PROBS)},
    ),
    Case(
        "Bernoulli probs",
        d.Bernoulli(probs=PROBS),
        d.Bernoulli(LOGITS + 0.3),
        BITS,
        stats.bernoulli(PROBS).logpmf,
        counts(1),
        {"probs": -1 / np.where(BITS == 1, PROBS, 1 - PROBS) ** 2},
    ),
    Case(
        "Categorical logits",
        d.Categorical(ROWS),
        d.Categorical(probs=ROW_PROBS[::-1].copy()),
        PICKS,
        lambda k: np.log(ROW_PROBS[np.arange(4), k]),
        counts(2, int),
        {"logits": curvature_of_categorical()},
    ),
    Case(
        "Categorical probs",
        d.Categorical(probs=ROW_PROBS),
        d.Categorical(2 * ROWS),
        PICKS,
        lambda k: np.log(ROW_PROBS[np.arange(4), k]),
        counts(2, int),
        {
            "probs": -np.eye(3)[PICKS][:, :, None]
            * np.eye(3)
            / ROW_PROBS[..., None] ** 2
        },
        score_mean={"probs": np.ones((4, 3))},
    ),
    Case(
        "Normal scale",
        d.Normal(MEAN, SCALE),
        d.Normal(MEAN + 1, log_scale=0.5 * MEAN),
        REALS,
        stats.norm(MEAN, SCALE).logpdf,
        line(MEAN, SCALE),
        {"mean": -1 / SCALE**2, "scale": (1 - 3 * Z**2) / SCALE**2},
        stats.norm(MEAN, SCALE).cdf,
    ),
    Case(
        "Normal log_scale",
        d.Normal(MEAN, log_scale=np.log(SCALE)),
        d.Normal(0.0, 1.5),
        REALS,
        stats.norm(MEAN, SCALE).logpdf,
        line(MEAN, SCALE),
        {"mean": -1 / SCALE**2, "log_scale": -2 * Z**2},
        stats.norm(MEAN, SCALE).cdf,
    ),
    Case(
        "Uniform",
        d.Uniform(MEAN - SCALE, MEAN + SCALE),
        d.Uniform(MEAN - 2 * SCALE, MEAN + 3 * SCALE),
        MEAN + 0.5 * SCALE * np.array([1, -1, 0, 1]),
        stats.uniform(MEAN - SCALE, 2 * SCALE).logpdf,
        interval(MEAN - SCALE, MEAN + SCALE),
        {"low": 1 / (2 * SCALE) ** 2, "high": 1 / (2 * SCALE) ** 2},
        stats.uniform(MEAN - SCALE, 2 * SCALE).cdf,
        {"low": 1 / (2 * SCALE), "high": -1 / (2 * SCALE)},
    ),
]
CASES = [*FIRST, *CONTINUOUS, *VECTOR, *DISCRETE]
FAMILIES = list(dict.fromkeys(case.family for case in CASES))
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def cast(distribution: Any, dtype: Any) -> Any:
    values = distribution.parameters.items()
    return distribution.replace(**{k: np.asarray(v, dtype) for k, v in values})
