"""A baseline that is a node of the graph, with its own regression loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.baselines.base import AbstractBaseline, BaselineInputs
from scg.errors import BaselineError

__all__ = ["LearnedBaseline"]

_KEPT = ("left", "square", "weight")


@dataclass(frozen=True, slots=True)
class LearnedBaseline(AbstractBaseline):
    r"""Subtract a value node, which is fitted to the downstream cost.

    .. math:: b = V_\phi(x), \qquad
              \text{regression loss } \tfrac{\lambda}{2} (V_\phi - \hat Q)^2

    The policy gets no gradient through it. The regression's gradient stops where the
    value's computation meets nodes that costs or samples also depend on; with `shared`
    it goes on, and what is shared is then trained for both (*biased*).

    In a loop, V is fitted to what `boundary` lets count: the costs up to where an
    episode was terminated *or truncated*, and up to the loop's end. It is subtracted,
    never added, so that a V that is wrong for that reason raises variance, not bias;
    `GAE` (with ``lam=1`` for whole returns) goes on with V where an episode was cut.

    Parameters
    ----------
    value : str
        The name given to `Graph.value`.
    weight : float
        ``λ``.
    shared : bool
        Whether the regression also trains what the policy uses.
    centre : bool
        Subtract, besides V, the decaying average of what V left of the costs of *past*
        runs: V need not learn their mean first.
    normalise : bool
        Divide what is left by its running deviation in past runs, where that is above
        1. *Biased*: each node's gradient has a length of its own.
    decay : float
        Of these averages, in [0, 1).

    Raises
    ------
    BaselineError
        When the decay is out of range.

    References
    ----------
    Mnih & Gregor 2014, "Neural variational inference and learning in belief networks",
    section 2.3.

    Examples
    --------
    >>> import scg
    >>> scg.LearnedBaseline("v").reads
    ('v',)
    """

    value: str
    weight: float = 1.0
    shared: bool = False
    centre: bool = False
    normalise: bool = False
    decay: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            msg = f"LearnedBaseline: expected a decay in [0, 1), got {self.decay!r}."
            raise BaselineError(msg)

    @property
    def reads(self) -> tuple[str, ...]:
        """The value node."""
        return (self.value,)

    @property
    def biases(self) -> tuple[str, ...]:
        """Shared params follow the regression too; normalised costs are others."""
        found = ("regression trains shared params",) if self.shared else ()
        return (*found, "normalised costs") if self.normalise else found

    def __call__(self, inputs: BaselineInputs) -> tuple[Any, dict[str, Any]]:
        """Return the value, and the running moments of what it leaves."""
        if not (self.centre or self.normalise):
            return inputs.value, {}
        left = inputs.cost - inputs.value
        past = {key: inputs.state.get(key, np.zeros(())) for key in _KEPT}
        now = {"left": left.mean(), "square": np.square(left).mean(), "weight": 1.0}
        after = {
            key: np.asarray(self.decay * past[key] + (1 - self.decay) * now[key])
            for key in _KEPT
        }
        if not past["weight"] > 0:
            return inputs.value, after
        mean = past["left"] / past["weight"]
        b = inputs.value + mean.astype(left.dtype) if self.centre else inputs.value
        if self.normalise:
            variance = past["square"] / past["weight"] - mean**2
            scale = np.sqrt(np.maximum(variance, 1)).astype(left.dtype)
            # The baseline that leaves (cost - b) / scale.
            b = inputs.cost - (inputs.cost - b) / scale
        return b, after
