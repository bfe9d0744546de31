"""Critics: value nodes that replace part of a sampled downstream cost.

The value node of a sample u stands for the costs that u influences. Below a sample w
come its followers: the first samples with a critic of their own, in the order of the
graph, whose costs are among those of w, no cost counted twice. What w influences
besides is paid on the way to them. In a loop, w's follower is w a step later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from scg.errors import EstimatorError

__all__ = ["GAE", "AbstractCritic", "KStep", "Lookahead", "VTrace", "critic_of"]


@dataclass(frozen=True, slots=True)
class Lookahead:
    """How far a critic looks ahead, and what of what it sees it trusts.

    Attributes
    ----------
    lam : float
        The share of a follower's own target in place of its value.
    steps : int or None
        After how many followers the value stands for all the rest.
    rho, c : float or None
        Where density ratios are cut off in a run that was drawn under other params:
        those of a step's costs, and those by which later steps count. None leaves
        ratios out.
    partial : bool
        Whether a value may read less than separates it from what lies before.
    """

    lam: float = 1.0
    steps: int | None = None
    rho: float | None = None
    c: float | None = None
    partial: bool = False

    @property
    def is_checked(self) -> bool:
        """Whether value nodes count, other than subtracted, and must read enough."""
        sampled = self.lam == 1 and self.steps is None and self.rho is None
        return not (self.partial or sampled)


class AbstractCritic(ABC):
    """What replaces ``Q̂ − b`` of a sample.

    Its `value`, `weight` and `shared` are the value node, the weight of its regression
    loss and whether that also trains what the policy uses.

    Examples
    --------
    >>> import scg
    >>> isinstance(scg.KStep("v", 3), AbstractCritic)
    True
    """

    __slots__ = ()

    value: str
    weight: float
    shared: bool

    @property
    @abstractmethod
    def lookahead(self) -> Lookahead:
        """How far it looks ahead."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The value node."""
        return (self.value,)


def critic_of(estimator: Any) -> Any:
    """Return what stands for a sample's costs: a critic, or an estimator that is one.

    Examples
    --------
    >>> import scg
    >>> critic_of(scg.ScoreFunction()), critic_of(scg.ValueGradient("q")).value
    (None, 'q')
    """
    critic = getattr(estimator, "critic", None)
    if isinstance(critic, AbstractCritic):
        return critic
    return estimator if estimator.differentiates else None


