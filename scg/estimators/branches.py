"""How an estimator takes its branches apart and puts them together.

Along the first axis, the branches of one row are neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.estimators.base import Site

__all__ = [
    "by_branch",
    "flat",
    "is_array",
    "of_rows",
    "on_first",
    "row_weight",
    "uniform",
]


def by_branch(x: Any, branches: int) -> Any:
    """View an array of shape (rows × branches, ...) as (rows, branches, ...)."""
    return x.reshape(-1, branches, *x.shape[1:])


def flat(x: Any) -> Any:
    """View an array of shape (rows, branches, ...) as (rows × branches, ...)."""
    return x.reshape(-1, *x.shape[2:])


def on_first(x: Any, branches: int) -> Any:
    """Give an array with one entry a row zeros for all branches but the first."""
    out = np.zeros((len(x), branches, *x.shape[1:]), x.dtype)
    out[:, 0] = x
    return flat(out)


def row_weight(site: Site) -> Any:
    """Return what a row counts in the mean over runs.

    The weights of its branches must sum to 1.
    """
    each = np.broadcast_to(site.weight, site.cost.shape)
    return by_branch(each, site.branches).sum(axis=1)


def of_rows(distribution: Any, shape: tuple[int, ...], branches: int) -> Any:
    """Return a distribution that was repeated for the branches, once for each row.

    Parameters
    ----------
    distribution : AbstractDistribution
        Of arrays or scalars.
    shape : tuple of int
        That of a draw, branches included: (rows × branches, *event).
    branches : int
    """
    parameters = distribution.parameters
    consumed = max(map(np.ndim, parameters.values())) - len(distribution.shape)

    def slim(x: Any) -> Any:
        if not is_array(x):
            return x
        whole = (*shape, *x.shape[x.ndim - consumed :]) if consumed else shape
        return np.broadcast_to(x, whole)[::branches]

    return distribution.replace(**{k: slim(x) for k, x in parameters.items()})


def is_array(x: Any) -> bool:
    """Tell whether a parameter has a dtype; a Python scalar takes that of others."""
    return isinstance(x, np.ndarray | np.generic)


def uniform(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Any:
    """Draw from U(0, 1), in float32 where that is the dtype."""
    return rng.random(shape, np.float32 if dtype == np.float32 else np.float64)
