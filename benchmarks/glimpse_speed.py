"""Time a gradient step of the glimpse model against hand-written NumPy.

The same model, batch, copies and float32, on one core, in turn: the median of several
rounds. `ByHand` does what its author would do who knows this model alone: arrays made
once and written into, no location after the last glimpse, one table of images for all
copies, and what is not recurrent taken back for all glimpses in one product.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import numpy as np
from glimpse import Config, build
from options import check, plain_errors

import scg

__all__ = ["ByHand", "main", "model_and_inputs"]

LAYERS = ("what", "where", "from what", "from where", "from past", "from glimpse")


def model_and_inputs(config: Config):
    """Return the compiled model, its params, and a batch of noise for images."""
    rng = np.random.default_rng(0)
    graph = build(config)
    estimator = scg.ScoreFunction(baseline=scg.LeaveOneOut())
    n = config.batch
    inputs = {
        "image": rng.integers(0, 256, size=(n, 28, 28), dtype=np.uint8),
        "label": rng.integers(0, 10, size=n),
        "start": rng.uniform(-1, 1, size=(n, 2)).astype(np.float32),
    }
    return scg.compile(graph, {"location": estimator}), graph.init(rng), inputs


class ByHand:
    """The gradient of the model with one scale, credited with both costs."""

    def __init__(self, config: Config) -> None:
        self.config = config
        n, steps = config.batch * config.copies, config.glimpses
        pixels = config.patch**2
        self.n, self.steps = n, steps

        def empty(width: int, steps: int = steps) -> np.ndarray:
            return np.empty((steps, n, width), np.float32)

        self.seen, self.at, self.mean = empty(pixels), empty(2), empty(2)
        self.location = empty(2, steps - 1)
        self.what, self.where, self.g = empty(128), empty(128), empty(256)
        self.h, self.d_h, self.d_g = empty(256, steps + 1), empty(256), empty(256)
        self.d_what, self.d_where = empty(128), empty(128)
        self.scratch = np.empty((n, 256), np.float32)
        self.mask = np.empty((steps, n, 256), bool)
        patch = np.arange(config.patch)
        self.offsets = (patch[:, None] * (28 + config.patch) + patch).reshape(-1)
        self.padded = np.zeros((config.batch, *(28 + config.patch,) * 2), np.float32)
        side = 28 + config.patch
        self.rows = np.repeat(np.arange(config.batch) * side**2, config.copies)

    def __call__(self, params, inputs, *, rng, location=None):
        """Return the gradient; `location` is used in place of draws."""
        half = self.config.patch // 2
        np.divide(
            inputs["image"], np.float32(255), out=self.padded[:, half:-half, half:-half]
        )
        start = np.repeat(inputs["start"], self.config.copies, axis=0)
        logits = self._forward(params, start, rng, location)
        label = np.repeat(inputs["label"], self.config.copies)
        return self._backward(params, *self._costs(logits, label))

    def _forward(self, p, start, rng, location):
        noise = None
        if location is None:
            noise = rng.standard_normal(self.location.shape, dtype=np.float32)
            noise *= np.float32(self.config.deviation)
        both = p["from what.bias"] + p["from where.bias"]
        core = p["from past.bias"] + p["from glimpse.bias"]
        self.h[0] = 0
        self.at[0] = start
        for t in range(self.steps):
            h = self._take_in(p, t, both, core)
            if t == self.steps - 1:
                break
            mean = np.matmul(h, p["locator.weights"], out=self.mean[t])
            mean += p["locator.bias"]
            np.tanh(mean, out=mean)
            if noise is None:
                self.location[t] = location[t]
            else:
                np.add(mean, noise[t], out=self.location[t])
            np.clip(self.location[t], -1, 1, out=self.at[t + 1])
        return self.h[-1] @ p["decision.weights"] + p["decision.bias"]

    def _take_in(self, p, t, both, core):
        """Compute the h that follows a glimpse."""
        side, scratch = self.padded.shape[1], self.scratch
        corner = np.rint((self.at[t] + 1) * np.float32(14)).astype(np.intp)
        first = (self.rows + corner[:, 1] * side + corner[:, 0])[:, None]
        pixels = self.padded.reshape(-1)
        pixels.take(first + self.offsets, out=self.seen[t], mode="clip")
        what = np.matmul(self.seen[t], p["what.weights"], out=self.what[t])
        what += p["what.bias"]
        np.maximum(what, 0, out=what)
        where = np.matmul(self.at[t], p["where.weights"], out=self.where[t])
        where += p["where.bias"]
        np.maximum(where, 0, out=where)
        g = np.matmul(what, p["from what.weights"], out=self.g[t])
        g += np.matmul(where, p["from where.weights"], out=scratch)
        g += both
        np.maximum(g, 0, out=g)
        h = np.matmul(g, p["from glimpse.weights"], out=self.h[t + 1])
        if t:
            h += np.matmul(self.h[t], p["from past.weights"], out=scratch)
        h += core
        return np.maximum(h, 0, out=h)

    def _costs(self, logits, label):
        """Return the adjoint of the logits, and each run's advantage."""
        every = np.arange(self.n)
        logits -= logits.max(axis=1, keepdims=True)
        wrong = logits[every, label] < 0
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        cost = (wrong - np.log(logits[every, label])).reshape(-1, self.config.copies)
        m = self.config.copies
        advantage = (cost - cost.mean(axis=1, keepdims=True)) * (m / (m - 1))
        logits[every, label] -= 1
        logits /= self.n
        return logits, advantage.reshape(-1).astype(np.float32)

    def _backward(self, p, d_logits, advantage):
        last, steps = self.steps - 1, self.steps
        gradient = {
            "decision.weights": self.h[-1].T @ d_logits,
            "decision.bias": d_logits.sum(axis=0),
        }
        mask = np.greater(self.h[1:], 0, out=self.mask)
        d_h = np.matmul(d_logits, p["decision.weights"].T, out=self.d_h[last])
        d_h *= mask[last]
        back = np.ascontiguousarray(p["from past.weights"].T)
        for t in range(last, 0, -1):
            d_h = np.matmul(d_h, back, out=self.d_h[t - 1])
            d_h *= mask[t - 1]
        d_h, d_g = self.d_h.reshape(-1, 256), self.d_g.reshape(-1, 256)
        np.matmul(d_h, p["from glimpse.weights"].T, out=d_g)
        d_g *= np.greater(self.g, 0, out=self.mask).reshape(-1, 256)
        d_what, d_where = self.d_what.reshape(-1, 128), self.d_where.reshape(-1, 128)
        some = self.mask.reshape(-1, 128)[: steps * self.n]
        np.matmul(d_g, p["from what.weights"].T, out=d_what)
        d_what *= np.greater(self.what.reshape(-1, 128), 0, out=some)
        np.matmul(d_g, p["from where.weights"].T, out=d_where)
        d_where *= np.greater(self.where.reshape(-1, 128), 0, out=some)
        score = (self.location - self.mean[:-1]) * (1 - self.mean[:-1] ** 2)
        score *= (advantage / self.n / np.float32(self.config.deviation**2))[:, None]
        pairs = {
            "what": (self.seen, d_what),
            "where": (self.at, d_where),
            "from what": (self.what, d_g),
            "from where": (self.where, d_g),
            "from glimpse": (self.g, d_h),
            "from past": (self.h[:-1], d_h),
            "locator": (self.h[1:-1], score.reshape(-1, 2)),
        }
        for name, (below, above) in pairs.items():
            flat = below.reshape(-1, below.shape[-1])
            gradient[f"{name}.weights"] = flat.T @ above
            gradient[f"{name}.bias"] = above.sum(axis=0)
        return gradient


