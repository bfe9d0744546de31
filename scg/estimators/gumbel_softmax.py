"""Gumbel-softmax, the concrete distribution: draws made smooth by a temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.errors import EstimatorError
from scg.estimators.base import AbstractPathwise, Drawn
from scg.estimators.coupled import hard, open_uniform, prior, soft
from scg.estimators.relaxed import VECTORS, with_slope

__all__ = ["GumbelSoftmax"]


@dataclass(frozen=True, slots=True)
class GumbelSoftmax(AbstractPathwise):
    r"""Draw between the values of the support, and differentiate through the draw.

    .. math:: z = \mathrm{softmax}\bigl((\ell + g) / \tau\bigr), \qquad
              b = \sigma\bigl((\ell + \operatorname{logit} u) / \tau\bigr)

    with g Gumbel and u uniform. *Biased*: the gradient, and the cost that a run
    reports, are those of another model, whose values lie between those of the support;
    they come near as τ goes to 0, where the variance of the gradient grows. With `hard`
    the values are those of the support, and only the derivative is that of the smooth
    draw: the cost is right, the gradient still biased.

    Parameters
    ----------
    temperature : float
        ``τ``.
    hard : bool
        Whether to hand the values of the support on (straight through).

    Raises
    ------
    EstimatorError
        When the temperature is not positive.

    References
    ----------
    Maddison, Mnih & Teh 2017, "The concrete distribution: a continuous relaxation of
    discrete random variables"; Jang, Gu & Poole 2017, "Categorical reparameterization
    with Gumbel-softmax", section 2.2 for `hard`.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", 3 * b)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"theta": 0.0}, rng=np.random.default_rng(0), rows=100_000,
    ...     estimators={"b": scg.GumbelSoftmax(temperature=0.5)})
    >>> round(float(estimate.gradient["theta"]), 1)  # of the expected cost: 0.75
    0.6
    """

    temperature: float = 0.5
    hard: bool = False

    families: ClassVar[Mapping[type, frozenset[str]]] = VECTORS
    unbiased: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = "draws made smooth by a temperature"

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            msg = (
                "GumbelSoftmax: expected a temperature above 0, got "
                f"{self.temperature!r}."
            )
            raise EstimatorError(msg)

    @property
    def biases(self) -> tuple[str, ...]:
        """What the gradient is that of."""
        what = "derivative is" if self.hard else "values are"
        return (f"the {what} that of draws made smooth",)

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw the noise, and the value from it."""
        noise = open_uniform(distribution, shape, rng)
        return Drawn(np.asarray(self.redraw(distribution, noise)), noise=noise)

    def redraw(self, distribution: Any, noise: Any) -> Any:
        """Return the smooth value, or the hard one with its derivative."""
        z = prior(distribution, noise)
        smooth = soft(distribution, z, self.temperature)
        return with_slope(hard(distribution, z), smooth) if self.hard else smooth
