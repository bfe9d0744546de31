"""Compare the time of a gradient with that of other libraries, side by side in one run.

The workloads are described in ``peers/workloads.py``. Every library computes the
gradient of all params, float32, in one thread. A library is timed only after its mean
gradient was found to have the same expectation as that of hand-written NumPy
(``peers/agreement.py``). Prints a table for each workload: ratios to hand-written NumPy
in the same round, and milliseconds.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from statistics import median

from peers import one_thread
from peers.agreement import Moments, observe, require_agreement
from peers.race import race, ratios
from peers.workloads import WORKLOADS, Workload, make

REFERENCE = "numpy"
LIBRARIES = {
    "numpy": "peers.numpy_by_hand",
    "scg": "peers.scg_models",
}
CALLS = {"chain": 1000, "belief": 60, "rnn": 200, "toy": 4000}


@dataclass(frozen=True, slots=True)
class Entrant:
    """A library's step, and what is known of it before it is timed."""

    step: Callable[[], dict]
    first: float  # seconds of building the model and of the first call
    agrees: str


def enter(library: str, workload: Workload, seed: int) -> tuple[Callable, float]:
    """Build a step; return it and the seconds until it has run once."""
    build = getattr(import_module(LIBRARIES[library]), workload.kind)
    began = time.perf_counter()
    step = build(workload, seed)
    step()
    return step, time.perf_counter() - began


def admit(
    library: str, workload: Workload, reference: Moments | None, seconds: float
) -> tuple[Entrant, Moments]:
    """Build a step and compare its expected gradient with the reference's."""
    step, first = enter(library, workload, seed=1 + list(LIBRARIES).index(library))
    found = observe(step, CALLS[workload.kind], seconds)
    if reference is None:
        return Entrant(step, first, f"{found.calls} calls"), found
    scores = require_agreement(found, reference, f"{library} on {workload.name}")
    mean = sum(
        square * reference.mean[name].size for name, (square, _) in scores.items()
    ) / sum(value.size for value in reference.mean.values())
    largest = max(z for _, z in scores.values())
    agrees = f"{found.calls} calls: {mean:.2f}, {largest:.1f}"
    return Entrant(step, first, agrees), found


def compare(
    name: str, libraries: list[str], rounds: int, seconds: float, check_seconds: float
) -> None:
    """Print the table of a workload."""
    workload, reference = make(name), None
    entrants: dict[str, Entrant] = {}
    for library in libraries:
        entrants[library], found = admit(library, workload, reference, check_seconds)
        reference = reference or found
    times = race({k: e.step for k, e in entrants.items()}, rounds, seconds)
    relative = ratios(times, REFERENCE)
    print(f"\n{name}: {workload.rows} rows, {rounds} rounds\n")
    print("| library | median | least | ms, median | ms, least | first call, s | z² |")
    print("|---|---|---|---|---|---|---|")
    for library, entrant in entrants.items():
        ratio = "{:.2f} | {:.2f}".format(*relative[library])
        own = [1e3 * t for t in times[library]]
        row = f"{ratio} | {median(own):.4g} | {min(own):.4g} | {entrant.first:.2f}"
        print(f"| {library} | {row} | {entrant.agrees} |", flush=True)


if __name__ == "__main__":
    one_thread.ensure()
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=LIBRARIES, default=[*LIBRARIES])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a round, each")
    parser.add_argument("--check-seconds", type=float, default=10.0)
    options = vars(parser.parse_args())
    # The reference goes first, whether asked for or not.
    libraries = [REFERENCE, *(n for n in options.pop("only") if n != REFERENCE)]
    for name in options.pop("workloads"):
        compare(name, libraries, **options)
