"""Whole numbers among floats."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

__all__: list[str] = []


def whole_numbers(value: Any) -> Any:
    """Tell which values are finite whole numbers of at least 0."""
    inside = anp.logical_and(anp.greater_equal(value, 0), anp.less(value, np.inf))
    return anp.logical_and(inside, anp.equal(anp.floor(value), value))
