"""Say where the time goes, in percent: of the workloads of ``peers/``, and of Pong.

``perf`` looks from outside which function of which library runs (``peers/sampler.py``).
Pong's default recipe acts and learns as in ``examples/pong.py``; its shares are of the
time of all its threads, on all cores.
"""

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from peers import one_thread
from peers.sampler import RATE, Place, sample
from peers.workloads import WORKLOADS, make

MODULES = {"scg": "peers.scg_models", "numpy": "peers.numpy_by_hand"}

_MATHS = r"exp|log|tanh|sin|cos|pow|sqrt|svml"
_LOOPS = r"^(FLOAT|DOUBLE|HALF|BOOL|U?(BYTE|SHORT|INT|LONG))_|^_aligned|pairwise"
# The first that fits: what it is called, the file, the function.
KINDS = [
    ("GEMM", r"openblas|mkl|blis", r""),
    ("random", r"_generator|bit_gen|_philox|_pcg64|_sfc64|_common|_bounded|mtrand", ""),
    ("transcendental", r"_multiarray_umath|libm[.-]", _MATHS),
    ("NumPy's loops", r"_multiarray_umath", _LOOPS),
    ("NumPy's calls", r"_multiarray_umath|libm[.-]", r""),
    ("memory", r"kernel|^libc[.-]", r""),
    ("Python", r"", r""),
]


def kind(place: Place) -> str:
    """Name the kind of a place."""
    return next(
        name
        for name, file, function in KINDS
        if re.search(file, place.file) and re.search(function, place.function)
    )


def shares(places: Counter[Place], sort: Callable[[Place], str]) -> Counter[str]:
    """Add up the percentages of places of one sort."""
    found: Counter[str] = Counter()
    for place, count in places.items():
        found[sort(place)] += 100 * count / places.total()
    return found


def table(names: list[str], libraries: list[str], seconds: float) -> None:
    """Print the shares of workloads."""
    columns = [name for name, *_ in KINDS]
    print("\n| workload | library | ms a call |", *(f" {c} |" for c in columns), sep="")
    print("|---|---|---|" + len(columns) * "---|")
    for name in names:
        for library in libraries:
            workload = make(name)
            build = getattr(import_module(MODULES[library]), workload.kind)
            step = build(workload, seed=1)
            for _ in range(20):
                step()
            places, calls = sample(step, seconds)
            found = shares(places, kind)
            own = f"| {name} | {library} | {1e3 * places.total() / RATE / calls:.3g} |"
            print(own, *(f" {found[c]:.0f} |" for c in columns), sep="", flush=True)


def pong(seconds: float) -> None:
    """Print the shares of Pong's default recipe."""
    sys.path[:0] = [str(Path(__file__).parent)]
    learning = import_module("pong_speed").Learning()
    learning(seconds / 4)
    busy = []

    def work():
        began, used = time.perf_counter(), time.process_time()
        learning(seconds)
        elapsed = time.perf_counter() - began
        busy.append((time.process_time() - used) / elapsed)

    places, _ = sample(work, seconds)

    by_thread = {place.thread: Counter() for place in places}
    for place, count in places.items():
        by_thread[place.thread]["ale" in place.file] += count
    emulating = {t for t, n in by_thread.items() if n[True] > n[False]}

    def part(place):
        if place.thread in emulating or "ale" in place.file:
            return "emulator"
        if kind(place) == "Python":
            return "Python"
        return "gradient" if place.thread == os.getpid() else "policy"

    found = shares(places, part)
    columns = ["emulator", "policy", "gradient", "Python"]
    print("\n| Pong |", *(f" {c} |" for c in columns), " cores busy |", sep="")
    print("|---|" + len(columns) * "---|" + "---|")
    row = "".join(f" {found[c]:.0f} |" for c in columns)
    print(f"| default recipe |{row} {busy[0]:.2f} |")


if __name__ == "__main__":
    one_thread.ensure()
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    choices = [*WORKLOADS, "pong"]
    parser.add_argument("--workloads", nargs="+", choices=choices, default=choices)
    parser.add_argument("--libraries", nargs="+", choices=MODULES, default=["scg"])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each")
    options = parser.parse_args()
    small = [name for name in options.workloads if name != "pong"]
    if small:
        table(small, options.libraries, options.seconds)
    if "pong" in options.workloads:
        pong(5 * options.seconds)
