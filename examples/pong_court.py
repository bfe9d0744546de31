"""ALE Pong as a court of 80×80 pixels that are on or off, and ways to look at it.

The frame is cropped to the court, every second pixel taken, the background removed.
Actions are sticky (.25), a decision is held for four frames: the settings of
``ALE/Pong-v5``, in ale-py's own vector environment, which plays in threads.
"""

from __future__ import annotations

import ale_py
import gymnasium
import numpy as np
from ale_py.vector_env import AtariVectorEnv
from scipy.sparse import csr_array

BACKGROUND = 87
STAY, UP, DOWN = 0, 2, 3


class Court:
    """The games side by side, as a Gymnasium vector environment.

    An observation is the present frame and the one before, actions 0, 1, 2 are stay,
    up, down. Frames as the emulator shows them are appended to `film`.
    """

    def __init__(self, games: int, film: list | None = None, threads: int = 1) -> None:
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.games = AtariVectorEnv(
            "pong", games, img_height=210, img_width=160, stack_num=1, maxpool=False,
            frameskip=4, repeat_action_probability=0.25, reward_clipping=False,
            noop_max=0, use_fire_reset=False, num_threads=threads,
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
        return (frames[:, 34:194:2] != BACKGROUND)[:, :, ::2]


def windows() -> np.ndarray:
    """Return 48 fixed sums over the court and over its mirror image: (6400, 96)."""
    at = np.arange(80)
    hats = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(-0.5, 80, 8)) / 8)
    along = 4 * np.column_stack([(at - 39.5) / 40, hats])  # a ramp, eleven windows
    # A paddle has 16 pixels, the ball 2: their sums are of one size.
    left, right, middle = (at < 10) / 16, (at >= 70) / 16, (abs(at - 39.5) < 30) / 2
    by_row = [along[:, None] * band[:, None] for band in (left, middle, right)]
    by_column = along * middle[:, None]
    sums = [np.broadcast_to(part, (80, 80, 12)) for part in (*by_row, by_column)]
    one = np.concatenate(sums, axis=-1, dtype=np.float32)
    return np.concatenate([one, one[::-1]], axis=-1).reshape(6400, 96)


WINDOWS = windows()


def sums(frames: np.ndarray) -> np.ndarray:
    """Sum the present frame and its change under the windows, on both sides."""
    flat = frames.reshape(-1, 6400)
    places = np.flatnonzero(flat)
    starts = np.searchsorted(places, 6400 * np.arange(len(flat) + 1))
    ones = np.ones(len(places), np.float32)
    pixels = csr_array((ones, places % 6400, starts), flat.shape)
    now, before = (pixels @ WINDOWS).reshape(-1, 2, 2, 48).swapaxes(0, 1)
    return np.concatenate([now, 2 * (now - before)], axis=-1)


def difference(frames: np.ndarray) -> csr_array:
    """Return the change of the frame as sparse rows."""
    change = frames[:, 0].astype(np.float32) - frames[:, 1]
    return csr_array(change.reshape(-1, 6400))
