"""A call of a user's function: limited in time, tried again, checked."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from scg.arrays import all_finite
from scg.errors import BlackBoxError, GraphError
from scg.inference import Spec
from scg.time_limit import LateError, call_within, checked_limit

__all__ = ["BlackBox", "Patience"]

LONGEST_PAUSE = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Say how long a call may take, how often it is made, and the pause in between.

    Parameters
    ----------
    timeout : float or None
        Seconds that one attempt may take.
    attempts : int
        How often the function is called, at most.
    pause : float
        Seconds before the second attempt; twice as many before each further one, up to
        60.

    Examples
    --------
    >>> [Patience(None, 5, 0.5).wait(n) for n in (1, 2, 3)]
    [0.5, 1.0, 2.0]
    """

    timeout: float | None = None
    attempts: int = 1
    pause: float = 1.0

    def wait(self, failed: int) -> float:
        """Return the seconds to wait after so many attempts that failed."""
        doublings = min(failed - 1, 100)  # 2.0 ** 1024 overflows
        return min(self.pause * 2.0**doublings, LONGEST_PAUSE)

    def checked(self, who: str) -> Patience:
        """Return it as it is, or raise `GraphError` when a number is out of range."""
        timeout = checked_limit(self.timeout, who)
        attempts: Any = self.attempts  # what a user gave
        pause: Any = self.pause
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            msg = f"{who}: expected attempts of 1 or more, got {attempts!r}."
            raise GraphError(msg)
        if isinstance(pause, bool | str) or not 0 <= pause < math.inf:
            msg = f"{who}: expected a pause of 0 or more seconds, got {pause!r}."
            raise GraphError(msg)
        return Patience(timeout, attempts, float(pause))


