"""One thing computed in the background while the one before it is used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Ahead"]

T = TypeVar("T")


class Ahead(Generic[T]):
    """Keep one call running ahead of its use, in a daemon thread.

    NumPy and emulators release the interpreter's lock while they work, so acting and
    learning share two cores.

    Examples
    --------
    >>> ahead = Ahead()
    >>> ahead.take() is None
    True
    >>> ahead.start(lambda: 1)
    >>> ahead.take()
    1
    """

    def __init__(self) -> None:
        self._pending: _Call[T] | None = None

    def start(self, call: Callable[[], T]) -> None:
        """Start a call, whose result the next `take` returns."""
        self._pending = _Call(call)

    def wait(self) -> None:
        """Wait for the call that runs, if any, and leave its result to `take`."""
        if self._pending is not None:
            self._pending.wait()

    def take(self) -> T | None:
        """Wait for the call that runs and return its result; None if there is none.

        An exception of the call is raised here.
        """
        pending, self._pending = self._pending, None
        return None if pending is None else pending.result()


class _Call(Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._value: Any = None
        self._error: BaseException | None = None
        # A daemon: a program that is told to leave need not wait for it.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error  # raised where the result is awaited

    def wait(self) -> None:
        self._thread.join()

    def result(self) -> T:
        self.wait()
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value
