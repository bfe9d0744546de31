"""Rows of the matrix of distributions for the families beyond the first four."""

import numpy as np
import pytest
from distribution_case import (
    LOGITS,
    MEAN,
    PICKS,
    PROBS,
    ROW_PROBS,
    ROWS,
    SCALE,
    Case,
    curvature_of_categorical,
)
from distribution_grids import (
    counts,
    half_line,
    interval,
    kinked,
    one_hot,
    plane,
    simplex,
    squashed,
    unit,
)

import scg.distributions as d

stats = pytest.importorskip("scipy.stats")
special = pytest.importorskip("scipy.special")

POSITIVE = np.array([0.3, 0.2, 1.7, 2.0])
UNITS = np.array([0.3, 0.5, 0.9, 0.05])
NARROW = 0.4 * SCALE
SQUASHED = np.array([0.3, -0.5, 0.9, -0.95])
KINK_FREE = np.array([0.3, -0.2, 1.7, 2.5])
WHOLE = np.array([0.0, 1.0, 3.0, 2.0])
RATE = np.array([0.5, 1.0, 2.0, 3.0])
CONCENTRATION = np.array([0.8, 1.0, 2.5, 7.0])
BETA = np.array([1.5, 0.9, 3.0, 2.0])
TRIALS = np.array([3, 1, 5, 4])
LOW, HIGH = np.array([-1.0, -np.inf, 0.0, 2.5]), np.array([2.0, 0.5, np.inf, 4.0])
BETWEEN = np.array([0.3, -0.2, 1.7, 3.0])
WEIGHTS = np.array([[1.0, 2.0, 0.9], [1.0, 1.0, 1.0], [3.0, 1.5, 2.0], [2.0, 4.0, 6.0]])
SHARES = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.4, 0.4, 0.2], [0.3, 0.2, 0.5]])
MEANS = np.array([[0.5, -1.0], [0.0, 0.0], [2.0, 1.0], [-1.0, 0.3]])
SCALES = np.array([[1.0, 2.0], [0.5, 0.5], [1.0, 0.3], [2.0, 1.5]])
VECTORS = np.array([[0.3, 0.2], [-0.4, 0.1], [1.5, 1.2], [0.0, 0.0]])
FACTORS = np.array(
    [
        [[1.0, 0.0], [0.5, 2.0]],
        [[0.5, 0.0], [0.0, 0.5]],
        [[2.0, 0.0], [-1.0, 0.3]],
        [[1.0, 0.0], [3.0, 1.0]],
    ]
)
COVARIANCES = FACTORS @ np.swapaxes(FACTORS, -1, -2)


def normal_second(z, scale):
    return {"mean": -1 / scale**2, "scale": (1 - 3 * z**2) / scale**2}


def per_row(log_density, *parameters):
    """Evaluate SciPy's density of one vector for each of four rows of parameters."""

    def evaluate(x):
        x = np.asarray(x)
        columns = [
            np.reshape(
                log_density(x[..., i, :], *(q[i] for q in parameters)), x.shape[:-2]
            )
            for i in range(4)
        ]
        return np.stack(columns, axis=-1)

    return evaluate


def dirichlet_log_density(x, weights):
    return stats.dirichlet(weights).logpdf(np.reshape(x, (-1, 3)).T)


def levels_of_vectors(x):
    z = np.linalg.solve(FACTORS, (x - MEANS)[..., None])[..., 0]
    return stats.norm.cdf(z)


def levels_of_shares(x):
    """Break the stick: each share of what the ones before have left is beta."""
    rest = WEIGHTS[:, 1] + WEIGHTS[:, 2]
    first = stats.beta(WEIGHTS[:, 0], rest).cdf(x[..., 0])
    left = x[..., 1] / (x[..., 1] + x[..., 2])
    second = stats.beta(WEIGHTS[:, 1], WEIGHTS[:, 2]).cdf(left)
    return np.stack([first, second], axis=-1)


def log_density_of_tanh(y):
    x = np.arctanh(y)
    return stats.norm(MEAN, NARROW).logpdf(x) + 2 * np.log(np.cosh(x))


LAPLACE_Z = (KINK_FREE - MEAN) / SCALE
LOG_Z = (np.log(POSITIVE) - MEAN) / SCALE
TANH_Z = (np.arctanh(SQUASHED) - MEAN) / NARROW
CUT = stats.truncnorm((LOW - MEAN) / SCALE, (HIGH - MEAN) / SCALE, MEAN, SCALE)
ENDS = np.maximum(LOW, MEAN - 13 * SCALE), np.minimum(HIGH, MEAN + 13 * SCALE)
GEOMETRIC = stats.geom(PROBS, loc=-1)
BINOMIAL = stats.binom(TRIALS, PROBS)

