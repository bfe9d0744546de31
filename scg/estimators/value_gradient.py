"""The derivative of a value node in place of the gradient that would come up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scg.critics import Lookahead
from scg.errors import EstimatorError
from scg.estimators.base import AbstractEstimator, Drawn, Site

__all__ = ["ValueGradient"]


@dataclass(frozen=True, slots=True)
class ValueGradient(AbstractEstimator):
    r"""Differentiate a value node by the draw, and the draw by its parameters.

    .. math:: z = g(\epsilon, \phi(\theta)), \qquad
              \nabla_\theta \approx \frac{\partial V(z, \dots)}{\partial z}
              \frac{\partial g}{\partial \phi} \nabla_\theta \phi, \qquad
              \text{regression loss } \tfrac{w}{2} (V - \hat Q)^2

    The value node, a differentiable function of the draw, stands for the costs that the
    draw influences; it is fitted to their sum or, with `steps` or `lam`, to a target
    that looks ahead to the value nodes of the samples that follow, as for `KStep`: with
    ``steps=1`` to the costs of a step and the next step's value. After a loop's last
    step, and where an episode was terminated or truncated, nothing follows. What lies
    below need not be differentiable: no gradient comes up from there. Where params lead
    to costs by other ways too, gradient goes along these as ever. *Biased* while the
    derivative of V is not that of the expected ``Q̂``.

    Parameters
    ----------
    value : str
        The name given to `Graph.value`; in a loop, of the same step. It reads the draw
        and, to be right, what `Graph.is_critic_set` asks for, which is checked.
    steps : int, optional
        After how many samples that follow the value node stands for all the rest.
    lam : float
        ``λ``, in [0, 1]; 1 trusts sampled costs.
    discount : float
        Inside a loop, a cost k steps later counts ``discount**k`` for V.
    boundary : str or None
        As for `ScoreFunction`.
    weight : float
        ``w``; with 0, V is not fitted.
    shared : bool
        Whether the regression also trains what the policy uses.
    partial : bool
        Whether V may read too little to be right. Environments count as showing all of
        their state.

    Raises
    ------
    EstimatorError
        When an option is out of range.

    References
    ----------
    Heess et al. 2015, "Learning continuous control policies by stochastic value
    gradients"; Silver et al. 2014, "Deterministic policy gradient algorithms"; Weber,
    Heess, Buesing & Silver 2019, "Credit assignment techniques in stochastic
    computation graphs".

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> mu = graph.param("mu", 1.0)
    >>> z = graph.sample("z", scg.Normal(mean=mu, scale=1.0))
    >>> loss = graph.cost("loss", scg.black_box(lambda z: 3 * z, (), float)(z))
    >>> slope = graph.param("slope", 3.0)
    >>> q = graph.value("q", slope * z)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"mu": 1.0, "slope": 3.0}, rng=np.random.default_rng(0), rows=2,
    ...     estimators={"z": scg.ValueGradient("q")})
    >>> float(estimate.gradient["mu"]), float(estimate.gradient["slope"])
    (3.0, 0.0)
    """

    value: str
    steps: int | None = None
    lam: float = 1.0
    discount: float = 1.0
    boundary: str | None = "episode"
    weight: float = 1.0
    shared: bool = False
    partial: bool = False

    needs: ClassVar[frozenset[str]] = frozenset({"reparameterisation"})
    unbiased: ClassVar[bool] = False
    biases: ClassVar[tuple[str, ...]] = ("derivative of a value node",)
    summary: ClassVar[str] = "derivative of a value node by the draw"

    def __post_init__(self) -> None:
        fits = 0 <= self.lam <= 1 and 0 <= self.discount <= 1
        if not fits or (self.steps is not None and self.steps < 1):
            msg = (
                "ValueGradient: expected lam and discount in [0, 1] and steps >= 1 or "
                f"None, got {self.lam!r}, {self.discount!r} and {self.steps!r}."
            )
            raise EstimatorError(msg)

    @property
    def lookahead(self) -> Lookahead:
        """How far its value node's target looks ahead."""
        return Lookahead(self.lam, self.steps, partial=self.partial)

    @property
    def reads(self) -> tuple[str, ...]:
        """The value node."""
        return (self.value,)

    @property
    def differentiates(self) -> str:
        """The value node."""
        return self.value

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return 1: no branching."""
        return 1

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Draw the noise, and the value from it."""
        noise = distribution.noise(rng, shape)
        return Drawn(distribution.reparameterise(noise), noise=noise)

    def redraw(self, distribution: Any, noise: Any) -> Any:
        """Return the reparameterised draw."""
        return distribution.reparameterise(noise)

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return nothing: the gradient comes along the path."""
        return {}
