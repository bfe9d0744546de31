"""Episodes that end at random, a policy that acts in them, and plain double loops."""

from types import SimpleNamespace

import numpy as np

import scg
from scg.credit import assign
from scg.parts import run
from scg.program import Program


class Episodes:
    """Episodes of three rows that end at random; the observation counts their steps."""

    num_envs = 3

    def __init__(self, *, truncate):
        self.metadata = {"autoreset_mode": "SameStep"}
        self.single_observation_space = SimpleNamespace(shape=(), dtype=np.float64)
        self.single_action_space = SimpleNamespace(shape=(), dtype=np.int64)
        self.truncate = truncate

    def reset(self, seed=None):
        self.rng = np.random.default_rng(seed)
        self.count = np.zeros(3)
        return self.count, {}

    def step(self, action):
        over = self.rng.uniform(size=3) < 0.3
        cut = ~over & self.truncate & (self.rng.uniform(size=3) < 0.3)
        last = self.count + 1
        self.count = np.where(over | cut, 0.0, last)
        reward = self.rng.normal(size=3) + action
        return self.count, reward, over, cut, {"final_obs": last}


def acting(estimator, *, truncate=False, length=14, until=None, seed=3):
    """Run a policy over such episodes; return its program, trace and credit."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.2)
    world = scg.Environment(Episodes(truncate=truncate), seed=seed)
    big = scg.black_box(lambda r: r > 1.2, (), bool)

    def step(count):
        graph.value("v", np.sin(0.4 * (count + 1)))
        a = graph.sample("a", scg.Bernoulli(logits=theta * (1 + count)))
        count, reward, _ = world(a.astype(np.int64))
        graph.rename("big", big(reward))
        graph.cost("loss", -reward)
        return count

    last, _ = graph.scan(step, world.reset(), length=length, until=until)
    graph.rename("last", last)
    program = Program(graph.store, {"a": estimator})
    params = graph.init(np.random.default_rng(0))
    trace = run(program, params, None, rng=np.random.default_rng(0))
    (credit,) = assign(program, trace, {}).values()
    (ends,) = trace.ends.values()
    return trace, credit, ends


def double_loop(cost, cut, discount):
    steps, rows = cost.shape
    total = np.zeros_like(cost)
    for r in range(rows):
        for t in range(steps):
            for later in range(t, steps):
                total[t, r] += discount ** (later - t) * cost[later, r]
                if cut[later, r]:
                    break
    return total


def gae_double_loop(cost, value, after, ends, discount, lam, cut=None):
    """Sum (γλ)^k δ by its definition.

    `after(t, row)` gives the value of the next observation of the same episode.
    """
    steps, rows = cost.shape
    over = ends.terminated | ends.truncated
    over = over if cut is None else over | cut
    total = np.zeros_like(cost)
    for r in range(rows):
        for t in range(steps):
            for k in range(t, steps):
                dead = ends.terminated[k, r] or (cut is not None and cut[k, r])
                ahead = 0.0 if dead else after(k, r)
                delta = cost[k, r] + discount * ahead - value[k, r]
                total[t, r] += (discount * lam) ** (k - t) * delta
                if over[k, r]:
                    break
    return total


def last_observations(ends):
    """Return the last observation of what ended, by step and row."""
    return {
        (t, row): final
        for t, rows, finals in ends.finals
        for row, final in zip(rows, finals, strict=True)
    }