@dataclass(frozen=True, slots=True)
class GAE(AbstractCritic):
    r"""Generalised advantage estimation from a value node: λ-returns.

    .. math:: \delta_t = c_t + \gamma V_{t+1} - V_t, \qquad
              A_t = \sum_{k \ge 0} (\gamma\lambda)^k \delta_{t+k}

    Outside of loops t + 1 are the followers u of a sample w, each with a critic of its
    own, and there is no discount:

    .. math:: A_w = \sum_{c \text{ on the way}} c + \sum_u (V_u + \lambda A_u) - V_w

    Where an episode is terminated, or credit ends at a boundary, the next value is 0.
    Where it is truncated, it is the value of the episode's own last observation: the
    value node is evaluated on the carry as it would have been, had the environment not
    started anew. After the loop's last step it is that of the last carry; where costs
    follow after the loop, these and their followers, as one more step. The value is
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
    def lookahead(self) -> Lookahead:
        """All the way, trusting sampled costs by λ."""
        return Lookahead(self.lam, partial=True)


@dataclass(frozen=True, slots=True)
class KStep(AbstractCritic):
    r"""Sampled costs up to the k-th follower's value node, and that value for the rest.

    .. math:: A_t = c_t + \gamma c_{t+1} + \dots + \gamma^{k-1} c_{t+k-1}
              + \gamma^k V_{t+k} - V_t

    Outside of loops t + 1 are the followers of a sample, as for `GAE`; ends of episodes
    and of loops are as there. With `lam` the shorter targets are mixed in as by `GAE`,
    up to the k-th. *Biased* while the values are wrong; with right ones only if each
    reads enough (`Graph.is_critic_set`), which is checked.

    Parameters
    ----------
    value : str
        The name given to `Graph.value`: of what the sample does not influence.
    steps : int
        ``k``.
    lam : float
        ``λ``, in [0, 1].
    weight, shared
        As for `GAE`.
    partial : bool
        Whether a value node may read too little to be right. Environments count as
        showing all of their state.

    Raises
    ------
    EstimatorError
        When an option is out of range.

    References
    ----------
    Weber, Heess, Buesing & Silver 2019, "Credit assignment techniques in stochastic
    computation graphs"; Sutton & Barto 2018, "Reinforcement learning", section 7.1.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> first = graph.value("before a", graph.param("v", 0.0))
    >>> a = graph.sample("a", scg.Bernoulli(logits=theta))
    >>> second = graph.value("after a", 1.0 - a)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (a - b) ** 2)
    >>> params, rng = graph.init(np.random.default_rng(0)), np.random.default_rng(0)
    >>> estimators = {
    ...     "a": scg.ScoreFunction(critic=scg.KStep("before a", 1)),
    ...     "b": scg.ScoreFunction(critic=scg.KStep("after a", 1))}
    >>> estimate = scg.estimate_gradient(
    ...     graph, params, estimators=estimators, rng=rng, rows=4)
    """

    value: str
    steps: int
    lam: float = 1.0
    weight: float = 1.0
    shared: bool = True
    partial: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.lam <= 1:
            msg = (
                f"KStep: expected steps >= 1 and lam in [0, 1], got {self.steps!r} and "
                f"{self.lam!r}."
            )
            raise EstimatorError(msg)

    @property
    def lookahead(self) -> Lookahead:
        """As many followers as it has steps."""
        return Lookahead(self.lam, self.steps, partial=self.partial)


@dataclass(frozen=True, slots=True)
class VTrace(AbstractCritic):
    r"""Targets for a run drawn under other params, by ratios that are cut off.

    .. math:: G_t - V_t = \rho_t \delta_t + \gamma \lambda c_t (G_{t+1} - V_{t+1}),
              \qquad A_t = \rho_t \bigl(c^{cost}_t + \gamma (V_{t+1} + \lambda
              (G_{t+1} - V_{t+1})) - V_t\bigr)

    with the density ratio r of the samples under the params of now and those they were
    drawn with, :math:`\rho_t = \min(\bar\rho, r_t)` and
    :math:`c_t = \min(\bar c, r_t)`. `Compiled.again` makes such estimates, and
    `scg.Clipped` with ``ahead=True`` corrects by them. In a run of its own params the
    ratios are 1: it is then `GAE`.

    Parameters
    ----------
    value : str
        The name given to `Graph.value`.
    lam : float
        ``λ``, in [0, 1].
    rho, c : float
        ``ρ̄`` and ``c̄``, above 0.
    weight, shared, partial
        As for `KStep`.

    Raises
    ------
    EstimatorError
        When an option is out of range.

    References
    ----------
    Espeholt et al. 2018, "IMPALA: scalable distributed deep-RL with importance weighted
    actor-learner architectures", section 4.

    Examples
    --------
    >>> import scg
    >>> scg.ScoreFunction(discount=0.99, critic=scg.VTrace("v")).biases
    ('discount below 1', 'bootstrapped from a critic')
    """

    value: str
    lam: float = 1.0
    rho: float = 1.0
    c: float = 1.0
    weight: float = 1.0
    shared: bool = True
    partial: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.lam <= 1 and self.rho > 0 and self.c > 0):
            msg = (
                "VTrace: expected lam in [0, 1], rho and c above 0, got "
                f"{self.lam!r}, {self.rho!r} and {self.c!r}."
            )
            raise EstimatorError(msg)

    @property
    def lookahead(self) -> Lookahead:
        """All the way, with cut-off ratios."""
        return Lookahead(self.lam, None, self.rho, self.c, self.partial)
