"""CartPole-v1 by the plain score function with a learned baseline.

The pole's policy is a two-layer network; each step costs -1, so that a longer episode
is a lower cost. Credit ends where an episode does; the baseline is a value node fitted
to the discounted downstream cost. Needs ``pip install -e '.[atari]'``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import gymnasium
import numpy as np

import scg
from scg.schedules import linear


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    seed: int = 0
    num_envs: int = 16
    """Rows of the graph."""
    length: int = 128
    """Steps of the loop in each run."""
    num_steps: int = 1200
    """Training steps, one run each."""
    learning_rate: float = 3e-3
    """At the start; it falls linearly to 0."""
    discount: float = 0.99


def make_environment(config: Config) -> scg.Environment:
    """Make the vector environment in the autoreset mode that a graph needs."""
    vector = gymnasium.make_vec(
        "CartPole-v1",
        num_envs=config.num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
    )
    return scg.Environment(vector, name="cartpole", seed=config.seed)


def build(config: Config, cartpole: scg.Environment) -> scg.Graph:
    """Write the policy, the value and the loop."""
    graph = scg.Graph("cartpole", dtype=np.float32)

    def layer(name, rows, columns, scale):
        weights = lambda rng: scale * rng.normal(size=(rows, columns)) / np.sqrt(rows)  # noqa: E731
        return graph.param(name, weights)

    w1, w2 = layer("w1", 4, 64, 1.0), layer("w2", 64, 2, 0.1)
    v1, v2 = layer("v1", 4, 64, 1.0), layer("v2", 64, 1, 0.1)
    bias = graph.param("v bias", np.float32(0.0))

    def step(observation):
        graph.value("value", (np.tanh(observation @ v1) @ v2)[:, 0] + bias)
        logits = np.tanh(observation @ w1) @ w2
        push = graph.sample("push", scg.Categorical(logits=logits))
        observation, reward, _ = cartpole(push)
        graph.cost("steps", -reward)
        return observation

    graph.scan(step, init=cartpole.reset(), length=config.length)
    return graph


def main(config: Config) -> float:
    """Train, and return the mean length of the last 100 finished episodes."""
    cartpole = make_environment(config)
    graph = build(config, cartpole)
    rng = np.random.default_rng(config.seed)
    policy = scg.ScoreFunction(
        baseline=scg.LearnedBaseline("value", weight=0.01),
        discount=config.discount,
        standardise=True,
    )
    scg.fit(
        scg.compile(graph, {"push": policy}),
        graph.init(rng),
        optimizer=scg.chain(
            scg.clip_by_global_norm(0.5),
            scg.adam(linear(config.learning_rate, 0.0, config.num_steps)),
        ),
        rng=rng,
        num_steps=config.num_steps,
        log_every=10,
    )
    return float(np.mean(cartpole.returns[-100:]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    reached = main(Config(**vars(parser.parse_args())))
    print(f"mean return of the last 100 episodes: {reached:.1f}")
