"""A vector environment without Gymnasium: it remembers the sum of its actions."""

from types import SimpleNamespace

import numpy as np

import scg


class TinyVectorEnv:
    """Two rows; the observation is the sum of all actions, the reward minus it."""

    num_envs = 2

    def __init__(self, action_dtype):
        self.metadata = {"autoreset_mode": "SameStep"}
        self.single_observation_space = SimpleNamespace(shape=(), dtype=np.float64)
        self.single_action_space = SimpleNamespace(shape=(), dtype=action_dtype)
        self.total = np.zeros(2)

    def reset(self, seed=None):
        self.total = np.zeros(2)
        return self.total, {}

    def step(self, action):
        self.total = self.total + action
        no = np.zeros(2, dtype=bool)
        return self.total, -self.total, no, no, {}


def tiny_environment(name="world", action_dtype=np.float64):
    """Wrap one for a graph."""
    return scg.Environment(TinyVectorEnv(action_dtype), name=name)
