"""Kernels of stochastic nodes: drawing from uniform numbers, and score times weight.

A family has one where a draw is plain arithmetic on one uniform number for each
element. What drawing has worked out and the score needs again (the masses) is handed
from one to the other. All other families draw and are scored by their own methods, to
which these are equal.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from scg.arrays import all_finite, largest
from scg.buffers import Buffers
from scg.distributions import Bernoulli, Categorical
from scg.functions import sigmoid, softmax
from scg.inference import Spec
from scg.linear_kernels import slope_of_bits

__all__ = ["AbstractSiteKernel", "site_kernel"]


class AbstractSiteKernel(ABC):
    """How one node is drawn and scored; its one parameter is `logits`."""

    __slots__ = ()

    @abstractmethod
    def draw(self, logits: Any, noise: Any, buffers: Buffers) -> tuple[Any, Any] | None:
        """Return the value, and what the score shares with it.

        None where the parameter is not in its range.
        """

    @abstractmethod
    def score(
        self, logits: Any, value: Any, shared: Any, factor: Any, buffers: Buffers
    ) -> Any:
        """Return the score times a factor a row."""


def site_kernel(
    distribution: Any, names: tuple[str, ...], specs: list[Spec]
) -> AbstractSiteKernel | None:
    """Return the kernel of a distribution whose parameters `names` are nodes."""
    if names != ("logits",) or specs[0].dtype.kind != "f":
        return None
    if isinstance(distribution, Bernoulli):
        return _Bits()
    if isinstance(distribution, Categorical):
        return _Category(specs[0].shape[-1], specs[0].dtype)
    return None


class _Bits(AbstractSiteKernel):
    __slots__ = ()

    def draw(self, logits: Any, noise: Any, buffers: Buffers) -> tuple[Any, Any] | None:
        """Compare the noise with the probability of 1."""
        if not all_finite(logits):
            return None
        p = sigmoid.compute(logits, out=buffers.like(logits))
        bits = np.less(noise, p, buffers.like(noise))
        buffers.give(p)
        return bits, None

    def score(
        self, logits: Any, value: Any, shared: Any, factor: Any, buffers: Buffers
    ) -> Any:
        """Write (2b - 1) σ((1 - 2b) ℓ) times the factor."""
        out, sign = buffers.like(value), buffers.like(value)
        slope_of_bits(logits, value, out, sign)
        buffers.give(sign)
        return np.multiply(out, factor.reshape(-1, *(1,) * (value.ndim - 1)), out)


class _Category(AbstractSiteKernel):
    """Invert the cumulative masses at the noise.

    Of few categories they are a product with a triangle of ones; each entry adds the
    same numbers in the same order as the one before, then its own.
    """

    __slots__ = ("one_hot", "triangle")

    _FEW: ClassVar[int] = 16
    _SAFE: ClassVar[float] = 60.0

    def __init__(self, count: int, dtype: np.dtype[Any]) -> None:
        few = count <= self._FEW
        self.triangle = np.triu(np.ones((count, count), dtype)) if few else None
        self.one_hot = np.eye(count, dtype=dtype) if few else None

    def draw(self, logits: Any, noise: Any, buffers: Buffers) -> tuple[Any, Any] | None:
        """Find the first category whose cumulative mass exceeds the noise."""
        flat = logits.reshape(-1)
        if flat.dot(flat) < self._SAFE**2:  # so no logit is out of the range of exp
            masses = np.exp(logits)
        else:
            peak = largest(logits, -1)
            masses = np.subtract(logits, peak)
            np.exp(masses, masses)
            if not math.isfinite(np.add.reduce(masses, axis=None)):
                return None
        if self.triangle is None:
            cumulative = np.add.accumulate(masses, axis=-1)
        else:
            cumulative = masses.dot(self.triangle)
        total = cumulative[..., -1:]
        level = noise[..., np.newaxis] * total
        value = np.greater(cumulative, level).argmax(axis=-1)
        return value, np.divide(masses, total, masses)

    def score(
        self, logits: Any, value: Any, shared: Any, factor: Any, buffers: Buffers
    ) -> Any:
        """Write [j = k] - p_j times the factor."""
        masses = softmax.compute(logits) if shared is None else shared
        factor = factor.reshape(-1, *(1,) * value.ndim)
        if self.one_hot is None:
            chosen = np.equal(value[..., np.newaxis], np.arange(masses.shape[-1]))
            out = np.subtract(chosen, masses)
        else:
            out = self.one_hot.take(value, axis=0)
            np.subtract(out, masses, out)
        return np.multiply(out, factor, out)
