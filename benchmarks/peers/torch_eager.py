"""The workloads as surrogate losses in PyTorch, run eagerly."""

from collections.abc import Callable

import torch
from torch.nn.functional import log_softmax, softplus

from peers.workloads import NUM_SAMPLES, NUM_STEPS, NUM_UNITS, NUM_VARIABLES, Workload


def chain(workload: Workload, seed: int) -> Callable[[], dict]:
    params, data = start(workload, seed)
    R = workload.rows

    def surrogate():
        log_probs, costs = [], []
        logits = params["theta"].expand(R, -1)
        for i in range(NUM_VARIABLES):
            if i > 0:
                logits = params[f"W{i}"][z]  # noqa: F821 - drawn in the turn before
            z, log_p = categorical(logits)
            log_probs.append(log_p)
            costs.append(data["tables"][i][z])
        return credited(log_probs, costs)

    return differentiated(surrogate, params)


def belief(workload: Workload, seed: int) -> Callable[[], dict]:
    params, data = start(workload, seed)
    x, K = data["x"], NUM_SAMPLES

    def layer(name, h):
        return h @ params[f"{name}_W"] + params[f"{name}_b"]

    def surrogate():
        a1 = layer("encode1", x)
        h1 = torch.bernoulli(torch.sigmoid(a1.detach()).expand(K, -1, -1))
        a2 = layer("encode2", h1)
        h2 = torch.bernoulli(torch.sigmoid(a2.detach()))
        log_q = log_prob(a1, h1) + log_prob(a2, h2)
        log_p = log_prob(params["prior"], h2) + log_prob(layer("decode1", h2), h1)
        cost = log_q - log_p - log_prob(layer("decode0", h1), x)
        return (log_q * excess(cost.detach(), dim=0) + cost).mean()

    return differentiated(surrogate, params)


def rnn(workload: Workload, seed: int) -> Callable[[], dict]:
    params, data = start(workload, seed)
    xs, targets = data["x"], data["target"]

    def surrogate():
        log_probs, costs = [], []
        h = torch.zeros(workload.rows, NUM_UNITS)
        for t in range(NUM_STEPS):
            a = xs[:, t] @ params["W_in"] + h @ params["W_hidden"]
            h = torch.tanh(a + params["b_hidden"])
            action, log_p = categorical(h @ params["W_out"] + params["b_out"])
            log_probs.append(log_p)
            costs.append((action != targets[:, t]).float())
        return credited(log_probs, costs)

    return differentiated(surrogate, params)


def toy(workload: Workload, seed: int) -> Callable[[], dict]:
    params, _ = start(workload, seed)
    theta = params["theta"]

    def surrogate():
        b = torch.bernoulli(torch.sigmoid(theta.detach()).expand(workload.rows))
        return ((b * theta - softplus(theta)) * (b - 0.45) ** 2).mean()

    return differentiated(surrogate, params)


def start(workload: Workload, seed: int) -> tuple[dict, dict]:
    """Return the params and the data as tensors."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    params = {k: torch.tensor(v) for k, v in workload.params.items()}
    data = {k: torch.tensor(v) for k, v in workload.data.items()}
    return {k: v.requires_grad_() for k, v in params.items()}, data


def differentiated(surrogate, params):
    def step():
        gradients = torch.autograd.grad(surrogate(), [*params.values()])
        return dict(zip(params, (g.numpy() for g in gradients), strict=True))

    return step


def categorical(logits):
    """Draw; return what was drawn and its log-probability."""
    log_p = log_softmax(logits, dim=-1)
    z = torch.multinomial(log_p.detach().exp(), 1)
    return z[:, 0], log_p.gather(-1, z)[:, 0]


def credited(log_probs, costs):
    """Weigh each step's log-probability with the costs from then on."""
    to_go = torch.stack(costs).flip(0).cumsum(dim=0).flip(0)
    return (torch.stack(log_probs) * excess(to_go, dim=1)).sum(dim=0).mean()


def log_prob(logits, value):
    return (value * logits - softplus(logits)).sum(dim=-1)


def excess(cost, dim):
    others = cost.sum(dim=dim, keepdim=True) - cost
    return cost - others / (cost.shape[dim] - 1)
