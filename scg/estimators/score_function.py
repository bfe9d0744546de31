"""The score-function estimator (also known as REINFORCE, or the likelihood ratio)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from scg.baselines import AbstractBaseline, NoBaseline
from scg.critics import AbstractCritic
from scg.errors import EstimatorError
from scg.estimators.base import AbstractEstimator, Drawn, Site, per_event

__all__ = ["ScoreFunction"]


@dataclass(frozen=True, slots=True)
class ScoreFunction(AbstractEstimator):
    r"""Weigh the score of the drawn value with the costs it influences.

    .. math:: \nabla_\theta \log p(w \mid \mathrm{DEPS}_w) (\hat Q_w - b)

    Unbiased for any distribution with a density that the parameters' values enter
    smoothly; nothing downstream need be differentiable. The options marked *biased*
    trade that for variance.

    Parameters
    ----------
    baseline : AbstractBaseline
        What is subtracted from ``Q̂``. It may read only what the node does not
        influence.
    samples : int
        The number of branches drawn for each row, each with its own downstream costs.
    discount : float
        Inside a loop, a cost k steps later counts ``discount**k``. *Biased* below 1.
    boundary : str or None
        Inside a loop, where credit ends: "episode" is where an environment says that an
        episode was terminated or truncated; the name of a boolean node also ends it
        where that node is true (*biased*); None never ends it. With "episode" the
        gradient is that of each episode's own cost: what an ending changes for the
        episodes after it in the loop, and what other carries take across it, is left
        out. A truncated episode's cost is what was seen of it, unless a critic goes on.
    critic : AbstractCritic, optional
        Replaces ``Q̂ - b`` by an advantage that bootstraps from a value node. *Biased*
        while the value is wrong.
    standardise : bool
        Subtract the mean of the batch's advantages and divide by their standard
        deviation. *Biased*.

    Raises
    ------
    EstimatorError
        When an option is out of its range.

    References
    ----------
    Williams 1992, "Simple statistical gradient-following algorithms"; Schulman et al.
    2015, theorem 1 and section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=100_000,
    ...     estimators={"b": scg.ScoreFunction(baseline=scg.BatchMean())})
    >>> abs(float(estimate.gradient["theta"]) - 0.025) < 1e-3
    True
    """

    baseline: AbstractBaseline = field(default_factory=NoBaseline)
    samples: int = 1
    discount: float = 1.0
    boundary: str | None = "episode"
    critic: AbstractCritic | None = None
    standardise: bool = False

    any_order: ClassVar[bool] = True
    plain: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob"})
    summary: ClassVar[str] = "score of the value times the costs it influences"

    def __post_init__(self) -> None:
        if self.samples < 1:
            msg = f"ScoreFunction: expected samples >= 1, got {self.samples!r}."
            raise EstimatorError(msg)
        if not 0 <= self.discount <= 1:
            msg = (
                f"ScoreFunction: expected a discount in [0, 1], got {self.discount!r}."
            )
            raise EstimatorError(msg)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the value nodes that the baseline and the critic read."""
        critic = self.critic.reads if self.critic else ()
        return (*self.baseline.reads, *critic)

    @property
    def biases(self) -> tuple[str, ...]:
        """Why this estimate is biased; empty where it is not."""
        found = []
        if self.discount < 1:
            found.append("discount below 1")
        if self.boundary not in {None, "episode"}:
            found.append(f"credit ends at {self.boundary!r}")
        if self.critic is not None:
            found.append("bootstrapped from a critic")
        if self.standardise:
            found.append("standardised advantages")
        return (*found, *self.baseline.biases)

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return the number of samples."""
        return self.samples

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw from the distribution."""
        return Drawn(distribution.sample(rng, shape))

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return score times advantage."""
        factor = per_event(site.weight * site.advantage, site.value)
        score = site.distribution.score(site.value)
        return {
            name: s
            * (factor if np.ndim(s) == np.ndim(site.value) else factor[..., None])
            for name, s in score.items()
        }
