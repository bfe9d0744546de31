"""Show that credit, and the whole estimate, take a time linear in the loop's length.

Four loops: a chain with a cost at each step; the same with a discount and boundaries;
a recurrent network, whose gradient goes back through time; one whose scanned inputs
have gradient, with a cost after it. Prints a table of
microseconds a step, and of megabytes a run needs at its peak.
"""

import argparse
import time
import tracemalloc

import numpy as np

import scg
from scg.credit import assign

ROWS = 4


def chain(length: int, *, ends: bool) -> tuple[scg.Graph, dict[str, object]]:
    """Add up samples; each has a cost. With `ends`, credit ends at some sums."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.1)

    def step(h):
        z = graph.sample("z", scg.Bernoulli(logits=theta * np.tanh(h)))
        graph.cost("loss", (z - 0.3) ** 2)
        after = 0.9 * h + z
        over = scg.black_box(lambda x: x > 4.0, (), bool)(after)
        graph.rename("over", over)
        return scg.stop_gradient(np.where(over, 0.0, after))

    graph.scan(step, graph.input("start"), length=length)
    options = {"discount": 0.99, "boundary": "over"} if ends else {}
    return graph, {"z": scg.ScoreFunction(**options)}


def recurrent(length: int) -> tuple[scg.Graph, dict[str, object]]:
    """Keep a differentiable state of 8 numbers."""
    graph = scg.Graph()
    rng = np.random.default_rng(0)
    w = graph.param("w", 0.3 * rng.normal(size=(8, 8)))
    u = graph.param("u", 0.3 * rng.normal(size=8))

    def step(h):
        z = graph.sample("z", scg.Bernoulli(logits=h @ u))
        graph.cost("loss", (z - 0.3) ** 2)
        return np.tanh(h @ w + z[:, None])

    start = graph.input("start", shape=(8,))
    graph.scan(step, start, length=length)
    return graph, {"z": scg.ScoreFunction(baseline=scg.BatchMean())}


def scanned(length: int) -> tuple[scg.Graph, dict[str, object]]:
    """Scan over inputs that a param has scaled; score the stacked outputs too."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.1)
    start = graph.input("start")
    times = np.linspace(0.0, 1.0, length)

    def step(h, x):
        z = graph.sample("z", scg.Bernoulli(logits=x + start * h))
        graph.cost("loss", z * x)
        return z, z

    xs = (theta + start)[:, None] * times
    _, zs = graph.scan(step, start, xs=xs)
    graph.cost("outputs", np.mean(zs, axis=-1))
    return graph, {"z": scg.ScoreFunction()}


MODELS = {
    "a chain with a cost at each step": lambda n: chain(n, ends=False),
    "the chain with a discount and boundaries": lambda n: chain(n, ends=True),
    "a recurrent, differentiable carry": recurrent,
    "scanned inputs with gradient, and a cost of all outputs": scanned,
}


def fastest(run, repeats: int) -> float:
    """Return the seconds of the fastest of some runs."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def measure(name: str, length: int) -> tuple[float, float, float]:
    """Return microseconds a step of credit and of the estimate, and its megabytes."""
    graph, estimators = MODELS[name](length)
    shape = graph["start"].event_shape
    inputs = {"start": np.zeros((ROWS, *shape))}
    params = graph.init(np.random.default_rng(0))
    step = scg.compile(graph, estimators)

    def estimate():
        return step(params, inputs, rng=np.random.default_rng(0))

    trace = estimate().trace
    repeats = max(1, min(20, 20_000 // length))
    credit = fastest(lambda: assign(step.program, trace, {}), 2 * repeats)
    whole = fastest(estimate, repeats)
    tracemalloc.start()
    estimate()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return 1e6 * credit / length, 1e6 * whole / length, peak / 1e6


def main(lengths: list[int]) -> None:
    """Print one table a model."""
    for name in MODELS:
        print(f"\n{name}\n")
        print("| steps | credit, µs a step | estimate, µs a step | peak, MB |")
        print("|---|---|---|---|")
        for length in lengths:
            credit, whole, peak = measure(name, length)
            print(f"| {length:,} | {credit:.2f} | {whole:.1f} | {peak:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000]
    )
    main(parser.parse_args().lengths)
