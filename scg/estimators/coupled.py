r"""Draws of bits and categories with the noise they came from, and noise given them.

With :math:`z = \ell + g`, where g is logistic for a bit and Gumbel for categories, the
draw b is z's threshold or argmax. Given b, :math:`\tilde z` is drawn from what z can
have been; both are differentiable in ℓ with their uniform noise held.

References
----------
Tucker et al. 2017, "REBAR: low-variance, unbiased gradient estimates for discrete
latent variable models", appendix; Grathwohl et al. 2018, "Backpropagation through the
void", appendix B.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from scg.estimators.branches import uniform
from scg.estimators.choices import is_bit
from scg.estimators.relaxed import log_odds
from scg.functions import log_softmax, sigmoid, softmax, softplus

__all__ = ["given_draw", "hard", "open_uniform", "prior", "soft"]


def open_uniform(
    distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
) -> Any:
    """Draw from U(0, 1) without its ends."""
    u = uniform(rng, shape, distribution.dtype)
    info = np.finfo(u.dtype)
    return np.clip(u, info.tiny, 1 - info.epsneg)


def prior(distribution: Any, u: Any) -> Any:
    """Return z of the noise."""
    if is_bit(distribution):
        return log_odds(distribution) + anp.log(u) - anp.log1p(-u)
    return _log_masses(distribution) - anp.log(-anp.log(u))


def hard(distribution: Any, z: Any) -> Any:
    """Return the draw: z's threshold, or its argmax."""
    if is_bit(distribution):
        return np.asarray(z > 0, distribution.dtype)
    place = z.argmax(axis=-1)[..., np.newaxis]
    return np.equal(place, np.arange(z.shape[-1])).astype(distribution.dtype)


def soft(distribution: Any, z: Any, temperature: float) -> Any:
    """Return the draw made smooth."""
    squash = sigmoid if is_bit(distribution) else softmax
    return squash(z / temperature)


def given_draw(distribution: Any, v: Any, b: Any) -> Any:
    """Return z̃ of the noise, given the draw."""
    if is_bit(distribution):
        # With v' uniform on what leads to b, 1 - p + v p for a 1 and v (1 - p) for a 0,
        # z̃ is ℓ + logit v'. Written in ℓ alone it is finite where p rounds to 0 or 1.
        logits, below, above = log_odds(distribution), np.log(v), np.log1p(-v)
        one = softplus(logits + below) - above
        zero = below - softplus(above - logits)
        return anp.where(b > 0, one, zero)
    e = -np.log(v)
    first = np.log(np.sum(b * e, axis=-1, keepdims=True))
    later = anp.logaddexp(np.log(e) - _log_masses(distribution), first)
    return -anp.where(b > 0, first, later)


def _log_masses(distribution: Any) -> Any:
    if distribution.probs is None:
        return log_softmax(distribution.logits)
    return anp.log(distribution.probs)
