"""Log-densities of samples, and their ratios in a run drawn under other params."""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.node import Node
from scg.trace import Trace

__all__ = ["density_ratio", "log_prob"]


def log_prob(trace: Trace, node: Node) -> Any:
    """Return the log-density of a sample, one number a row: (rows,) or (time, rows)."""
    each = trace.distribution(node.name).log_prob(trace.values[node.index])
    return each.sum(axis=tuple(range(1 if node.loop is None else 2, each.ndim)))


def density_ratio(trace: Trace, node: Node) -> Any:
    """Return a sample's density over the one it was drawn with; 1 where they agree."""
    before = trace.drawn_with.get(node.index)
    if before is None:
        return 1.0
    # A ratio beyond e²⁰ is cut off, or as good as infinite.
    return np.exp(np.minimum(log_prob(trace, node) - before, 20))
