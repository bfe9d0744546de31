"""What the continuous families have in common, and what the discrete ones have.

Each is abstract; a family derives from one of them and says the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scg.distributions import _parameters as p
from scg.distributions.base import AbstractDistribution, no_reparameterisation
from scg.errors import NoClosedFormError

__all__: list[str] = []


class AbstractReparameterised(AbstractDistribution):
    """A continuous family whose draw is a differentiable function of noise."""

    __slots__ = ()

    discrete: ClassVar[bool] = False
    reparameterised: ClassVar[bool] = True
    has_closed_score: ClassVar[bool] = True
    fixed_support: ClassVar[bool] = True

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters together."""
        return p.joint_dtype(*self.parameters.values())

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw the noise, and the value from it."""
        return np.asarray(self.reparameterise(self.noise(rng, shape)))

    def support(self) -> None:
        """Return ``None``: a continuum."""
        return


class AbstractDiscrete(AbstractDistribution):
    """A family of countably many values, in the dtype of its parameters."""

    __slots__ = ()

    discrete: ClassVar[bool] = True
    reparameterised: ClassVar[bool] = False
    has_closed_score: ClassVar[bool] = True
    fixed_support: ClassVar[bool] = True

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters together."""
        return p.joint_dtype(*self.parameters.values())

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        """Return ``None``: the draw is not a differentiable function of noise."""
        return

    def reparameterise(self, noise: Any) -> Any:
        """Raise `NotDifferentiableError`."""
        raise no_reparameterisation(self)


def standard(
    draw: Callable[..., Any], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Draw standard noise, in float32 where that is the dtype."""
    if dtype == np.float32:
        return np.asarray(draw(shape, dtype=np.float32))
    return np.asarray(draw(shape), dtype)


def no_entropy(distribution: AbstractDistribution) -> NoClosedFormError:
    """Make the error for an entropy that no finite formula gives."""
    family = type(distribution).__name__
    return NoClosedFormError(
        f"the entropy of {family} has no closed form; estimate it by the mean of "
        "-log_prob over draws"
    )
