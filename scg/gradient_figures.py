"""Bias, variance and signal of repeated estimates of one gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FOLLOWED",
    "GradientFigures",
    "combined",
    "followed",
    "gradient_figures",
    "z_limit",
]

# Of a larger param, this many entries are followed, evenly spread.
FOLLOWED = 4096

# Of calling an unbiased estimator biased, over all of its entries.
_FALSE_ALARM = 1e-6


@dataclass(frozen=True, slots=True)
class GradientFigures:
    r"""Figures of the repeated estimates of one param's gradient, or of several.

    Attributes
    ----------
    size : int
        The number of entries.
    mean : array
        Of the entries that are followed.
    max_z, mean_square_z : float or None
        Of z, the distance of an entry's mean from what is right over its standard
        error. Without a bias, the mean of z² is near 1. None where nothing is known to
        be right.
    variance : float
        The trace of the covariance: the sum of the entries' variances.
    signal_to_noise : float
        :math:`\|\mathbb E g\| / \sqrt{\operatorname{tr} \operatorname{Cov} g}`, from
        the exact gradient where there is one.
    draws : array of shape (repeats,), or None
        Every estimate, of a param that has one entry.
    """

    size: int
    mean: NDArray[Any]
    max_z: float | None
    mean_square_z: float | None
    variance: float
    signal_to_noise: float
    draws: NDArray[Any] | None = None

    @property
    def entry_variance(self) -> float:
        """The mean variance of an entry."""
        return self.variance / max(self.size, 1)

    @property
    def is_off(self) -> bool:
        """Whether the bias is more than chance can explain."""
        return self.max_z is not None and self.max_z > z_limit(self.mean.size)


def followed(value: Any) -> NDArray[Any]:
    """Return the entries of an array that are followed, evenly spread.

    Examples
    --------
    >>> followed(np.eye(2)).tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    flat = np.ravel(value)
    if flat.size <= FOLLOWED:
        return flat
    return flat[np.linspace(0, flat.size - 1, FOLLOWED).astype(np.intp)]


def z_limit(entries: int) -> float:
    """Return the largest absolute z that chance explains, for so many entries.

    Examples
    --------
    >>> round(z_limit(1), 2), round(z_limit(10_000), 2)
    (4.89, 6.47)
    """
    return -NormalDist().inv_cdf(_FALSE_ALARM / max(entries, 1) / 2)


def gradient_figures(
    estimates: NDArray[Any], size: int, exact: Any = None, reference: Any = None
) -> GradientFigures:
    """Work out the figures of one param.

    Parameters
    ----------
    estimates : array, shape (repeats, followed entries)
    size : int
        The number of entries, followed or not; sums are scaled up to it.
    exact : array of shape (followed entries,), optional
    reference : array, shape (repeats, followed entries), optional
        Estimates on the same random numbers that are known to be unbiased; used where
        the exact gradient is not known.

    Examples
    --------
    >>> estimates = np.array([[0.0], [2.0], [0.0], [2.0]])
    >>> figures = gradient_figures(estimates, 1, exact=np.array([1.0]))
    >>> figures.max_z, round(figures.variance, 3), round(figures.signal_to_noise, 3)
    (0.0, 1.333, 0.866)
    """
    found = np.asarray(estimates, np.float64)
    count = max(found.shape[1], 1)
    # Below this, what differs is rounding.
    least = 64 * np.finfo(estimates.dtype).eps * np.abs(found).max(initial=0)
    mean, spread = found.mean(axis=0), found.var(axis=0, ddof=1)
    spread = np.where(spread <= least**2, 0.0, spread)
    variance = float(spread.sum()) * size / count
    right = exact if exact is not None else reference
    max_z = square = None
    if right is not None and found.size:
        z = np.abs(_z(found - right, least))
        max_z, square = float(z.max()), float((z * z).mean())
    if exact is None:
        # The square of a mean of noise is not 0, but the noise's variance.
        signal = max(float((mean**2 - spread / len(found)).sum()), 0.0)
    else:
        signal = float((np.asarray(exact, np.float64) ** 2).sum())
    ratio = _ratio(math.sqrt(signal * size / count), math.sqrt(variance))
    draws = found[:, 0] if size == 1 else None
    return GradientFigures(size, mean, max_z, square, variance, ratio, draws)


def combined(parts: Sequence[GradientFigures]) -> GradientFigures:
    """Return the figures of several params taken as one.

    Examples
    --------
    >>> one = gradient_figures(np.array([[0.0], [2.0]]), 1, exact=np.array([1.0]))
    >>> combined([one, one]).variance
    4.0
    """
    variance = sum(p.variance for p in parts)
    signal = sum(
        p.variance * p.signal_to_noise**2 if p.variance else float((p.mean**2).sum())
        for p in parts
    )
    ratio = _ratio(math.sqrt(signal), math.sqrt(variance))
    sizes: list[int] = [p.mean.size for p in parts]
    squares = [p.mean_square_z for p in parts if p.mean_square_z is not None]
    known = len(squares) == len(parts) and sum(sizes) > 0
    square = float(np.average(squares, weights=sizes)) if known else None
    mean = np.concatenate([p.mean for p in parts]) if parts else np.zeros(0)
    highest = _highest(p.max_z for p in parts)
    size = sum(p.size for p in parts)
    return GradientFigures(size, mean, highest, square, variance, ratio)


def _highest(values: Iterable[float | None]) -> float | None:
    return max((v for v in values if v is not None), default=None)


def _z(differences: NDArray[Any], least: float) -> NDArray[np.float64]:
    error = differences.std(axis=0, ddof=1) / math.sqrt(len(differences))
    mean = differences.mean(axis=0)
    error = np.maximum(error, max(least, np.finfo(float).tiny))
    return np.asarray(mean / error)


def _ratio(above: float, below: float) -> float:
    if below > 0:
        return above / below
    return math.inf if above > 0 else 0.0
