"""Gymnasium vector environments as nodes.

An environment is a stochastic node of unknown density that no parameter influences
directly, which the theorem allows (Schulman et al. 2015, section 2.3). One
sub-environment is one row. The environment keeps its state across runs; nothing here
imports Gymnasium.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.errors import GraphError, ShapeError, SimulatorError
from scg.inference import Spec, describe
from scg.node import Node
from scg.roles import EnvironmentStep

__all__ = ["Environment", "Outcome", "Waiting"]

_SAME_STEP, _DISABLED = "SameStep", "Disabled"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The observation that an environment waits with: the init of a scan."""

    environment: Environment


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step returned, for all rows.

    `final` holds, for rows that ended in this step, the observation before the reset:
    a pair (rows, observations), or None when none ended.
    """

    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    final: tuple[Any, Any] | None


class Environment:
    """A vector environment that a graph can step.

    Calling it with an action node returns three nodes: observation, reward and
    terminated. Where an episode ends, the observation is already that of the next one;
    `terminated` and truncation both end the credit of the actions before.

    Parameters
    ----------
    vector_env : gymnasium.vector.VectorEnv
        Its autoreset mode must be same-step, or disabled (then this class resets).
        The default of Gymnasium, next-step, inserts a step whose action is ignored.
    name : str
        The node's name.
    seed : int, optional
        The seed of the first reset.

    Raises
    ------
    GraphError
        When the autoreset mode is next-step.
    SimulatorError
        At run time, when the environment raises or returns what its spaces exclude.

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
        self, vector_env: Any, *, name: str = "environment", seed: int | None = None
    ) -> None:
        self.vector_env = vector_env
        self.name = name
        self.seed = seed
        self.num_rows = int(vector_env.num_envs)
        self.observation_spec = _spec(vector_env.single_observation_space, name)
        self.action_spec = _spec(vector_env.single_action_space, name)
        self.autoreset = _autoreset_mode(vector_env, name)
        self.observation: Any = None
        self.returns: list[float] = []
        self.lengths: list[int] = []
        self._return = np.zeros(self.num_rows)
        self._length = np.zeros(self.num_rows, dtype=np.int64)

    def reset(self) -> Waiting:
        """Return the init of a scan: the observation the environment waits with.

        The environment is reset before its first run only; later runs go on from where
        the last one stopped.
        """
        return Waiting(self)

    def __call__(self, action: Node) -> tuple[Node, Node, Node]:
        """Step with the given action; return observation, reward and terminated."""
        expected = self.action_spec
        if not action.has_rows or action.event_shape != expected.shape:
            msg = (
                f"{self.name!r}: expected an action of shape {describe(expected)}, got "
                f"node {action.name!r}: {describe(action.spec)}."
            )
            raise ShapeError(msg)
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
            loop=action.loop,
        )
        return node[0], node[1], node[2]

    def current(self) -> Any:
        """Return the observation the environment waits with, resetting it if new."""
        if self.observation is None:
            try:
                observation, _ = self.vector_env.reset(seed=self.seed)
            except Exception as error:
                raise self._failure("reset", error) from error  # noqa: EM101
            self.observation = self._checked_observation(observation)
        return self.observation

    def advance(self, action: Any) -> Outcome:
        """Step all rows; reset the rows that ended."""
        dtype = self.action_spec.dtype
        try:
            observation, reward, terminated, truncated, info = self.vector_env.step(
                np.asarray(action).astype(dtype, copy=False)
            )
        except Exception as error:
            raise self._failure("step", error) from error  # noqa: EM101
        reward = self._checked_reward(reward)
        terminated = np.array(terminated, dtype=bool)
        truncated = np.array(truncated, dtype=bool) & ~terminated
        ended = terminated | truncated
        self._count(reward, ended)
        final = None
        if ended.any():
            rows = np.flatnonzero(ended)
            observation, last = self._restart(observation, ended, rows, info)
            final = (rows, last)
        self.observation = self._checked_observation(observation)
        return Outcome(observation, reward, terminated, truncated, final)

    def _restart(
        self, observation: Any, ended: Any, rows: Any, info: dict[str, Any]
    ) -> tuple[Any, Any]:
        if self.autoreset == _DISABLED:
            last = observation[rows].copy()
            fresh, _ = self.vector_env.reset(options={"reset_mask": ended})
            return fresh, last
        final = info.get("final_obs")
        if final is None:
            msg = f"{self.name!r}: expected info['final_obs'] where an episode ended."
            raise SimulatorError(msg)
        return observation, np.stack([np.asarray(final[r]) for r in rows])

    def _count(self, reward: Any, ended: Any) -> None:
        self._return += reward
        self._length += 1
        for row in np.flatnonzero(ended):
            self.returns.append(float(self._return[row]))
            self.lengths.append(int(self._length[row]))
        self._return[ended] = 0
        self._length[ended] = 0

    def _checked_observation(self, observation: Any) -> Any:
        spec = self.observation_spec
        got = (np.shape(observation), getattr(observation, "dtype", None))
        if got != ((self.num_rows, *spec.shape), spec.dtype):
            msg = (
                f"{self.name!r}: expected observations of shape "
                f"{(self.num_rows, *spec.shape)} and dtype {spec.dtype}, as its space "
                f"says, got {got}."
            )
            raise SimulatorError(msg)
        if spec.dtype.kind == "f" and not np.isfinite(observation).all():
            msg = f"{self.name!r}: expected finite observations, got NaN or infinity."
            raise SimulatorError(msg)
        return observation

    def _checked_reward(self, reward: Any) -> Any:
        reward = np.asarray(reward)
        if reward.shape != (self.num_rows,) or not np.isfinite(reward).all():
            msg = (
                f"{self.name!r}: expected one finite reward a row, shape "
                f"({self.num_rows},), got shape {reward.shape}: {reward!r}."
            )
            raise SimulatorError(msg)
        return reward

    def _failure(self, what: str, error: Exception) -> SimulatorError:
        return SimulatorError(
            f"{self.name!r}: {what} raised {type(error).__name__}: {error}."
        )


def _spec(space: Any, name: str) -> Spec:
    shape, dtype = getattr(space, "shape", None), getattr(space, "dtype", None)
    if shape is None or dtype is None:
        msg = (
            f"{name!r}: expected a space with one shape and one dtype, got {space!r}. "
            "Flatten it with a Gymnasium vector wrapper."
        )
        raise GraphError(msg)
    return Spec(tuple(shape), np.dtype(dtype), has_rows=True)


def _autoreset_mode(vector_env: Any, name: str) -> str:
    mode = (getattr(vector_env, "metadata", None) or {}).get("autoreset_mode")
    word = str(getattr(mode, "value", mode))
    if word in {_SAME_STEP, _DISABLED}:
        return word
    msg = (
        f"{name!r}: expected an environment with autoreset mode SameStep or "
        "Disabled, got "
        f"{word}. Make it with gymnasium.make_vec(..., "
        f"vector_kwargs={{'autoreset_mode': "
        "gymnasium.vector.AutoresetMode.SAME_STEP}), since the step that next-step "
        "mode "
        "inserts ignores its action."
    )
    raise GraphError(msg)
