"""The workloads as surrogate losses in JAX, compiled."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from peers.workloads import NUM_SAMPLES, NUM_UNITS, NUM_VARIABLES, Workload


def chain(workload: Workload, seed: int) -> Callable[[], dict]:
    def surrogate(params, data, key):
        log_probs, costs = [], []
        logits = jnp.tile(params["theta"], (workload.rows, 1))
        for i, key_i in enumerate(jax.random.split(key, NUM_VARIABLES)):
            if i > 0:
                logits = params[f"W{i}"][z]  # noqa: F821 - drawn in the turn before
            z, log_p = categorical(key_i, logits)
            log_probs.append(log_p)
            costs.append(data["tables"][i][z])
        return credited(jnp.stack(log_probs), jnp.stack(costs))

    return compiled(surrogate, workload, seed)


def belief(workload: Workload, seed: int) -> Callable[[], dict]:
    K = NUM_SAMPLES

    def surrogate(params, data, key):
        def layer(name, h):
            return h @ params[f"{name}_W"] + params[f"{name}_b"]

        x = data["x"]
        key1, key2 = jax.random.split(key)
        a1 = layer("encode1", x)
        h1 = bernoulli(key1, a1, (K, *a1.shape))
        a2 = layer("encode2", h1)
        h2 = bernoulli(key2, a2, a2.shape)
        log_q = log_prob(a1, h1) + log_prob(a2, h2)
        log_p = log_prob(params["prior"], h2) + log_prob(layer("decode1", h2), h1)
        cost = log_q - log_p - log_prob(layer("decode0", h1), x)
        advantage = jax.lax.stop_gradient(excess(cost, axis=0))
        return jnp.mean(log_q * advantage + cost)

    return compiled(surrogate, workload, seed)


def rnn(workload: Workload, seed: int) -> Callable[[], dict]:
    def surrogate(params, data, key):
        def act(h, now):
            x, target, key = now
            a = x @ params["W_in"] + h @ params["W_hidden"]
            h = jnp.tanh(a + params["b_hidden"])
            action, log_p = categorical(key, h @ params["W_out"] + params["b_out"])
            return h, (log_p, (action != target).astype(jnp.float32))

        xs = jnp.swapaxes(data["x"], 0, 1)
        keys = jax.random.split(key, len(xs))
        h = jnp.zeros((workload.rows, NUM_UNITS))
        _, (log_probs, costs) = jax.lax.scan(act, h, (xs, data["target"].T, keys))
        return credited(log_probs, costs)

    return compiled(surrogate, workload, seed)


def toy(workload: Workload, seed: int) -> Callable[[], dict]:
    def surrogate(params, data, key):
        theta = params["theta"]
        b = bernoulli(key, theta, workload.rows)
        return jnp.mean((b * theta - jax.nn.softplus(theta)) * (b - 0.45) ** 2)

    return compiled(surrogate, workload, seed)


def compiled(surrogate, workload, seed):
    params, data = jax.device_put((workload.params, workload.data))
    key = jax.random.key(seed)

    @jax.jit
    def gradient(params, data, key):
        key, now = jax.random.split(key)
        return jax.grad(surrogate)(params, data, now), key

    def step():
        nonlocal key
        found, key = gradient(params, data, key)
        return {name: np.asarray(value) for name, value in found.items()}

    return step


def categorical(key, logits):
    """Draw; return what was drawn and its log-probability."""
    z = jax.random.categorical(key, logits)
    log_p = jax.nn.log_softmax(logits)
    return z, jnp.take_along_axis(log_p, z[:, None], axis=-1)[:, 0]


def bernoulli(key, logits, shape):
    p = jax.lax.stop_gradient(jax.nn.sigmoid(logits))
    return jax.random.bernoulli(key, p, shape).astype(jnp.float32)


def credited(log_probs, costs):
    """Weigh each step's log-probability with the costs from then on."""
    advantage = excess(jnp.cumsum(costs[::-1], axis=0)[::-1], axis=1)
    return (log_probs * advantage).sum(axis=0).mean()


def log_prob(logits, value):
    return (value * logits - jax.nn.softplus(logits)).sum(axis=-1)


def excess(cost, axis):
    others = cost.sum(axis=axis, keepdims=True) - cost
    return cost - others / (cost.shape[axis] - 1)
