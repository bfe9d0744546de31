"""The workloads in ordinary NumPy: forward and backward written out."""

from collections.abc import Callable

import numpy as np

from peers.workloads import NUM_SAMPLES, NUM_STEPS, NUM_VARIABLES, Workload


def chain(workload: Workload, seed: int) -> Callable[[], dict]:
    rng = np.random.default_rng(seed)
    params, tables, R = workload.params, workload.data["tables"], workload.rows
    every = np.arange(R)

    def step():
        zs, ps, costs = [], [], []
        logits = np.tile(params["theta"], (R, 1))
        for i in range(NUM_VARIABLES):
            if i > 0:
                logits = params[f"W{i}"][zs[-1]]
            p = softmax(logits)
            z = categorical(rng, p)
            zs.append(z)
            ps.append(p)
            costs.append(tables[i][z])
        advantage = excess(reward_to_go(np.stack(costs)), axis=1)
        gradient = {}
        for i in range(NUM_VARIABLES):
            d = -ps[i]
            d[every, zs[i]] += 1
            d *= advantage[i][:, None] / R
            if i == 0:
                gradient["theta"] = d.sum(axis=0)
            else:
                W = np.zeros_like(params[f"W{i}"])
                np.add.at(W, zs[i - 1], d)
                gradient[f"W{i}"] = W
        return gradient

    return step


def belief(workload: Workload, seed: int) -> Callable[[], dict]:
    rng = np.random.default_rng(seed)
    params, x, K = workload.params, workload.data["x"], NUM_SAMPLES
    R = workload.rows

    def layer(name, h):
        return h @ params[f"{name}_W"] + params[f"{name}_b"]

    def step():
        a1 = layer("encode1", x)
        q1 = sigmoid(a1)
        h1 = bernoulli(rng, q1, (K, *q1.shape))
        flat1 = h1.reshape(K * R, -1)
        a2 = layer("encode2", flat1)
        q2 = sigmoid(a2)
        flat2 = bernoulli(rng, q2, q2.shape)
        log_q1 = (h1 * a1 - softplus(a1)).sum(axis=-1)
        log_q2 = (flat2 * a2 - softplus(a2)).sum(axis=-1)

        prior = params["prior"]
        c1 = layer("decode1", flat2)
        c0 = layer("decode0", flat1).reshape(K, R, -1)
        log_p2 = (flat2 * prior - softplus(prior)).sum(axis=-1)
        log_p1 = (flat1 * c1 - softplus(c1)).sum(axis=-1)
        log_p0 = (x * c0 - softplus(c0)).sum(axis=-1)

        cost = log_q1 - log_p0 + (log_q2 - log_p2 - log_p1).reshape(K, R)
        # The 1 is the derivative of log q, which is a term of the cost.
        weight = (excess(cost, axis=0) + 1) / (K * R)
        d_a1 = (weight[..., None] * (h1 - q1)).sum(axis=0)
        d_a2 = weight.reshape(-1, 1) * (flat2 - q2)
        d_c1 = (sigmoid(c1) - flat1) / (K * R)
        d_c0 = ((sigmoid(c0) - x) / (K * R)).reshape(K * R, -1)
        return {
            "prior": ((sigmoid(prior) - flat2) / (K * R)).sum(axis=0),
            "encode1_W": x.T @ d_a1,
            "encode1_b": d_a1.sum(axis=0),
            "encode2_W": flat1.T @ d_a2,
            "encode2_b": d_a2.sum(axis=0),
            "decode1_W": flat2.T @ d_c1,
            "decode1_b": d_c1.sum(axis=0),
            "decode0_W": flat1.T @ d_c0,
            "decode0_b": d_c0.sum(axis=0),
        }

    return step


def rnn(workload: Workload, seed: int) -> Callable[[], dict]:
    rng = np.random.default_rng(seed)
    params, R = workload.params, workload.rows
    xs = np.ascontiguousarray(workload.data["x"].swapaxes(0, 1))
    targets = workload.data["target"].T
    every = np.arange(R)

    def step():
        W_in, W_hidden, W_out = params["W_in"], params["W_hidden"], params["W_out"]
        hs, actions, ps, costs = [np.zeros((R, len(W_hidden)), np.float32)], [], [], []
        for x, target in zip(xs, targets, strict=True):
            h = np.tanh(x @ W_in + hs[-1] @ W_hidden + params["b_hidden"])
            p = softmax(h @ W_out + params["b_out"])
            action = categorical(rng, p)
            hs.append(h)
            ps.append(p)
            actions.append(action)
            costs.append((action != target).astype(np.float32))
        advantage = excess(reward_to_go(np.stack(costs)), axis=1)

        gradient = {name: np.zeros_like(value) for name, value in params.items()}
        d_h = np.zeros_like(hs[0])
        for t in reversed(range(NUM_STEPS)):
            d_logits = -ps[t]
            d_logits[every, actions[t]] += 1
            d_logits *= advantage[t][:, None] / R
            h = hs[t + 1]
            gradient["W_out"] += h.T @ d_logits
            gradient["b_out"] += d_logits.sum(axis=0)
            d_a = (d_h + d_logits @ W_out.T) * (1 - h * h)
            gradient["W_in"] += xs[t].T @ d_a
            gradient["W_hidden"] += hs[t].T @ d_a
            gradient["b_hidden"] += d_a.sum(axis=0)
            d_h = d_a @ W_hidden.T
        return gradient

    return step


def toy(workload: Workload, seed: int) -> Callable[[], dict]:
    rng = np.random.default_rng(seed)
    theta, R = workload.params["theta"], workload.rows

    def step():
        p = sigmoid(theta)
        b = bernoulli(rng, p, R)
        cost = (b - np.float32(0.45)) ** 2
        return {"theta": ((b - p) * cost).mean()}

    return step


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def bernoulli(rng, p, shape):
    return (rng.random(shape, dtype=np.float32) < p).astype(np.float32)


def categorical(rng, p):
    u = rng.random((len(p), 1), dtype=np.float32)
    # Rounding can leave the last sum below 1, and u above it.
    return np.minimum((u > p.cumsum(axis=-1)).sum(axis=-1), p.shape[-1] - 1)


def reward_to_go(costs):
    return costs[::-1].cumsum(axis=0)[::-1]


def excess(cost, axis):
    """Subtract the mean of the others along an axis."""
    others = cost.sum(axis=axis, keepdims=True) - cost
    return cost - others / (cost.shape[axis] - 1)
