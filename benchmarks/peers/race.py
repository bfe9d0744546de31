"""Times of several steps, taken in turn, so that other load on the machine hits all.

Each step is timed in a process of its own, which does nothing else: what another
library, or the check of its gradient, has done to the memory allocator, to threads or
to settings of NumPy is not there.
"""

import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from statistics import median
from typing import Self

__all__ = ["Worker", "lap", "race", "ratios"]

MAX_CORES = 1.1


class Worker:
    """A process that builds a step and times it when asked."""

    def __init__(self, build: Callable[..., Callable], *arguments: object) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, build, arguments), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()

    def __call__(self, seconds: float) -> tuple[float, float]:
        """Return seconds, and seconds of all cores, a call."""
        self._pipe.send(seconds)
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(pipe, build: Callable[..., Callable], arguments: tuple) -> None:
    try:
        step = build(*arguments)
        while True:
            pipe.send(lap(step, pipe.recv()))
    except Exception as error:
        pipe.send(error)


def lap(step: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Call a step for about so many seconds; return those a call, and of all cores."""
    step()  # another one's data are in the caches
    calls, began, used = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - began) < seconds or not calls:
        many = max(1, calls // 4)
        for _ in range(many):
            step()
        calls += many
    return passed / calls, (time.process_time() - used) / calls


def race(
    laps: Mapping[str, Callable[[float], tuple[float, float]]],
    rounds: int,
    seconds: float,
) -> dict[str, list[float]]:
    """Time each step in each round, for about so many seconds, after one for warmth.

    Parameters
    ----------
    laps : dict of str to callable
        From seconds to a pair as `lap` returns it.

    Returns
    -------
    dict of str to list of float
        Seconds a call, round by round.

    Raises
    ------
    RuntimeError
        When a step kept more than one core busy.
    """
    found: dict[str, list[float]] = {name: [] for name in laps}
    used = dict.fromkeys(laps, 0.0)
    for turn in range(rounds + 1):
        for name, take in laps.items():
            wall, cpu = take(seconds)
            if turn > 0:
                found[name].append(wall)
                used[name] += cpu
    for name, times in found.items():
        require_one_core(name, used[name] / sum(times))
    return found


def require_one_core(name: str, cores: float) -> None:
    """Raise where a step had more than one core."""
    if cores > MAX_CORES:
        msg = f"{name}: expected one core to be busy, got {cores:.2f}."
        raise RuntimeError(msg)


def ratios(
    times: Mapping[str, list[float]], reference: str
) -> dict[str, tuple[float, float]]:
    """Return the median and the least of the ratios to the reference, by round."""
    found = {}
    for name, own in times.items():
        parts = [a / b for a, b in zip(own, times[reference], strict=True)]
        found[name] = median(parts), min(parts)
    return found
