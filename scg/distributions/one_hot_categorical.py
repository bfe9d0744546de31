"""The categorical family with one-hot draws: one of K, as a vector."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, final

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray

from scg.distributions import _choice as c
from scg.distributions import _parameters as p
from scg.distributions import _ranges as r
from scg.distributions._kinds import AbstractDiscrete
from scg.distributions.categorical import Categorical

__all__ = ["OneHotCategorical"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class OneHotCategorical(AbstractDiscrete):
    r"""Draw one of K as a vector with a 1 in its place and 0 elsewhere.

    .. math:: \log p(x) = \sum_k x_k \log p_k, \qquad
              p_k = \frac{e^{\ell_k}}{\sum_j e^{\ell_j}}

    One number for all K components. A value that is no one-hot vector has
    log-probability :math:`-\infty`. Masked logits are as in `Categorical`, which draws
    the position instead.

    Parameters
    ----------
    logits : array, shape ``(*batch, K)``
        Log-weights; they need not be normalised.
    probs : array, shape ``(*batch, K)``
        Probabilities that sum to 1, instead of `logits`.

    Raises
    ------
    DistributionError
        If not exactly one of the two is given, or it has no axis of categories.

    References
    ----------
    Johnson, Kotz & Balakrishnan 1997, "Discrete multivariate distributions", chapter
    35: the multinomial distribution of one trial.

    Examples
    --------
    >>> import numpy as np
    >>> die = OneHotCategorical(logits=np.zeros(3))
    >>> die.log_prob(np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])).round(4).tolist()
    [-1.0986, -inf]
    >>> die.sample(np.random.default_rng(0), (2, 3)).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """

    logits: Any = None
    _: KW_ONLY
    probs: Any = None

    def __post_init__(self) -> None:
        c.settle_one_of(self, "logits", "probs")
        r.require_event_axis(self, "logits", "probs")

    @property
    def parameters(self) -> dict[str, Any]:
        """Either ``logits`` or ``probs``."""
        return c.given(self, "logits", "probs")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the parameter; the last axis is that of one draw."""
        return p.shape_of(self._weights)

    @property
    def _place(self) -> Categorical:
        return Categorical(self.logits, probs=self.probs)

    @property
    def _size(self) -> int:
        return self.shape[-1]

    @property
    def _weights(self) -> Any:
        return self.logits if self.probs is None else self.probs

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw the place of the 1."""
        places = self._place.sample(rng, shape[:-1])
        return np.equal(places[..., None], np.arange(self._size)).astype(self.dtype)

    def log_prob(self, value: Any) -> Any:
        """Compute the log-probability of the place of the 1, for each vector."""
        value = p.as_draw(value, self.dtype)
        bits = anp.all(anp.equal(value * value, value), axis=-1)
        inside = anp.logical_and(bits, anp.equal(anp.sum(value, axis=-1), 1))
        log_p = self._place.log_prob(anp.argmax(value, axis=-1))
        return log_p + p.log_indicator(inside, self.dtype)

    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute the score of the place of the 1, a vector for each draw."""
        return self._place.score(np.argmax(value, axis=-1))

    def entropy(self) -> Any:
        """Compute the sum of -p_k log p_k."""
        return self._place.entropy()

    def kl(self, other: OneHotCategorical) -> Any:
        """Compute the sum of p_k log(p_k / q_k)."""
        return self._place.kl(other._place)

    def support(self) -> NDArray[Any]:
        """List the K vectors, shape (K, K)."""
        return np.eye(self._size, dtype=self.dtype)

    def validate(self, name: str) -> None:
        """Check that rows of logits have a finite maximum, or that probs sum to 1."""
        self._place.validate(name)
