r"""Control variates: what has mean 0 is subtracted, with the coefficients that do best.

For estimates :math:`A_i` and :math:`H_{i1}, \dots, H_{im}` of row i, the H of mean 0,
the variance of :math:`A - \sum_m \beta_m H_m` is least at
:math:`\beta = \mathrm{Cov}(H)^{-1} \mathrm{Cov}(H, A)`. Estimated from the same rows
this would be biased. So half of the rows have the coefficients that do best on the
other half, whose draws are independent of theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.errors import EstimatorError

__all__ = ["controlled", "scaled_score"]


def controlled(who: str, name: str, a: Any, h: Any, coefficient: float | None) -> Any:
    """Subtract control variates from estimates.

    Parameters
    ----------
    who, name : str
        The estimator and the node, for the message.
    a : dict of str to array, shape (rows, ...)
        The estimate of each parameter's derivative.
    h : list of dict of str to array
        Control variates, each like `a`, of mean 0.
    coefficient : float or None
        Of all of them; None for what does best on the other half of the rows.

    Returns
    -------
    dict of str to array
    """
    if coefficient is not None:
        return {k: x - coefficient * sum(each[k] for each in h) for k, x in a.items()}
    rows = len(next(iter(a.values())))
    if rows < 2:
        msg = (
            f"node {name!r}: {who} fits its coefficients to the other half of the "
            "rows, and expected at least 2, got 1. Run more rows, or give the "
            "coefficient."
        )
        raise EstimatorError(msg)
    half = np.arange(rows) % 2
    both = [_best(a, h, half == side) for side in (1, 0)]
    beta = np.where(half[:, np.newaxis] == 0, both[0], both[1])
    out = {}
    for k, x in a.items():
        wide = beta.reshape(rows, len(h), *(1,) * (x.ndim - 1)).astype(x.dtype)
        out[k] = x - sum(wide[:, m] * each[k] for m, each in enumerate(h))
    return out


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
