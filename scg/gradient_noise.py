r"""Signal and noise of a gradient, from the estimates that a run makes anyway.

With decaying weights :math:`w_i` that sum to 1, :math:`m = \sum_i w_i g_i` and
:math:`s = \sum_i w_i \|g_i\|^2`,

.. math:: \mathbb E \|m\|^2 = \|\mu\|^2 + c\, T, \qquad \mathbb E s = \|\mu\|^2 + T,
          \qquad c = \sum_i w_i^2

with the mean :math:`\mu` and the trace T of the covariance of an estimate. Both follow
from m and s; that the params move between the estimates is counted as noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scg.gradient_figures import followed

__all__ = ["GradientNoise"]

_DECAY = 0.98
_LEAST = 5  # estimates before a ratio is given


class GradientNoise:
    """A running signal-to-noise ratio.

    Examples
    --------
    >>> noise = GradientNoise()
    >>> for g in [1.0, 3.0] * 20:
    ...     noise.add({"x": np.array(g)})
    >>> 1.5 < noise.ratio < 2.5
    True
    """

    def __init__(self) -> None:
        self.count = 0
        self._weight = self._squares = self._second = 0.0
        self._sums: dict[str, Any] = {}

    def add(self, gradient: Mapping[str, Any]) -> None:
        """Take one more estimate in."""
        self.count += 1
        self._weight = _DECAY * self._weight + 1
        self._squares = _DECAY**2 * self._squares + 1
        self._second *= _DECAY
        for name, value in gradient.items():
            now = np.asarray(followed(value), np.float64)
            scale = np.size(value) / max(now.size, 1)
            self._second += scale * float(now @ now)
            before, _ = self._sums.get(name, (0.0, scale))
            self._sums[name] = _DECAY * before + now, scale

    @property
    def ratio(self) -> float:
        """The norm of the mean over the root of the variance; NaN until it is known."""
        if self.count < _LEAST:
            return math.nan
        c = self._squares / self._weight**2
        mean = sum(k * float(x @ x) for x, k in self._sums.values()) / self._weight**2
        second = self._second / self._weight
        variance = (second - mean) / (1 - c)
        signal = max(second - variance, 0.0)
        if variance <= 1e-12 * second:
            return math.inf if signal > 0 else math.nan
        return math.sqrt(signal / variance)
