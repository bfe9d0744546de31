"""Times of several steps, taken in turn, so that other load on the machine hits all."""

import time
from collections.abc import Callable, Mapping
from statistics import median

__all__ = ["race", "ratios"]

MAX_CORES = 1.1


def race(
    steps: Mapping[str, Callable[[], object]], rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Time each step in each round, for about so many seconds.

    Returns
    -------
    dict of str to list of float
        Seconds a call, round by round.

    Raises
    ------
    RuntimeError
        When a step kept more than one core busy.
    """
    calls = {name: max(1, int(seconds / warm(step))) for name, step in steps.items()}
    found: dict[str, list[float]] = {name: [] for name in steps}
    used = dict.fromkeys(steps, 0.0)
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # another one's data are in the caches
            began, used_before = time.perf_counter(), time.process_time()
            for _ in range(calls[name]):
                step()
            found[name].append((time.perf_counter() - began) / calls[name])
            used[name] += (time.process_time() - used_before) / calls[name]
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


def warm(step: Callable[[], object]) -> float:
    """Return the seconds of a call, once some have been made."""
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return min(taken)
