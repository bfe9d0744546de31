"""Estimators with branches: the exact mean over all randomness, and exact variances."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from estimator_cases import wider
from estimator_matrix import GRAPHS, exact, single_estimates
from noise_grids import every_estimate, moments, pieces

import scg
from scg.estimators import AbstractEstimator, Drawn

NUMBERS = {"two bits": 2}
STICKS = {"two bits": 2, "categorical": 2, "categorical by probs": 2, "one hot": 2}
BITS = ["bernoulli", "bernoulli by probs", "two bits"]
CHOICES = [*BITS, "categorical", "categorical by probs", "one hot"]
CASES = {
    "ARM": (scg.ARM(), BITS, NUMBERS),
    "DisARM": (scg.DisARM(), CHOICES, STICKS),
    "measure valued": (scg.MeasureValued(), CHOICES, NUMBERS),
    "importance": (scg.ImportanceSampling(wider), CHOICES, NUMBERS),
    "importance of 2": (
        scg.ImportanceSampling(wider, 2),
        [f for f in CHOICES if f != "two bits"],
        NUMBERS,
    ),
}
MATRIX = [
    pytest.param(
        graph, family, estimator, numbers.get(family, 1), id=f"{name}-{family}-{graph}"
    )
    for name, (estimator, families, numbers) in CASES.items()
    for family in families
    for graph in GRAPHS
]


def error(graph, family, found, weights):
    assert abs(weights.sum() - 1) < 1e-10
    mean, _ = moments(found, weights)
    return max(np.abs(mean[k] - g).max() for k, g in exact(graph, family).items())


@pytest.mark.parametrize(("graph", "family", "estimator", "numbers"), MATRIX)
def test_the_mean_over_all_noise_is_the_exact_gradient(
    graph, family, estimator, numbers, monkeypatch
):
    found = every_estimate(graph, family, estimator, monkeypatch, numbers=numbers)
    assert error(graph, family, *found) < 1e-9


@dataclass(frozen=True)
class Wrong(AbstractEstimator):
    """An estimator with its adjoints, or its draws, changed."""

    right: AbstractEstimator
    adjoint: object = None
    weight: object = None
    reads: ClassVar = ()
    biases: ClassVar = ()
    lays_out: ClassVar = True

    def branches(self, distribution, event_shape):
        return self.right.branches(distribution, event_shape)

    def draw(self, distribution, shape, rng):
        drawn = self.right.draw(distribution, shape, rng)
        if self.weight is None:
            return drawn
        return Drawn(drawn.value, self.weight(len(drawn.value)), drawn.noise)

    def adjoints(self, site):
        found = self.right.adjoints(site)
        return {k: self.adjoint(g) for k, g in found.items()} if self.adjoint else found


WRONG = {
    "ARM that is too long": (Wrong(scg.ARM(), adjoint=lambda g: 1.01 * g), 1),
    "DisARM without its factor": (
        Wrong(scg.DisARM(), adjoint=lambda g: np.sign(g) * np.abs(g) ** 1.01),
        1,
    ),
    "measure valued with even weights": (
        Wrong(scg.MeasureValued(), weight=lambda n: np.full(n, 0.5)),
        1,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_mean_over_all_noise_refuses(name, monkeypatch):
    estimator, numbers = WRONG[name]
    found = every_estimate(
        "chain", "bernoulli", estimator, monkeypatch, numbers=numbers
    )
    assert error("chain", "bernoulli", *found) > 1e-4


def test_a_missing_piece_of_noise_is_noticed(monkeypatch):
    found, weights = every_estimate(
        "chain", "bernoulli", scg.DisARM(), monkeypatch, numbers=1
    )
    shifted = np.roll(weights, 1)
    assert error("chain", "bernoulli", found, shifted) > 1e-4


# Sets


def every_set(graph, estimator, monkeypatch, size):
    """Return an estimate for each set of 3 categories, weighed with its chance."""
    sets = list(itertools.combinations(range(3), size))
    key = np.array([[5.0 if i in s else -5.0 for i in range(3)] for s in sets])
    copies = 4000
    tiled = np.tile(key, (copies, 1))
    monkeypatch.setattr(
        "scg.estimators.unordered_set.without_replacement",
        lambda log_p, count, rng: np.sort(
            np.argpartition(-tiled[: len(log_p)], count - 1, axis=1)[:, :count], axis=1
        ),
    )
    return sets, single_estimates(
        graph, "categorical", {"x": estimator}, len(sets) * copies
    )


@pytest.mark.parametrize("graph", ["single", "diamond"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_mean_over_all_sets_is_the_exact_gradient(graph, size, monkeypatch):
    estimator = scg.UnorderedSet(samples=size)
    sets, (found, _) = every_set(graph, estimator, monkeypatch, size)
    p = scg.softmax(np.array([0.4, -0.3, 0.1]))
    chance = [chance_of(p, s) for s in sets]
    assert abs(sum(chance) - 1) < 1e-12
    for name, g in exact(graph, "categorical").items():
        mean = sum(c * found[name][i] for i, c in enumerate(chance))
        np.testing.assert_allclose(mean, g, atol=1e-9)
    if size == 3:
        assert np.ptp(found["t"], axis=0).max() < 1e-12


def chance_of(p, chosen):
    """Sum the chances of all orders in which a set is drawn."""
    total = 0.0
    for order in itertools.permutations(chosen):
        left, each = 1.0, 1.0
        for i in order:
            each *= p[i] / left
            left -= p[i]
        total += each
    return total


def test_the_mean_over_all_sets_refuses_even_chances(monkeypatch):
    _, (found, _) = every_set("single", scg.UnorderedSet(samples=2), monkeypatch, 2)
    mean = sum(found["t"][i] / 3 for i in range(3))
    assert np.abs(mean - exact("single", "categorical")["t"]).max() > 1e-3


def test_the_baseline_of_a_set_takes_up_what_all_costs_share():
    def found(shift, estimator):
        graph = scg.Graph()
        t = graph.param("t", np.array([0.4, -0.3, 0.1, 0.0]))
        k = graph.sample("k", scg.Categorical(logits=t))
        graph.cost("loss", (k - 1.5) ** 2 + shift)
        return scg.estimate_gradient(
            graph,
            graph.init(np.random.default_rng(0)),
            estimators={"k": estimator},
            rng=np.random.default_rng(3),
            rows=5,
        ).gradient["t"]

    sets = scg.UnorderedSet(samples=2)
    np.testing.assert_allclose(found(100.0, sets), found(0.0, sets), atol=1e-11)
    plain = scg.ScoreFunction()
    assert np.abs(found(100.0, plain) - found(0.0, plain)).max() > 1


# Numbers


def one_sample(distribution, cost, params, estimator, numbers, monkeypatch):
    """Return exact mean and variance of a model of one sample.

    `numbers` lists, for each call of the generator, numbers that stand for all and
    their weights.
    """
    at = np.indices([len(x) for x, _ in numbers]).reshape(len(numbers), -1)
    values = [np.asarray(x)[i] for (x, _), i in zip(numbers, at, strict=True)]
    weights = np.prod(
        [np.asarray(w)[i] for (_, w), i in zip(numbers, at, strict=True)], axis=0
    )
    rows, graph = len(weights), scg.Graph()
    row = graph.input("row", dtype=np.int64)
    tables = {k: graph.param(k, np.full(rows, v)) for k, v in params.items()}
    x = graph.sample("x", distribution(**{k: t[row] for k, t in tables.items()}))
    graph.cost("loss", cost(x))
    calls = iter(values)

    def said(*arguments, **_):
        (shape,) = (a for a in arguments if isinstance(a, tuple))
        return next(calls).reshape(shape)

    names = [
        "random",
        "standard_normal",
        "standard_exponential",
        "chisquare",
        "poisson",
    ]
    script = type("Script", (), dict.fromkeys(names, staticmethod(said)))
    scripts = type("Scripts", (), {"at": lambda _, node: script, "spare": None})()
    monkeypatch.setattr("scg.draws.Streams", lambda *_: scripts)
    gradient = scg.estimate_gradient(
        graph,
        graph.init(np.random.default_rng(0)),
        {"row": np.arange(rows)},
        estimators={"x": estimator},
        rng=np.random.default_rng(0),
    ).gradient
    return moments({k: rows * g for k, g in gradient.items()}, weights)


def coin(p, estimator, monkeypatch):
    logits = np.log(p / (1 - p))
    mean, variance = one_sample(
        lambda theta: scg.Bernoulli(logits=theta),
        lambda b: (b - 0.45) ** 2,
        {"theta": logits},
        estimator,
        [pieces(np.array([p, 1 - p]), 2)],
        monkeypatch,
    )
    return mean["theta"], variance["theta"]


@pytest.mark.parametrize(
    ("p", "gradient", "arm", "disarm"),
    [(0.5, 0.025, 2.0833e-4, 0.0), (0.3, 0.021, 3.390e-4, 2.940e-4)],
)
def test_the_bernoulli_table_holds_for_antithetic_branches(
    p, gradient, arm, disarm, monkeypatch
):
    for estimator, variance in [(scg.ARM(), arm), (scg.DisARM(), disarm)]:
        mean, found = coin(p, estimator, monkeypatch)
        assert mean == pytest.approx(gradient, abs=1e-12)
        assert found == pytest.approx(variance, rel=5e-4, abs=1e-12)
    assert coin(p, scg.ARM(), monkeypatch)[1] != pytest.approx(disarm, rel=0.1)


LENGTHS = pieces(np.linspace(0, 1, 41), 10)
LONG = (12 * LENGTHS[0], 12 * LENGTHS[1])


def density(function):
    """Return numbers from 0 to 12 that stand for a density."""
    x, w = LONG
    return x, w * function(x)


RAYLEIGH = density(lambda w: w * np.exp(-(w**2) / 2))
MAXWELL = density(lambda m: np.sqrt(2 / np.pi) * m**2 * np.exp(-(m**2) / 2))
HALVES, EVENLY = ([0.25, 0.75], [0.5, 0.5]), pieces(np.array([]), 5)
NORMAL = np.polynomial.hermite_e.hermegauss(3)
ONE = ([0.3], [1.0])


def bell(a, monkeypatch, *, mean):
    """Return the moments of the measure-valued derivatives of E (x - 1 + a)²."""
    first, wide = (RAYLEIGH, ([1.0], [1.0])) if mean else (([1.0], [1.0]), MAXWELL)
    numbers = [
        ([0.0], [1.0]),  # the draw itself, which takes no part
        (first[0] ** 2 / 2 if mean else first[0], first[1]),
        (wide[0] if mean else wide[0] ** 2, wide[1]),
        HALVES if not mean else ONE,
        EVENLY if not mean else ONE,
    ]
    found = one_sample(
        lambda mu, sigma: scg.Normal(mean=mu, scale=sigma),
        lambda x: (x - (1 - a)) ** 2,
        {"mu": 1.0, "sigma": 1.0},
        scg.MeasureValued(),
        numbers,
        monkeypatch,
    )
    return [moment["mu" if mean else "sigma"] for moment in found]


@pytest.mark.parametrize("a", [0.0, 0.75, -1.5])
def test_the_gaussian_table_holds_for_measure_valued_derivatives(a, monkeypatch):
    mean, variance = bell(a, monkeypatch, mean=True)
    assert mean == pytest.approx(2 * a, abs=1e-9)
    assert variance == pytest.approx(a**2 * (16 / np.pi - 4), abs=1e-9)
    mean, variance = bell(a, monkeypatch, mean=False)
    assert mean == pytest.approx(2, abs=1e-9)
    assert variance == pytest.approx(4 * a**2 + 4, abs=1e-9)


def test_the_gaussian_table_refuses_branches_that_are_not_coupled(monkeypatch):
    monkeypatch.setattr(
        "scg.estimators.weak_derivatives._OfNormal.others",
        lambda self, d, value, rng: np.stack(
            [
                d.mean + s * np.sqrt(2 * e)
                for s, e in zip([1, -1], uncoupled(rng, value.shape), strict=True)
            ]
            + [value, value]
        ),
    )
    found = one_sample(
        lambda mu: scg.Normal(mean=mu, scale=1.0),
        lambda x: (x - 0.25) ** 2,
        {"mu": 1.0},
        scg.MeasureValued(),
        [([0.0], [1.0]), *[(RAYLEIGH[0] ** 2 / 2, RAYLEIGH[1])] * 2],
        monkeypatch,
    )
    assert found[0]["mu"] == pytest.approx(1.5, abs=1e-9)
    assert found[1]["mu"] > 2 * 0.75**2 * (16 / np.pi - 4)


def uncoupled(rng, shape):
    return rng.standard_exponential(shape), rng.standard_exponential(shape)
