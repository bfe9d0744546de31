"""Sampling without replacement, with the unordered-set estimator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from scg.errors import EstimatorError
from scg.estimators.base import AbstractEstimator, Drawn, Site
from scg.estimators.branches import by_branch, flat, is_array, of_rows
from scg.estimators.enumeration import joint_support
from scg.estimators.score_function import ScoreFunction
from scg.estimators.subsets import remaining, without_replacement

__all__ = ["UnorderedSet"]

_MOST = 12


@dataclass(frozen=True, slots=True)
class UnorderedSet(AbstractEstimator):
    r"""Draw distinct values, and weigh each with its chance of being the first of them.

    .. math:: \sum_{s \in S} w_s \nabla \log p(s)\, (\hat Q_s - b_s), \qquad
              w_s = p(s) \frac{P_{\setminus s}(S \setminus s)}{P(S)}, \qquad
              b_s = \sum_{t \in S} p(t)
              \frac{P_{\setminus s t}(S \setminus s t)}{P_{\setminus s}(S \setminus s)}
              \hat Q_t

    P(S) is the probability that the first draws without replacement make up the set S,
    :math:`P_{\setminus s}` that with s taken away beforehand; the ratio in b is 1 for
    t = s. The weights sum to 1, and what is upstream is credited with
    :math:`\sum_s w_s \hat Q_s`. Given s, b has the expected cost for its mean, so that
    it adds no bias; with one sample there is none. No two branches have the same value;
    where they have them all, no variance is left, and this is `Enumeration`.

    Parameters
    ----------
    samples : int
        The size of the set, at most 12; of a smaller support, all of it.
    limit : int
        The largest joint support.

    Raises
    ------
    EstimatorError
        When `samples` is out of range, or the support is larger than `limit`.

    References
    ----------
    Kool, van Hoof & Welling 2020, "Estimating gradients for discrete random variables
    by sampling without replacement", sections 3 and 4.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> t = graph.param("t", np.zeros(3))
    >>> k = graph.sample("k", scg.Categorical(logits=t))
    >>> loss = graph.cost("loss", (k - 1.5) ** 2)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"t": np.zeros(3)}, rng=np.random.default_rng(0), rows=1,
    ...     estimators={"k": scg.UnorderedSet(samples=3)})
    >>> estimate.gradient["t"].round(6).tolist()
    [0.444444, -0.222222, -0.222222]
    """

    samples: int = 4
    limit: int = 4096

    lays_out: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "support", "no loop"})
    reads: ClassVar[tuple[str, ...]] = ()
    biases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "distinct values, drawn without replacement"

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= _MOST:
            msg = (
                f"UnorderedSet: expected samples from 1 to {_MOST}, got "
                f"{self.samples!r}. Its work doubles with each."
            )
            raise EstimatorError(msg)

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return the size of the set."""
        joint = joint_support(distribution, event_shape, self.limit, "UnorderedSet")
        return min(self.samples, len(joint))

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw a set for each row, and weigh its elements."""
        joint = joint_support(distribution, shape[1:], self.limit, "UnorderedSet")
        k = min(self.samples, len(joint))
        rows = shape[0] // k
        size = len(joint)
        every = np.tile(joint, (rows,) + (1,) * (joint.ndim - 1))
        each = _repeated(of_rows(distribution, shape, k), size)
        log_p = each.log_prob(every).reshape(rows, size, -1).sum(axis=-1)
        chosen = without_replacement(log_p, k, rng)
        rest = np.ones(log_p.shape, bool)
        np.put_along_axis(rest, chosen, values=False, axis=1)
        p = np.exp(log_p)
        mine, others = np.take_along_axis(p, chosen, axis=1), (p * rest).sum(axis=1)
        w = remaining(mine, others)
        return Drawn(
            flat(joint[chosen]),
            weights=(mine * _without_one(w, k) / w[0][:, np.newaxis]).reshape(-1),
            noise=flat(_shares(mine, w)),
        )

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return score times weight times cost less baseline."""
        q = by_branch(site.advantage, site.branches)
        shares = by_branch(site.noise, site.branches)
        b = np.matmul(shares, q[..., np.newaxis]).reshape(-1)
        less = replace(site, advantage=site.advantage - b)
        return ScoreFunction().adjoints(less)


def _repeated(distribution: Any, times: int) -> Any:
    """Repeat the rows of a distribution, which all its arrays have."""
    return distribution.replace(
        **{
            k: np.repeat(x, times, axis=0) if is_array(x) else x
            for k, x in distribution.parameters.items()
        }
    )


def _without_one(w: Any, k: int) -> Any:
    """Return W({s}) for each s, shape (rows, k)."""
    return np.stack([w[1 << i] for i in range(k)], axis=1)


def _shares(p: Any, w: Any) -> Any:
    """Return what the cost of t counts in the baseline of s, shape (rows, s, t)."""
    k = p.shape[1]
    out = np.zeros((len(p), k, k), p.dtype)
    if k == 1:  # one draw has no others that know the mean
        return out
    for s in range(k):
        for t in range(k):
            out[:, s, t] = p[:, t]
            if t != s:
                out[:, s, t] *= w[1 << s | 1 << t] / w[1 << s]
    return out
