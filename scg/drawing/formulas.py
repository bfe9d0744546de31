"""Functions of nodes written as a person would: ``tanh(x @ W) + b``."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from scg.operation import Operation, Rows, Slot

__all__ = ["Formula", "formula_of", "summary_of"]

LONGEST = 400
Formula = tuple[str, int]  # the text, and how strongly its last operator binds

_ATOM, _POWER, _SIGN, _PRODUCT, _SUM, _COMPARISON = 9, 7, 6, 5, 4, 2
_BINARY: Mapping[str, tuple[str, int]] = {
    "add": ("+", _SUM),
    "subtract": ("−", _SUM),
    "multiply": ("·", _PRODUCT),
    "divide": ("/", _PRODUCT),
    "true_divide": ("/", _PRODUCT),
    "floor_divide": ("//", _PRODUCT),
    "remainder": ("%", _PRODUCT),
    "matmul": ("@", _PRODUCT),
    "greater": (">", _COMPARISON),
    "greater_equal": ("≥", _COMPARISON),
    "less": ("<", _COMPARISON),
    "less_equal": ("≤", _COMPARISON),
    "equal": ("=", _COMPARISON),
    "not_equal": ("≠", _COMPARISON),
}
_SUPERSCRIPTS = str.maketrans("-.0123456789", "⁻·⁰¹²³⁴⁵⁶⁷⁸⁹")
# Where operators of one strength stand side by side, only these need no brackets.
_ASSOCIATIVE = frozenset({"+", "·"})


def formula_of(operation: Operation, inputs: Iterable[Formula]) -> Formula:
    """Write a call of a function on what its inputs are written as.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> x = scg.Graph().input("x", shape=(3,))
    >>> node = 2 * x
    >>> formula_of(node.role.operation, [("a + b", 4)])
    ('2·(a + b)', 5)
    """
    given = list(inputs)
    name, args = operation.name, operation.args
    if operation.function is operator.getitem and len(args) == 2:
        return f"{_bind(_show(args[0], given), _ATOM)}[{_index(args[1], given)}]", _ATOM
    if operation.kwargs:
        return _call(operation, given)
    if name == "power" and len(args) == 2 and isinstance(args[1], int | float):
        power = f"{args[1]:g}".translate(_SUPERSCRIPTS)
        return f"{_bind(_show(args[0], given), _ATOM)}{power}", _POWER
    if name == "square":
        return f"{_bind(_show(args[0], given), _ATOM)}²", _POWER
    if name == "negative":
        return f"−{_bind(_show(args[0], given), _SIGN)}", _SIGN
    if name in _BINARY and len(args) == 2:
        return _binary(_BINARY[name], [_show(a, given) for a in args])
    return _call(operation, given)


def summary_of(names: Iterable[str]) -> str:
    """Sum up many functions: how often which, in the order they come.

    Examples
    --------
    >>> summary_of(["matmul", "tanh", "matmul", "getitem"])
    '@ ×2, tanh, [ ]'
    """
    counts = Counter(_symbol(name) for name in names)
    shown = [f"{s} ×{n}" if n > 1 else s for s, n in counts.items()]
    return ", ".join(shown)


def _symbol(name: str) -> str:
    others = {"getitem": "[ ]", "negative": "−", "power": "power"}
    return _BINARY[name][0] if name in _BINARY else others.get(name, name)


def _binary(sign: tuple[str, int], sides: list[Formula]) -> Formula:
    symbol, strength = sign
    chained = strength == _COMPARISON  # which Python would take for a chain
    left = _bind(sides[0], strength + chained)
    right = _bind(sides[1], strength + (symbol not in _ASSOCIATIVE))
    space = "" if symbol in {"·", "/"} else " "
    return _short(f"{left}{space}{symbol}{space}{right}"), strength


def _call(operation: Operation, given: list[Formula]) -> Formula:
    words = [_show(a, given)[0] for a in operation.args]
    words += [
        f"{key}={_show(value, given)[0]}"
        for key, value in operation.kwargs.items()
        if value is not None
    ]
    name = "λ" if operation.name == "<lambda>" else operation.name
    return _short(f"{name}({', '.join(words)})"), _ATOM


def _show(value: Any, given: list[Formula]) -> Formula:
    """Write an argument: an input, or a constant by value if it is short."""
    if isinstance(value, Slot):
        return given[value.index]
    if isinstance(value, Rows):
        return "rows", _ATOM
    if isinstance(value, np.ndarray):
        if not value.ndim:
            return _show(value.item(), given)
        return f"array{list(value.shape)}", _ATOM
    if isinstance(value, bool | np.bool_):
        return str(bool(value)), _ATOM
    if isinstance(value, int | float | np.number):
        return _number(value)
    if isinstance(value, tuple | list):
        left, right = ("(", ")") if isinstance(value, tuple) else ("[", "]")
        return f"{left}{', '.join(_show(v, given)[0] for v in value)}{right}", _ATOM
    return _short(_plain(value)), _ATOM


def _number(value: Any) -> Formula:
    text = f"{value:.6g}"
    return (f"−{text[1:]}", _SIGN) if text.startswith("-") else (text, _ATOM)


def _plain(value: Any) -> str:
    name = getattr(value, "__name__", None)
    return str(name) if name else re.sub(r" at 0x\w+", "", str(value))


def _index(value: Any, given: list[Formula]) -> str:
    if isinstance(value, tuple):
        return ", ".join(_index(v, given) for v in value)
    if value is None or value is Ellipsis:
        return "None" if value is None else "…"
    if isinstance(value, slice):
        shown = ["" if part is None else str(part) for part in _bounds(value)]
        return ":".join(shown)
    return _show(value, given)[0]


def _bounds(value: slice) -> tuple[Any, ...]:
    bounds = (value.start, value.stop)
    return bounds if value.step is None else (*bounds, value.step)


def _bind(formula: Formula, strength: int) -> str:
    text, own = formula
    return text if own >= strength else f"({text})"


def _short(text: str) -> str:
    # An input that is used twice in each of n calls would be written 2ⁿ times.
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
