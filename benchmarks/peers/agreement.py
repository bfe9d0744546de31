"""Whether two steps have the same expected gradient: a t-test for every entry.

A test of the values themselves would be wrong, since the steps draw differently. The
means over many calls of each differ by about one standard error, entry by entry, if and
only if they have the same expectation.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["DisagreementError", "Moments", "compare", "observe", "require_agreement"]

MAX_Z = 6.0  # of half a million entries, chance takes none this far

# By the least number of entries. Entries of one param share some noise, so that the
# mean of their squares spreads a little more than that of independent ones.
MAX_MEAN_SQUARE = {1: MAX_Z**2, 10: 4.5, 100: 2.0, 1000: 1.5}


class DisagreementError(ValueError):
    """A step's expected gradient is not the reference's."""


@dataclass(frozen=True, slots=True)
class Moments:
    """The mean of a step's gradient over some calls, and the variance of a call."""

    calls: int
    mean: dict[str, np.ndarray]
    variance: dict[str, np.ndarray]


def observe(
    step: Callable[[], dict], calls: int, seconds: float = np.inf, at_least: int = 50
) -> Moments:
    """Call a step so many times, or fewer if that takes too many seconds."""
    began, done = time.perf_counter(), 0
    total: dict[str, np.ndarray] = {}
    squares: dict[str, np.ndarray] = {}
    while done < calls:
        for name, gradient in step().items():
            value = np.asarray(gradient, np.float64)
            total[name] = total.get(name, 0.0) + value
            squares[name] = squares.get(name, 0.0) + value * value
        done += 1
        if done >= at_least and time.perf_counter() - began > seconds:
            break
    mean = {name: value / done for name, value in total.items()}
    variance = {
        name: np.maximum(squares[name] - done * mean[name] ** 2, 0) / (done - 1)
        for name in mean
    }
    return Moments(done, mean, variance)


def compare(a: Moments, b: Moments) -> dict[str, tuple[float, float]]:
    """Return for every param the mean square and the largest size of its z-scores."""
    if a.mean.keys() != b.mean.keys():
        msg = f"expected gradients of {sorted(b.mean)}, got {sorted(a.mean)}."
        raise DisagreementError(msg)
    scores = {name: z_scores(a, b, name) for name in b.mean}
    return {k: (float(np.mean(z * z)), float(np.max(z))) for k, z in scores.items()}


def require_agreement(a: Moments, b: Moments, name: str) -> dict:
    """Return `compare(a, b)`, or raise where a param has another expectation."""
    found = compare(a, b)
    for param, (mean_square, largest) in found.items():
        size = b.mean[param].size
        bound = MAX_MEAN_SQUARE[max(n for n in MAX_MEAN_SQUARE if n <= size)]
        if not (mean_square < bound and largest < MAX_Z):
            msg = (
                f"{name}: expected the gradient of {param!r} to have the reference's "
                f"expectation, got z-scores of mean square {mean_square:.2f} (bound "
                f"{bound}) and up to {largest:.1f} (bound {MAX_Z})."
            )
            raise DisagreementError(msg)
    return found


def z_scores(a: Moments, b: Moments, name: str) -> np.ndarray:
    """Compute sizes of Student's t, made normal (Wallace 1959, equation 3.5).

    The variance is the larger of the two: one that has seen few calls may not have seen
    the rare one in which an entry is large.
    """
    if a.mean[name].shape != b.mean[name].shape:
        shapes = f"{b.mean[name].shape}, got {a.mean[name].shape}"
        msg = f"expected a gradient of {name!r} of shape {shapes}."
        raise DisagreementError(msg)
    variance = np.maximum(a.variance[name], b.variance[name])
    square = variance * (1 / a.calls + 1 / b.calls)
    # Where nothing is random, the means agree to float32's precision.
    rounding = 1e-6 * np.maximum(np.abs(a.mean[name]), np.abs(b.mean[name])) + 1e-12
    t = (a.mean[name] - b.mean[name]) / np.sqrt(square + rounding**2)
    n = min(a.calls, b.calls) - 1
    return (8 * n + 1) / (8 * n + 3) * np.sqrt(n * np.log1p(t * t / n))
