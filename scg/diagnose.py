"""A method that is watched while it trains, and does what it did before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scg.elementwise import Arrays
from scg.method import AbstractMethod, GradientStep, MethodUpdate, State
from scg.watch import Watch

__all__ = ["Watched", "findings_of", "watched"]


class Watched(AbstractMethod):
    """Do what another method does, and add the figures of a `Watch` to its metrics.

    Parameters
    ----------
    method : AbstractMethod
        Of a `GradientStep`, gradients and nodes are looked at; of others, what they
        say in their metrics.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from scg.optimizers import sgd
    >>> def parabola(params, inputs, *, rng, rows=None, samples=1, state=None):
    ...     gradient = {"x": 2 * params["x"]}
    ...     return SimpleNamespace(cost=1.0, gradient=gradient, state=state, metrics={})
    >>> method = Watched(GradientStep(parabola, sgd(0.25)))
    >>> params = {"x": np.array(1.0)}
    >>> start = method.init(params)
    >>> *_, metrics = method.update(params, start, None, rng=None, step=0)
    >>> sorted(metrics)
    ['cost', 'gradient_norm', 'signal_to_noise']
    """

    def __init__(self, method: AbstractMethod) -> None:
        self.watch = Watch()
        self.method = method
        if isinstance(method, GradientStep):
            self.method = replace(method, step=self.watch.around(method.step))

    def init(self, params: Arrays) -> Arrays:
        """Give the state of the method's optimiser."""
        return self.method.init(params)

    def update(
        self,
        params: Arrays,
        optimizer_state: Arrays,
        state: State,
        *,
        rng: np.random.Generator,
        step: int,
    ) -> MethodUpdate:
        """Make the method's step."""
        params, optimizer_state, state, metrics = self.method.update(
            params, optimizer_state, state, rng=rng, step=step
        )
        self.watch.see(metrics)
        return params, optimizer_state, state, {**metrics, **self.watch.figures}

    def settle(self) -> None:
        """Wait for the method."""
        self.method.settle()


def watched(method: AbstractMethod, diagnose: bool) -> AbstractMethod:
    """Return the method, watched where that is asked for."""
    return Watched(method) if diagnose else method


def findings_of(method: AbstractMethod) -> tuple[str, ...]:
    """Return what was found of a method, nothing where it was not watched."""
    return tuple(method.watch.findings.said) if isinstance(method, Watched) else ()
