"""Baselines made of other costs: none, past ones, other rows', other branches'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.baselines.base import AbstractBaseline, BaselineInputs
from scg.errors import BaselineError

__all__ = ["BatchMean", "LeaveOneOut", "MovingAverage", "NoBaseline", "refuse_few"]


@dataclass(frozen=True, slots=True)
class NoBaseline(AbstractBaseline):
    """Subtract nothing.

    Examples
    --------
    >>> import scg
    >>> scg.ScoreFunction().baseline
    NoBaseline()
    """

    of_one_step: ClassVar[bool] = True

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    @property
    def biases(self) -> tuple[str, ...]:
        """None."""
        return ()

    def __call__(self, inputs: BaselineInputs) -> tuple[Any, dict[str, Any]]:
        """Return zero."""
        return 0.0, {}


@dataclass(frozen=True, slots=True)
class BatchMean(AbstractBaseline):
    r"""Subtract the mean cost of the *other* rows.

    .. math:: b_i = \frac{1}{R-1} \sum_{j \ne i} \hat Q_j

    Rows are independent, so this adds no bias; the mean over all rows, its own
    included, would scale the gradient by 1 − 1/R.

    Raises
    ------
    BaselineError
        With a single row, or where a node mixes rows, so that they are not independent.

    Examples
    --------
    >>> import numpy as np
    >>> inputs = BaselineInputs(np.array([1.0, 2.0, 6.0]), None, 0, None, {}, "b")
    >>> BatchMean()(inputs)[0].tolist()
    [4.0, 3.5, 1.5]
    """

    of_one_step: ClassVar[bool] = True

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    @property
    def biases(self) -> tuple[str, ...]:
        """None."""
        return ()

    def __call__(self, inputs: BaselineInputs) -> tuple[Any, dict[str, Any]]:
        """Return the mean over the other rows, branch by branch."""
        way_out = "Run with rows >= 2, or use LeaveOneOut with samples >= 2."
        return _others(inputs, inputs.row_axis, "BatchMean", "rows", way_out), {}


@dataclass(frozen=True, slots=True)
class LeaveOneOut(AbstractBaseline):
    r"""Subtract the mean cost of the other draws for the same row.

    .. math:: b_k = \frac{1}{K-1} \sum_{j \ne k} \hat Q_j

    The draws are the node's own branches (``ScoreFunction(samples=K)``), else the
    samples of the whole run (``samples=K`` at the call). They are independent given the
    row, so this adds no bias.

    Raises
    ------
    BaselineError
        When there is one draw only, or where a node mixes rows.

    References
    ----------
    Kool, van Hoof & Welling 2019, "Buy 4 REINFORCE samples, get a baseline for free!".

    Examples
    --------
    >>> import numpy as np
    >>> inputs = BaselineInputs(np.array([[1.0, 2.0, 6.0]]), 1, 0, None, {}, "b")
    >>> LeaveOneOut()(inputs)[0].tolist()
    [[4.0, 3.5, 1.5]]
    """

    of_one_step: ClassVar[bool] = True

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    @property
    def biases(self) -> tuple[str, ...]:
        """None."""
        return ()

    def __call__(self, inputs: BaselineInputs) -> tuple[Any, dict[str, Any]]:
        """Return the mean over the other draws."""
        way_out = "Use ScoreFunction(samples=K), or samples=K at the call, with K >= 2."
        return _others(inputs, inputs.plate_axis, "LeaveOneOut", "draws", way_out), {}


@dataclass(frozen=True, slots=True)
class MovingAverage(AbstractBaseline):
    r"""Subtract a decaying average of the costs of *past* runs.

    .. math:: b_s = m_s / w_s, \quad m_{s+1} = \beta m_s + (1 - \beta) \bar Q_s, \quad
              w_{s+1} = \beta w_s + (1 - \beta)

    The current cost enters only afterwards: an average that already contains it scales
    the gradient by the decay. The first run has no past and subtracts 0. The average is
    the `state` that a run returns and the next one takes.

    Parameters
    ----------
    decay : float
        ``β``, in [0, 1).
    per_step : bool
        Inside a loop, keep one average for each step.

    Raises
    ------
    BaselineError
        When the decay is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> average = MovingAverage(decay=0.5)
    >>> b, state = average(BaselineInputs(np.array([4.0]), None, 0, None, {}, "b"))
    >>> b, float(average(BaselineInputs(np.array([0.0]), None, 0, None, state, "b"))[0])
    (0.0, 4.0)
    """

    decay: float = 0.9
    per_step: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            msg = f"MovingAverage: expected a decay in [0, 1), got {self.decay!r}."
            raise BaselineError(msg)

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    @property
    def biases(self) -> tuple[str, ...]:
        """None."""
        return ()

    def __call__(self, inputs: BaselineInputs) -> tuple[Any, dict[str, Any]]:
        """Return the past's average, and the average with this run's costs in it."""
        keep_time = self.per_step and inputs.row_axis == 1
        axes = tuple(range(1 if keep_time else 0, inputs.cost.ndim))
        now = inputs.cost.mean(axis=axes)
        mean = inputs.state.get("mean", np.zeros_like(now))
        weight = inputs.state.get("weight", np.zeros(()))
        after = {
            "mean": np.asarray(self.decay * mean + (1 - self.decay) * now),
            "weight": np.asarray(self.decay * weight + (1 - self.decay)),
        }
        if not weight > 0:
            return 0.0, after
        b = (mean / weight).astype(inputs.cost.dtype)
        return (
            b.reshape(-1, *(1,) * (inputs.cost.ndim - 1)) if keep_time else b
        ), after


def refuse_few(
    inputs: BaselineInputs, axis: int | None, who: str, what: str, way_out: str
) -> None:
    """Refuse costs that depend on others' draws, and those that have no others.

    Raises
    ------
    BaselineError
    """
    if inputs.row_axis is None:
        msg = (
            f"node {inputs.name!r}: {who} expected {what} whose costs depend on no "
            "draw but their own, got costs downstream of a node that mixes rows. Use "
            "MovingAverage, LearnedBaseline or NoBaseline."
        )
        raise BaselineError(msg)
    count = 1 if axis is None else inputs.cost.shape[axis]
    if count < 2:
        msg = (
            f"node {inputs.name!r}: {who} expected at least 2 {what}, got 1. {way_out}"
        )
        raise BaselineError(msg)


def _others(
    inputs: BaselineInputs, axis: int | None, who: str, what: str, way_out: str
) -> Any:
    refuse_few(inputs, axis, who, what, way_out)
    assert axis is not None
    total = np.add.reduce(inputs.cost, axis=axis, keepdims=True)
    return (total - inputs.cost) / (inputs.cost.shape[axis] - 1)
