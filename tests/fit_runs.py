"""Runs for the tests of `fit`: a plain one, and one with all that can be saved.

As a program it makes the second one in a folder, and says after each step how far it
is, so that a test can kill it.
"""

import sys
from types import SimpleNamespace

import numpy as np

from scg.clipping import chain, clip_by_global_norm
from scg.fit import fit
from scg.optimizers import adam, sgd
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


def parabola(params, inputs, *, rng, rows=None, samples=1, state=None):
    x = params["x"]
    gradient = {"x": 2 * x}
    return SimpleNamespace(
        cost=float(np.sum(x**2)), gradient=gradient, state=state, metrics={}
    )


def parabola_fit(model=parabola, num_steps=10, **options):
    chosen = {
        "params": {"x": np.array([1.0, 2.0])},
        "optimizer": sgd(0.25),
        "rng": np.random.default_rng(0),
        "progress": False,
        **options,
    }
    return fit(model, num_steps=num_steps, **chosen)


def assert_same_bits(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert left[name].tobytes() == right[name].tobytes(), name


def assert_same_result(left, right):
    assert_same_bits(left.params, right.params)
    assert_same_bits(left.optimizer_state, right.optimizer_state)
    assert_same_bits(left.state, right.state)
    assert left.step == right.step
    assert without_seconds(left) == without_seconds(right)


def without_seconds(result):
    return [
        {name: value for name, value in record.items() if name != "seconds"}
        for record in result.history
    ]


def after(step, action):
    """Make a callback that acts once, after a step."""
    return lambda report: action() if report.step == step else None


def stop_after(step):
    return after(step, lambda: True)


def must_not_run(*args, **kwargs):
    raise AssertionError


class Counter:
    """An environment with a state, or one that cannot give it."""

    def __init__(self, *, gives_state=True):
        self.count = 0
        self.gives_state = gives_state

    def get_state(self):
        return {"count": np.array(self.count)} if self.gives_state else None

    def set_state(self, state):
        self.count = int(state["count"])

    def __call__(self, rng, step):
        self.count += 1
        return {"target": np.float32(self.count)}


def spoiled(step, **bad):
    """Make the parabola go wrong in one step, counted from 1."""
    count = 0

    def model(params, inputs, **options):
        nonlocal count
        count += 1
        estimate = parabola(params, inputs, **options)
        return SimpleNamespace(**vars(estimate) | (bad if count == step else {}))

    return model


def say(report):
    sys.stdout.write(f"{report.step}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    noisy_fit(sys.argv[1], int(sys.argv[2]), size=20_000, save_every=1, callbacks=[say])
