"""Ctrl-C and SIGTERM as a request to stop, not as an exception in mid-air.

The first signal sets a flag, the second one does what it would have done without this
module. Handlers of other signals, and signals that the program ignores, stay as they
are.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interruption", "interruptible"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Tell whether somebody has asked to stop.

    Attributes
    ----------
    requested : bool
        True from the first signal on.

    Examples
    --------
    >>> Interruption().requested
    False
    """

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn the first Ctrl-C or SIGTERM inside the block into a flag.

    The second one goes to the handler that was there before: by default, Ctrl-C raises
    KeyboardInterrupt. Outside the main thread, where Python allows no handlers, the
    block runs as it is.

    Yields
    ------
    Interruption
        Look at its `requested`.

    Examples
    --------
    >>> with interruptible() as interruption:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interruption.requested
    True
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    # None stands for a handler that Python did not install and could not restore. A
    # program started with nohup or & ignores signals, and is to go on doing so.
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    previous = {n: h for n, h in previous.items() if h not in (None, signal.SIG_IGN)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        if interruption.requested:
            restore()
            signal.raise_signal(number)
        interruption.requested = True

    try:
        for number in previous:
            signal.signal(number, handle)
        yield interruption
    finally:
        restore()
