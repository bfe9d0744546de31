"""The tanh-normal family: a normal draw squashed to (-1, 1)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp
from numpy.typing import NDArray

from scg.distributions import _choice as c
from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractReparameterised, no_entropy
from scg.distributions._rounding import clamp, confined, narrow
from scg.distributions.normal import Normal
from scg.functions import sigmoid
from scg.protocol import Function

__all__ = ["TanhNormal"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class TanhNormal(AbstractReparameterised):
    r"""Draw from (-1, 1): the tanh of a normal draw; elements are independent.

    .. math:: \log p(y) = \log N(\operatorname{artanh} y; \mu, \sigma)
              - \log(1 - y^2), \qquad
              y = \tanh(\mu + \sigma \epsilon), \quad \epsilon \sim N(0, 1)

    A value that is not inside (-1, 1) has log-density :math:`-\infty`. A draw that
    rounds to an end is the number next to it, so in float32 draws beyond
    :math:`|\mu + \sigma \epsilon| \approx 8.7` are all the same. The entropy has no
    closed form.

    Parameters
    ----------
    mean : array, any shape
        The mean of the normal draw, not of its tanh.
    scale : array, any shape
        The standard deviation of the normal draw.
    log_scale : array, any shape
        Its logarithm, instead of `scale`: any real number is valid.

    Raises
    ------
    DistributionError
        If not exactly one of `scale` and `log_scale` is given.

    References
    ----------
    Haarnoja, Zhou, Abbeel & Levine 2018, "Soft actor-critic", appendix C.

    Examples
    --------
    >>> import numpy as np
    >>> y = TanhNormal(mean=np.array([0.0, 9.0]), scale=0.5)
    >>> y.reparameterise(np.array([1.0, 30.0])).round(4).tolist()
    [0.4621, 1.0]
    >>> y.log_prob(np.array([0.0, 1.0])).round(4).tolist()
    [-0.2258, -inf]
    """

    mean: Any
    scale: Any = None
    _: KW_ONLY
    log_scale: Any = None

    def __post_init__(self) -> None:
        c.settle_one_of(self, "scale", "log_scale")
        p.settle(self, "mean")

    @property
    def parameters(self) -> dict[str, Any]:
        """``mean``, and either ``scale`` or ``log_scale``."""
        return c.given(self, "mean", "scale", "log_scale")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of mean and scale together."""
        return p.joint_shape(*self.parameters.values())

    @property
    def _normal(self) -> Normal:
        return Normal(**self.parameters)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw from the standard normal distribution."""
        return self._normal.noise(rng, shape)

    def reparameterise(self, noise: Any) -> Any:
        """Compute tanh(μ + σ ε), inside (-1, 1)."""
        y = narrow(squash(self._normal.reparameterise(noise)), self.dtype)
        last = 1 - float(np.finfo(self.dtype).epsneg)
        return clamp(y, -last, last)

    def log_prob(self, value: Any) -> Any:
        """Compute the normal log-density of artanh y, less log(1 - y²)."""
        inside = anp.less(anp.abs(value), 1)
        y = confined(p.as_draw(value, self.dtype), inside, 0.0)
        # 1 - y² and 1 - |y| are exact in neither form near ±1 but in this one.
        up, down = anp.log1p(y), anp.log1p(-y)
        log_p = self._normal.log_prob(0.5 * (up - down)) - (up + down)
        return log_p + p.log_indicator(inside, self.dtype)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute the normal score of artanh y."""
        inside = np.less(np.abs(value), 1)
        y = confined(p.as_draw(value, self.dtype), inside, 0.0)
        return self._normal.score(np.arctanh(y))

    def entropy(self) -> Any:
        """Raise `NoClosedFormError`."""
        raise no_entropy(self)

    def kl(self, other: TanhNormal) -> Any:
        """Compute the divergence of the normal draws, which is the same."""
        return self._normal.kl(other._normal)

    def validate(self, name: str) -> None:
        """Check that mean and scale are finite and that the scale is positive."""
        r.require_finite(name, self, "mean", "log_scale")
        r.require_positive(name, self, "scale")


@Function
def squash(x: Any, /) -> Any:
    """Compute tanh x, whose derivative keeps its precision where 1 - tanh² is 0."""
    return np.tanh(x)


defvjp(
    squash.primitive,
    lambda ans, x: lambda g: g * 4 * sigmoid(2 * x) * sigmoid(-2 * x),
)
