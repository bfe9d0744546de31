"""The interface of a family of distributions.

A distribution is a frozen record of its parameters, which are arrays, Python scalars,
autograd boxes or graph nodes. It holds no random state and it knows nothing of graphs:
rows and event axes are axes of a parameter like any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self, final

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from numpy.typing import NDArray

from scg.distributions._parameters import joint_dtype
from scg.errors import NotDifferentiableError

__all__ = ["AbstractDistribution", "elementwise_score", "no_reparameterisation"]


class AbstractDistribution(ABC):
    """Describe one family of distributions in one parameterisation.

    A concrete family is a frozen dataclass that is never subclassed. Its fields are
    its parameters, and a field that is ``None`` belongs to another parameterisation.

    Attributes
    ----------
    discrete : bool
        Whether a draw takes countably many values.
    reparameterised : bool
        Whether a draw is a differentiable function of the parameters and of noise that
        does not depend on them. Then ``sample(rng, shape)`` equals
        ``reparameterise(noise(rng, shape))`` for equal states of `rng`.
    has_closed_score : bool
        Whether `score` is a closed form, not automatic differentiation.
    fixed_support : bool
        Whether the support is the same for all parameters. Where it is not, the mean
        of the score is not 0 and a score-function estimate is biased.

    Examples
    --------
    A family of one's own, with a score by automatic differentiation, is
    `elementwise_score` away. Those that exist all answer to the same names:

    >>> import scg.distributions as d
    >>> coin = d.Bernoulli(logits=0.0)
    >>> coin.discrete, coin.reparameterised, coin.shape, coin.support().tolist()
    (True, False, (), [0.0, 1.0])
    """

    __slots__ = ()

    discrete: ClassVar[bool]
    reparameterised: ClassVar[bool]
    has_closed_score: ClassVar[bool]
    fixed_support: ClassVar[bool]

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """The parameters that were given, by name, in a fixed order."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one joint draw: all parameters broadcast, less consumed axes."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """The dtype of a draw."""

    @final
    def replace(self, **parameters: Any) -> Self:
        """Give the same family in the same parameterisation other values.

        Parameters
        ----------
        **parameters : array, scalar, box or node
            New values by name. Their range is not checked.

        Returns
        -------
        AbstractDistribution
            Parameters that are not named keep their values.

        Examples
        --------
        >>> import scg.distributions as d
        >>> d.Normal(0.0, 1.0).replace(mean=2.0)
        Normal(mean=2.0, scale=1.0, log_scale=None)
        """
        return type(self)(**{**self.parameters, **parameters})

    @abstractmethod
    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw an array of the given full shape, parameters broadcast against it."""

    @abstractmethod
    def log_prob(self, value: Any) -> Any:
        """Compute the log-density (or log-mass) of each element of a draw.

        Minus infinity outside the support. Differentiable any number of times in the
        parameters, and in the value where the density is.
        """

    @abstractmethod
    def score(self, value: Any) -> dict[str, NDArray[Any]]:
        """Compute each element's derivative of `log_prob` in each parameter.

        Parameters
        ----------
        value : array, shape ``(*rows, *event)``
            A draw. Parameters and value are plain arrays or scalars.

        Returns
        -------
        dict of str to array, shape ``(*rows, *event, *consumed)``
            One array for each of `parameters`, not yet summed over the axes along
            which the parameter was broadcast.
        """

    @abstractmethod
    def entropy(self) -> Any:
        """Compute the (differential) entropy of each element, in nats."""

    @abstractmethod
    def kl(self, other: Self) -> Any:
        """Compute the divergence ``KL(self || other)`` of each element, in nats."""

    @abstractmethod
    def support(self) -> NDArray[Any] | None:
        """List the values that one element takes; ``None`` where they are not finite.

        A 1-D array in the dtype of a draw.
        """

    @abstractmethod
    def noise(
        self, rng: np.random.Generator, shape: tuple[int, ...]
    ) -> NDArray[Any] | None:
        """Draw what `reparameterise` needs; ``None`` where there is no such thing."""

    @abstractmethod
    def reparameterise(self, noise: Any) -> Any:
        """Compute the draw from the noise, differentiably."""

    @abstractmethod
    def validate(self, name: str) -> None:
        """Raise `DistributionError` where a parameter that has a value is out of range.

        Parameters
        ----------
        name : str
            The node, for the message.
        """


def no_reparameterisation(distribution: AbstractDistribution) -> NotDifferentiableError:
    """Make the error for a family whose draws are not differentiable.

    Parameters
    ----------
    distribution : AbstractDistribution
        One of that family.

    Returns
    -------
    NotDifferentiableError
        To be raised by the caller.

    Examples
    --------
    >>> import scg.distributions as d
    >>> print(no_reparameterisation(d.Bernoulli(0.0)))
    a draw of Bernoulli is not a differentiable function of noise; use a score function
    """
    family = type(distribution).__name__
    return NotDifferentiableError(
        f"a draw of {family} is not a differentiable function of noise; "
        "use a score function"
    )


def elementwise_score(
    distribution: AbstractDistribution, value: Any, *, consumed: int = 0
) -> dict[str, NDArray[Any]]:
    r"""Differentiate `log_prob` of each element by automatic differentiation.

    For a family without a closed form of its score. Each element depends on its own
    parameters only, so one reverse pass over the broadcast parameter gives them all.

    Parameters
    ----------
    distribution : AbstractDistribution
        With arrays or scalars for parameters.
    value : array, shape ``(*rows, *event)``
        A draw.
    consumed : int
        How many trailing axes of each parameter one draw consumes.

    Returns
    -------
    dict of str to array, shape ``(*rows, *event, *consumed)``

    Examples
    --------
    >>> import numpy as np
    >>> import scg.distributions as d
    >>> elementwise_score(d.Normal(0.0, 2.0), np.array([1.0, 3.0]))["mean"].tolist()
    [0.25, 0.75]
    """
    shape = np.broadcast_shapes(np.shape(value), distribution.shape)
    dtype = joint_dtype(*distribution.parameters.values())

    def one(name: str, parameter: Any) -> NDArray[Any]:
        whole = np.asarray(parameter, dtype)
        tail = whole.shape[whole.ndim - consumed :]
        vjp, log_p = make_vjp(
            lambda x: distribution.replace(**{name: x}).log_prob(value)
        )(np.broadcast_to(whole, shape + tail))
        return np.asarray(vjp(anp.ones_like(log_p)))

    return {name: one(name, p) for name, p in distribution.parameters.items()}
