"""What is computed: sizes, first params, data and constants of the four workloads.

All of them minimise an expected cost. Baselines are means over the *other* rows or
samples, so that every gradient is unbiased and all can be compared.

chain
    Ten categoricals: ``z_1 ~ Cat(theta)``, ``z_i ~ Cat(W_i[z_{i-1}])``, each with the
    cost ``table_i[z_i]``. A draw is credited with the costs from its own on.
belief
    A sigmoid belief net with two layers of bits over 784 pixels: an encoder q(h1 | x)
    q(h2 | h1), a decoder p(h2) p(h1 | h2) p(x | h1), and the cost
    ``log q(h | x) - log p(x, h)``, for some samples of h a row. The derivative of
    ``log q`` as a term of the cost, whose expectation is 0, is taken.
rnn
    A recurrent policy reads 16 numbers a step and draws one of 10 actions, which costs
    0 if it is the target and 1 if not. An action is credited with the costs from its
    own on. Actions do not feed back, so that a library which finds out what an action
    influences credits it with its own cost alone; the expectation is the same.
toy
    One bit with log-odds theta for each row; it costs ``(b - .45)**2``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["WORKLOADS", "Workload", "make"]

NUM_VARIABLES, NUM_CATEGORIES = 10, 10
NUM_PIXELS, NUM_HIDDEN, NUM_SAMPLES = 784, 200, 4
NUM_STEPS, NUM_INPUTS, NUM_UNITS, NUM_ACTIONS = 30, 16, 128, 10


@dataclass(frozen=True, slots=True)
class Workload:
    """One case, as every library gets it.

    Attributes
    ----------
    name : str
    kind : str
        The function of a library's module that builds it.
    rows : int
    params : dict of str to float32 array
    data : dict of str to array
        Inputs, with rows on axis 0, and constants.
    """

    name: str
    kind: str
    rows: int
    params: dict[str, Any]
    data: dict[str, Any]


def make(name: str) -> Workload:
    """Make the workload of that name, always the same."""
    kind, rows = WORKLOADS[name]
    rng = np.random.default_rng(0)
    params, data = {"chain": chain, "belief": belief, "rnn": rnn, "toy": toy}[kind](
        rng, rows
    )
    return Workload(name, kind, rows, params, data)


WORKLOADS = {
    "chain": ("chain", 32),
    "belief24": ("belief", 24),
    "belief100": ("belief", 100),
    "rnn": ("rnn", 64),
    "toy1": ("toy", 1),
    "toy1000": ("toy", 1000),
}


def chain(rng: np.random.Generator, rows: int) -> tuple[dict, dict]:
    params = {"theta": normal(rng, NUM_CATEGORIES)}
    for i in range(1, NUM_VARIABLES):
        params[f"W{i}"] = normal(rng, NUM_CATEGORIES, NUM_CATEGORIES)
    return params, {"tables": normal(rng, NUM_VARIABLES, NUM_CATEGORIES)}


def belief(rng: np.random.Generator, rows: int) -> tuple[dict, dict]:
    P, H = NUM_PIXELS, NUM_HIDDEN
    sizes = {"encode1": (P, H), "encode2": (H, H), "decode1": (H, H), "decode0": (H, P)}
    params = {"prior": normal(rng, H)}
    for name, (m, n) in sizes.items():
        params[f"{name}_W"] = normal(rng, m, n) / np.float32(np.sqrt(m))
        params[f"{name}_b"] = normal(rng, n) / np.float32(10)
    pixels = rng.random(P, dtype=np.float32)
    x = rng.random((rows, P), dtype=np.float32) < pixels
    return params, {"x": x.astype(np.float32)}


def rnn(rng: np.random.Generator, rows: int) -> tuple[dict, dict]:
    D, H, A = NUM_INPUTS, NUM_UNITS, NUM_ACTIONS
    params = {
        "W_in": normal(rng, D, H) / np.float32(np.sqrt(D)),
        "W_hidden": normal(rng, H, H) / np.float32(np.sqrt(H)),
        "b_hidden": normal(rng, H) / np.float32(10),
        "W_out": normal(rng, H, A) / np.float32(np.sqrt(H)),
        "b_out": normal(rng, A) / np.float32(10),
    }
    target = rng.integers(NUM_ACTIONS, size=(rows, NUM_STEPS))
    return params, {"x": normal(rng, rows, NUM_STEPS, D), "target": target}


def toy(rng: np.random.Generator, rows: int) -> tuple[dict, dict]:
    return {"theta": np.array(0.3, np.float32)}, {}


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)
