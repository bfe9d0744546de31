"""Compare the time of a gradient with that of other libraries, side by side in one run.

The workloads are described in ``peers/workloads.py``. Every library computes the
gradient of all params, float32, in one thread. A library is timed only after its mean
gradient was found to have the same expectation as that of hand-written NumPy
(``peers/agreement.py``). Prints a table for each workload: ratios to hand-written NumPy
in the same round, milliseconds, seconds until the first gradient (of a compiler: mostly
compiling), and from how many gradients the z-scores of the comparison were, with their
mean square, which is near 1, and the largest.

The others come with ``pip install -e '.[bench]'``; one that is missing is left out.
"""

import argparse
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from peers import one_thread
from peers.agreement import Moments, observe, require_agreement
from peers.race import Worker, race, ratios
from peers.workloads import WORKLOADS, Workload, make


@dataclass(frozen=True, slots=True)
class Library:
    """Where a library's models are, and what they have that others have not."""

    module: str
    package: str
    note: str = ""


REFERENCE, FLOOR = "numpy", "floor"
LIBRARIES = {
    "numpy": Library("numpy_by_hand", "numpy", "written by hand"),
    "scg": Library("scg_models", "scg"),
    "floor": Library("floor", "numpy", "GEMM, random numbers, exp, log, tanh: no more"),
    "autograd": Library("autograd_traced", "autograd", "traced anew at each call"),
    "torch": Library("torch_eager", "torch", "eager"),
    "jax": Library("jax_jitted", "jax", "compiled"),
    "storchastic": Library("storchastic_models", "storchastic", "recursion limit up"),
    "pyro": Library("pyro_models", "pyro-ppl", "decaying average for a baseline"),
}
CALLS = {"chain": 1000, "belief": 60, "rnn": 200, "toy": 4000}


@dataclass(frozen=True, slots=True)
class Entrant:
    """A library's step, and what is known of it before it is timed."""

    step: Callable[[], dict]
    first: float  # seconds of building the model and of the first call
    agrees: str


def enter(library: str, workload: Workload) -> tuple[Callable[[], dict], float]:
    """Build a step; return it and the seconds until it has run once."""
    module = import_module(f"peers.{LIBRARIES[library].module}")
    began = time.perf_counter()
    step = getattr(module, workload.kind)(workload, seed=[*LIBRARIES].index(library))
    step()
    return step, time.perf_counter() - began


def admit(
    library: str, workload: Workload, reference: Moments | None, seconds: float
) -> tuple[Entrant, Moments | None]:
    """Build a step and compare its expected gradient with the reference's."""
    step, first = enter(library, workload)
    if library == FLOOR:
        return Entrant(step, first, "no gradient"), None
    found = observe(step, CALLS[workload.kind], seconds)
    if reference is None:
        return Entrant(step, first, f"{found.calls}"), found
    scores = require_agreement(found, reference, f"{library} on {workload.name}")
    sizes = {name: value.size for name, value in reference.mean.items()}
    mean = sum(scores[name][0] * sizes[name] for name in sizes) / sum(sizes.values())
    largest = max(z for _, z in scores.values())
    return Entrant(step, first, f"{found.calls}: {mean:.2f}, {largest:.1f}"), found


def build(library: str, name: str) -> Callable[[], dict]:
    """Build a step, in the process that times it."""
    return enter(library, make(name))[0]


def compare(
    name: str, libraries: list[str], rounds: int, seconds: float, check_seconds: float
) -> None:
    """Print the table of a workload."""
    workload, reference = make(name), None
    entrants: dict[str, Entrant] = {}
    for library in libraries:
        entrants[library], found = admit(library, workload, reference, check_seconds)
        reference = reference or found
    with ExitStack() as stack:
        laps = {
            library: stack.enter_context(Worker(build, library, name))
            for library in entrants
        }
        times = race(laps, rounds, seconds)
    relative = ratios(times, REFERENCE)
    print(f"\n{name}: {workload.rows} rows, {rounds} rounds\n")
    print(
        "| library | median | least | ms, median | ms, least | first, s | gradients |"
    )
    print("|---|---|---|---|---|---|---|")
    for library, entrant in entrants.items():
        ratio = "{:.2f} | {:.2f}".format(*relative[library])
        own = [1e3 * t for t in times[library]]
        row = f"{ratio} | {median(own):.4g} | {min(own):.4g} | {entrant.first:.2f}"
        print(f"| {library} | {row} | {entrant.agrees} |", flush=True)


def installed(names: list[str]) -> list[str]:
    """Print the libraries' versions; return those that there are."""
    found = []
    print(f"Python {platform.python_version()}, {platform.machine()}, one thread.\n")
    print("| library | version | |\n|---|---|---|")
    for name in names:
        package, note = LIBRARIES[name].package, LIBRARIES[name].note
        try:
            import_module(f"peers.{LIBRARIES[name].module}")
            found.append(name)
            print(f"| {name} | {package} {release(package)} | {note} |")
        except ModuleNotFoundError as error:
            print(f"| {name} | left out: {error} | |")
    return found


def release(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # found by PYTHONPATH
        return "from source"


if __name__ == "__main__":
    one_thread.ensure()
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a round, each")
    parser.add_argument("--check-seconds", type=float, default=10.0)
    options = vars(parser.parse_args())
    # The reference goes first, whether asked for or not.
    asked = [REFERENCE, *(n for n in options.pop("only") if n != REFERENCE)]
    libraries = installed(asked)
    for name in options.pop("workloads"):
        compare(name, libraries, **options)