class BlackBox:
    """A function together with the check of what it returns.

    Parameters
    ----------
    function : callable
    name : str
        For messages.
    spec : Spec
        What it promises to return.
    row_argument : int or None
        The position of an argument that tells the number of rows.
    patience : Patience
        How long it may take, and how often it is tried.
    """

    __slots__ = ("__name__", "function", "patience", "row_argument", "spec")

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        spec: Spec,
        row_argument: int | None,
        patience: Patience,
    ) -> None:
        self.function = function
        self.__name__ = name
        self.spec = spec
        self.row_argument = row_argument
        self.patience = patience

    def __call__(self, *args: Any) -> Any:
        """Run the function and check shape, dtype and finiteness."""
        for attempt in itertools.count(1):
            try:
                return self._once(args)
            except BlackBoxError as error:
                if attempt == self.patience.attempts:
                    raise _given(self._in_full(error), args) from error.__cause__
                wait = self.patience.wait(attempt)
                logger.warning("%s Trying again in %g s.", error, wait)
                time.sleep(wait)
        raise AssertionError  # pragma: no cover - the loop has no end of its own

    def _in_full(self, error: BlackBoxError) -> BlackBoxError:
        tried = self.patience.attempts
        return BlackBoxError(
            f"{error} Tried {tried} times." if tried > 1 else f"{error}"
        )

    def _once(self, args: tuple[Any, ...]) -> Any:
        timeout = self.patience.timeout
        try:
            result = call_within(timeout, self.function, *map(_read_only, args))
        except LateError as error:
            msg = (
                f"black box {self.__name__!r}: expected an answer within {timeout:g} "
                "s, got none. The call cannot be ended: it goes on in the background. "
                "Allow more time (timeout=), or give the function a limit of its own."
            )
            raise BlackBoxError(msg) from error
        except Exception as error:
            together = ", all rows at once" if self.spec.has_rows else ""
            msg = (
                f"black box {self.__name__!r} raised {type(error).__name__}: {error}. "
                f"It was given {', '.join(map(_shown, args))}{together}; to debug it, "
                "run it by itself on the `arguments` of the error."
            )
            raise BlackBoxError(msg) from error
        if self.spec.sparse:
            return self._checked_sparse(result, args)
        return self._checked(result, args)

    def _checked_sparse(self, result: Any, args: tuple[Any, ...]) -> Any:
        expected, dtype = self._expected_shape(args), self.spec.dtype
        got = (getattr(result, "shape", None), getattr(result, "dtype", None))
        if got != (expected, dtype) or not hasattr(result, "tocsr"):
            self._refuse(
                f"a SciPy sparse array of shape {expected} and dtype {dtype}",
                f"{type(result).__name__} {got}",
            )
        if not np.isfinite(result.data).all():
            self._refuse("finite numbers", "others")
        return result.tocsr(copy=True)  # as below: it may return the same again

    def _checked(self, result: Any, args: tuple[Any, ...]) -> Any:
        try:
            array = np.asarray(result)
        except ValueError as error:
            msg = (
                f"black box {self.__name__!r}: returned no array: {error}. The answer "
                f"of each row needs the shape {self.spec.shape}."
            )
            raise BlackBoxError(msg) from error
        expected, dtype = self._expected_shape(args), self.spec.dtype
        if array.dtype.kind not in "fiubc" and dtype.kind in "fiubc":
            self._refuse(f"numbers of dtype {dtype}", self._no_number(array))
        if array.shape != expected:
            self._refuse_shape(array.shape, expected)
        kind = array.dtype.kind
        fits = kind in "iub" or (kind == "f" and dtype.kind == "f")
        if array.dtype != dtype and dtype.kind != "O" and not fits:
            way_out = "State it: black_box(fn, dtype=...)."
            self._refuse(f"dtype {dtype}", str(array.dtype), way_out)
        # A copy, since the function may return the same array the next time.
        array = array.astype(dtype)
        if dtype.kind == "f" and not all_finite(array):
            where = np.argwhere(~np.isfinite(array))[0]
            row = f" in row {where[0]}" if self.spec.has_rows else ""
            self._refuse("finite numbers", f"{array[tuple(where)]}{row}")
        return array

    def _no_number(self, array: Any) -> str:
        """Show the first entry that is no number."""
        for where, entry in np.ndenumerate(array):
            value = entry.item() if isinstance(entry, np.generic) else entry
            if not isinstance(value, int | float):
                in_row = self.spec.has_rows and array.ndim > 0
                return f"{value!r}{f' in row {where[0]}' if in_row else ''}"
        return f"an array of dtype {array.dtype}"

    def _refuse_shape(self, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
        way_out = "State the shape of one row: black_box(fn, shape=...)"
        if not self.spec.has_rows:
            self._refuse(f"shape {expected}", str(shape), f"{way_out}.")
        if len(shape) == len(expected) and shape[1:] == expected[1:]:
            rows = f"{expected[0]} rows, one for each row of its arguments"
            self._refuse(rows, str(shape[0]))
        self._refuse(
            f"shape {expected} (rows first)",
            str(shape),
            f"{way_out}; a function of one row needs each_row=scg.EachRow().",
        )

    def _refuse(self, expected: str, got: str, way_out: str = "") -> NoReturn:
        msg = f"black box {self.__name__!r}: expected {expected}, got {got}. {way_out}"
        raise BlackBoxError(msg.rstrip())

    def _expected_shape(self, args: tuple[Any, ...]) -> tuple[int, ...]:
        if not self.spec.has_rows or self.row_argument is None:
            return self.spec.shape
        return (args[self.row_argument].shape[0], *self.spec.shape)


def _given(error: BlackBoxError, args: tuple[Any, ...]) -> BlackBoxError:
    """Keep copies of the arguments: the next run may use their memory again."""
    error.arguments = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
    return error


def _shown(value: Any) -> str:
    if isinstance(value, int | float):
        return repr(value)
    return f"an array of shape {np.shape(value)}"


def _read_only(value: Any) -> Any:
    """Show an array without letting it be written into: the trace records it."""
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view
