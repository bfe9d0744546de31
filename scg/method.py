"""What one training step does to the params.

A method is what `fit` repeats: it may run the model once and step once
(`GradientStep`), or run it once and step many times, as clipped-surrogate methods do.
It keeps nothing between steps: state goes in and comes out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scg.clipping import global_norm
from scg.elementwise import Arrays, Optimizer, check_finite

__all__ = [
    "AbstractMethod",
    "Data",
    "GradientStep",
    "Inputs",
    "MethodUpdate",
    "State",
    "Step",
    "StepEstimate",
]

Inputs: TypeAlias = Mapping[str, NDArray[Any]]
State: TypeAlias = Mapping[str, NDArray[Any]] | None

# data(rng, step): the inputs of a step; the first step is 0.
Data: TypeAlias = Callable[[np.random.Generator, int], Inputs]

# Params, optimiser state, state of the method, metrics.
MethodUpdate: TypeAlias = tuple[Arrays, Arrays, State, dict[str, float]]


class StepEstimate(Protocol):
    """What a `Step` returns: a cost, a gradient like the params, a state, metrics."""

    @property
    def gradient(self) -> Mapping[str, NDArray[Any]]:
        """One array for each param, of its shape."""

    @property
    def cost(self) -> float:
        """Mean cost over the rows."""

    @property
    def state(self) -> State:
        """What the next step is to be given, such as the averages of baselines."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Further numbers worth a look; not a number means not known."""


class Step(Protocol):
    """Estimate the gradient of a model: a compiled graph is one."""

    def __call__(
        self,
        params: Mapping[str, NDArray[Any]],
        inputs: Inputs | None,
        *,
        rng: np.random.Generator,
        rows: int | None = None,
        samples: int = 1,
        state: State = None,
    ) -> StepEstimate:
        """Run the model once."""


class AbstractMethod(ABC):
    """Say what one training step does; `fit` repeats it.

    Examples
    --------
    >>> class Halve(AbstractMethod):
    ...     def init(self, params):
    ...         return {}
    ...     def update(self, params, optimizer_state, state, *, rng, step):
    ...         halved = {name: value / 2 for name, value in params.items()}
    ...         return halved, optimizer_state, state, {"cost": 0.0}
    ...     def settle(self):
    ...         pass
    >>> params = {"x": np.array(3.0)}
    >>> params, *_ = Halve().update(params, {}, None, rng=None, step=0)
    >>> float(params["x"])
    1.5
    """

    @abstractmethod
    def init(self, params: Arrays) -> Arrays:
        """Give the optimiser's state before the first step.

        Parameters
        ----------
        params : dict of str to array
            The params at the start. Not to be changed.

        Returns
        -------
        dict of str to array
            Flat; its names and shapes tell one optimiser's checkpoints from another's.
        """

    @abstractmethod
    def update(
        self,
        params: Arrays,
        optimizer_state: Arrays,
        state: State,
        *,
        rng: np.random.Generator,
        step: int,
    ) -> MethodUpdate:
        """Make one training step.

        Parameters
        ----------
        params, optimizer_state : dict of str to array
            From the last step. They are the method's to overwrite: `fit` keeps neither.
        state : mapping of str to array, or None
            From the last step; None before the first one, unless `fit` was given one.
        rng : Generator
            The only source of randomness.
        step : int
            How many steps have been made.

        Returns
        -------
        params, optimizer_state : dict of str to array
            The same names, shapes and dtypes.
        state : mapping of str to array, or None
            Given to the next step, and kept in checkpoints.
        metrics : dict of str to float
            Shown and logged. `fit` stops if ``"cost"`` or ``"gradient_norm"`` is not
            finite.

        Raises
        ------
        NonFiniteError
            For a NaN or an infinity; `fit` adds the step.
        """

    @abstractmethod
    def settle(self) -> None:
        """Wait for what the method does in the background; `fit` saves after it."""


@dataclass(frozen=True, slots=True)
class GradientStep(AbstractMethod):
    """Run the model once, then step once along the estimated gradient.

    Parameters
    ----------
    step : Step
        The model: a compiled graph, or any function like it.
    optimizer : Optimizer
        Takes the step.
    data : callable, optional
        ``data(rng, step)`` gives the inputs.
    rows : int, optional
        Number of rows, where no input tells it.
    samples : int
        Runs of the model per row.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from scg.optimizers import sgd
    >>> def parabola(params, inputs, *, rng, rows=None, samples=1, state=None):
    ...     x = params["x"]
    ...     return SimpleNamespace(
    ...         cost=float(x**2), gradient={"x": 2 * x}, state=state, metrics={}
    ...     )
    >>> method = GradientStep(parabola, sgd(0.25))
    >>> params = {"x": np.array(1.0)}
    >>> params, _, _, metrics = method.update(
    ...     params, method.init(params), None, rng=np.random.default_rng(0), step=0
    ... )
    >>> float(params["x"]), metrics
    (0.5, {'cost': 1.0, 'gradient_norm': 2.0})
    """

    step: Step
    optimizer: Optimizer
    data: Data | None = None
    rows: int | None = None
    samples: int = 1

    def init(self, params: Arrays) -> Arrays:
        """Give the state of the optimiser."""
        return self.optimizer.init(params)

    def update(
        self,
        params: Arrays,
        optimizer_state: Arrays,
        state: State,
        *,
        rng: np.random.Generator,
        step: int,
    ) -> MethodUpdate:
        """Estimate the gradient and take a step along it."""
        inputs = self.data(rng, step) if self.data else None
        estimate = self.step(
            params, inputs, rng=rng, rows=self.rows, samples=self.samples, state=state
        )
        # Before the gradient, which a cost that is not finite makes the same.
        check_finite("cost", np.asarray(estimate.cost))
        params, optimizer_state = self.optimizer.update(
            estimate.gradient, optimizer_state, params, donate=True
        )
        metrics = {
            "cost": float(estimate.cost),
            "gradient_norm": global_norm(estimate.gradient),
            **{name: float(value) for name, value in estimate.metrics.items()},
        }
        return params, optimizer_state, estimate.state, metrics

    def settle(self) -> None:
        """Do nothing: nothing goes on between steps."""
