"""Measure what `scg` costs beside the time of a step.

Prints four tables: processor time of the import and memory of training a belief net,
each in a process of its own; a gradient with one thread of OpenBLAS and with two; the
time that a graph of some nodes takes to be built, to be compiled, and to run for the
first time and later; the same for one node.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from peers import one_thread

import scg

IMPORT = """
import time
began = time.process_time()
import {module}
print(time.process_time() - began)
"""

# ru_maxrss would begin with the memory of the process that started this one.
MEMORY = """
import sys
sys.path.insert(0, {folder!r})
from peers import {module} as models
from peers.workloads import make

workload = make({workload!r})
step = getattr(models, workload.kind)(workload, seed=0)
for _ in range(50):
    step()
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""

GRADIENT = """
import sys
sys.path.insert(0, {folder!r})
from peers import scg_models as models
from peers.race import lap
from peers.workloads import make

workload = make({workload!r})
step = getattr(models, workload.kind)(workload, seed=0)
lap(step, 0.2)
print(*sorted(lap(step, 0.2)[0] for _ in range(5)))
"""


def printed(code: str, threads: int = 1) -> list[float]:
    """Run code in another process; return the numbers that it printed."""
    command = [sys.executable, "-c", code]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    return [float(word) for word in done.stdout.split()]


def alone(code: str, repeats: int = 1) -> float:
    """Run code in other processes; return the least number that one printed."""
    return min(printed(code)[0] for _ in range(repeats))


def threads() -> None:
    """Print the fastest and the slowest of five laps, in three processes each."""
    names = ("chain", "belief24", "belief100", "rnn", "toy1")
    folder = str(Path(__file__).parent)
    print("\n| threads |" + "".join(f" {name}, ms |" for name in names))
    print("|---|" + len(names) * "---|")
    for count in 3 * (1, 2):
        code = [GRADIENT.format(folder=folder, workload=name) for name in names]
        laps = [printed(text, threads=count) for text in code]
        row = [f" {1e3 * x[0]:.3g} to {1e3 * x[-1]:.3g} |" for x in laps]
        print(f"| {count} |{''.join(row)}", flush=True)


def processes() -> None:
    """Print what a process of its own takes."""
    print("| in a process of its own | |\n|---|---|")
    for module in ("numpy", "autograd.numpy, networkx", "scg"):
        seconds = alone(IMPORT.format(module=module), repeats=5)
        print(f"| import {module} | {seconds:.3f} s |", flush=True)
    folder = str(Path(__file__).parent)
    for workload in ("toy1", "belief24", "belief100", "rnn"):
        for name, module in (("scg", "scg_models"), ("NumPy", "numpy_by_hand")):
            code = MEMORY.format(folder=folder, module=module, workload=workload)
            peak = alone(code) / 1e3
            print(f"| peak memory, {workload}, {name} | {peak:.0f} MB |", flush=True)


def long_chain(num_nodes: int) -> scg.Graph:
    """Add up tanh of scaled sums, with a draw every 10 nodes."""
    graph = scg.Graph(dtype=np.float32)
    theta = graph.param("theta", 0.9)
    h = graph.input("x")
    for i in range(-(-num_nodes // 10)):
        a = theta * np.tanh(h)
        for scale in (0.5, 0.6, 0.7):
            a = scale * np.maximum(a, h)
        h = a + graph.sample(f"z{i}", scg.Bernoulli(logits=a))
    graph.cost("loss", h**2)
    return graph


def measure(num_nodes: int, rows: int = 4) -> list[float]:
    """Return least seconds: built, compiled, first run, later run."""
    found = [np.inf] * 4
    for _ in range(3):
        graph, built = timed(long_chain, num_nodes)
        step, compiled = timed(scg.compile, graph)
        rng = np.random.default_rng(0)
        params, inputs = graph.init(rng), {"x": np.ones(rows, np.float32)}

        def run(step=step, params=params, inputs=inputs, rng=rng):
            return timed(lambda: step(params, inputs, rng=rng))[1]

        first = run()
        later = min(run() for _ in range(max(3, 2_000 // num_nodes)))
        found = [*map(min, found, [built, compiled, first, later])]
    return found


def timed(function, *arguments):
    began = time.perf_counter()
    made = function(*arguments)
    return made, time.perf_counter() - began


def graphs(sizes: list[int]) -> None:
    """Print the tables of graphs of some sizes."""
    rows = [[len(long_chain(size).nodes), *measure(size)] for size in sizes]
    head = ["built", "compiled", "first run", "later run"]
    for title, unit, per_node in (("ms", 1e3, False), ("µs a node", 1e6, True)):
        print(f"\n| nodes |{''.join(f' {word}, {title} |' for word in head)}")
        print("|---|---|---|---|---|")
        for nodes, *seconds in rows:
            share = unit / nodes if per_node else unit
            print(f"| {nodes:,} |{''.join(f' {share * s:.4g} |' for s in seconds)}")


if __name__ == "__main__":
    one_thread.ensure()
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    sizes = [10, 100, 1_000, 10_000]
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes)
    options = parser.parse_args()
    processes()
    threads()
    graphs(options.sizes)
