"""The beta family, reparameterised implicitly through two gamma draws."""

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
from scg.distributions._special import (
    log_beta,
    polygamma,
    scipy_special,
    xlog1py,
    xlogy,
)
from scg.functions import sigmoid

__all__ = ["Beta"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Beta(AbstractReparameterised):
    r"""Draw from a beta distribution on (0, 1); elements are independent.

    .. math:: \log p(x) = (\alpha - 1) \log x + (\beta - 1) \log(1 - x)
              - \log B(\alpha, \beta), \qquad x = \frac{g}{g + h}

    with :math:`g = F^{-1}(u; \alpha)` and :math:`h = F^{-1}(v; \beta)` gamma draws,
    reparameterised implicitly as those of `Gamma`. A value outside [0, 1] has
    log-density :math:`-\infty`. A draw that rounds to an end is the number next to it.

    Parameters
    ----------
    alpha, beta : array, any shape
        The exponents, plus 1, of x and of 1 - x; the mean is α/(α + β).

    Raises
    ------
    MissingExtraError
        If SciPy is not installed.

    References
    ----------
    Johnson, Kotz & Balakrishnan 1995, "Continuous univariate distributions", volume 2,
    chapter 25; Figurnov, Mohamed & Mnih 2018, "Implicit reparameterization gradients",
    section 4.

    Examples
    --------
    >>> import numpy as np
    >>> x = Beta(alpha=np.array([1.0, 2.0]), beta=2.0)
    >>> x.log_prob(np.array([0.5, 1.5])).round(4).tolist()
    [0.0, -inf]
    >>> x.reparameterise(np.array([[0.5, 0.5], [0.3, 0.3]])).round(4).tolist()
    [0.2923, 0.5]
    """

    alpha: Any
    beta: Any

    def __post_init__(self) -> None:
        scipy_special()
        p.settle(self, "alpha", "beta")

    @property
    def parameters(self) -> dict[str, Any]:
        """``alpha`` and ``beta``."""
        return {"alpha": self.alpha, "beta": self.beta}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of both parameters together."""
        return p.joint_shape(self.alpha, self.beta)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw two numbers from U(0, 1) for each element, along a last axis."""
        return open_uniform(rng, (*shape, 2), self.dtype)

    def reparameterise(self, noise: Any) -> Any:
        """Compute g/(g + h) from the logarithms of two gamma quantiles."""
        log_g = log_gamma_quantile(wide(self.alpha), noise[..., 0])
        log_h = log_gamma_quantile(wide(self.beta), noise[..., 1])
        return unit_draw(sigmoid(log_g - log_h), self.dtype)

    def log_prob(self, value: Any) -> Any:
        """Compute (α-1) log x + (β-1) log(1-x) - log B(α, β)."""
        inside, x = self._inside(value)
        a, b = wide(self.alpha), wide(self.beta)
        log_p = xlogy(a - 1, x) + xlog1py(b - 1, -x) - log_beta(a, b)
        return narrow(log_p + p.log_indicator(inside, DOUBLE), self.dtype)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute log x - ψ(α) + ψ(α + β), and with 1 - x and β likewise."""
        _, x = self._inside(value)
        a, b = wide(self.alpha), wide(self.beta)
        of_both = polygamma(a + b)
        with np.errstate(divide="ignore"):
            scores = {
                "alpha": np.log(x) - polygamma(a) + of_both,
                "beta": np.log1p(-x) - polygamma(b) + of_both,
            }
        return {name: narrow(each, self.dtype) for name, each in scores.items()}

    def _inside(self, value: Any) -> tuple[Any, Any]:
        inside = anp.logical_and(anp.greater_equal(value, 0), anp.less_equal(value, 1))
        return inside, wide(confined(p.as_draw(value, self.dtype), inside, 0.5))

    def entropy(self) -> Any:
        """Compute log B(α, β) - (α-1) ψ(α) - (β-1) ψ(β) + (α+β-2) ψ(α+β)."""
        a, b = wide(self.alpha), wide(self.beta)
        of_each = (a - 1) * polygamma(a) + (b - 1) * polygamma(b)
        entropy = log_beta(a, b) - of_each + (a + b - 2) * polygamma(a + b)
        return narrow(entropy, self.dtype)

    def kl(self, other: Beta) -> Any:
        """Compute log(B'/B) + (α-α') ψ(α) + (β-β') ψ(β) + (α'-α+β'-β) ψ(α+β)."""
        a, b = wide(self.alpha), wide(self.beta)
        a_q, b_q = wide(other.alpha), wide(other.beta)
        of_each = (a - a_q) * polygamma(a) + (b - b_q) * polygamma(b)
        of_both = (a_q - a + b_q - b) * polygamma(a + b)
        kl = log_beta(a_q, b_q) - log_beta(a, b) + of_each + of_both
        dtype = p.joint_dtype(self.alpha, self.beta, other.alpha, other.beta)
        return narrow(kl, dtype)

    def validate(self, name: str) -> None:
        """Check that both parameters are positive and finite."""
        r.require_positive(name, self, "alpha", "beta")
