"""The Dirichlet family: probabilities that sum to 1."""

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
    unit_draw,
    wide,
)
from scg.distributions._special import log_gamma, polygamma, scipy_special, xlogy
from scg.functions import softmax

__all__ = ["Dirichlet"]

# How far a value may be from summing to 1: a float32 softmax over thousands is inside.
_SLACK = 1e-5


@final
@dataclass(frozen=True, slots=True, eq=False)
class Dirichlet(AbstractReparameterised):
    r"""Draw K probabilities that sum to 1.

    .. math:: \log p(x) = \sum_k (\alpha_k - 1) \log x_k + \log \Gamma(\alpha_0)
              - \sum_k \log \Gamma(\alpha_k), \qquad \alpha_0 = \sum_k \alpha_k, \qquad
              x_k = \frac{g_k}{\sum_j g_j}

    with :math:`g_k = F^{-1}(u_k; \alpha_k)` gamma draws, reparameterised implicitly as
    those of `Gamma`. The density is that of the first K - 1 components, and one number
    for all K. A value with a negative component, or that does not sum to 1 within
    rounding, has log-density :math:`-\infty`.

    Parameters
    ----------
    concentration : array, shape ``(*batch, K)``

    Raises
    ------
    DistributionError
        If it has no axis of components.
    MissingExtraError
        If SciPy is not installed.

    References
    ----------
    Kotz, Balakrishnan & Johnson 2000, "Continuous multivariate distributions", volume
    1, chapter 49; Figurnov, Mohamed & Mnih 2018, "Implicit reparameterization
    gradients", section 4.

    Examples
    --------
    >>> import numpy as np
    >>> x = Dirichlet(concentration=np.array([1.0, 1.0, 2.0]))
    >>> x.log_prob(np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.6]])).round(4).tolist()
    [1.0986, -inf]
    >>> x.reparameterise(np.array([0.5, 0.5, 0.5])).round(4).tolist()
    [0.2262, 0.2262, 0.5476]
    """

    concentration: Any

    def __post_init__(self) -> None:
        scipy_special()
        p.settle(self, "concentration")
        r.require_event_axis(self, "concentration")

    @property
    def parameters(self) -> dict[str, Any]:
        """``concentration``."""
        return {"concentration": self.concentration}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the concentration; the last axis is that of one draw."""
        return p.shape_of(self.concentration)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from U(0, 1), for each component."""
        return open_uniform(rng, shape, self.dtype)

    def reparameterise(self, noise: Any) -> Any:
        """Normalise gamma quantiles, from their logarithms."""
        log_g = log_gamma_quantile(wide(self.concentration), noise)
        return unit_draw(softmax(log_g), self.dtype)

    def log_prob(self, value: Any) -> Any:
        """Compute the log-density of each vector, minus infinity off the simplex."""
        inside, x = self._inside(value)
        a = wide(self.concentration)
        log_p = anp.sum(xlogy(a - 1, x), axis=-1) - _log_normaliser(a)
        return narrow(log_p + p.log_indicator(inside, DOUBLE), self.dtype)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute log x - ψ(α) + ψ(α₀), a vector for each draw."""
        _, x = self._inside(value)
        a = wide(self.concentration)
        whole = polygamma(np.sum(a, axis=-1))[..., np.newaxis]
        score = p.log_or_minus_infinity(x) - polygamma(a) + whole
        return {"concentration": narrow(score, self.dtype)}

    def _inside(self, value: Any) -> tuple[Any, Any]:
        """Tell which vectors are on the simplex, and replace the others."""
        value = p.as_draw(value, self.dtype)
        on_plane = anp.less_equal(anp.abs(anp.sum(value, axis=-1) - 1), _SLACK)
        at_least_0 = anp.all(anp.greater_equal(value, 0), axis=-1)
        inside = anp.logical_and(on_plane, at_least_0)
        return inside, wide(confined(value, anp.expand_dims(inside, -1), 1.0))

    def entropy(self) -> Any:
        """Compute log B(α) + (α₀ - K) ψ(α₀) - Σ (α_k - 1) ψ(α_k)."""
        a = wide(self.concentration)
        whole, size = anp.sum(a, axis=-1), p.shape_of(self.concentration)[-1]
        of_each = anp.sum((a - 1) * polygamma(a), axis=-1)
        entropy = _log_normaliser(a) + (whole - size) * polygamma(whole) - of_each
        return narrow(entropy, self.dtype)

    def kl(self, other: Dirichlet) -> Any:
        """Compute log(B(α')/B(α)) + Σ (α_k - α'_k) (ψ(α_k) - ψ(α₀))."""
        a, a_q = wide(self.concentration), wide(other.concentration)
        whole = anp.expand_dims(anp.sum(a, axis=-1), -1)
        rise = anp.sum((a - a_q) * (polygamma(a) - polygamma(whole)), axis=-1)
        kl = _log_normaliser(a_q) - _log_normaliser(a) + rise
        return narrow(kl, p.joint_dtype(self.concentration, other.concentration))

    def validate(self, name: str) -> None:
        """Check that the concentration is positive and finite."""
        r.require_positive(name, self, "concentration")


def _log_normaliser(a: Any) -> Any:
    """Compute log B(α), the multivariate beta function."""
    return anp.sum(log_gamma(a), axis=-1) - log_gamma(anp.sum(a, axis=-1))
