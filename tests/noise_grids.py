"""Every draw of a run, by hand: uniform numbers that stand for all there are.

A draw from a finite support is constant in its uniform numbers between thresholds,
which are those of its distributions. One number from each piece, weighed with the
length of the piece, stands for all of it; with two, squares of what is linear in the
numbers are summed exactly too.
"""

import math

import numpy as np
from estimator_matrix import FAMILIES, START, single_estimates, write

import scg


class Script:
    """A generator that says what it was told to, once."""

    def __init__(self, values):
        self.values = values

    def random(self, shape=None, dtype=None, out=None):
        values, self.values = self.values, None
        if out is None:
            return values.reshape(shape)
        out[...] = np.resize(values, out.shape)
        return out


class Scripts:
    """The streams of a run, by the index of a node.

    The block of numbers, of which only the coin above takes some, is its numbers over
    and over.
    """

    spare = None

    def __init__(self, values, block):
        self.values = {**values, -1: block}

    def at(self, node):
        return Script(self.values[node])


def thresholds(graph, family, proposal=None):
    """Return where the draws of each sample change, for all that is above it."""
    kind = FAMILIES[family]
    chosen = np.indices((2, len(kind.points))).reshape(2, -1)
    values = {"a": chosen[0] * 1.0, "x": kind.points[chosen[1]], "d": chosen[0] * 1.0}
    count, found = chosen.shape[1], {}

    def sample(name, distribution):
        if name == "x" and proposal is not None:
            distribution = proposal(distribution)
        p = masses(distribution)
        if not isinstance(distribution, scg.Bernoulli):
            left = np.cumsum(p[:, ::-1], axis=1)[:, ::-1]
            p = np.concatenate([p / left, np.cumsum(p, axis=1)], axis=1)
        found[name] = np.unique(np.concatenate([p, 1 - p], axis=None).round(14))
        return values[name]

    start = {**kind.params, **START}
    rows = {k: v + np.zeros((count, *np.shape(v))) for k, v in start.items()}
    write(np, graph, kind, rows, sample, lambda name, cost: None)
    return found


def masses(distribution):
    if distribution.probs is not None:
        return np.asarray(distribution.probs)
    squash = scg.sigmoid if isinstance(distribution, scg.Bernoulli) else scg.softmax
    return squash(distribution.logits)


def pieces(cuts, points):
    """Return numbers and weights: Gauss-Legendre between any two cuts."""
    ends = np.unique(np.concatenate([[0, 1], np.clip(cuts, 0, 1)]))
    x, w = np.polynomial.legendre.leggauss(points)
    low, length = ends[:-1, None], np.diff(ends)[:, None]
    return (low + length * (x + 1) / 2).ravel(), (length * w / 2).ravel()


def grid(columns):
    """Return all combinations, shape (rows, columns), and the weight of each."""
    at = np.indices([len(x) for x, _ in columns]).reshape(len(columns), -1)
    values = np.stack([x[i] for (x, _), i in zip(columns, at, strict=True)], axis=1)
    weights = np.prod([w[i] for (_, w), i in zip(columns, at, strict=True)], axis=0)
    return values, weights


def every_estimate(graph, family, estimator, monkeypatch, *, numbers, points=1):
    """Return the single estimates of all runs that there are, and their weights.

    `numbers` is how many uniform numbers a value of x takes.
    """
    cuts = thresholds(graph, family, getattr(estimator, "proposal", None))
    event = FAMILIES[family].points.shape[1:]
    drawn = getattr(estimator, "samples", 1)
    branches = estimator.branches(FAMILIES[family].make(*_params(family)), event)
    counts = {"a": 1, "x": numbers * drawn, "d": branches}
    columns = [
        pieces(cuts[name], points if name == "x" else 1)
        for name in cuts
        for _ in range(counts[name])
    ]
    values, weights = grid(columns)
    at, given = 0, {}
    for name in cuts:
        given[name] = values[:, at : at + counts[name]]
        at += counts[name]

    def step(model, estimators):
        by_index = {model[name].index: given[name] for name in given}
        scripts = Scripts(by_index, given.get("a"))
        monkeypatch.setattr("scg.draws.Streams", lambda *_: scripts)
        return scg.compile(model, estimators)

    found, _ = single_estimates(
        graph, family, {"x": estimator}, math.prod(weights.shape), step=step
    )
    return found, weights


def _params(family):
    return [np.asarray(v, float) for v in FAMILIES[family].params.values()]


def moments(found, weights):
    """Return mean and variance of weighted estimates, by param."""
    wide = {k: weights.reshape(-1, *(1,) * (g.ndim - 1)) for k, g in found.items()}
    mean = {k: (wide[k] * g).sum(axis=0) for k, g in found.items()}
    variance = {k: (wide[k] * (g - mean[k]) ** 2).sum(axis=0) for k, g in found.items()}
    return mean, variance
