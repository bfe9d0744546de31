"""The multivariate normal family: diagonal, or full by a Cholesky factor."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _choice as c
from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractReparameterised, standard
from scg.distributions._solve import solve_vector
from scg.distributions.normal import Normal
from scg.errors import DistributionError
from scg.functions import stop_gradient

__all__ = ["MultivariateNormal"]

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


@final
@dataclass(frozen=True, slots=True, eq=False)
class MultivariateNormal(AbstractReparameterised):
    r"""Draw a vector of K components that are jointly normal.

    .. math:: \log p(x) = -\tfrac12 \|z\|^2 - \sum_k \log L_{kk}
              - \tfrac K2 \log 2\pi, \qquad z = L^{-1} (x - \mu), \qquad
              x = \mu + L \epsilon, \quad \epsilon \sim N(0, 1)

    with covariance :math:`L L^T`. One number for all K components, also where L is
    diagonal: `Normal` has one for each.

    Parameters
    ----------
    mean : array, shape ``(*batch, K)``
    scale : array, shape ``(*batch, K)``
        The standard deviations, where components are independent.
    scale_tril : array, shape ``(*batch, K, K)``
        The Cholesky factor L, instead of `scale`. Its lower triangle is all that is
        read; the diagonal must be positive.

    Raises
    ------
    DistributionError
        If not exactly one of `scale` and `scale_tril` is given, there is no axis of
        components, or `scale_tril` is not square.

    References
    ----------
    Kotz, Balakrishnan & Johnson 2000, "Continuous multivariate distributions", volume
    1, chapter 45.

    Examples
    --------
    >>> import numpy as np
    >>> x = MultivariateNormal(mean=np.zeros(2), scale_tril=[[1.0, 0.0], [1.0, 2.0]])
    >>> x.log_prob(np.array([[0.0, 0.0], [1.0, 1.0]])).round(4).tolist()
    [-2.531, -3.031]
    >>> x.reparameterise(np.array([1.0, 1.0])).tolist()
    [1.0, 3.0]
    """

    mean: Any
    scale: Any = None
    _: KW_ONLY
    scale_tril: Any = None

    def __post_init__(self) -> None:
        c.settle_one_of(self, "scale", "scale_tril")
        p.settle(self, "mean")
        r.require_event_axis(self, "mean", "scale", "scale_tril")
        if self.scale_tril is not None:
            shape = p.shape_of(self.scale_tril)
            if len(shape) < 2 or shape[-1] != shape[-2]:
                msg = (
                    "MultivariateNormal: expected a scale_tril of shape (..., K, K), "
                    f"got {shape}. Independent components have scale= instead."
                )
                raise DistributionError(msg)

    @property
    def parameters(self) -> dict[str, Any]:
        """``mean``, and either ``scale`` or ``scale_tril``."""
        return c.given(self, "mean", "scale", "scale_tril")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of mean and scale together; the last axis is that of one draw."""
        if self.scale_tril is None:
            return p.joint_shape(self.mean, self.scale)
        of_rows = p.shape_of(self.scale_tril)[:-1]
        return np.broadcast_shapes(p.shape_of(self.mean), of_rows)

    @property
    def _components(self) -> Normal:
        return Normal(self.mean, self.scale)

    @property
    def _factor(self) -> Any:
        return anp.tril(self.scale_tril)

    @property
    def _identity(self) -> NDArray[Any]:
        shapes = map(p.shape_of, self.parameters.values())
        return np.eye(max(s[-1] for s in shapes if s), dtype=self.dtype)

    def _diagonal(self, matrix: Any) -> Any:
        return anp.sum(matrix * self._identity, axis=-1)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from the standard normal distribution."""
        return standard(rng.standard_normal, shape, self.dtype)

    def reparameterise(self, noise: Any) -> Any:
        """Compute μ + L ε."""
        if self.scale_tril is None:
            return self._components.reparameterise(noise)
        if len(p.shape_of(self.scale_tril)) == 2:
            return self.mean + anp.matmul(noise, anp.swapaxes(self._factor, -1, -2))
        return self.mean + anp.einsum("...ij,...j->...i", self._factor, noise)

    def log_prob(self, value: Any) -> Any:
        """Compute ``-|z|²/2 - Σ log L_kk - K log(2π)/2`` for each vector."""
        if self.scale_tril is None:
            return anp.sum(self._components.log_prob(value), axis=-1)
        factor = self._factor
        z = solve_vector(factor, p.as_draw(value, self.dtype) - self.mean)
        each = -0.5 * z * z - anp.log(self._diagonal(factor)) - _HALF_LOG_2_PI
        return anp.sum(each, axis=-1)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute w = L⁻ᵀ z for the mean; for L the lower triangle of w zᵀ - L⁻ᵀ."""
        if self.scale_tril is None:
            return self._components.score(value)
        factor = self._factor
        z = solve_vector(factor, p.as_draw(value, self.dtype) - self.mean)
        w = solve_vector(np.swapaxes(factor, -1, -2), z)
        # The lower triangle of the transposed inverse is its diagonal.
        inverse = self._identity / self._diagonal(factor)[..., None]
        outer = np.tril(w[..., :, None] * z[..., None, :])
        return {"mean": w, "scale_tril": outer - inverse}

    def entropy(self) -> Any:
        """Compute Σ log L_kk + K log(2πe)/2 for each vector."""
        if self.scale_tril is None:
            return anp.sum(self._components.entropy(), axis=-1)
        # The mean takes part for its shape only.
        shape = 0.0 * stop_gradient(self.mean)
        each = anp.log(self._diagonal(self._factor)) + (0.5 + _HALF_LOG_2_PI) + shape
        return anp.sum(each, axis=-1)

    def kl(self, other: MultivariateNormal) -> Any:
        """Compute ``(|M|² + |z|² - K)/2 - Σ log M_kk``, with ``M = L'⁻¹ L``."""
        if self.scale_tril is None and other.scale_tril is None:
            return anp.sum(self._components.kl(other._components), axis=-1)
        factor, factor_q = self._matrix(), other._matrix()
        z = solve_vector(
            factor_q, self.mean - other.mean + 0.0 * self._diagonal(factor)
        )
        columns = anp.swapaxes(factor, -1, -2)
        M = solve_vector(anp.expand_dims(factor_q, -3), columns)
        log_ratio = anp.log(other._diagonal(factor_q)) - anp.log(self._diagonal(factor))
        each = 0.5 * (anp.sum(M * M, axis=-1) + z * z - 1) + log_ratio
        return anp.sum(each, axis=-1)

    def _matrix(self) -> Any:
        if self.scale_tril is not None:
            return self._factor
        shape = 0.0 * stop_gradient(self.mean)
        return anp.expand_dims(self.scale + shape, -1) * self._identity

    def validate(self, name: str) -> None:
        """Check that all is finite and that scales, or the diagonal, are positive."""
        r.require_finite(name, self, "mean", "scale_tril")
        r.require_positive(name, self, "scale")
        if self.scale_tril is None or not p.concrete(self.scale_tril):
            return
        diagonal = np.diagonal(self.scale_tril, axis1=-2, axis2=-1)
        p.require_all(
            name,
            diagonal > 0,
            diagonal,
            expected="a positive diagonal of scale_tril of MultivariateNormal",
            way_out="Put scg.softplus(...) or np.exp(...) of numbers there.",
        )
