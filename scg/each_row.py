"""A user's function of one row, called for all rows: some at a time, none twice."""

from __future__ import annotations

import contextvars
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from scg.box_call import BlackBox
from scg.errors import BlackBoxError, GraphError

__all__ = ["EachRow", "RowByRow"]

_Key: TypeAlias = tuple[bytes | str, ...]


@dataclass(frozen=True, slots=True)
class EachRow:
    """Say that a black box is a function of one row, and how its rows are called.

    Of an argument with rows the function gets one row: a Python number where a row is
    one, otherwise a read-only array. Other arguments it gets whole. In plain Python,
    with workers and cache left out::

        np.stack([function(*(a[i] for a in args)) for i in range(rows)])

    Parameters
    ----------
    workers : int
        How many rows are under way at a time, each in a thread: for functions that
        wait, such as for a process or a service. The function must allow it.
    cache : int
        How many answers are kept; rows that are equal to the last bit are then asked
        for once. Only for a function whose answer is always the same. The least
        recently used answer is forgotten first, and failures are never kept.

    Raises
    ------
    GraphError
        When a number is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> asked = []
    >>> def letters(k):
    ...     asked.append(k)
    ...     return len(["wet", "dry", "damp", "soaked"][k])
    >>> graph = scg.Graph()
    >>> k = graph.sample("k", scg.Categorical(logits=np.zeros(4)))
    >>> box = scg.black_box(letters, each_row=scg.EachRow(workers=2, cache=100))
    >>> cost = graph.cost("length", box(k))
    >>> trace = scg.forward(graph, {}, rng=np.random.default_rng(0), rows=1000)
    >>> sorted(asked)
    [0, 1, 2, 3]
    """

    workers: int = 1
    cache: int = 0

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("cache", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                msg = f"EachRow: expected {name} of {least} or more, got {value!r}."
                raise GraphError(msg)


class RowByRow:
    """The function of all rows that a black box of one row makes.

    Parameters
    ----------
    box : BlackBox
        Of one row.
    with_rows : sequence of bool
        Which of its arguments have rows.
    how : EachRow
    """

    __slots__ = ("__name__", "box", "how", "kept", "lock", "with_rows")

    def __init__(self, box: BlackBox, with_rows: Sequence[bool], how: EachRow) -> None:
        self.__name__ = box.__name__
        self.box = box
        self.with_rows = with_rows
        self.how = how
        self.kept: OrderedDict[_Key, Any] = OrderedDict()
        self.lock = threading.Lock()  # a graph may run in two threads at a time

    def __call__(self, *args: Any) -> Any:
        """Call the box for each row, and stack what it returns."""
        cells = [self._row(args, i) for i in range(self._count(args))]
        if self.how.cache == 0:
            return np.stack(self._called(cells, range(len(cells))))
        keys = [tuple(map(self._key, cell)) for cell in cells]
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        with self.lock:
            known = {key: self.kept[key] for key in first if key in self.kept}
        asked = {key: i for key, i in first.items() if key not in known}
        rows = sorted(asked.values())
        for i, answer in zip(rows, self._called(cells, rows), strict=True):
            known[keys[i]] = answer
        self._keep(known)
        return np.stack([known[key] for key in keys])

    def _count(self, args: tuple[Any, ...]) -> int:
        return int(args[self.with_rows.index(True)].shape[0])

    def _row(self, args: tuple[Any, ...], i: int) -> tuple[Any, ...]:
        """Return what the box is given for one row."""
        return tuple(
            (a.item(i) if a.ndim == 1 else a[i]) if has_rows else a
            for a, has_rows in zip(args, self.with_rows, strict=True)
        )

    def _key(self, value: Any) -> bytes | str:
        """Return what is the same for the same value only."""
        if isinstance(value, str):
            return value
        array = np.asarray(value)
        if array.dtype.kind == "O":  # its bytes are addresses, which are used again
            msg = (
                f"black box {self.__name__!r}: expected numbers or text, by which its "
                f"answers are kept, got {type(value).__name__}. Leave out cache=."
            )
            raise BlackBoxError(msg)
        return array.tobytes()

    def _called(
        self, cells: Sequence[tuple[Any, ...]], rows: Sequence[int]
    ) -> list[Any]:
        """Call the box on some of the rows; the first failure ends it."""
        workers = min(self.how.workers, len(rows))
        if workers < 2:
            return [self._answer(cells[i], i) for i in rows]
        pool = ThreadPoolExecutor(workers)
        try:
            # Each in a copy of this thread's context, which has np.errstate.
            answers = [
                pool.submit(contextvars.copy_context().run, self._answer, cells[i], i)
                for i in rows
            ]
            return [answer.result() for answer in answers]
        finally:
            # What is under way after a failure cannot be ended; it is not waited for.
            pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, cell: tuple[Any, ...], i: int) -> Any:
        try:
            return self.box(*cell)
        except BlackBoxError as error:
            named = BlackBoxError(f"{error} This was in row {i}.")
            named.arguments = error.arguments
            raise named from error.__cause__

    def _keep(self, answers: Mapping[_Key, Any]) -> None:
        with self.lock:
            for key, answer in answers.items():
                self.kept[key] = answer
                self.kept.move_to_end(key)
            while len(self.kept) > self.how.cache:
                self.kept.popitem(last=False)
