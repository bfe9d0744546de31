"""What a baseline is: a number subtracted from a downstream cost to lower variance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["AbstractBaseline", "BaselineInputs"]


@dataclass(frozen=True, slots=True)
class BaselineInputs:
    """What a baseline may look at.

    Attributes
    ----------
    cost : array, shape (rows, *plates) or (time, rows, *plates)
        ``Q̂`` of the site.
    plate_axis : int or None
        The axis of `cost` along which draws are exchangeable: the node's own branches,
        else the samples of the run.
    row_axis : int or None
        0, or 1 inside a loop; None where a node mixes rows, so that the costs of one
        row or run depend on the draws of others.
    value : array or None
        The value node that the baseline reads, of the shape of `cost`.
    state : mapping of str to array
        What the baseline returned at the step before; empty at the first.
    name : str
        The node's name, for messages.
    squared_score : array, shape of `cost`, or None
        The squared length of the score, for a baseline that `looks_at_scores`.
    """

    cost: Any
    plate_axis: int | None
    row_axis: int | None
    value: Any
    state: Mapping[str, Any]
    name: str
    squared_score: Any = None


class AbstractBaseline(ABC):
    """A number for each row, from what the node does not influence.

    `of_one_step` says that it looks at one step, or one sample, at a time: it keeps no
    state, and time may be any axis of samples that are alike; `looks_at_scores` that
    it is given the lengths of the scores.

    Examples
    --------
    >>> import scg
    >>> isinstance(scg.LeaveOneOut(), AbstractBaseline)
    True
    """

    __slots__ = ()

    of_one_step: ClassVar[bool] = False
    looks_at_scores: ClassVar[bool] = False

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Names of the value nodes it reads."""

    @property
    @abstractmethod
    def biases(self) -> tuple[str, ...]:
        """Why an estimate with it is biased; empty where it is not."""

    @abstractmethod
    def __call__(self, inputs: BaselineInputs) -> tuple[Any, dict[str, Any]]:
        """Return the baseline, which broadcasts to the cost, and the new state."""