CONTINUOUS = [
    Case(
        "Exponential rate",
        d.Exponential(RATE),
        d.Exponential(log_rate=MEAN),
        POSITIVE,
        stats.expon(scale=1 / RATE).logpdf,
        half_line(),
        {"rate": -1 / RATE**2},
        stats.expon(scale=1 / RATE).cdf,
    ),
    Case(
        "Exponential log_rate",
        d.Exponential(log_rate=np.log(RATE)),
        d.Exponential(2.5),
        POSITIVE,
        stats.expon(scale=1 / RATE).logpdf,
        half_line(),
        {"log_rate": -RATE * POSITIVE},
        stats.expon(scale=1 / RATE).cdf,
    ),
    Case(
        "Laplace scale",
        d.Laplace(MEAN, SCALE),
        d.Laplace(MEAN + 1, log_scale=0.5 * MEAN),
        KINK_FREE,
        stats.laplace(MEAN, SCALE).logpdf,
        kinked([MEAN, MEAN + 1], 40 * SCALE),
        {"scale": (1 - 2 * np.abs(LAPLACE_Z)) / SCALE**2},
        stats.laplace(MEAN, SCALE).cdf,
    ),
    Case(
        "Laplace log_scale",
        d.Laplace(MEAN, log_scale=np.log(SCALE)),
        d.Laplace(MEAN, 1.5),
        KINK_FREE,
        stats.laplace(MEAN, SCALE).logpdf,
        kinked([MEAN, MEAN + 1], 40 * SCALE),
        {"log_scale": -np.abs(LAPLACE_Z)},
        stats.laplace(MEAN, SCALE).cdf,
    ),
    Case(
        "LogNormal scale",
        d.LogNormal(MEAN, 0.5 * SCALE),
        d.LogNormal(MEAN + 1, log_scale=0.5 * MEAN),
        POSITIVE,
        stats.lognorm(0.5 * SCALE, scale=np.exp(MEAN)).logpdf,
        half_line(reach=(-25.0, 30.0)),
        normal_second(2 * LOG_Z, 0.5 * SCALE),
        stats.lognorm(0.5 * SCALE, scale=np.exp(MEAN)).cdf,
    ),
    Case(
        "LogNormal log_scale",
        d.LogNormal(MEAN, log_scale=np.log(0.5 * SCALE)),
        d.LogNormal(0.0, 1.5),
        POSITIVE,
        stats.lognorm(0.5 * SCALE, scale=np.exp(MEAN)).logpdf,
        half_line(reach=(-25.0, 30.0)),
        {"log_scale": -2 * (2 * LOG_Z) ** 2},
        stats.lognorm(0.5 * SCALE, scale=np.exp(MEAN)).cdf,
    ),
    Case(
        "TanhNormal scale",
        d.TanhNormal(MEAN, NARROW),
        d.TanhNormal(MEAN + 1, log_scale=0.5 * MEAN),
        SQUASHED,
        log_density_of_tanh,
        squashed(),
        normal_second(TANH_Z, NARROW),
        lambda y: stats.norm(MEAN, NARROW).cdf(np.arctanh(y)),
        has_entropy=False,
    ),
    Case(
        "TanhNormal log_scale",
        d.TanhNormal(MEAN, log_scale=np.log(NARROW)),
        d.TanhNormal(0.0, 1.5),
        SQUASHED,
        log_density_of_tanh,
        squashed(),
        {"log_scale": -2 * TANH_Z**2},
        lambda y: stats.norm(MEAN, NARROW).cdf(np.arctanh(y)),
        has_entropy=False,
    ),
    Case(
        "TruncatedNormal",
        d.TruncatedNormal(MEAN, SCALE, LOW, HIGH),
        d.TruncatedNormal(MEAN + 1, 2 * SCALE, LOW - 1, HIGH),
        BETWEEN,
        CUT.logpdf,
        interval(*ENDS),
        levels=CUT.cdf,
        constants=("low", "high"),
    ),
    Case(
        "Gamma",
        d.Gamma(CONCENTRATION, RATE),
        d.Gamma(CONCENTRATION + 1, 1.5),
        POSITIVE,
        stats.gamma(CONCENTRATION, scale=1 / RATE).logpdf,
        half_line(),
        {
            "concentration": -special.polygamma(1, CONCENTRATION),
            "rate": -CONCENTRATION / RATE**2,
        },
        stats.gamma(CONCENTRATION, scale=1 / RATE).cdf,
    ),
    Case(
        "Beta",
        d.Beta(CONCENTRATION, BETA),
        d.Beta(BETA, 1.5),
        UNITS,
        stats.beta(CONCENTRATION, BETA).logpdf,
        unit(),
        {
            name: special.polygamma(1, CONCENTRATION + BETA) - special.polygamma(1, own)
            for name, own in (("alpha", CONCENTRATION), ("beta", BETA))
        },
        stats.beta(CONCENTRATION, BETA).cdf,
    ),
]
VECTOR = [
    Case(
        "Dirichlet",
        d.Dirichlet(WEIGHTS),
        d.Dirichlet(WEIGHTS[::-1].copy()),
        SHARES,
        per_row(dirichlet_log_density, WEIGHTS),
        simplex(),
        {
            "concentration": special.polygamma(1, WEIGHTS.sum(axis=-1))[:, None, None]
            - np.eye(3) * special.polygamma(1, WEIGHTS)[:, None]
        },
        levels_of_shares,
    ),
    Case(
        "MultivariateNormal scale",
        d.MultivariateNormal(MEANS, SCALES),
        d.MultivariateNormal(MEANS + 1, scale_tril=FACTORS),
        VECTORS,
        lambda x: stats.norm(MEANS, SCALES).logpdf(x).sum(axis=-1),
        plane(MEANS, SCALES[..., None] * np.eye(2)),
        {"mean": -np.eye(2) / SCALES[..., None] ** 2},
        stats.norm(MEANS, SCALES).cdf,
    ),
    Case(
        "MultivariateNormal scale_tril",
        d.MultivariateNormal(MEANS, scale_tril=FACTORS),
        d.MultivariateNormal(MEANS + 1, scale_tril=FACTORS[::-1].copy()),
        VECTORS,
        per_row(
            lambda x, m, c: stats.multivariate_normal(m, c).logpdf(x),
            MEANS,
            COVARIANCES,
        ),
        plane(MEANS, FACTORS),
        {"mean": -np.linalg.inv(COVARIANCES)},
        levels_of_vectors,
    ),
]
DISCRETE = [
    Case(
        "Poisson rate",
        d.Poisson(RATE),
        d.Poisson(log_rate=MEAN),
        WHOLE,
        stats.poisson(RATE).logpmf,
        counts(60),
        {"rate": -WHOLE / RATE**2},
        has_entropy=False,
    ),
    Case(
        "Poisson log_rate",
        d.Poisson(log_rate=np.log(RATE)),
        d.Poisson(2.5),
        WHOLE,
        stats.poisson(RATE).logpmf,
        counts(60),
        {"log_rate": -RATE},
        has_entropy=False,
    ),
    Case(
        "Geometric logits",
        d.Geometric(LOGITS),
        d.Geometric(probs=np.array([0.1, 0.5, 0.9, 0.3])),
        WHOLE,
        GEOMETRIC.logpmf,
        counts(400),
        {"logits": -(1 + WHOLE) * PROBS * (1 - PROBS)},
    ),
    Case(
        "Geometric probs",
        d.Geometric(probs=PROBS),
        d.Geometric(LOGITS + 0.3),
        WHOLE,
        GEOMETRIC.logpmf,
        counts(400),
        {"probs": -1 / PROBS**2 - WHOLE / (1 - PROBS) ** 2},
    ),
    Case(
        "Binomial logits",
        d.Binomial(TRIALS, LOGITS),
        d.Binomial(TRIALS, probs=np.array([0.1, 0.5, 0.9, 0.3])),
        WHOLE,
        BINOMIAL.logpmf,
        counts(5),
        {"logits": -TRIALS * PROBS * (1 - PROBS)},
        constants=("count",),
    ),
    Case(
        "Binomial probs",
        d.Binomial(TRIALS, probs=PROBS),
        d.Binomial(TRIALS, LOGITS + 0.3),
        WHOLE,
        BINOMIAL.logpmf,
        counts(5),
        {"probs": -WHOLE / PROBS**2 - (TRIALS - WHOLE) / (1 - PROBS) ** 2},
        constants=("count",),
    ),
    Case(
        "OneHotCategorical logits",
        d.OneHotCategorical(ROWS),
        d.OneHotCategorical(probs=ROW_PROBS[::-1].copy()),
        np.eye(3)[PICKS],
        lambda x: np.log((x * ROW_PROBS).sum(axis=-1)),
        one_hot(3),
        {"logits": curvature_of_categorical()},
    ),
    Case(
        "OneHotCategorical probs",
        d.OneHotCategorical(probs=ROW_PROBS),
        d.OneHotCategorical(2 * ROWS),
        np.eye(3)[PICKS],
        lambda x: np.log((x * ROW_PROBS).sum(axis=-1)),
        one_hot(3),
        score_mean={"probs": np.ones((4, 3))},
    ),
]
