"""Critics: value nodes that replace part of a sampled downstream cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from scg.errors import EstimatorError

__all__ = ["GAE", "AbstractCritic"]


class AbstractCritic(ABC):
    """What replaces ``Q̂ − b`` of a node inside a loop."""

    __slots__ = ()

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Names of the value nodes it reads."""


@dataclass(frozen=True, slots=True)
class GAE(AbstractCritic):
    r"""Generalised advantage estimation from a value node.

    .. math:: \delta_t = c_t + \gamma V_{t+1} - V_t, \qquad
              A_t = \sum_{k \ge 0} (\gamma\lambda)^k \delta_{t+k}

    Where an episode is terminated, or credit ends at a boundary, the next value is 0.
    Where it is truncated, it is the value of the episode's own last observation: the
    value node is evaluated on the carry as it would have been, had the environment not
    started anew. After the loop's last step it is that of the last carry. The value is
    fitted to ``A + V``. With ``lam=1`` that is the sampled return, and what the value
    expects from where the episode was cut off.

    Parameters
    ----------
    value : str
        The name given to `Graph.value`; a function of the step's carry. One that needs
        a sample drawn before it in the step, a scanned input or, in a carry, a sample
        drawn after the observation cannot be evaluated, which is an error.
    lam : float
        ``λ``, in [0, 1].
    weight : float
        The weight of the regression loss ``½ (V − target)²``.
    shared : bool
        Whether the regression also trains what the policy uses.

    Raises
    ------
    EstimatorError
        When `lam` is out of range.

    References
    ----------
    Schulman, Moritz, Levine, Jordan & Abbeel 2016, "High-dimensional continuous control
    using generalized advantage estimation", equation 16.

    Examples
    --------
    >>> import scg
    >>> scg.ScoreFunction(discount=0.99, critic=scg.GAE("v", lam=0.95)).biases
    ('discount below 1', 'bootstrapped from a critic')
    """

    value: str
    lam: float = 0.95
    weight: float = 1.0
    shared: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.lam <= 1:
            msg = f"GAE: expected lam in [0, 1], got {self.lam!r}."
            raise EstimatorError(msg)

    @property
    def reads(self) -> tuple[str, ...]:
        """The value node."""
        return (self.value,)
