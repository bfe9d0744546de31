"""One call of a function, with the places of its node arguments left open.

An `Operation` is what a deterministic node holds: the function, the constants it was
called with, and a `Slot` wherever a node stood. Filling the slots with arrays and
calling the function is all that a forward pass does. Nothing here knows about graphs
or derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scg.protocol import AbstractNode

__all__ = ["ROWS", "Kind", "Operation", "Rows", "Slot", "capture"]

Kind = Literal["numpy", "deterministic", "black box"]


class Rows(int):
    """The number of rows, known only when the graph runs: the first entry of a shape.

    It is the integer -1, which is what NumPy's `reshape` takes for "whatever is left";
    an `Operation` replaces it by the true number of rows when it runs.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "rows"


ROWS = Rows(-1)
_PLAIN = frozenset({int, float, bool, str, type(None)})


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of the operation's input number `index`."""

    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A function and its arguments, with slots where nodes stood.

    `positional` lists ``(argument, input)`` pairs when every slot is a positional
    argument of its own, which is the case that derivative rules understand.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    num_inputs: int
    kind: Kind
    positional: tuple[tuple[int, int], ...] | None
    plain: bool
    needs_rows: bool

    @property
    def name(self) -> str:
        """The function's own name."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def arguments(
        self, inputs: Sequence[Any], rows: int | None
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Return the arguments with the slots filled in."""
        if self.plain:
            return inputs, self.kwargs
        if self.positional is not None and not self.needs_rows:
            args = list(self.args)
            for argument, index in self.positional:
                args[argument] = inputs[index]
            return args, self.kwargs
        return _fill(self.args, inputs, rows), _fill(self.kwargs, inputs, rows)

    def __call__(self, inputs: Sequence[Any], rows: int | None = None) -> Any:
        """Apply the function to `inputs`; `rows` replaces `ROWS` in the arguments."""
        args, kwargs = self.arguments(inputs, rows)
        return self.function(*args, **kwargs)


def capture(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    kind: Kind = "numpy",
) -> tuple[Operation, list[AbstractNode]]:
    """Split a call into an `Operation` and the nodes that go into its slots.

    NumPy scalars among the constants become Python numbers, so that they do not turn
    float32 arrays into float64.
    """
    nodes: list[AbstractNode] = []
    template = _template(tuple(args), nodes)
    named = {key: _template(value, nodes) for key, value in kwargs.items()}
    top = [(i, a.index) for i, a in enumerate(template) if isinstance(a, Slot)]
    operation = Operation(
        function=function,
        args=template,
        kwargs=named,
        num_inputs=len(nodes),
        kind=kind,
        positional=tuple(top) if len(top) == len(nodes) else None,
        plain=[a for _, a in top]
        == list(range(len(template)))
        == list(range(len(nodes))),
        needs_rows=any(map(_mentions_rows, (*template, *named.values()))),
    )
    return operation, nodes


def _template(value: Any, nodes: list[AbstractNode]) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, AbstractNode):
        nodes.append(value)
        return Slot(len(nodes) - 1)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_template(v, nodes) for v in value))
    if isinstance(value, (list, tuple)):
        return type(value)(_template(v, nodes) for v in value)
    if isinstance(value, dict):
        return {key: _template(v, nodes) for key, v in value.items()}
    if isinstance(value, np.floating) or (
        isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind == "f"
    ):
        return float(value)
    return value


def _fill(value: Any, inputs: Sequence[Any], rows: int | None) -> Any:
    if isinstance(value, Slot):
        return inputs[value.index]
    if isinstance(value, Rows):
        return int(value) if rows is None else rows
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_fill(v, inputs, rows) for v in value))
    if isinstance(value, (list, tuple)):
        return type(value)(_fill(v, inputs, rows) for v in value)
    if isinstance(value, dict):
        return {key: _fill(v, inputs, rows) for key, v in value.items()}
    return value


def _mentions_rows(value: Any) -> bool:
    if type(value) in _PLAIN:
        return False
    if isinstance(value, Rows):
        return True
    if isinstance(value, (list, tuple)):
        return any(_mentions_rows(v) for v in value)
    if isinstance(value, dict):
        return any(_mentions_rows(v) for v in value.values())
    return False
