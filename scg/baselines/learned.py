"""A baseline that is a node of the graph, with its own regression loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scg.baselines.base import AbstractBaseline, BaselineInputs

__all__ = ["LearnedBaseline"]


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

    Examples
    --------
    >>> import scg
    >>> scg.LearnedBaseline("v").reads
    ('v',)
    """

    value: str
    weight: float = 1.0
    shared: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """The value node."""
        return (self.value,)

    @property
    def biases(self) -> tuple[str, ...]:
        """Shared params follow the regression too."""
        return ("regression trains shared params",) if self.shared else ()

    def __call__(self, inputs: BaselineInputs) -> tuple[Any, dict[str, Any]]:
        """Return the value."""
        return inputs.value, {}
