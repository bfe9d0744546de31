"""A run with noise, data, a learned average and an optimiser state: all that is saved.

As a program it makes the run in a folder, and says after each step how far it is, so
that a test can kill it.
"""

import sys
from types import SimpleNamespace

import numpy as np

from scg.clipping import chain, clip_by_global_norm
from scg.fit import fit
from scg.optimizers import adam
from scg.schedules import cosine


def noisy_quadratic(params, inputs, *, rng, rows=None, samples=1, state=None):
    """Give (w - target)² with a noisy gradient, and an average of the cost."""
    average = state["average"] if state else np.zeros(())
    error = {name: value - inputs["target"] for name, value in params.items()}
    cost = sum(float(np.sum(e**2)) for e in error.values())
    gradient = {
        name: (2 * e + rng.normal(size=e.shape)).astype(e.dtype)
        for name, e in error.items()
    }
    return SimpleNamespace(
        cost=cost,
        gradient=gradient,
        state={"average": 0.9 * average + 0.1 * cost},
        metrics={"advantage": cost - float(average)},
    )


def noisy_data(rng, step):
    return {"target": np.float32(rng.spawn(1)[0].random() + step % 3)}


def noisy_params(size=8):
    start = np.random.default_rng(5).normal(size=size)
    return {"w": start.astype(np.float32), "a": np.ones((2, 2), np.float32)}


def noisy_fit(folder, num_steps, *, size=8, seed=1, **options):
    """Make the run, with `fit`'s own options where given."""
    chosen = {
        "model": noisy_quadratic,
        "params": noisy_params(size),
        "optimizer": chain(clip_by_global_norm(5.0), adam(cosine(0.1, 0.01, 60))),
        "rng": np.random.default_rng(seed),
        "data": noisy_data,
        "progress": False,
        **options,
    }
    return fit(num_steps=num_steps, checkpoint=folder, **chosen)


def say(report):
    sys.stdout.write(f"{report.step}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    noisy_fit(sys.argv[1], int(sys.argv[2]), size=20_000, save_every=1, callbacks=[say])
