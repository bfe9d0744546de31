"""The categorical family: one of K."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _parameters as p
from scg.distributions.base import AbstractDistribution, no_reparameterisation
from scg.errors import DistributionError
from scg.functions import keep, log_softmax, pick, softmax

__all__ = ["Categorical"]

# How far a row of probabilities may be from summing to 1: a float32 softmax over
# thousands of categories is inside, a forgotten category is not.
_SLACK = 1e-5


@final
@dataclass(frozen=True, slots=True, eq=False)
class Categorical(AbstractDistribution):
    r"""Draw one of 0, ..., K - 1.

    .. math:: \log p(k) = \ell_k - \log \sum_j e^{\ell_j}, \qquad
              \frac{\partial \log p(k)}{\partial \ell_j} = [j = k] - p_j

    A logit of :math:`-\infty` masks its category, which is then never drawn. A value
    outside 0, ..., K - 1 has log-probability :math:`-\infty`.

    Parameters
    ----------
    logits : array, shape ``(*batch, K)``
        Log-weights; they need not be normalised.
    probs : array, shape ``(*batch, K)``
        Probabilities that sum to 1, instead of `logits`. Its score is that of
        :math:`\log p_k` alone, not of a normalised weight.

    Raises
    ------
    DistributionError
        If not exactly one of the two is given, or it has no axis of categories.

    Examples
    --------
    >>> import numpy as np
    >>> die = Categorical(logits=np.array([0.0, 0.0, -np.inf]))
    >>> die.log_prob(np.array([0, 2])).round(4).tolist()
    [-0.6931, -inf]
    >>> die.sample(np.random.default_rng(0), (6,)).tolist()
    [1, 0, 0, 0, 1, 1]
    """

    logits: Any = None
    _: KW_ONLY
    probs: Any = None

    discrete: ClassVar[bool] = True
    reparameterised: ClassVar[bool] = False
    has_closed_score: ClassVar[bool] = True
    fixed_support: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if (self.logits is None) is (self.probs is None):
            raise p.choice_error(self, "logits", "probs")
        p.settle(self, "logits", "probs")
        if p.shape_of(self._parameter) == ():
            msg = (
                f"Categorical: expected parameters of shape (..., K), got a scalar "
                f"{self._parameter!r}. One bit is a Bernoulli."
            )
            raise DistributionError(msg)

    @property
    def parameters(self) -> dict[str, Any]:
        """Either ``logits`` or ``probs``."""
        if self.probs is None:
            return {"logits": self.logits}
        return {"probs": self.probs}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the parameter without its last axis."""
        return p.shape_of(self._parameter)[:-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always int64."""
        return np.dtype(np.int64)

    @property
    def _parameter(self) -> Any:
        return self.logits if self.probs is None else self.probs

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Invert the cumulative distribution at uniform noise."""
        masses = softmax(self.logits) if self.probs is None else np.asarray(self.probs)
        cumulative = np.add.accumulate(masses, axis=-1)
        noise = p.uniform_noise(rng, shape, cumulative.dtype)
        return _invert(cumulative, noise)

    def log_prob(self, value: Any) -> Any:
        """Compute the logarithm of the normalised weight of the value."""
        if self.probs is None:
            return pick(log_softmax(self.logits), value, outside=-np.inf)
        return p.log_or_minus_infinity(pick(self.probs, value))

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute [j = k] - p_j, or [j = k] / p_k for `probs`."""
        chosen = np.asarray(value)[..., np.newaxis]
        one_hot = np.equal(chosen, np.arange(self._parameter.shape[-1]))
        if self.probs is None:
            return {"logits": one_hot - softmax(self.logits)}
        return {"probs": one_hot / pick(self.probs, value)[..., np.newaxis]}

    def entropy(self) -> Any:
        """Compute the sum of -p_k log p_k."""
        masses = self._masses()
        return -anp.sum(masses * self._log_masses(masses), axis=-1)

    def kl(self, other: Categorical) -> Any:
        """Compute the sum of p_k log(p_k / q_k)."""
        masses = self._masses()
        log_ratio = self._log_masses(masses) - other._log_masses(masses)
        return anp.sum(masses * log_ratio, axis=-1)

    def _masses(self) -> Any:
        return softmax(self.logits) if self.probs is None else self.probs

    def _log_masses(self, weights: Any) -> Any:
        """Give log p_k, made finite where `weights` gives no weight."""
        if self.probs is None:
            return keep(log_softmax(self.logits), anp.greater(weights, 0))
        return p.log_or_minus_infinity(self.probs + anp.less_equal(weights, 0))

    def support(self) -> NDArray[Any]:
        """List 0, ..., K - 1."""
        return np.arange(self._parameter.shape[-1], dtype=np.int64)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        """Return ``None``: a category is not a differentiable function of noise."""
        return

    def reparameterise(self, noise: Any) -> Any:
        """Raise `NotDifferentiableError`."""
        raise no_reparameterisation(self)

    def validate(self, name: str) -> None:
        """Check that rows of logits have a finite maximum, or that probs sum to 1."""
        value = self._parameter
        if not p.concrete(value):
            return
        if self.probs is None:
            peak = np.maximum.reduce(value, axis=-1)
            p.require_all(
                name,
                np.isfinite(peak),
                peak,
                expected="rows of logits of Categorical with a finite maximum",
                way_out="Mask with -inf, but leave one category in each row.",
            )
            return
        p.require_all(
            name,
            value >= 0,
            value,
            expected="probs of Categorical of at least 0",
            way_out="Pass logits= for numbers of any size.",
        )
        total = np.add.reduce(value, axis=-1)
        p.require_all(
            name,
            np.abs(total - 1) <= _SLACK,
            total,
            expected="rows of probs of Categorical that sum to 1",
            way_out="Divide by the sum, or pass logits=.",
        )


def _invert(cumulative: NDArray[Any], noise: NDArray[Any]) -> NDArray[Any]:
    """Find the first category whose cumulative mass exceeds the noise.

    It is never one of mass 0, whose cumulative mass is that of the category before,
    and there always is one: with the largest noise 1 - h, h = 2^-24 or 2^-53, the
    product c (1 - h) is at least half a unit in the last place below the total c, and
    at exactly half only where c is a power of two, below which the grid is finer; so it
    never rounds to c.
    """
    if cumulative.ndim == 1:
        level = noise * cumulative[-1]
        return np.asarray(cumulative.searchsorted(level, side="right"), np.int64)
    level = noise[..., np.newaxis] * cumulative[..., -1:]
    return np.asarray(np.greater(cumulative, level).argmax(axis=-1), np.int64)
