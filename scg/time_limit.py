"""A call that is waited for no longer than so many seconds.

Python cannot stop a call from outside. The call runs in a daemon thread of its own, and
one that takes too long is left behind: it goes on in the background, and what it
returns is dropped.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

from scg.errors import GraphError

__all__ = ["LateError", "call_within", "checked_limit"]


class LateError(TimeoutError):
    """Report a call that took too long, as against one that raised `TimeoutError`.

    Examples
    --------
    >>> issubclass(LateError, TimeoutError)
    True
    """


def call_within(
    seconds: float | None, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Call a function, or raise `LateError` when it takes too long.

    Parameters
    ----------
    seconds : float or None
        The limit. None calls the function directly, in this thread.
    function : callable
    *args, **kwargs
        Its arguments.

    Returns
    -------
    object
        What the function returns; what it raises is raised here.

    Raises
    ------
    LateError
        When the call has not ended after `seconds`. It goes on in the background.

    Examples
    --------
    >>> call_within(10.0, max, 1, 2)
    2
    """
    if seconds is None:
        return function(*args, **kwargs)
    outcome: list[tuple[Any, BaseException | None]] = []
    context = contextvars.copy_context()  # np.errstate is kept there

    def work() -> None:
        try:
            outcome.append((context.run(function, *args, **kwargs), None))
        except BaseException as error:  # raised again where the result is awaited
            outcome.append((None, error))

    # A daemon: a program that is told to leave need not wait for it.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)  # Ctrl-C interrupts it
    if not outcome:
        msg = f"still running after {seconds:g} s"
        raise LateError(msg)
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def checked_limit(seconds: float | None, who: str) -> float | None:
    """Return a limit as it is, or raise `GraphError` when it is none.

    Examples
    --------
    >>> checked_limit(2.5, "black box 'f'")
    2.5
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool | str) or not 0 < seconds < threading.TIMEOUT_MAX:
        msg = (
            f"{who}: expected a timeout of a positive number of seconds, or None for "
            f"no limit, got {seconds!r}."
        )
        raise GraphError(msg)
    return float(seconds)
