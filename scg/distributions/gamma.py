"""The gamma family, reparameterised implicitly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._gamma_quantile import log_gamma_quantile
from scg.distributions._kinds import AbstractReparameterised
from scg.distributions._rounding import (
    DOUBLE,
    confined,
    narrow,
    open_uniform,
    positive_draw,
    wide,
)
from scg.distributions._special import log_gamma, polygamma, scipy_special, xlogy

__all__ = ["Gamma"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Gamma(AbstractReparameterised):
    r"""Draw from a gamma distribution; elements are independent.

    .. math:: \log p(x) = \alpha \log \beta + (\alpha - 1) \log x - \beta x
              - \log \Gamma(\alpha), \qquad
              x = F^{-1}(u; \alpha) / \beta, \quad u \sim U(0, 1)

    with F the distribution function at β = 1. The draw is reparameterised implicitly:
    its derivative is :math:`-(\partial F / \partial \alpha) / p(x)`. A value that is
    not in [0, ∞) has log-density :math:`-\infty`. A draw that underflows, as many do
    below α ≈ .01, is the smallest positive number.

    Parameters
    ----------
    concentration : array, any shape
        α, also called the shape.
    rate : array, any shape
        β, one over the scale; the mean is α/β.

    Raises
    ------
    MissingExtraError
        If SciPy is not installed.

    References
    ----------
    Johnson, Kotz & Balakrishnan 1994, "Continuous univariate distributions", volume 1,
    chapter 17; Figurnov, Mohamed & Mnih 2018, "Implicit reparameterization gradients",
    section 4.

    Examples
    --------
    >>> import numpy as np
    >>> x = Gamma(concentration=np.array([1.0, 3.0]), rate=2.0)
    >>> x.log_prob(np.array([1.0, -1.0])).round(4).tolist()
    [-1.3069, -inf]
    >>> x.reparameterise(np.array([0.5, 0.5])).round(4).tolist()
    [0.3466, 1.337]
    """

    concentration: Any
    rate: Any = 1.0

    def __post_init__(self) -> None:
        scipy_special()
        p.settle(self, "concentration", "rate")

    @property
    def parameters(self) -> dict[str, Any]:
        """``concentration`` and ``rate``."""
        return {"concentration": self.concentration, "rate": self.rate}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of both parameters together."""
        return p.joint_shape(self.concentration, self.rate)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from U(0, 1)."""
        return open_uniform(rng, shape, self.dtype)

    def reparameterise(self, noise: Any) -> Any:
        """Compute the quantile at the noise, over β."""
        log_x = log_gamma_quantile(wide(self.concentration), noise)
        return positive_draw(anp.exp(log_x) / wide(self.rate), self.dtype)

    def log_prob(self, value: Any) -> Any:
        """Compute α log β + (α - 1) log x - β x - log Γ(α), minus infinity outside."""
        inside, x = self._inside(value)
        a, rate = wide(self.concentration), wide(self.rate)
        log_p = xlogy(a - 1, x) - rate * x + a * p.weakly(anp.log, rate) - log_gamma(a)
        return narrow(log_p + p.log_indicator(inside, DOUBLE), self.dtype)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute log(β x) - ψ(α) for the concentration, α/β - x for the rate."""
        _, x = self._inside(value)
        a, rate = wide(self.concentration), wide(self.rate)
        scores = {
            "concentration": p.log_or_minus_infinity(rate * x) - polygamma(a),
            "rate": a / rate - x,
        }
        return {name: narrow(each, self.dtype) for name, each in scores.items()}

    def _inside(self, value: Any) -> tuple[Any, Any]:
        inside = anp.logical_and(anp.greater_equal(value, 0), anp.less(value, np.inf))
        return inside, wide(confined(p.as_draw(value, self.dtype), inside, 1.0))

    def entropy(self) -> Any:
        """Compute α - log β + log Γ(α) + (1 - α) ψ(α)."""
        a, rate = wide(self.concentration), wide(self.rate)
        entropy = a - p.weakly(anp.log, rate) + log_gamma(a) + (1 - a) * polygamma(a)
        return narrow(entropy, self.dtype)

    def kl(self, other: Gamma) -> Any:
        """Compute (α-α')ψ(α) + log(Γ(α')/Γ(α)) - α' log r + α (r - 1), r = β'/β."""
        a, a_q = wide(self.concentration), wide(other.concentration)
        ratio = wide(other.rate) / wide(self.rate)
        of_shapes = (a - a_q) * polygamma(a) + log_gamma(a_q) - log_gamma(a)
        kl = of_shapes - a_q * p.weakly(anp.log, ratio) + a * (ratio - 1)
        return narrow(kl, p.joint_dtype(*_all_parameters(self, other)))

    def validate(self, name: str) -> None:
        """Check that both parameters are positive and finite."""
        r.require_positive(name, self, "concentration", "rate")


def _all_parameters(*both: Gamma) -> list[Any]:
    return [value for each in both for value in each.parameters.values()]
