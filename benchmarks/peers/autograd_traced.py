"""The workloads as surrogate losses that autograd traces anew at each call.

Samples are drawn while the loss is traced, from the values of what is traced.
"""

from collections.abc import Callable

import autograd.numpy as anp
import numpy as np
from autograd import grad
from autograd.tracer import getval

from peers.numpy_by_hand import bernoulli, categorical, excess, reward_to_go
from peers.workloads import NUM_SAMPLES, NUM_STEPS, NUM_UNITS, NUM_VARIABLES, Workload


def chain(workload: Workload, seed: int) -> Callable[[], dict]:
    rng = np.random.default_rng(seed)
    tables, R = workload.data["tables"], workload.rows

    def surrogate(params):
        log_probs, costs = [], []
        logits = anp.tile(params["theta"], (R, 1))
        for i in range(NUM_VARIABLES):
            if i > 0:
                logits = params[f"W{i}"][z]  # noqa: F821 - drawn in the turn before
            log_p = log_softmax(logits)
            z = categorical(rng, np.exp(getval(log_p)))
            log_probs.append(log_p[np.arange(R), z])
            costs.append(tables[i][z])
        advantage = excess(reward_to_go(np.stack(costs)), axis=1)
        return weighed(log_probs, advantage / R)

    return differentiated(surrogate, workload)


def belief(workload: Workload, seed: int) -> Callable[[], dict]:
    rng = np.random.default_rng(seed)
    x, K, R = workload.data["x"], NUM_SAMPLES, workload.rows

    def surrogate(params):
        def layer(name, h):
            return h @ params[f"{name}_W"] + params[f"{name}_b"]

        a1 = layer("encode1", x)
        p1 = sigmoid(getval(a1))
        h1 = bernoulli(rng, p1, (K, *p1.shape)).reshape(K * R, -1)
        a2 = layer("encode2", h1)
        p2 = sigmoid(getval(a2))
        h2 = bernoulli(rng, p2, p2.shape)
        log_q = log_prob(a1, h1.reshape(K, R, -1)).reshape(-1) + log_prob(a2, h2)
        log_p = log_prob(params["prior"], h2) + log_prob(layer("decode1", h2), h1)
        pixels = layer("decode0", h1).reshape((K, R, -1))
        cost = log_q - log_p - log_prob(pixels, x).reshape(-1)
        advantage = excess(getval(cost).reshape(K, R), axis=0).reshape(-1)
        return anp.sum(log_q * advantage + cost) / (K * R)

    return differentiated(surrogate, workload)


def rnn(workload: Workload, seed: int) -> Callable[[], dict]:
    rng = np.random.default_rng(seed)
    xs, targets, R = workload.data["x"], workload.data["target"], workload.rows

    def surrogate(params):
        log_probs, costs = [], []
        h = np.zeros((R, NUM_UNITS), np.float32)
        for t in range(NUM_STEPS):
            a = xs[:, t] @ params["W_in"] + h @ params["W_hidden"]
            h = anp.tanh(a + params["b_hidden"])
            log_p = log_softmax(h @ params["W_out"] + params["b_out"])
            action = categorical(rng, np.exp(getval(log_p)))
            log_probs.append(log_p[np.arange(R), action])
            costs.append((action != targets[:, t]).astype(np.float32))
        advantage = excess(reward_to_go(np.stack(costs)), axis=1)
        return weighed(log_probs, advantage / R)

    return differentiated(surrogate, workload)


def toy(workload: Workload, seed: int) -> Callable[[], dict]:
    rng = np.random.default_rng(seed)
    R = workload.rows

    def surrogate(params):
        theta = params["theta"]
        b = bernoulli(rng, sigmoid(getval(theta)), R)
        cost = (b - np.float32(0.45)) ** 2
        return anp.mean((b * theta - softplus(theta)) * cost)

    return differentiated(surrogate, workload)


def differentiated(surrogate, workload):
    gradient = grad(surrogate)
    return lambda: gradient(workload.params)


def weighed(log_probs, weights):
    """Sum each step's log-probabilities times weights."""
    return sum(anp.sum(p * w) for p, w in zip(log_probs, weights, strict=True))


def log_softmax(x):
    x = x - getval(x).max(axis=-1, keepdims=True)
    return x - anp.log(anp.sum(anp.exp(x), axis=-1, keepdims=True))


def log_prob(logits, value):
    return anp.sum(value * logits - softplus(logits), axis=-1)


def softplus(x):
    return anp.maximum(x, 0) + anp.log1p(anp.exp(-anp.abs(x)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))
