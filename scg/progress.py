"""How far a run is: a live line on a terminal, elsewhere a line in the log at times.

Only the time decides when something is shown; showing it changes nothing in the run.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TextIO, TypeAlias

from scg.errors import MissingExtraError
from scg.extras import require

__all__ = ["progress_display", "progress_line"]

Metrics: TypeAlias = Mapping[str, float]
Show: TypeAlias = Callable[[int, Metrics], None]

TERMINAL_SECONDS = 0.25
LOG_SECONDS = 30.0

logger = logging.getLogger(__name__)


def progress_display(
    num_steps: int, first_step: int, *, enabled: bool, stream: TextIO | None = None
) -> AbstractContextManager[Show]:
    """Choose how to show the progress of a run.

    Parameters
    ----------
    num_steps : int
        Steps of the whole run.
    first_step : int
        Steps made before, by a run that is resumed.
    enabled : bool
        False shows and logs nothing.
    stream : text stream, optional
        Standard output by default. If it is a terminal it gets a live line, drawn by
        rich where that is installed; if not, the logger ``scg.progress`` gets a line
        every half minute.

    Returns
    -------
    context manager
        Gives ``show(step, metrics)``, to be called after every step.

    Examples
    --------
    >>> with progress_display(10, 0, enabled=False) as show:
    ...     show(1, {"cost": 0.5})
    """
    if not enabled:
        return nullcontext(_ignore)
    stream = stream or sys.stdout
    if not stream.isatty():
        return _logged(num_steps, first_step)
    try:
        require("rich.progress", extra="train")
    except MissingExtraError:
        return _plain(num_steps, first_step, stream)
    return _rich(num_steps, first_step, stream)


def progress_line(
    step: int, num_steps: int, metrics: Metrics, steps_per_second: float
) -> str:
    """Write one line about a run.

    Parameters
    ----------
    step, num_steps : int
        Steps made, and to be made in all.
    metrics : mapping of str to float
        Shown in their order.
    steps_per_second : float
        Speed, from which the time left follows.

    Returns
    -------
    str
        The line.

    Examples
    --------
    >>> progress_line(250, 1000, {"cost": 0.123456, "return": -21.0}, 10.0)
    'step 250/1000  cost 0.1235  return -21  10 steps/s  0:01:15 left'
    """
    numbers = [f"{name} {value:.4g}" for name, value in metrics.items()]
    speed = f"{steps_per_second:.3g} steps/s"
    left = []
    if steps_per_second > 0:
        seconds = round((num_steps - step) / steps_per_second)
        left = [f"{timedelta(seconds=seconds)} left"]
    return "  ".join([f"step {step}/{num_steps}", *numbers, speed, *left])


class _Throttle:
    """Pass on at most one line in `interval` seconds, and the last one at the end."""

    def __init__(
        self,
        write: Callable[[int, str], None],
        num_steps: int,
        first_step: int,
        interval: float,
    ) -> None:
        self._write = write
        self._num_steps = num_steps
        self._first_step = first_step
        self._interval = interval
        self._start = self._shown = time.monotonic()
        self._pending: tuple[int, Metrics] | None = None

    def show(self, step: int, metrics: Metrics) -> None:
        self._pending = step, metrics
        if time.monotonic() - self._shown >= self._interval:
            self.flush()

    def flush(self) -> None:
        if self._pending is None:
            return
        self._shown = time.monotonic()
        step, metrics = self._pending
        self._pending = None
        # The clock of some machines ticks 64 times a second.
        elapsed = max(self._shown - self._start, 1e-9)
        speed = (step - self._first_step) / elapsed
        self._write(step, progress_line(step, self._num_steps, metrics, speed))


@contextmanager
def _rich(num_steps: int, first_step: int, stream: TextIO) -> Iterator[Show]:
    rich = require("rich.progress", extra="train")
    console = require("rich.console", extra="train").Console(file=stream)
    # Drawn by the training loop: a drawing thread would take the loop's time anyway.
    bar = rich.Progress(
        rich.BarColumn(bar_width=20),
        rich.TextColumn("{task.description}", markup=False),
        console=console,
        auto_refresh=False,
    )
    with bar:
        task = bar.add_task("starting", total=num_steps, completed=first_step)

        def write(step: int, line: str) -> None:
            bar.update(task, completed=step, description=line, refresh=True)

        throttle = _Throttle(write, num_steps, first_step, TERMINAL_SECONDS)
        try:
            yield throttle.show
        finally:
            throttle.flush()


@contextmanager
def _plain(num_steps: int, first_step: int, stream: TextIO) -> Iterator[Show]:
    width = 0

    def write(step: int, line: str) -> None:
        nonlocal width
        stream.write("\r" + line.ljust(width))
        stream.flush()
        width = len(line)

    throttle = _Throttle(write, num_steps, first_step, TERMINAL_SECONDS)
    try:
        yield throttle.show
    finally:
        throttle.flush()
        stream.write("\n")


@contextmanager
def _logged(num_steps: int, first_step: int) -> Iterator[Show]:
    def write(step: int, line: str) -> None:
        logger.info("%s", line)

    throttle = _Throttle(write, num_steps, first_step, LOG_SECONDS)
    try:
        yield throttle.show
    finally:
        throttle.flush()


def _ignore(step: int, metrics: Metrics) -> None:
    pass
