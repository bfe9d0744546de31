"""Compare the decisions/s of Pong being learnt with those of its emulator alone.

The emulator steps 32 games with random actions on all cores, and nothing else is done;
then the default recipe of ``examples/pong.py`` acts and learns; in turn, several times
in one run. Prints a table with medians and the ratio.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import scg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import pong


def alone(court, rng: np.random.Generator, seconds: float) -> float:
    """Step the emulator with random actions; return decisions/s."""
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        court.games.step(rng.choice([0, 2, 3], size=court.num_envs))
        steps += 1
    return steps * court.num_envs / (time.perf_counter() - began)


class Learning:
    """The default recipe, whose updates go on from one measurement to the next."""

    def __init__(self) -> None:
        self.config = pong.Config()
        courts = [pong.Court(self.config.rows // 2) for _ in range(2)]
        court = scg.Environment(courts, name="court", seed=0)
        graph, self.method, _ = pong.learner(self.config, court)
        self.rng = np.random.default_rng(0)
        self.params = graph.init(self.rng)
        self.state = self.method.init(self.params)

    def __call__(self, seconds: float) -> float:
        """Act and learn; return decisions/s."""
        updates, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            self.params, self.state, *_ = self.method.update(
                self.params, self.state, None, rng=self.rng, step=updates
            )
            updates += 1
        self.method.settle()  # its run ahead makes up for the one it began with
        done = updates * self.config.rows * self.config.length
        return done / (time.perf_counter() - began)


def main(rounds: int, seconds: float) -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    court = pong.Court(pong.Config().rows, threads=2)
    court.reset(seed=0)
    learning = Learning()
    learning(seconds / 4)
    found = [(alone(court, rng, seconds), learning(seconds)) for _ in range(rounds)]
    bare, both = (median(column) for column in zip(*found, strict=True))
    print("| round | emulator alone | acting and learning | ratio |\n|---|---|---|---|")
    for i, (a, b) in enumerate(found, 1):
        print(f"| {i} | {a:,.0f} | {b:,.0f} | {b / a:.0%} |")
    print(f"| median | {bare:,.0f} | {both:,.0f} | {both / bare:.0%} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    main(**vars(parser.parse_args()))
