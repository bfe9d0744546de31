"""The estimators of the matrix, with the families that each one is tried on."""

import numpy as np
from estimator_matrix import FAMILIES

import scg

BITS = ["bernoulli", "bernoulli by probs", "two bits"]
SMOOTH = [*BITS, "one hot", "one hot by probs"]
CHOICES = [*SMOOTH, "categorical", "categorical by probs"]
NORMALS = ["normal", "normal by log scale", "normal of a fixed scale"]


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
    "normalised importance": (
        scg.ImportanceSampling(wider, 2, normalise=True),
        [*CHOICES, *NORMALS],
    ),
    "hard Gumbel-softmax": (scg.GumbelSoftmax(hard=True), SMOOTH),
}
EVERY = UNBIASED | BIASED
