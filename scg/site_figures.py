"""Figures of the samples of one run: entropies, and what baselines take away.

They are read off a trace and its credit; nothing is drawn or changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scg.baselines import NoBaseline
from scg.credit import Credit
from scg.errors import NoClosedFormError
from scg.node import Node
from scg.program import Program
from scg.sums import row_weight
from scg.trace import Trace

__all__ = ["credit_moments", "explained_variance", "mean_entropy", "subtracts"]


def subtracts(estimator: Any) -> bool:
    """Tell whether an estimator takes something away from Q̂, in Q̂'s own units."""
    baseline = getattr(estimator, "baseline", None)
    lowered = baseline is not None and not isinstance(baseline, NoBaseline)
    critic = getattr(estimator, "critic", None) is not None
    scaled = getattr(estimator, "standardise", False)
    scaled = scaled or getattr(baseline, "normalise", False)
    return (lowered or critic) and not scaled


def mean_entropy(program: Program, trace: Trace, node: Node) -> float | None:
    """Return the entropy of a sample's distribution in nats, mean over rows and steps.

    That of a draw with several elements is the sum over them. None where the family has
    no closed form.
    """
    try:
        distribution = trace.distribution(node.name)
        each = np.asarray(distribution.entropy())
    except NoClosedFormError:
        return None
    shape = np.shape(trace.values[node.index])
    lead = 1 if node.loop is None else 2
    joint = len(distribution.shape) - each.ndim  # axes that the density is joint over
    wide = np.broadcast_to(each, shape[: len(shape) - joint])
    total = wide.reshape(*shape[:lead], -1).sum(axis=-1)
    weight = np.broadcast_to(row_weight(program, trace, node), total.shape)
    return float((weight * total).sum() / weight.sum())


def credit_moments(
    program: Program, trace: Trace, node: Node, credit: Credit
) -> NDArray[np.float64]:
    """Return the sums of w, wQ̂, wQ̂², wA and wA² over the rows of one run.

    w is the weight of a row, A the advantage. The moments of several runs add up.
    """
    w = np.broadcast_to(row_weight(program, trace, node), np.shape(credit.cost))
    q = np.asarray(credit.cost, np.float64)
    a = np.broadcast_to(np.asarray(credit.advantage, np.float64), q.shape)
    return np.array([(w * x).sum() for x in (1.0, q, q * q, a, a * a)])


def explained_variance(moments: NDArray[np.float64]) -> float | None:
    r"""Return the share of a downstream cost's variance that its baseline explains.

    .. math:: 1 - \frac{\operatorname{Var}(\hat Q - b)}{\operatorname{Var}(\hat Q)}

    Parameters
    ----------
    moments : array, shape (5,)
        The sum of `credit_moments` over runs.

    Returns
    -------
    float or None
        1 for a perfect baseline, 0 for a constant, below 0 for one that adds noise;
        None where the cost does not vary.

    Examples
    --------
    >>> explained_variance(np.array([2.0, 4.0, 10.0, 0.0, 0.5]))
    0.75
    """
    total, q, qq, a, aa = moments
    varies, left = qq / total - (q / total) ** 2, aa / total - (a / total) ** 2
    if not varies > 1e-12 * qq / total:
        return None
    return float(1 - left / varies)
