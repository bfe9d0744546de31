"""Exact expectation over a finite support."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.errors import EstimatorError
from scg.estimators.base import AbstractEstimator, Drawn, Site
from scg.estimators.score_function import ScoreFunction

__all__ = ["Enumeration", "joint_support"]


@dataclass(frozen=True, slots=True)
class Enumeration(AbstractEstimator):
    r"""Run every value of a finite support and weigh it with its probability.

    .. math:: \sum_k p_k(\theta) \hat Q_k, \qquad p_k \text{ live}

    No variance comes from the node. A draw of several elements has a joint support, all
    combinations of theirs.

    Parameters
    ----------
    limit : int
        The largest support that is enumerated.

    Raises
    ------
    EstimatorError
        When the support is larger than `limit`.

    References
    ----------
    Mohamed et al. 2020, section 3; Titsias & Lázaro-Gredilla 2015, "Local expectation
    gradients".

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=1,
    ...     estimators={"b": scg.Enumeration()})
    >>> round(float(estimate.gradient["theta"]), 12)
    0.025
    """

    limit: int = 4096

    lays_out: ClassVar[bool] = True
    any_order: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "support", "no loop"})
    reads: ClassVar[tuple[str, ...]] = ()
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "exact sum over a finite support"

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return the size of the joint support."""
        return len(joint_support(distribution, event_shape, self.limit, "Enumeration"))

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Lay the support out along the branches, with its probabilities as weights."""
        joint = joint_support(distribution, shape[1:], self.limit, "Enumeration")
        value = np.tile(joint, (shape[0] // len(joint),) + (1,) * (joint.ndim - 1))
        log_prob = distribution.log_prob(value)
        weights = np.exp(log_prob.reshape(len(value), -1).sum(axis=1))
        return Drawn(value, weights=weights)

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return the derivative of the weights, as ``p_k ∇ log p_k``."""
        return ScoreFunction().adjoints(site)


def joint_support(
    distribution: Any, event_shape: tuple[int, ...], limit: int, who: str
) -> Any:
    """List the values of a draw of several elements, all combinations of theirs.

    Raises
    ------
    EstimatorError
        When they are more than `limit`.
    """
    support = distribution.support()
    # An element may itself be a vector.
    elements = math.prod(event_shape[: len(event_shape) - support[0].ndim])
    size = len(support) ** elements
    if size > limit:
        msg = (
            f"{who}: expected a joint support of at most {limit} values, got {size} "
            f"for an event of shape {event_shape}. Raise limit, or use "
            "ScoreFunction(baseline=LeaveOneOut(), samples=...)."
        )
        raise EstimatorError(msg)
    joint = list(itertools.product(support, repeat=elements))
    return np.array(joint, support.dtype).reshape(-1, *event_shape)
