"""Patterns: what calls that are alike have in common, found out once.

A graph of thousands of nodes has few kinds of call: the same function, constants that
count alike, inputs of the same shapes and dtypes. What is found by trying a call on
dummy rows, its spec and which inputs have a derivative, is kept for all calls of one
pattern. A call whose constants cannot be compared is a pattern of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from types import EllipsisType, NoneType
from typing import Any, Literal

import numpy as np

from scg.inference import Spec
from scg.operation import Operation, Rows, Slot

__all__ = ["EdgeKind", "Pattern", "likeness", "pattern_key"]

EdgeKind = Literal["smooth", "constant", "blocked"]

_BY_VALUE = frozenset(
    {int, bool, str, complex, type, Rows, Slot, NoneType, EllipsisType}
)
_CONTENTS: Mapping[type, Callable[[Any], Iterable[Any]]] = {
    tuple: iter,
    list: iter,
    dict: lambda value: chain.from_iterable(value.items()),
    slice: lambda value: (value.start, value.stop, value.step),
}
_LONGEST = 256  # bytes of an array that is compared by its entries


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """The spec of a call's value, and of its inputs what gradient does on their edges.

    `kinds`, by the number of the input, is filled in as it is asked for.
    """

    spec: Spec
    kinds: dict[int, EdgeKind] = field(default_factory=dict)


def pattern_key(operation: Operation, specs: Iterable[Spec]) -> Hashable:
    """Return what is equal for calls that are alike, or None where it is not known.

    Only NumPy's functions are known to do the same each time.

    Examples
    --------
    >>> from scg.operation import capture
    >>> times2, _ = capture(np.multiply, (2.0,), {})
    >>> times3, _ = capture(np.multiply, (3.0,), {})
    >>> square, _ = capture(np.reshape, ((2, 2),), {})
    >>> wide, _ = capture(np.reshape, ((1, 4),), {})
    >>> pattern_key(times2, []) == pattern_key(times3, [])
    True
    >>> pattern_key(square, []) == pattern_key(wide, [])
    False
    """
    if operation.kind != "numpy":
        return None
    function = operation.function
    if operation.plain and not operation.kwargs:
        return function, tuple(specs)
    # The shapes and dtypes of these do not depend on the values of floats.
    loosely = isinstance(function, np.ufunc) or function is operator.matmul
    constants = likeness((operation.args, operation.kwargs), loosely=loosely)
    return None if constants is None else (function, constants, tuple(specs))


def likeness(value: Any, *, loosely: bool = False) -> Hashable:
    """Return what is equal for constants that count as alike; None where unknown.

    Loosely, all floats are alike, and all arrays of floats of one shape.
    """
    kind = type(value)
    if kind in _BY_VALUE:
        return kind, value
    if kind is float:
        return (kind,) if loosely else (kind, value)
    if kind in _CONTENTS:
        found = tuple(likeness(v, loosely=loosely) for v in _CONTENTS[kind](value))
        return None if None in found else (kind, found)
    if isinstance(value, np.generic):
        return kind, value.item()
    if kind is np.ndarray and value.dtype.kind in "fiub":
        return _of_array(value, loosely)
    return (kind, value) if isinstance(value, np.dtype) else None


def _of_array(value: Any, loosely: bool) -> Hashable:
    if loosely and value.dtype.kind == "f":
        return np.ndarray, value.shape, value.dtype
    if value.nbytes > _LONGEST:
        return None
    return np.ndarray, value.shape, value.dtype, value.tobytes()
