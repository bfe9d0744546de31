"""Run several choices of estimators on one model, on the same random numbers.

Each repeat gives every choice the same seed, one after the other, so that what slows
the machine down for a while slows all of them down.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scg.credit import assign
from scg.errors import InputError
from scg.estimators import AbstractEstimator
from scg.gradient_figures import followed
from scg.graph import Graph
from scg.program import Program
from scg.site_figures import credit_moments, mean_entropy, subtracts
from scg.surrogate import Compiled, Estimate, compile

__all__ = ["Estimators", "Runs", "Setting", "side_by_side"]

Estimators = Mapping[str, AbstractEstimator]


@dataclass(frozen=True, slots=True)
class Setting:
    """What the runs have in common."""

    params: Mapping[str, Any]
    inputs: Mapping[str, Any] | None
    rows: int | None
    samples: int
    repeats: int
    warm_up: int

    def __post_init__(self) -> None:
        for name, least in (("repeats", 2), ("warm_up", 0)):
            if getattr(self, name) < least:
                msg = f"{name}: expected {least} or more, got {getattr(self, name)!r}."
                raise InputError(msg)


@dataclass(frozen=True, slots=True)
class Runs:
    """What the repeats of one choice came to.

    Attributes
    ----------
    program : Program
    estimators : mapping of str to AbstractEstimator
    gradients : dict of str to array, shape (repeats, followed entries)
    costs, seconds : array, shape (repeats,)
    moments : dict of str to array, shape (5,)
        Of the credit of each scored sample, summed over the repeats.
    entropies : dict of str to list of float or None
    """

    program: Program
    estimators: Estimators
    gradients: dict[str, NDArray[Any]]
    costs: NDArray[np.float64]
    seconds: NDArray[np.float64]
    moments: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    entropies: dict[str, list[float | None]] = field(default_factory=dict)


def side_by_side(
    graph: Graph,
    choices: Mapping[str, Estimators],
    setting: Setting,
    rng: np.random.Generator,
) -> dict[str, Runs]:
    """Run every choice `repeats` times.

    The averages of baselines are those after `warm_up` runs, and stay what they are:
    repeats are then independent of each other.
    """
    seeds = rng.integers(2**63, size=setting.warm_up + setting.repeats)
    tracks = {
        name: _Track(compile(graph, estimators), estimators, setting)
        for name, estimators in choices.items()
    }
    for seed in seeds[: setting.warm_up]:
        for track in tracks.values():
            track.warm(int(seed))
    order = list(tracks.values())
    for k, seed in enumerate(seeds[setting.warm_up :]):
        for track in order[:: -1 if k % 2 else 1]:
            track.repeat(k, int(seed))
    return {name: track.runs for name, track in tracks.items()}


class _Track:
    """One choice while it runs."""

    def __init__(
        self, model: Compiled, estimators: Estimators, setting: Setting
    ) -> None:
        self.model = model
        self.setting = setting
        self.state: dict[str, Any] = {}
        count = setting.repeats
        program = model.program
        gradients = {
            n.name: np.zeros((count, followed(setting.params[n.name]).size), n.dtype)
            for n in program.params
            if n.name in setting.params
        }
        costs, seconds = np.zeros(count), np.zeros(count)
        self.runs = Runs(program, dict(estimators), gradients, costs, seconds)

    def warm(self, seed: int) -> None:
        self.state = self._run(seed).state

    def repeat(self, k: int, seed: int) -> None:
        began = time.perf_counter()
        estimate = self._run(seed)
        self.runs.seconds[k] = time.perf_counter() - began
        self.runs.costs[k] = estimate.cost
        for name, found in self.runs.gradients.items():
            found[k] = followed(estimate.gradient[name])
        self._look(estimate)

    def _run(self, seed: int) -> Estimate:
        s = self.setting
        rng = np.random.default_rng(seed)
        return self.model(
            s.params,
            s.inputs,
            rng=rng,
            rows=s.rows,
            samples=s.samples,
            state=self.state,
        )

    def _look(self, estimate: Estimate) -> None:
        """Add the figures of the samples of one run."""
        program, trace, runs = self.model.program, estimate.trace, self.runs
        for i in program.estimators:
            node = program.nodes[i]
            entropy = mean_entropy(program, trace, node)
            runs.entropies.setdefault(node.name, []).append(entropy)
        if not any(subtracts(program.estimators[i]) for i in program.scored):
            return
        for i, credit in assign(program, trace, self.state).items():
            node = program.nodes[i]
            if subtracts(program.estimators[i]):
                now = credit_moments(program, trace, node, credit)
                runs.moments[node.name] = runs.moments.get(node.name, 0.0) + now
