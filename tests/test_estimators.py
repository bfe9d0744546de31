"""Every estimator, on every family it knows, in every graph: the matrix."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from estimator_matrix import FAMILIES, GRAPHS, exact, single_estimates

import scg
from scg.estimators import AbstractEstimator

ROWS = 20_000
BITS = ["bernoulli", "bernoulli by probs", "two bits"]
SMOOTH = [*BITS, "one hot"]
CHOICES = [*SMOOTH, "categorical", "categorical by probs"]
NORMALS = ["normal", "normal by log scale"]


def wider(p):
    """Make a proposal: a normal distribution or a choice made flatter."""
    if isinstance(p, scg.Normal):
        scale = np.exp(p.log_scale) if p.scale is None else p.scale
        return scg.Normal(p.mean, 1.5 * scale)
    if p.probs is None:
        return p.replace(logits=0.5 * p.logits)
    count = 2 if isinstance(p, scg.Bernoulli) else p.probs.shape[-1]
    return p.replace(probs=0.5 * p.probs + 0.5 / count)


UNBIASED = {
    "ARM": (scg.ARM(), BITS),
    "DisARM": (scg.DisARM(), CHOICES),
    "unordered set of 2": (scg.UnorderedSet(samples=2), CHOICES),
    "unordered set of 3": (scg.UnorderedSet(samples=3), CHOICES),
    "measure valued": (scg.MeasureValued(), list(FAMILIES)),
    "importance": (scg.ImportanceSampling(wider), [*CHOICES, *NORMALS]),
    "importance of 3": (scg.ImportanceSampling(wider, 3), [*CHOICES, *NORMALS]),
    "MuProp": (scg.MuProp(), [*SMOOTH, *NORMALS]),
    "fitted MuProp": (scg.MuProp(coefficient=None), [*SMOOTH, *NORMALS]),
    "REBAR": (scg.REBAR(coefficient=1.0), SMOOTH),
    "fitted REBAR": (scg.REBAR(), SMOOTH),
    "RELAX": (scg.RELAX(), SMOOTH),
}
BIASED = {
    "straight through": (scg.StraightThrough(), SMOOTH),
    "Gumbel-softmax": (scg.GumbelSoftmax(), SMOOTH),
    "hard Gumbel-softmax": (scg.GumbelSoftmax(hard=True), SMOOTH),
}
EVERY = UNBIASED | BIASED


def matrix(estimators, graphs=GRAPHS):
    return [
        pytest.param(graph, family, estimator, id=f"{name}-{family}-{graph}")
        for name, (estimator, families) in estimators.items()
        for family in families
        for graph in graphs
    ]


def largest_z(graph, family, estimator, rows=ROWS):
    """Return how many standard errors the mean estimate is from the exact gradient."""
    found, _ = single_estimates(graph, family, {"x": estimator}, rows)
    wanted, largest = exact(graph, family), 0.0
    for name, g in found.items():
        error = g.std(axis=0, ddof=1) / np.sqrt(rows)
        gap = np.abs(g.mean(axis=0) - wanted[name])
        largest = max(largest, np.max(gap / np.maximum(error, 1e-9)))
    return largest


@pytest.mark.statistical
@pytest.mark.parametrize(("graph", "family", "estimator"), matrix(UNBIASED))
def test_the_mean_estimate_is_the_exact_gradient(graph, family, estimator):
    assert largest_z(graph, family, estimator) < 5


@dataclass(frozen=True)
class Scaled(AbstractEstimator):
    """An estimator whose adjoints are too long by a tenth."""

    right: Any
    biases: ClassVar = ()
    reads: ClassVar = ()
    lays_out: ClassVar = True

    @property
    def families(self):
        return self.right.families

    @property
    def looks_down(self):
        return self.right.looks_down

    @property
    def pathwise(self):
        return self.right.pathwise

    def branches(self, distribution, event_shape):
        return self.right.branches(distribution, event_shape)

    def draw(self, distribution, shape, rng):
        return self.right.draw(distribution, shape, rng)

    def adjoints(self, site):
        return {k: 1.1 * g for k, g in self.right.adjoints(site).items()}


@pytest.mark.statistical
@pytest.mark.parametrize("name", UNBIASED)
def test_an_estimate_that_is_too_long_is_refused(name):
    estimator, families = UNBIASED[name]
    assert largest_z("single", families[0], Scaled(estimator), 200_000) > 5
