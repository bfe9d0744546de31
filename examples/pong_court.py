"""ALE Pong as a court of 80×80 pixels that are on or off.

The frame is cropped to the court, every second pixel taken, the background removed.
Actions are sticky (.25), a decision is held for four frames: the settings of
``ALE/Pong-v5``, in ale-py's own vector environment, which plays in threads.
"""

from __future__ import annotations

import ale_py
import gymnasium
import numpy as np
from ale_py.vector_env import AtariVectorEnv

BACKGROUND = 87
STAY, UP, DOWN = 0, 2, 3


class Court:
    """The games side by side, as a Gymnasium vector environment.

    An observation is the present frame and the one before, actions 0, 1, 2 are stay,
    up, down. Frames as the emulator shows them are appended to `film`.
    """

    def __init__(self, games: int, film: list | None = None) -> None:
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.games = AtariVectorEnv(
            "pong", games, img_height=210, img_width=160, stack_num=1, maxpool=False,
            frameskip=4, repeat_action_probability=0.25, reward_clipping=False,
            noop_max=0, use_fire_reset=False, num_threads=min(games, 2),
            autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
        )  # fmt: skip
        self.num_envs, self.metadata = games, self.games.metadata
        self.single_observation_space = gymnasium.spaces.Box(0, 1, (2, 80, 80), bool)
        self.single_action_space = gymnasium.spaces.Discrete(3)
        self.film = film

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, dict]:
        frames, info = self.games.reset(seed=seed)
        self.now = self.court(frames)
        return np.stack([self.now, self.now], axis=1), info

    def step(self, action: np.ndarray) -> tuple:
        frames, reward, terminated, truncated, info = self.games.step(
            np.array([STAY, UP, DOWN])[action]
        )
        before, self.now = self.now, self.court(frames)
        ended = terminated | truncated  # the frame before belongs to another game
        before[ended] = self.now[ended]
        observation = info["final_obs"] = np.stack([self.now, before], axis=1)
        return observation, reward, terminated, truncated, info

    def court(self, frames: np.ndarray) -> np.ndarray:
        frames = frames.reshape(-1, 210, 160)
        if self.film is not None:
            self.film.append(frames[0].copy())
        return frames[:, 34:194:2, ::2] != BACKGROUND
