"""A vector environment as it runs: stepped, checked, and started anew where it ended.

Whatever it returns is held against its spaces. Nothing here knows graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.errors import GraphError, SimulatorError
from scg.inference import Spec, describe
from scg.time_limit import LateError, call_within, checked_limit

__all__ = ["Outcome", "Simulator"]

_SAME_STEP, _DISABLED = "SameStep", "Disabled"


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


class Simulator:
    """One vector environment, with its state; see `scg.Environment`.

    `episodes` lists (the step in which it ended, its return, its length).
    """

    def __init__(
        self,
        vector_env: Any,
        name: str,
        seed: int | None,
        timeout: float | None,
    ) -> None:
        self.vector_env = vector_env
        self.name = name
        self.seed = seed
        self.timeout = checked_limit(timeout, repr(name))
        self.num_rows = _num_rows(vector_env, name)
        self.observation_spec = _spec(vector_env.single_observation_space, name)
        self.action_spec = _spec(vector_env.single_action_space, name)
        self.autoreset = _autoreset_mode(vector_env, name)
        self.observation: Any = None
        self.episodes: list[tuple[int, float, int]] = []
        self._steps = 0
        self._lost = ""
        self._returned: Any = None
        self._return = np.zeros(self.num_rows)
        self._length = np.zeros(self.num_rows, dtype=np.int64)

    def get_state(self) -> dict[str, Any] | None:
        """Give a copy of the state, or None where the vector environment has none."""
        get = getattr(self.vector_env, "get_state", None)
        own = get() if callable(get) and self.observation is not None else None
        if own is None:
            return None
        return {
            "observation": self.observation.copy(),
            "return": self._return.copy(),
            "length": self._length.copy(),
            "steps": np.array(self._steps),
            "episodes": np.array(self.episodes, float).reshape(-1, 3),
            **{f"own {name}": np.array(value) for name, value in own.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state that `get_state` gave."""
        own = {k[4:]: v for k, v in state.items() if k.startswith("own ")}
        self.vector_env.set_state(own)
        self.observation = np.array(state["observation"])
        self._return, self._length = state["return"].copy(), state["length"].copy()
        self._steps = int(state["steps"])
        self.episodes = [(int(t), float(r), int(n)) for t, r, n in state["episodes"]]

    def current(self) -> Any:
        """Return the observation the environment waits with, resetting it if new."""
        if self.observation is None:
            observation, _ = self._pair(self._call("reset", seed=self.seed))
            self.observation = self._checked_observation(observation)
        # A copy: an environment may write its next observation into the same buffer.
        return self.observation.copy()

    def advance(self, action: Any) -> Outcome:
        """Step all rows; reset the rows that ended."""
        if self.observation is None:
            self.current()
        result = self._call("step", self._cast(action))
        if not isinstance(result, tuple) or len(result) != 5:
            msg = (
                f"{self.name!r}: expected step to return (observation, reward, "
                f"terminated, truncated, info), got {result!r}."
            )
            raise SimulatorError(msg)
        observation, reward, terminated, truncated, info = result
        reward = self._checked_reward(reward)
        terminated = self._checked_flags("terminated", terminated)
        truncated = self._checked_flags("truncated", truncated) & ~terminated
        ended = terminated | truncated
        self._count(reward, ended)
        final = None
        if ended.any():
            rows = np.flatnonzero(ended)
            observation, last = self._restart(observation, ended, rows, info)
            final = (rows, last)
        self.observation = self._checked_observation(observation)
        return Outcome(self.observation, reward, terminated, truncated, final)

    def _restart(
        self, observation: Any, ended: Any, rows: Any, info: dict[str, Any]
    ) -> tuple[Any, Any]:
        if self.autoreset == _DISABLED:
            last = self._checked_observation(observation)[rows].copy()
            fresh = self._call("reset", options={"reset_mask": ended})
            return self._pair(fresh)[0], last
        try:
            last = np.stack([np.asarray(info["final_obs"][r]) for r in rows])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            msg = (
                f"{self.name!r}: expected info['final_obs'] to hold the last "
                f"observation of the rows {rows.tolist()}, whose episodes ended, got "
                f"{type(error).__name__}: {error}."
            )
            raise SimulatorError(msg) from error
        spec = self.observation_spec
        if last.shape[1:] != spec.shape or not np.can_cast(
            last.dtype, spec.dtype, "same_kind"
        ):
            msg = (
                f"{self.name!r}: expected observations {describe(spec)} in "
                f"info['final_obs'], got shape {last.shape[1:]} and dtype {last.dtype}."
            )
            raise SimulatorError(msg)
        return observation, last.astype(spec.dtype, copy=False)

    def _count(self, reward: Any, ended: Any) -> None:
        self._steps += 1
        self._return += reward
        self._length += 1
        for row in np.flatnonzero(ended):
            self.episodes.append(
                (self._steps, float(self._return[row]), int(self._length[row]))
            )
        self._return[ended] = 0
        self._length[ended] = 0

    def _checked_observation(self, observation: Any) -> Any:
        spec = self.observation_spec
        # By name: None, which a list has for a dtype, equals np.float64.
        got = (np.shape(observation), str(getattr(observation, "dtype", None)))
        if got != ((self.num_rows, *spec.shape), str(spec.dtype)):
            msg = (
                f"{self.name!r}: expected observations of shape "
                f"{(self.num_rows, *spec.shape)} and dtype {spec.dtype}, as its space "
                f"says, got {got}."
            )
            raise SimulatorError(msg)
        if spec.dtype.kind == "f" and not np.isfinite(observation).all():
            row = int(np.argwhere(~np.isfinite(observation))[0][0])
            msg = (
                f"{self.name!r}: expected finite observations, got {observation[row]} "
                f"in row {row}."
            )
            raise SimulatorError(msg)
        reused = self._returned is not None and np.may_share_memory(
            observation, self._returned
        )
        self._returned = observation
        return observation.copy() if reused else observation

    def _checked_reward(self, reward: Any) -> Any:
        reward = np.asarray(reward)
        good = reward.shape == (self.num_rows,) and reward.dtype.kind in "fiub"
        if not good or not np.isfinite(reward).all():
            msg = (
                f"{self.name!r}: expected one finite reward a row, shape "
                f"({self.num_rows},), got shape {reward.shape}: {reward!r}."
            )
            raise SimulatorError(msg)
        return reward

    def _checked_flags(self, word: str, flags: Any) -> Any:
        array = np.asarray(flags)
        if array.shape != (self.num_rows,) or array.dtype.kind not in "biu":
            msg = (
                f"{self.name!r}: expected one truth value of {word!r} a row, shape "
                f"({self.num_rows},), got {flags!r}."
            )
            raise SimulatorError(msg)
        return array.astype(bool)  # a copy

    def _pair(self, result: Any) -> tuple[Any, Any]:
        if not isinstance(result, tuple) or len(result) != 2:
            msg = (
                f"{self.name!r}: expected reset to return (observation, info), got "
                f"{result!r}."
            )
            raise SimulatorError(msg)
        return result

    def _cast(self, action: Any) -> Any:
        """Give an action its space's dtype, as a copy, if that changes no value."""
        dtype = self.action_spec.dtype
        cast = np.array(action, dtype)
        if dtype.kind in "iub" and action.dtype.kind == "f" and (cast != action).any():
            msg = (
                f"{self.name!r}: expected whole numbers as actions, of dtype {dtype}, "
                f"got {action[cast != action].flat[0]}. Round it in the model: "
                "np.round(x)."
            )
            raise SimulatorError(msg)
        return cast

    def _call(self, what: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the environment, within the time allowed."""
        if self._lost:
            msg = (
                f"{self.name!r}: its state is unknown since {self._lost}. Make a new "
                "environment."
            )
            raise SimulatorError(msg)
        method = getattr(self.vector_env, what)
        try:
            return call_within(self.timeout, method, *args, **kwargs)
        except LateError as error:
            self._lost = f"a {what} took longer than {self.timeout:g} s"
            msg = (
                f"{self.name!r}: expected a {what} within {self.timeout:g} s, got "
                "none. The call cannot be ended: it goes on in the background. Allow "
                "more time (timeout=), and make a new environment."
            )
            raise SimulatorError(msg) from error
        except Exception as error:
            msg = (
                f"{self.name!r}: {what} raised {type(error).__name__}: {error}. Its "
                f"arguments were {args or kwargs}."
            )
            raise SimulatorError(msg) from error
        except BaseException:  # Ctrl-C, while the call may still be running
            self._lost = f"a {what} was interrupted" if self.timeout else ""
            raise


def _num_rows(vector_env: Any, name: str) -> int:
    rows = getattr(vector_env, "num_envs", None)
    if not isinstance(rows, int | np.integer) or rows < 1:
        msg = (
            f"{name!r}: expected a gymnasium.vector.VectorEnv, got {vector_env!r}. One "
            "sub-environment is one row: gymnasium.make_vec(id, num_envs=n, ...)."
        )
        raise GraphError(msg)
    return int(rows)


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
