"""The Bernoulli family: one bit."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.bit_log_prob import bernoulli_log_prob
from scg.distributions import _parameters as p
from scg.distributions.base import AbstractDistribution, no_reparameterisation
from scg.functions import keep, sigmoid, softplus

__all__ = ["Bernoulli"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Bernoulli(AbstractDistribution):
    r"""Draw 1 with probability p, else 0.

    .. math:: \log p(b) = \log \sigma((2b - 1) \ell), \qquad
              \frac{\partial \log p(b)}{\partial \ell} = b - \sigma(\ell)

    with log-odds :math:`\ell`. A value that is neither 0 nor 1 has log-probability
    :math:`-\infty`; the cross-entropy of a soft target t is written
    ``-(t * log_sigmoid(logits) + (1 - t) * log_sigmoid(-logits))``.

    Parameters
    ----------
    logits : array, any shape
        Log-odds of 1.
    probs : array, any shape
        Probability of 1, instead of `logits`.

    Raises
    ------
    DistributionError
        If not exactly one of the two is given.

    Examples
    --------
    >>> import numpy as np
    >>> coin = Bernoulli(logits=np.array([0.0, 40.0]))
    >>> coin.log_prob(np.array([1.0, 0.0])).round(4).tolist()
    [-0.6931, -40.0]
    >>> coin.sample(np.random.default_rng(0), (3, 2)).tolist()
    [[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]]
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

    @property
    def parameters(self) -> dict[str, Any]:
        """Either ``logits`` or ``probs``."""
        if self.probs is None:
            return {"logits": self.logits}
        return {"probs": self.probs}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the parameter."""
        return p.shape_of(self._parameter)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameter."""
        return p.joint_dtype(self._parameter)

    @property
    def _parameter(self) -> Any:
        return self.logits if self.probs is None else self.probs

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Compare uniform noise with the probability of 1."""
        dtype = self.dtype
        probs = sigmoid(self.logits) if self.probs is None else self.probs
        return np.less(p.uniform_noise(rng, shape, dtype), probs).astype(dtype)

    def log_prob(self, value: Any) -> Any:
        """Compute log σ((2b - 1) ℓ), exact where b ℓ - log(1 + e^ℓ) cancels."""
        value = p.as_draw(value, self.dtype)
        if self.probs is None:
            return bernoulli_log_prob(self.logits, value)
        inside = anp.equal(value * value, value)
        return p.log_or_minus_infinity(keep(_mass(value, self.probs), inside))

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute b - σ(ℓ), or (2b - 1) / p(b) for `probs`."""
        value = p.as_draw(value, self.dtype)
        sign = 2 * value - 1
        if self.probs is None:
            return {"logits": sign * sigmoid(-sign * self.logits)}
        return {"probs": sign / _mass(value, self.probs)}

    def entropy(self) -> Any:
        """Compute -p log p - (1 - p) log(1 - p) as a sum of positive terms."""
        return -sum(mass * log_mass for mass, log_mass in self._outcomes())

    def kl(self, other: Bernoulli) -> Any:
        """Compute p log(p / q) + (1 - p) log((1 - p) / (1 - q))."""
        pairs = zip(self._outcomes(), other._log_masses(self), strict=True)
        return sum(mass * (log_mass - log_q) for (mass, log_mass), log_q in pairs)

    def _masses(self) -> tuple[Any, Any]:
        if self.probs is None:
            return sigmoid(self.logits), sigmoid(-self.logits)
        return self.probs, 1 - self.probs

    def _outcomes(self) -> tuple[tuple[Any, Any], ...]:
        log_masses = self._log_masses(self)
        return tuple(zip(self._masses(), log_masses, strict=True))

    def _log_masses(self, weights: Bernoulli) -> tuple[Any, ...]:
        """Give log p(1) and log p(0), made finite where `weights` gives no weight."""
        if self.probs is None:
            return -softplus(-self.logits), -softplus(self.logits)
        pairs = zip(self._masses(), weights._masses(), strict=True)
        # 0 log 0 = 0: any finite logarithm will do where its weight is 0.
        return tuple(
            p.log_or_minus_infinity(q + anp.less_equal(weight, 0))
            for q, weight in pairs
        )

    def support(self) -> NDArray[Any]:
        """List 0 and 1."""
        return np.arange(2, dtype=self.dtype)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        """Return ``None``: a bit is not a differentiable function of noise."""
        return

    def reparameterise(self, noise: Any) -> Any:
        """Raise `NotDifferentiableError`."""
        raise no_reparameterisation(self)

    def validate(self, name: str) -> None:
        """Check that logits are finite, or that probabilities are in [0, 1]."""
        value = self._parameter
        if not p.concrete(value):
            return
        if self.probs is None:
            p.require_all(
                name,
                np.isfinite(value),
                value,
                expected="finite logits of Bernoulli",
                way_out="Bound what computes them; a certain draw is probs=0 or 1.",
            )
        else:
            p.require_all(
                name,
                (value >= 0) & (value <= 1),
                value,
                expected="probs of Bernoulli in [0, 1]",
                way_out="Pass logits= for numbers of any size.",
            )


def _mass(value: Any, probs: Any) -> Any:
    # p for b = 1 and 1 - p for b = 0, each without rounding more than once.
    return (1 - value) + (2 * value - 1) * probs
