"""The workloads in Storchastic.

Its own mean over other samples is of the samples that a variable adds, not of those
that it got from variables before, so the baseline is written here, by its interface.
"""

import sys
from collections.abc import Callable

import storch
import torch
from storch.method import ScoreFunction
from storch.method.baseline import Baseline
from torch.distributions import Bernoulli, Categorical
from torch.nn.functional import softplus

from peers.torch_eager import start
from peers.workloads import NUM_SAMPLES, NUM_STEPS, NUM_UNITS, NUM_VARIABLES, Workload


def chain(workload: Workload, seed: int) -> Callable[[], dict]:
    params, data = start(workload, seed)
    baseline = others("z0")
    first = ScoreFunction("z0", n_samples=workload.rows, baseline_factory=baseline)
    draws = [first] + [
        ScoreFunction(f"z{i}", baseline_factory=baseline)
        for i in range(1, NUM_VARIABLES)
    ]

    def add_costs():
        logits = params["theta"]
        for i, draw in enumerate(draws):
            if i > 0:
                logits = look_up(params[f"W{i}"], z)  # noqa: F821 - drawn a turn before
            z = draw(Categorical(logits=logits))
            storch.add_cost(look_up(data["tables"][i], z), f"cost{i}")

    return differentiated(add_costs, params)


def belief(workload: Workload, seed: int) -> Callable[[], dict]:
    params, data = start(workload, seed)
    baseline = others("h1")
    draw1 = ScoreFunction("h1", n_samples=NUM_SAMPLES, baseline_factory=baseline)
    draw2 = ScoreFunction("h2", baseline_factory=baseline)

    def layer(name, h):
        return affine(h, params[f"{name}_W"], params[f"{name}_b"])

    def add_costs():
        x = storch.denote_independent(data["x"], 0, "rows")
        a1 = layer("encode1", x)
        h1 = draw1(Bernoulli(logits=a1))
        a2 = layer("encode2", h1)
        h2 = draw2(Bernoulli(logits=a2))
        log_q = log_prob(a1, h1) + log_prob(a2, h2)
        log_p = log_prob(params["prior"], h2) + log_prob(layer("decode1", h2), h1)
        cost = log_q - log_p - log_prob(layer("decode0", h1), x)
        storch.add_cost(cost, "negative bound")

    return differentiated(add_costs, params)


def rnn(workload: Workload, seed: int) -> Callable[[], dict]:
    params, data = start(workload, seed)
    W_in, W_hidden, b_hidden, W_out, b_out = params.values()
    draws = [
        ScoreFunction(f"action{t}", baseline_factory=others("rows"))
        for t in range(NUM_STEPS)
    ]

    @storch.deterministic
    def cell(x, h):
        return torch.tanh(x @ W_in + h @ W_hidden + b_hidden)

    def add_costs():
        start = torch.zeros(workload.rows, NUM_UNITS)
        h = storch.denote_independent(start, 0, "rows")
        for t, draw in enumerate(draws):
            x = storch.denote_independent(data["x"][:, t], 0, "rows")
            target = storch.denote_independent(data["target"][:, t], 0, "rows")
            h = cell(x, h)
            action = draw(Categorical(logits=affine(h, W_out, b_out)))
            storch.add_cost(missed(action, target), f"missed{t}")

    return differentiated(add_costs, params)


def toy(workload: Workload, seed: int) -> Callable[[], dict]:
    params, _ = start(workload, seed)
    draw = ScoreFunction("b", n_samples=workload.rows)

    def add_costs():
        b = draw(Bernoulli(logits=params["theta"]))
        storch.add_cost((b - 0.45) ** 2, "loss")

    return differentiated(add_costs, params)


class Others(Baseline):
    """The mean cost of the others in a plate."""

    def __init__(self, plate: str) -> None:
        super().__init__()
        self.plate = plate

    def compute_baseline(self, tensor, cost):
        """Return it for each sample."""
        cost = cost.detach()
        n = cost.get_plate(self.plate).n
        return (storch.sum(cost, self.plate) - cost) / (n - 1)


def others(plate):
    return lambda tensor, cost: Others(plate)


def differentiated(add_costs, params):
    sys.setrecursionlimit(100_000)  # it takes its graph apart by recursion

    def step():
        for value in params.values():
            value.grad = None
        add_costs()
        storch.backward()
        return {name: value.grad.numpy() for name, value in params.items()}

    return step


@storch.deterministic
def affine(h, W, b):
    return h @ W + b


@storch.deterministic
def log_prob(logits, value):
    return (value * logits - softplus(logits)).sum(dim=-1)


@storch.deterministic
def look_up(table, z):
    return table[z]


@storch.deterministic
def missed(action, target):
    return (action != target).float()
