"""One matrix of distributions, each with independent answers about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.stats

import scg.distributions as d

DTYPES = [np.float32, np.float64]
LOGITS = np.array([-1.5, 0.0, 0.4, 2.0])
PROBS = 1 / (1 + np.exp(-LOGITS))
ROWS = np.array([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.5, -2.0], [3.0, 1.0, 1.0]])
ROW_PROBS = np.exp(ROWS) / np.exp(ROWS).sum(axis=-1, keepdims=True)
MEAN = np.array([-1.0, 0.0, 0.5, 2.0])
SCALE = np.array([0.5, 1.0, 2.0, 3.0])
BITS = np.array([0.0, 1.0, 1.0, 0.0])
PICKS = np.array([2, 0, 1, 2])
REALS = np.array([0.3, -0.2, 1.7, 2.0])


def curvature_of_categorical() -> Any:
    outer = ROW_PROBS[:, :, None] * ROW_PROBS[:, None, :]
    return outer - ROW_PROBS[:, :, None] * np.eye(3)


@dataclass(frozen=True)
class Case:
    """One family in one parameterisation, with independent answers about it.

    `second` is the closed form of the second derivative of the log-density in each
    parameter, elementwise (for rows of a categorical: the K by K matrix of each).
    """

    name: str
    distribution: d.AbstractDistribution
    other: d.AbstractDistribution
    value: Any
    log_density: Callable[[Any], Any]
    second: dict[str, Any]
    moments: tuple[Any, Any] | None = None


Z = (REALS - MEAN) / SCALE
CASES = [
    Case(
        "Bernoulli logits",
        d.Bernoulli(LOGITS),
        d.Bernoulli(probs=np.array([0.1, 0.5, 0.9, 0.3])),
        BITS,
        scipy.stats.bernoulli(PROBS).logpmf,
        {"logits": -PROBS * (1 - PROBS)},
        (PROBS, PROBS * (1 - PROBS)),
    ),
    Case(
        "Bernoulli probs",
        d.Bernoulli(probs=PROBS),
        d.Bernoulli(LOGITS + 0.3),
        BITS,
        scipy.stats.bernoulli(PROBS).logpmf,
        {"probs": -1 / np.where(BITS == 1, PROBS, 1 - PROBS) ** 2},
        (PROBS, PROBS * (1 - PROBS)),
    ),
    Case(
        "Categorical logits",
        d.Categorical(ROWS),
        d.Categorical(probs=ROW_PROBS[::-1].copy()),
        PICKS,
        lambda k: np.log(ROW_PROBS[np.arange(4), k]),
        {"logits": curvature_of_categorical()},
    ),
    Case(
        "Categorical probs",
        d.Categorical(probs=ROW_PROBS),
        d.Categorical(2 * ROWS),
        PICKS,
        lambda k: np.log(ROW_PROBS[np.arange(4), k]),
        {
            "probs": -np.eye(3)[PICKS][:, :, None]
            * np.eye(3)
            / ROW_PROBS[..., None] ** 2
        },
    ),
    Case(
        "Normal scale",
        d.Normal(MEAN, SCALE),
        d.Normal(MEAN + 1, log_scale=0.5 * MEAN),
        REALS,
        scipy.stats.norm(MEAN, SCALE).logpdf,
        {"mean": -1 / SCALE**2, "scale": (1 - 3 * Z**2) / SCALE**2},
        (MEAN, SCALE**2),
    ),
    Case(
        "Normal log_scale",
        d.Normal(MEAN, log_scale=np.log(SCALE)),
        d.Normal(0.0, 1.5),
        REALS,
        scipy.stats.norm(MEAN, SCALE).logpdf,
        {"mean": -1 / SCALE**2, "log_scale": -2 * Z**2},
        (MEAN, SCALE**2),
    ),
    Case(
        "Uniform",
        d.Uniform(MEAN - SCALE, MEAN + SCALE),
        d.Uniform(MEAN - 2 * SCALE, MEAN + 3 * SCALE),
        MEAN + 0.5 * SCALE * np.array([1, -1, 0, 1]),
        scipy.stats.uniform(MEAN - SCALE, 2 * SCALE).logpdf,
        {"low": 1 / (2 * SCALE) ** 2, "high": 1 / (2 * SCALE) ** 2},
        (MEAN, SCALE**2 / 3),
    ),
]
FAMILIES = [d.Bernoulli, d.Categorical, d.Normal, d.Uniform]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def cast(distribution: Any, dtype: Any) -> Any:
    values = distribution.parameters.items()
    return distribution.replace(**{k: np.asarray(v, dtype) for k, v in values})
