"""Pong from raw pixels by the score function (Karpathy 2016).

The frame is cropped to the court, halved, its background removed: 80×80. The input is
the difference of two such frames, of which some thirty entries are not zero, so it is
handed over as sparse rows. Two layers, 200 ReLU units, one logit for UP. A lost point
costs 1, a won one -1; the discounted downstream cost ends where a point does and is
standardised.

Needs ``pip install -e '.[atari,train]'``. The recipe takes millions of decisions: the
original took about 8,000 games to be slightly better than the built-in player.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np

import scg

try:
    import ale_py
    import gymnasium
    from ale_py.vector_env import AtariVectorEnv
    from scipy.sparse import csr_array
except ImportError as error:
    sys.exit(f"{error}. Pong needs the atari extra: pip install -e '.[atari,train]'")

UP, DOWN = 2, 3
BACKGROUND = 87


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    seed: int = 0
    num_envs: int = 16
    """Games played side by side: the rows of the graph."""
    length: int = 512
    """Decisions of each game between two updates."""
    num_steps: int = 100_000
    """Updates."""
    hidden: int = 200
    learning_rate: float = 1e-3
    discount: float = 0.99
    checkpoint: str | None = "runs/pong"


class Differences:
    """ALE Pong as 80×80 difference frames and the actions DOWN (0) and UP (1)."""

    def __init__(self, config: Config) -> None:
        self.games = AtariVectorEnv(
            "pong", config.num_envs, img_height=210, img_width=160, stack_num=1,
            grayscale=True, maxpool=False, frameskip=4, repeat_action_probability=0.25,
            reward_clipping=False, noop_max=0, use_fire_reset=False, num_threads=2,
            autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
        )  # fmt: skip
        self.num_envs = config.num_envs
        self.metadata = self.games.metadata
        self.single_observation_space = gymnasium.spaces.Box(-1, 1, (6400,), np.int8)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.before = np.zeros((config.num_envs, 6400), np.int8)

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, dict]:
        """Start all games; the first difference is zero."""
        frames, info = self.games.reset(seed=seed)
        self.before = self._court(frames)
        return np.zeros_like(self.before), info

    def step(self, up: np.ndarray) -> tuple:
        """Play one decision in every game."""
        action = np.where(up == 1, UP, DOWN).astype(np.int64)
        frames, reward, terminated, truncated, info = self.games.step(action)
        now = self._court(frames)
        ended = terminated | truncated
        self.before[ended] = now[ended]  # the frame before belongs to the old game
        difference = now - self.before
        self.before = now
        info["final_obs"] = difference
        return difference, reward, terminated, truncated, info

    def _court(self, frames: np.ndarray) -> np.ndarray:
        court = frames.reshape(self.num_envs, 210, 160)[:, 34:194:2, ::2]
        return (court != BACKGROUND).reshape(self.num_envs, 6400).astype(np.int8)


def build(config: Config, pong: scg.Environment) -> scg.Graph:
    """Write the policy and the loop."""
    graph = scg.Graph("pong", dtype=np.float32)
    hidden = config.hidden
    w1 = graph.param("w1", lambda rng: rng.normal(size=(6400, hidden)) / 80)
    w2 = graph.param("w2", lambda rng: rng.normal(size=hidden) / np.sqrt(hidden))
    sparse = scg.black_box(
        lambda d: csr_array(d.astype(np.float32)), (6400,), sparse=True, name="sparse"
    )
    point_over = scg.black_box(lambda reward: reward != 0, (), bool)

    def step(difference):
        logit = np.maximum(sparse(difference) @ w1, 0) @ w2
        up = graph.sample("up", scg.Bernoulli(logits=logit))
        difference, reward, _ = pong(up)
        graph.rename("point over", point_over(reward))
        graph.cost("points lost", -reward)
        return difference

    graph.scan(step, init=pong.reset(), length=config.length)
    return graph


def main(config: Config) -> float:
    """Train, and return the mean score of the last 20 finished games."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    pong = scg.Environment(Differences(config), name="pong", seed=config.seed)
    graph = build(config, pong)
    rng = np.random.default_rng(config.seed)
    policy = scg.ScoreFunction(
        discount=config.discount, boundary="point over", standardise=True
    )

    def report(now):
        if now.step % 10 == 0 and pong.returns:
            score = np.mean(pong.returns[-20:])
            decisions = now.step * config.length * config.num_envs
            print(f"{decisions:>10,} decisions, last 20 games {score:+.1f}", flush=True)

    scg.fit(
        scg.compile(graph, {"up": policy}),
        graph.init(rng),
        optimizer=scg.rmsprop(config.learning_rate, decay=0.99),
        rng=rng,
        num_steps=config.num_steps,
        checkpoint=config.checkpoint,
        callbacks=[report],
        log_every=10,
    )
    return float(np.mean(pong.returns[-20:])) if pong.returns else float("nan")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-steps", type=int, default=100_000)
    parser.add_argument("--checkpoint", default="runs/pong")
    options = parser.parse_args()
    print(main(Config(**vars(options))))
