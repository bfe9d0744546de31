"""What no implementation of a workload can leave out, and nothing else.

Matrix products, random numbers and transcendental functions of the right sizes, with
prepared buffers and without any use of the results; no gradient comes of it. Logits
that do not wait for a draw are taken together, a sum of exponentials costs nothing.
"""

from collections.abc import Callable

import numpy as np

from peers.workloads import (
    NUM_ACTIONS,
    NUM_CATEGORIES,
    NUM_HIDDEN,
    NUM_INPUTS,
    NUM_PIXELS,
    NUM_SAMPLES,
    NUM_STEPS,
    NUM_UNITS,
    NUM_VARIABLES,
    Workload,
)

Calls = list[Callable[[], object]]


def chain(workload: Workload, seed: int) -> Callable[[], dict]:
    shape = (workload.rows, NUM_CATEGORIES)
    turns = [unary(np.exp, *shape) for _ in range(NUM_VARIABLES)]
    return together([uniform(seed, workload.rows * NUM_VARIABLES), *turns])


def belief(workload: Workload, seed: int) -> Callable[[], dict]:
    R, P, H, K = workload.rows, NUM_PIXELS, NUM_HIDDEN, NUM_SAMPLES
    layers = [(R, P, H), (K * R, H, H), (K * R, H, H), (K * R, H, P)]
    outputs = [(H,), *((m, n) for m, _, n in layers)]
    forward = [product(m, k, n) for m, k, n in layers]
    weights = [product(k, m, n) for m, k, n in layers]
    exps = [unary(np.exp, *shape) for shape in outputs]
    logs = [unary(np.log1p, *shape) for shape in outputs]
    return together([uniform(seed, 2 * K * R * H), *forward, *weights, *exps, *logs])


def rnn(workload: Workload, seed: int) -> Callable[[], dict]:
    R, T, D, H, A = workload.rows, NUM_STEPS, NUM_INPUTS, NUM_UNITS, NUM_ACTIONS
    at_once = [product(R * T, D, H), product(R * T, H, A), product(R * T, A, H)]
    weights = [product(D, R * T, H), product(H, R * T, H), product(H, R * T, A)]
    onward, back = product(R, H, H), product(R, H, H)
    turns = T * [onward, unary(np.tanh, R, H)] + (T - 1) * [back]
    others = [uniform(seed, R * T), unary(np.exp, R * T, A)]
    return together([*at_once, *weights, *turns, *others])


def toy(workload: Workload, seed: int) -> Callable[[], dict]:
    return together([uniform(seed, workload.rows), unary(np.exp)])


def together(calls: Calls) -> Callable[[], dict]:
    def step():
        for call in calls:
            call()
        return {}

    return step


def product(m: int, k: int, n: int) -> Callable[[], object]:
    a, b, out = numbers(m, k), numbers(k, n), numbers(m, n)
    return lambda: np.matmul(a, b, out=out)


def unary(function: np.ufunc, *shape: int) -> Callable[[], object]:
    x, out = numbers(*shape), numbers(*shape)
    return lambda: function(x, out=out)


def uniform(seed: int, count: int) -> Callable[[], object]:
    rng, out = np.random.default_rng(seed), numbers(count)
    return lambda: rng.random(out=out, dtype=np.float32)


def numbers(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.random(shape, dtype=np.float32)
