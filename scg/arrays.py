"""Questions about arrays that are asked at every step, answered fast."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["all_finite"]


def all_finite(x: Any) -> bool:
    """Tell whether no element is NaN or infinite.

    To be asked where NumPy's warnings of overflow are off: squares may overflow.

    Examples
    --------
    >>> all_finite(np.array([1.0, -1e9])), all_finite(np.array([np.inf, -np.inf]))
    (True, False)
    """
    flat = x.reshape(-1)
    # Squares do not cancel; where their sum overflows, look at each.
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(x).all())
