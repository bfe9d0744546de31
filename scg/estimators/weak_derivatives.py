r"""Derivatives of densities as differences of densities, family by family.

For each parameter φ of one element, :math:`\partial p / \partial \phi = c\,(p^+ -
p^-)`. A rule draws values from p⁺ and p⁻, coupled with the element's own value x where
that lowers variance, and turns the changes of the cost, :math:`f(x') - f(x)` for each
of these values x', into derivatives.

References
----------
Mohamed, Rosca, Figurnov & Mnih 2020, "Monte Carlo gradient estimation in machine
learning", section 6 and table 1; Heidergott, Vázquez-Abad & Volk-Makarewicz 2008,
"Sensitivity estimation for Gaussian systems" (coupling).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np

from scg.distributions import (
    Bernoulli,
    Categorical,
    Exponential,
    Gamma,
    Normal,
    OneHotCategorical,
    Poisson,
)
from scg.estimators.choices import CHOICES, by_parameter, masses

__all__ = ["FAMILIES", "AbstractRule", "rule_of"]


class AbstractRule(ABC):
    """How the elements of one family are replaced; `vector` if one is the last axis."""

    __slots__ = ()

    vector: ClassVar[bool] = False

    @abstractmethod
    def count(self, distribution: Any) -> int:
        """Return how many values replace each element; parameters may be nodes."""

    @abstractmethod
    def others(self, distribution: Any, value: Any, rng: np.random.Generator) -> Any:
        """Return the values that replace each element of a draw, stacked first."""

    @abstractmethod
    def adjoints(self, distribution: Any, value: Any, changes: Any) -> dict[str, Any]:
        """Return the derivative by each parameter, from the changes of the cost.

        `changes` has a first axis like that of `others`, then the elements of `value`.
        """


@final
class _OfNormal(AbstractRule):
    """x = μ ± σW, W Rayleigh, for the mean; x = μ + σM, μ + σMU for the scale."""

    __slots__ = ()

    def count(self, distribution: Any) -> int:
        return 4

    def others(self, distribution: Any, value: Any, rng: np.random.Generator) -> Any:
        shape, dtype = value.shape, value.dtype
        w = np.sqrt(2 * rng.standard_exponential(shape))
        # The two-sided Maxwell distribution: x² exp(-x²/2), so that x² is chi-square.
        m = np.sqrt(rng.chisquare(3, shape)) * np.where(rng.random(shape) < 0.5, -1, 1)
        noise = np.stack([w, -w, m, m * rng.random(shape)]).astype(dtype)
        return distribution.mean + _scale(distribution) * noise

    def adjoints(self, distribution: Any, value: Any, changes: Any) -> dict[str, Any]:
        up, down, wide, narrow = changes
        scale = _scale(distribution)
        mean = (up - down) / (scale * float(np.sqrt(2 * np.pi)))
        if distribution.log_scale is None:
            return {"mean": mean, "scale": (wide - narrow) / scale}
        return {"mean": mean, "log_scale": wide - narrow}


def _scale(distribution: Any) -> Any:
    if distribution.log_scale is None:
        return distribution.scale
    log_scale = distribution.log_scale
    return np.exp(log_scale, dtype=getattr(log_scale, "dtype", None))


@final
class _OfPoisson(AbstractRule):
    """∂p/∂λ is the density of x + 1 less that of x."""

    __slots__ = ()

    def count(self, distribution: Any) -> int:
        return 1

    def others(self, distribution: Any, value: Any, rng: np.random.Generator) -> Any:
        return value[np.newaxis] + 1

    def adjoints(self, distribution: Any, value: Any, changes: Any) -> dict[str, Any]:
        return _by_rate(distribution, changes[0])


@final
class _OfExponential(AbstractRule):
    """∂p/∂λ is 1/λ times the density of x less that of x + x', x' drawn alike."""

    __slots__ = ()

    def count(self, distribution: Any) -> int:
        return 1

    def others(self, distribution: Any, value: Any, rng: np.random.Generator) -> Any:
        return value[np.newaxis] + distribution.sample(rng, value.shape)

    def adjoints(self, distribution: Any, value: Any, changes: Any) -> dict[str, Any]:
        if distribution.rate is None:
            return {"log_rate": -changes[0]}
        return {"rate": -changes[0] / distribution.rate}


@final
class _OfGamma(AbstractRule):
    """∂p/∂β is α/β times the density of x less that of x + x', x' ~ Exp(β)."""

    __slots__ = ()

    def count(self, distribution: Any) -> int:
        return 1

    def others(self, distribution: Any, value: Any, rng: np.random.Generator) -> Any:
        more = rng.standard_exponential(value.shape).astype(value.dtype)
        return value[np.newaxis] + more / distribution.rate

    def adjoints(self, distribution: Any, value: Any, changes: Any) -> dict[str, Any]:
        factor = distribution.concentration / distribution.rate
        return {"rate": -factor * changes[0]}


@final
class _OfBit(AbstractRule):
    """∂p/∂p is the mass at 1 less that at 0."""

    __slots__ = ()

    def count(self, distribution: Any) -> int:
        return 1

    def others(self, distribution: Any, value: Any, rng: np.random.Generator) -> Any:
        return 1 - value[np.newaxis]

    def adjoints(self, distribution: Any, value: Any, changes: Any) -> dict[str, Any]:
        p = masses(distribution)
        return by_parameter(distribution, changes[0] * (1 - 2 * value) * p * (1 - p))


@final
class _OfCategory(AbstractRule):
    """∂p/∂p_k is the mass at k, less what all have in common."""

    __slots__ = ()

    def count(self, distribution: Any) -> int:
        return len(distribution.support()) - 1

    def others(self, distribution: Any, value: Any, rng: np.random.Generator) -> Any:
        k = masses(distribution).shape[-1]
        return np.stack([(value + j) % k for j in range(1, k)])

    def adjoints(self, distribution: Any, value: Any, changes: Any) -> dict[str, Any]:
        p = masses(distribution)
        k = p.shape[-1]
        # change j belongs to category value + 1 + j; its own, to a change of 0.
        padded = np.concatenate([np.zeros_like(changes[:1]), changes])
        which = (np.arange(k) - value[..., np.newaxis]) % k
        f = np.take_along_axis(np.moveaxis(padded, 0, -1), which, axis=-1)
        centred = f - np.sum(p * f, axis=-1, keepdims=True)
        return by_parameter(distribution, p * centred)


@final
class _OfVector(AbstractRule):
    """As of a category, with its place moved around the vector."""

    __slots__ = ()

    vector: ClassVar[bool] = True

    def count(self, distribution: Any) -> int:
        return len(distribution.support()) - 1

    def others(self, distribution: Any, value: Any, rng: np.random.Generator) -> Any:
        return np.stack([np.roll(value, j, axis=-1) for j in range(1, value.shape[-1])])

    def adjoints(self, distribution: Any, value: Any, changes: Any) -> dict[str, Any]:
        return _OfCategory().adjoints(distribution, value.argmax(axis=-1), changes)


def _by_rate(distribution: Any, by_rate: Any) -> dict[str, Any]:
    if distribution.rate is not None:
        return {"rate": by_rate}
    log_rate = distribution.log_rate
    return {"log_rate": np.exp(log_rate, dtype=by_rate.dtype) * by_rate}


_RULES: Mapping[type, AbstractRule] = {
    Bernoulli: _OfBit(),
    Categorical: _OfCategory(),
    Exponential: _OfExponential(),
    Gamma: _OfGamma(),
    Normal: _OfNormal(),
    OneHotCategorical: _OfVector(),
    Poisson: _OfPoisson(),
}

FAMILIES: Mapping[type, frozenset[str]] = {
    **CHOICES,
    Exponential: frozenset({"rate", "log_rate"}),
    Gamma: frozenset({"rate"}),
    Normal: frozenset({"mean", "scale", "log_scale"}),
    Poisson: frozenset({"rate", "log_rate"}),
}


def rule_of(distribution: Any) -> AbstractRule:
    """Return the rule of a distribution's family."""
    return _RULES[type(distribution)]