def main(config: Config, rounds: int, repeats: int) -> float:
    """Print milliseconds of a gradient by scg and by hand; return the median ratio."""
    step, params, inputs = model_and_inputs(config)
    by_hand = ByHand(config)
    rng = np.random.default_rng(0)
    ways = {
        "scg": lambda: step(params, inputs, rng=rng, samples=config.copies),
        "by hand": lambda: by_hand(params, inputs, rng=rng),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    print("| round | scg, ms | by hand, ms | ratio |\n|---|---|---|---|")
    for r in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            for _ in range(repeats):
                way()
            times[name].append(1e3 * (time.process_time() - began) / repeats)
        a, b = times["scg"][-1], times["by hand"][-1]
        print(f"| {r + 1} | {a:.1f} | {b:.1f} | {a / b:.2f} |", flush=True)
    a, b = np.median(times["scg"]), np.median(times["by hand"])
    ratio = float(np.median(np.divide(times["scg"], times["by hand"])))
    print(f"| median | {a:.1f} | {b:.1f} | {ratio:.2f} |")
    return ratio


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=Config.batch)
    parser.add_argument("--copies", type=int, default=Config.copies)
    options = parser.parse_args()
    with plain_errors():
        # With one copy there is no other to compare with.
        check(options, {}, {"rounds": 1, "repeats": 1, "copies": 2})
        shape = Config(batch=options.batch, copies=options.copies)
        main(shape, options.rounds, options.repeats)
