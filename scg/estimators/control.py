r"""Control variates: what has mean 0 is subtracted, with the coefficients that do best.

For estimates :math:`A_i` and :math:`H_{i1}, \dots, H_{im}` of row i, the H of mean 0,
the variance of :math:`A - \sum_m \beta_m H_m` is least at
:math:`\beta = \mathrm{Cov}(H)^{-1} \mathrm{Cov}(H, A)`. Estimated from the same rows
this would be biased. So half of the rows have the coefficients that do best on the
other half, whose draws are independent of theirs.

Coefficients can also be read from a value node, row by row, which does not look at the
draw. Each row's estimate is then linear in its own, and the squared length of a row's
estimate a parabola, whose derivative trains them: since the mean of an estimate does
not depend on them, that of the mean squared length is that of the variance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.errors import EstimatorError
from scg.estimators.base import READ, Site
from scg.estimators.branches import row_weight
from scg.estimators.choices import ratio

__all__ = ["coefficients", "controlled", "lesson", "reads", "scaled_score"]


def reads(coefficient: Any) -> tuple[str, ...]:
    """Return the value node that holds a coefficient, where one does."""
    return (coefficient,) if isinstance(coefficient, str) else ()


def controlled(
    who: str, site: Site, a: Any, h: Any, coefficient: float | str | None
) -> dict[str, Any]:
    """Subtract control variates from estimates.

    Parameters
    ----------
    who : str
        The estimator, for the message.
    site : Site
    a : dict of str to array, shape (rows, ...)
        The estimate of each parameter's derivative.
    h : list of dict of str to array
        Control variates, each like `a`, of mean 0.
    coefficient : float, str or None
        Of all of them; None for what does best on the other half of the rows; a name
        where the site has read coefficients.

    Returns
    -------
    dict of str to array
        With the entry `READ`, where coefficients are learned.
    """
    if isinstance(coefficient, str):
        return _learned(site, a, h, coefficients(who, site, len(h)))
    if coefficient is not None:
        return {k: x - coefficient * sum(each[k] for each in h) for k, x in a.items()}
    rows = len(next(iter(a.values())))
    if rows < 2:
        msg = (
            f"node {site.name!r}: {who} fits its coefficients to the other half of the "
            "rows, and expected at least 2, got 1. Run more rows, or give the "
            "coefficient."
        )
        raise EstimatorError(msg)
    half = np.arange(rows) % 2
    both = [_best(a, h, half == side) for side in (1, 0)]
    return _less(a, h, np.where(half[:, np.newaxis] == 0, both[0], both[1]))


def _less(a: Any, h: Any, beta: Any) -> dict[str, Any]:
    """Subtract control variates with coefficients of shape (rows, count)."""
    out = {}
    for k, x in a.items():
        wide = beta.reshape(*beta.shape, *(1,) * (x.ndim - 1)).astype(x.dtype)
        out[k] = x - sum(wide[:, m] * each[k] for m, each in enumerate(h))
    return out


def coefficients(who: str, site: Site, count: int) -> Any:
    """Return what the site has read as ``count`` numbers for each row.

    Raises
    ------
    EstimatorError
        When it is another number of them.
    """
    read = site.read[:: site.branches]
    found = read.reshape(len(read), -1)
    if found.shape[1] != count:
        msg = (
            f"node {site.name!r}: {who} expected to read coefficients of shape "
            f"{(count,)} a row, got {read.shape[1:]}. Give the value node that shape."
        )
        raise EstimatorError(msg)
    return found


def _learned(site: Site, a: Any, h: Any, eta: Any) -> dict[str, Any]:
    out = _less(a, h, eta)
    along = [
        -sum((out[k] * each[k]).reshape(len(eta), -1).sum(axis=1) for k in a)
        for each in h
    ]
    return out | {READ: lesson(site, np.stack(along, axis=1))}


def lesson(site: Site, along: Any) -> Any:
    """Return what trains coefficients.

    It is the derivative of the mean over rows of half the squared length of a row's own
    estimate.

    Parameters
    ----------
    site : Site
    along : array, shape (rows, count)
        The derivative of half the squared length of a row's share in the estimate.
    """
    each = ratio(along, row_weight(site)[:, np.newaxis])
    return each.reshape(-1, *site.read.shape[1:]).astype(site.read.dtype)


def _best(a: Any, h: Any, rows: Any) -> Any:
    """Return the coefficients that make what is left shortest, on some rows."""
    flat_a = np.concatenate([a[k][rows].reshape(-1) for k in a])
    flat_h = np.stack(
        [np.concatenate([each[k][rows].reshape(-1) for k in a]) for each in h], axis=1
    )
    return np.linalg.lstsq(
        flat_h.astype(np.float64), flat_a.astype(np.float64), rcond=None
    )[0]


def scaled_score(distribution: Any, value: Any, factor: Any) -> dict[str, Any]:
    """Return the score of each row's value times a factor a row."""
    score = distribution.score(value)
    return {
        k: s * factor.reshape(-1, *(1,) * (np.ndim(s) - 1)) for k, s in score.items()
    }
