"""The constant that makes the variance least, from the other rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.baselines.base import AbstractBaseline, BaselineInputs
from scg.baselines.simple import refuse_few

__all__ = ["OptimalConstant"]


@dataclass(frozen=True, slots=True)
class OptimalConstant(AbstractBaseline):
    r"""Subtract the mean cost of the *other* rows, weighed with their squared scores.

    .. math:: b_i = \frac{\sum_{j \ne i} |s_j|^2 \hat Q_j}{\sum_{j \ne i} |s_j|^2}
              \to \frac{\mathbb E[|s|^2 \hat Q]}{\mathbb E[|s|^2]},
              \qquad s = \nabla \log p

    by the parameters of the distribution. Of all constants its limit gives the score
    function the least variance; `BatchMean` has the mean cost in its place. Rows are
    independent, so it adds no bias.

    Raises
    ------
    BaselineError
        With a single row, or where a node mixes rows.

    References
    ----------
    Greensmith, Bartlett & Baxter 2004, "Variance reduction techniques for gradient
    estimates in reinforcement learning", theorem 8.

    Examples
    --------
    >>> import numpy as np
    >>> costs, squares = np.array([1.0, 2.0, 6.0]), np.array([1.0, 3.0, 1.0])
    >>> inputs = BaselineInputs(costs, None, 0, None, {}, "b", squares)
    >>> OptimalConstant()(inputs)[0].tolist()
    [3.0, 3.5, 1.75]
    """

    looks_at_scores: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ()
    biases: ClassVar[tuple[str, ...]] = ()

    def __call__(self, inputs: BaselineInputs) -> tuple[Any, dict[str, Any]]:
        """Return the weighted mean over the other rows, branch by branch."""
        axis = inputs.row_axis
        refuse_few(
            inputs,
            axis,
            "OptimalConstant",
            "rows",
            "Run with rows >= 2, or use LeaveOneOut with samples >= 2.",
        )
        weights = inputs.squared_score
        top = np.add.reduce(weights * inputs.cost, axis=axis, keepdims=True)
        below = np.add.reduce(weights, axis=axis, keepdims=True) - weights
        top = top - weights * inputs.cost
        # Where no other row has a score, any number will do.
        return np.divide(top, below, out=np.zeros_like(top), where=below > 0), {}
