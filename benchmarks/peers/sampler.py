"""Where the processor is, some thousand times a second, while something runs.

Linux's ``perf`` looks from outside, at functions of C, Fortran and the kernel as well
as of the interpreter, so that calls of a microsecond cost no more than they do.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RATE", "Place", "sample"]

RATE = 4000  # samples of a second, for each running thread

_LINE = re.compile(r"^\s*(\d+)\s+[0-9a-f]+ (.*) \((.*)\)$")


@dataclass(frozen=True, slots=True)
class Place:
    """A function of a thread: the file it is in, and its name there."""

    thread: int
    file: str
    function: str


def sample(work: Callable[[], object], seconds: float) -> tuple[Counter[Place], int]:
    """Call `work` again and again; return how often it was where, and the calls."""
    if shutil.which("perf") is None:
        sys.exit("perf was not found: apt install linux-perf, or linux-tools-generic.")
    with tempfile.TemporaryDirectory() as folder:
        data, calls = Path(folder) / "perf.data", 0
        period = ["-e", "cpu-clock", "-c", str(10**9 // RATE)]
        mine = ["-p", str(os.getpid()), "--", "sleep", str(seconds)]
        recorder = subprocess.Popen(
            ["perf", "record", "-q", "-N", "-o", str(data), *period, *mine],
            stderr=subprocess.DEVNULL,
        )
        while recorder.poll() is None:
            work()
            calls += 1
        fields = ["-i", str(data), "-F", "tid,ip,sym,dso"]
        found = subprocess.run(
            ["perf", "script", *fields],
            capture_output=True,
            text=True,
            check=True,
        )
    lines = map(_LINE.match, found.stdout.splitlines())
    places = Counter(Place(int(m[1]), Path(m[3]).name, m[2]) for m in lines if m)
    return places, calls
