"""What a node is called in a picture, where it has no name of its own too."""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.drawing.formulas import Formula
from scg.drawing.merging import Merging, is_component_of_environment
from scg.drawing.text import cut
from scg.node import Node
from scg.roles import Call, Captured, Carry, Constant, Draw, ScanOutput, Slice
from scg.routes import is_black_box

__all__ = ["LONGEST_NAME", "NAMELESS", "Names", "function_of", "shape_of"]

LONGEST_NAME = 32
NAMELESS = "…"
_ATOM = 9
_RETURNED = ("observation", "reward", "terminated")


def shape_of(node: Node) -> str:
    """Write a node's shape: ``rows × 28 × 28``. A number without rows has none.

    Examples
    --------
    >>> import scg
    >>> shape_of(scg.Graph().input("x", shape=(28, 28)))
    'rows × 28 × 28'
    """
    axes = [*(["rows"] if node.has_rows else []), *map(str, node.event_shape)]
    return "" if node.spec.parts is not None else " × ".join(axes)


def function_of(node: Node) -> str:
    """Return the name of the function that a node is a call of, or nothing."""
    name = node.role.operation.name if isinstance(node.role, Call) else ""
    return "λ" if name == "<lambda>" else name


class Names:
    """What other blocks call a node."""

    def __init__(self, merging: Merging) -> None:
        self.nodes = merging.nodes
        self.outer = merging.outer
        self.parents = merging.influence.parents
        self.readers = merging.readers

    def reference(self, i: int) -> Formula:
        """Write a node where another one reads it."""
        node = self.nodes[i]
        return cut(node.name if node.is_named else self._made(node), LONGEST_NAME), (
            _ATOM
        )

    def returned(self, node: Node) -> str:
        """Name one of the values that an environment returns; others have no such."""
        role: Any = node.role
        return _RETURNED[role.position] if is_component_of_environment(node) else ""

    def carried(self, carry: Node) -> str:
        """Say what a loop hands from one step to the next."""
        assert isinstance(carry.role, Carry)
        assert carry.loop is not None
        after = carry.loop.following[carry.role.position]
        if carry.is_named:
            return carry.name
        if after.is_named or is_component_of_environment(after):
            return self.reference(after.index)[0]
        return f"carry {carry.role.position}"

    def purpose(self, node: Node) -> str:
        """Say what a nameless value is for, if it is for one thing."""
        found = set()
        for edge in self.readers[node.index]:
            target = self.nodes[edge.target]
            if isinstance(target.role, Draw) and edge.slot is not None:
                found.add(target.role.names[edge.slot])
            elif isinstance(target.role, Carry) and edge.lag:
                found.add(f"next {self.carried(target)}")
            else:
                found.add("")
        return found.pop() if len(found) == 1 else ""

    def _made(self, node: Node) -> str:
        role: Any = node.role
        if returned := self.returned(node):
            return returned
        if isinstance(role, Carry):
            return f"previous {self.carried(node)}"
        if isinstance(role, Slice | Captured):
            source = self.reference(self.parents[node.index][0].source)[0]
            return f"{source}[t]" if isinstance(role, Slice) else source
        if isinstance(role, ScanOutput):
            return self._ended(node)
        if is_black_box(node) and isinstance(role, Call):
            return function_of(node)
        if isinstance(role, Constant):
            return _constant(np.asarray(role.value))
        return NAMELESS

    def _ended(self, node: Node) -> str:
        """Name what a loop ends with, or what it has stacked."""
        assert isinstance(node.role, ScanOutput)
        inside = self.nodes[self.parents[node.index][0].source]
        if node.role.stacked:
            name = self.reference(inside.index)[0]
            return "every output" if name == NAMELESS else f"every {name}"
        scan: Any = node.inputs[0].role
        name = self.carried(scan.loop.carries[node.role.position])
        # A number says nothing without its loop.
        return f"last {name}" + (f" of {scan.loop.name}" if "carry" in name else "")


def _constant(value: np.ndarray[Any, Any]) -> str:
    shape = f" ({' × '.join(map(str, value.shape))})" if value.ndim else ""
    numbers = np.unique(value.astype(float))
    return f"{numbers[0]:g}{shape}" if len(numbers) == 1 else f"constant{shape}"
