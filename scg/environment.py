"""Gymnasium vector environments as nodes.

An environment is a stochastic node of unknown density that no parameter influences
directly, which the theorem allows (Schulman et al. 2015, section 2.3). One
sub-environment is one row. The environment keeps its state across runs; nothing here
imports Gymnasium.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.errors import GraphError, ShapeError
from scg.inference import Spec, describe
from scg.node import Node
from scg.roles import Draw, EnvironmentStep
from scg.simulator import Simulator

__all__ = ["Environment", "Waiting"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The observation that an environment waits with: the init of a scan."""

    environment: Environment


class Environment:
    """A vector environment that a graph can step.

    Calling it with an action node returns three nodes: observation, reward and
    terminated. Where an episode ends, the observation is already that of the next one;
    `terminated` and truncation both end the credit of the actions before.

    Parameters
    ----------
    vector_env : gymnasium.vector.VectorEnv, or a list of them
        Its autoreset mode must be same-step, or disabled (then this class resets).
        The default of Gymnasium, next-step, inserts a step whose action is ignored.
        Of a list, the rows are those of all its members; each member runs in a thread
        of its own, so that one can step while the model decides for another.
    name : str
        The node's name.
    seed : int, optional
        The seed of the first reset.
    timeout : float, optional
        Seconds that a step or a reset may take. Each then runs in a thread of its own.
        One that takes longer cannot be ended: it goes on in the background, and the
        environment refuses any further use.

    Raises
    ------
    GraphError
        When the autoreset mode is next-step, or a space has not one shape and dtype.
    SimulatorError
        At run time, when the environment raises, returns what its spaces exclude, or
        takes longer than `timeout`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> import scg
    >>> space = SimpleNamespace(shape=(), dtype=np.int64)
    >>> class Countdown:
    ...     num_envs, metadata = 2, {"autoreset_mode": "SameStep"}
    ...     single_observation_space = single_action_space = space
    ...     def reset(self, seed=None):
    ...         return np.array([3, 3]), {}
    ...     def step(self, action):
    ...         no = np.array([False, False])
    ...         return 3 - action, -1.0 * action, no, no, {}
    >>> graph = scg.Graph()
    >>> countdown = scg.Environment(Countdown())
    >>> def step(observation):
    ...     a = graph.sample("a", scg.Categorical(logits=np.zeros(3)))
    ...     observation, reward, terminated = countdown(a)
    ...     graph.cost("loss", -reward)
    ...     return observation
    >>> last, _ = graph.scan(step, init=countdown.reset(), length=5)
    >>> scg.forward(graph, {}, rng=np.random.default_rng(0))["loss"].shape
    (5, 2)
    """

    def __init__(
        self,
        vector_env: Any,
        *,
        name: str = "environment",
        seed: int | None = None,
        timeout: float | None = None,
    ) -> None:
        self.vector_env = vector_env
        self.name = name
        several = isinstance(vector_env, list | tuple)
        parts: list[Simulator] = []
        for one in vector_env if several else [vector_env]:
            first = sum(part.num_rows for part in parts)
            own = None if seed is None else seed + first
            parts.append(Simulator(one, name, own, timeout))
        self.parts = tuple(parts)
        self.num_rows = sum(part.num_rows for part in parts)
        self.observation_spec, self.action_spec = _one_pair_of_specs(parts, name)

    @property
    def returns(self) -> list[float]:
        """The returns of all finished episodes, in the order of their ends."""
        return [r for _, r, _ in self._episodes()]

    @property
    def lengths(self) -> list[int]:
        """The numbers of steps of all finished episodes, in the order of their ends."""
        return [n for _, _, n in self._episodes()]

    def recent_returns(self, count: int) -> list[float]:
        """Return the returns of the last finished episodes."""
        return [r for _, r, _ in self._episodes(count)[-count:]]

    def _episodes(self, last: int = 0) -> list[tuple[int, float, int]]:
        """Return the episodes of all parts, or at least the `last` ones."""
        found = [e for part in self.parts for e in part.episodes[-last:]]
        return sorted(found, key=lambda episode: episode[0])

    def reset(self) -> Waiting:
        """Return the init of a scan: the observation the environment waits with.

        The environment is reset before its first run only; later runs go on from where
        the last one stopped.
        """
        return Waiting(self)

    def __call__(self, action: Node) -> tuple[Node, Node, Node]:
        """Step with the given action; return observation, reward and terminated."""
        self._check_action(action)
        store = action.store
        parts = (
            self.observation_spec,
            Spec((), store.float_dtype(self.name), has_rows=True),
            Spec((), np.dtype(bool), has_rows=True),
            Spec((), np.dtype(bool), has_rows=True),
        )
        node = store.add(
            EnvironmentStep(self),
            (action,),
            Spec((), np.dtype(object), has_rows=True, parts=parts),
            stem=self.name,
            loop=store.loop,
        )
        return node[0], node[1], node[2]

    def get_state(self) -> dict[str, Any] | None:
        """Give what `fit` saves of it, or None where it cannot be had.

        It can where every vector environment has ``get_state() -> dict of arrays`` and
        ``set_state(dict)``, and has been reset.
        """
        states = [part.get_state() for part in self.parts]
        if any(state is None for state in states):
            return None
        return {
            f"{k} {name}": value
            for k, state in enumerate(states)
            for name, value in (state or {}).items()
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state that `get_state` gave."""
        for k, part in enumerate(self.parts):
            prefix = f"{k} "
            own = {
                n[len(prefix) :]: v for n, v in state.items() if n.startswith(prefix)
            }
            part.set_state(own)

    def _check_action(self, action: Any) -> None:
        expected = self.action_spec
        if not isinstance(action, Node):
            msg = (
                f"{self.name!r}: expected an action node, {describe(expected)}, got "
                f"{action!r}. An action that never changes needs rows: np.zeros_like "
                "of a node, plus the constant."
            )
            raise GraphError(msg)
        if not action.has_rows or action.event_shape != expected.shape:
            msg = (
                f"{self.name!r}: expected an action of shape {describe(expected)}, got "
                f"node {action.name!r}: {describe(action.spec)}."
            )
            raise ShapeError(msg)
        whole = expected.dtype.kind in "iub"
        role = action.role
        never_whole = (
            whole and isinstance(role, Draw) and not role.distribution.discrete
        )
        if action.dtype.kind not in "fiub" or never_whole:
            msg = (
                f"{self.name!r}: expected an action of dtype {expected.dtype}, got "
                f"node {action.name!r}: {describe(action.spec)}, which is not made of "
                "whole numbers. Draw it from scg.Categorical or scg.Bernoulli."
            )
            raise ShapeError(msg)


def _one_pair_of_specs(parts: Sequence[Simulator], name: str) -> tuple[Spec, Spec]:
    """Return the observations' and the actions' spec, the same for all members."""
    found = [(part.observation_spec, part.action_spec) for part in parts]
    if not found or any(pair != found[0] for pair in found):
        shown = [f"{describe(o)} for actions {describe(a)}" for o, a in found]
        msg = (
            f"{name!r}: expected a vector environment, or several with the same "
            f"spaces, got {shown}."
        )
        raise GraphError(msg)
    return found[0]
