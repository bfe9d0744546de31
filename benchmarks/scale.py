"""Measure what happens before the first run, for graphs of 10 to 100,000 nodes.

    OPENBLAS_NUM_THREADS=1 python benchmarks/scale.py

For several shapes of graph and numbers of nodes, prints the time it takes to build the
graph, in µs a node, to make its schedule with ``scg.compile``, in ms and in µs a node,
and to find which costs every scored sample influences, in ms. Times that stay the same
a node are totals that are linear in the nodes. The fastest of several rounds counts.
"""

import argparse
import gc
import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import scg


def calls(count: int) -> scg.Graph:
    """Build one chain of NumPy calls."""
    graph = scg.Graph()
    x = graph.param("theta", 0.5)
    for i in range(count // 2):
        x = np.tanh(x) if i % 2 else 0.9 * x
        x = x + 0.1
    graph.cost("loss", x)
    return graph


def layer(count: int) -> scg.Graph:
    """Build independent samples, each with a param and a cost of its own."""
    graph = scg.Graph()
    for i in range(count // 3):
        theta = graph.param(f"theta {i}", 0.0)
        graph.cost(f"c {i}", graph.sample(f"b {i}", scg.Bernoulli(logits=theta)))
    return graph


def samples(count: int) -> scg.Graph:
    """Build a chain of samples, each with a cost."""
    graph = scg.Graph()
    z, width = graph.input("x"), graph.param("width", 0.0)
    for i in range(count // 2):
        z = graph.sample(f"z {i}", scg.Normal(mean=z, log_scale=width))
        graph.cost(f"c {i}", z)
    return graph


def mix(count: int) -> scg.Graph:
    """Build a deep graph, a third of it samples, a sixth of it costs."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    _steps(graph, theta, theta, theta, count // 6)
    return graph


def body(count: int) -> scg.Graph:
    """Build a scan whose body is the deep graph, and whose carries join its ends."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    graph.scan(
        lambda ends: _steps(graph, theta, *ends, count // 6), init=(0.0, 0.0), length=3
    )
    return graph


def _steps(
    graph: scg.Graph, theta: Any, older: Any, newer: Any, count: int
) -> tuple[Any, Any]:
    """Add nodes, six at a time, each six reading the two before."""
    for i in range(count):
        h = np.tanh(theta * newer)
        z = graph.sample(f"z {i}", scg.Normal(mean=h, log_scale=older))
        older, newer = newer, graph.sample(f"b {i}", scg.Bernoulli(logits=z + h))
        graph.cost(f"c {i}", newer)
    return older, newer


SHAPES: dict[str, Callable[[int], scg.Graph]] = {
    "A chain of NumPy calls": calls,
    "A layer of independent samples, each with a param and a cost": layer,
    "A chain of samples, each with a cost": samples,
    "A deep mix: a third samples, a sixth costs": mix,
    "A scan whose body is the deep mix": body,
}


def measure(
    build: Callable[[int], scg.Graph], count: int
) -> tuple[int, float, float, float]:
    """Return the nodes there are, and the seconds that each of three things takes.

    These are to build the graph, to schedule it, and to find for every scored sample
    the costs that it influences.
    """
    gc.collect()
    times = [time.perf_counter()]
    graph = build(count)
    times.append(time.perf_counter())
    program = scg.compile(graph).program
    times.append(time.perf_counter())
    program.downstream.increments(program.scored)
    times.append(time.perf_counter())
    built, made, found = (after - before for before, after in pairwise(times))
    return len(graph.nodes), built, made, found


def main(largest: int, rounds: int) -> None:
    """Print a table for each shape of graph."""
    for title, build in SHAPES.items():
        print(f"{title}:\n")
        print("| nodes | build, µs a node | schedule, ms | µs a node | influence, ms |")
        print("|---|---|---|---|---|")
        for size in [10**k for k in range(1, 7) if 10**k <= largest]:
            times = rounds if size <= 10_000 else max(1, rounds // 3)
            found = [measure(build, size) for _ in range(times)]
            nodes = found[0][0]
            built, made, reached = (min(f[k] for f in found) for k in (1, 2, 3))
            print(
                f"| {nodes:,} | {1e6 * built / nodes:.0f} | {1e3 * made:,.1f} "
                f"| {1e6 * made / nodes:.1f} | {1e3 * reached:,.1f} |",
                flush=True,
            )
        print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=10)
    main(**vars(parser.parse_args()))
