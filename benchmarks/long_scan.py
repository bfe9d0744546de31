"""Show how much memory a long loop takes when it keeps every k-th carry alone.

A recurrent network that draws a bit at each step, in two sizes. Prints a table of the
megabytes that one estimate needs at its peak, of what the stated formula gives, and of
seconds, with every carry kept and with every k-th.
"""

import argparse
import math
import time
import tracemalloc

import numpy as np

import scg
from scg.surrogate import Compiled

SIZES = {"8 rows, 8 hidden units": (8, 8), "64 rows, 32 hidden units": (64, 32)}


def recurrent(
    rows: int, hidden: int, length: int, every: int | None
) -> tuple[Compiled, dict[str, object], dict[str, object]]:
    """Return a compiled model, its params and its inputs."""
    graph = scg.Graph()
    rng = np.random.default_rng(0)
    w = graph.param("w", 0.9 / math.sqrt(hidden) * rng.normal(size=(hidden, hidden)))
    u = graph.param("u", rng.normal(size=hidden) / math.sqrt(hidden))

    def step(h):
        z = graph.sample("z", scg.Bernoulli(logits=h @ u))
        graph.cost("loss", (z - 0.3) ** 2)
        return np.tanh(h @ w + z[:, None])

    start = graph.input("start", shape=(hidden,))
    graph.scan(step, start, length=length, keep_every=every)
    estimators = {"z": scg.ScoreFunction(baseline=scg.BatchMean(), discount=0.99)}
    inputs = {"start": np.zeros((rows, hidden))}
    return scg.compile(graph, estimators), graph.init(rng), inputs


def measure(
    rows: int, hidden: int, length: int, every: int | None
) -> tuple[float, float]:
    """Return the megabytes of an estimate at its peak, and the seconds of one."""
    step, params, inputs = recurrent(rows, hidden, length, every)
    times = []
    for _ in range(2):
        began = time.perf_counter()
        step(params, inputs, rng=np.random.default_rng(0))
        times.append(time.perf_counter() - began)
    step, params, inputs = recurrent(rows, hidden, length, every)  # with an empty pool
    tracemalloc.start()
    step(params, inputs, rng=np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6, min(times)


def main(lengths: list[int], sizes: list[str], most: float) -> None:
    """Print one table a size; leave out what needs more than `most` gigabytes."""
    for name in sizes:
        rows, hidden = SIZES[name]
        print(f"\n{name}\n")
        print("| steps T | keep_every k | T/k + k carries, MB | peak, MB | seconds |")
        print("|---|---|---|---|---|")
        for length in lengths:
            root = math.isqrt(length)
            carry = 8 * rows * hidden / 1e6
            for every in (None, length // 10, root, 10):
                carries = length if every is None else length / every + every
                if 4 * carries * carry > 1000 * most:
                    print(f"| {length:,} | {every} | {carries * carry:.1f} | — | — |")
                    continue
                peak, seconds = measure(rows, hidden, length, every)
                shown = f"{carries * carry:.1f} | {peak:.1f} | {seconds:.2f}"
                print(f"| {length:,} | {every} | {shown} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[1_000, 10_000, 100_000]
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--most", type=float, default=12, help="gigabytes to use")
    arguments = parser.parse_args()
    main(arguments.lengths, arguments.sizes, arguments.most)
