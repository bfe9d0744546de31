"""The uniform family on an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _parameters as p
from scg.distributions.base import AbstractDistribution

__all__ = ["Uniform"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Uniform(AbstractDistribution):
    r"""Draw from an interval; elements are independent.

    .. math:: \log p(x) = -\log(h - l) \ \text{for}\ l \le x \le h, \qquad
              x = l + (h - l) u, \quad u \sim U[0, 1)

    The interval is closed, because rounding may carry a draw onto `high`. Outside, the
    log-density is :math:`-\infty`. The support moves with the parameters, so the score
    has a mean that is not 0: only the reparameterised gradient is unbiased.

    Parameters
    ----------
    low, high : array, any shape
        The ends, ``low < high``.

    Examples
    --------
    >>> import numpy as np
    >>> u = Uniform(0.0, np.array([1.0, 4.0]))
    >>> u.log_prob(np.array([2.0, 2.0])).round(4).tolist()
    [-inf, -1.3863]
    >>> u.reparameterise(np.array([0.5, 0.5])).tolist()
    [0.5, 2.0]
    """

    low: Any
    high: Any

    discrete: ClassVar[bool] = False
    reparameterised: ClassVar[bool] = True
    has_closed_score: ClassVar[bool] = True
    fixed_support: ClassVar[bool] = False

    def __post_init__(self) -> None:
        p.settle(self, "low", "high")

    @property
    def parameters(self) -> dict[str, Any]:
        """``low`` and ``high``."""
        return {"low": self.low, "high": self.high}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of both ends together."""
        return p.joint_shape(self.low, self.high)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of both ends together."""
        return p.joint_dtype(self.low, self.high)

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Compute l + (h - l) u for uniform u."""
        return np.asarray(self.reparameterise(self.noise(rng, shape)))

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from U[0, 1)."""
        dtype = self.dtype
        return p.uniform_noise(rng, shape, dtype).astype(dtype, copy=False)

    def reparameterise(self, noise: Any) -> Any:
        """Compute l + (h - l) u."""
        return self.low + (self.high - self.low) * noise

    def log_prob(self, value: Any) -> Any:
        """Compute -log(h - l) inside the interval, minus infinity outside."""
        inside = anp.logical_and(
            anp.greater_equal(value, self.low), anp.less_equal(value, self.high)
        )
        return p.log_indicator(inside, self.dtype) - self._log_width

    @property
    def _log_width(self) -> Any:
        return p.weakly(anp.log, self.high - self.low)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute 1/(h - l) for `low` and -1/(h - l) for `high`."""
        density = np.asarray(1 / (self.high - self.low), self.dtype)
        shape = np.broadcast_shapes(np.shape(value), density.shape)
        density = np.broadcast_to(density, shape)
        return {"low": density, "high": -density}

    def entropy(self) -> Any:
        """Compute log(h - l)."""
        return self._log_width

    def kl(self, other: Uniform) -> Any:
        """Compute log((h' - l')/(h - l)), infinite unless the interval is inside."""
        inside = anp.logical_and(
            anp.greater_equal(self.low, other.low),
            anp.less_equal(self.high, other.high),
        )
        dtype = p.joint_dtype(self.low, self.high, other.low, other.high)
        log_ratio = other._log_width - self._log_width
        return log_ratio - p.log_indicator(inside, dtype)

    def support(self) -> None:
        """Return ``None``: an interval."""
        return

    def validate(self, name: str) -> None:
        """Check that the ends are finite and in order."""
        if not p.concrete(self.low, self.high):
            return
        width = self.high - self.low
        p.require_all(
            name,
            (width > 0) & (width < np.inf),
            width,
            expected="low < high of Uniform, a positive and finite width",
            way_out="Swap the ends, or write high=low + scg.softplus(...).",
        )
