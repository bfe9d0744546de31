"""How long values outside of loops are needed: until the last step that reads them.

A large value that no gradient rule looks at, and that has no name by which anybody
could ask for it, leaves its array to the next. What had to go can be computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scg.kernels import ELEMENTWISE
from scg.node import Node
from scg.plates import Plates
from scg.pulls import Crossing
from scg.roles import Call, Cost, Value

__all__ = ["Repeat", "dying_places", "overwritten", "shown_places"]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A value repeated along the plates it lacks."""

    source: int
    have: Plates
    want: Plates


def dying_places(
    order: Sequence[tuple[int, Node | Repeat]],
    sources: Mapping[int, Sequence[int]],
    crossings: Mapping[int, Sequence[Crossing]],
) -> dict[int, tuple[int, ...]]:
    """Return, for each place outside of loops, whose values go when it is filled."""
    kept = {i for cs in crossings.values() for c in cs for i in c.pull.reads}
    last: dict[int, int] = {}
    for place, node in order:
        read = [node.source] if isinstance(node, Repeat) else sources[place]
        last.update(dict.fromkeys(read, place))
        if not isinstance(node, Repeat) and not isinstance(
            node.role, Call | Cost | Value
        ):
            kept.update(read, (parent.index for parent in node.inputs))
    found: dict[int, list[int]] = {}
    for place, node in order:
        if place in last and place not in kept and _may_go(node):
            found.setdefault(last[place], []).append(place)
    return {place: tuple(gone) for place, gone in found.items()}


def shown_places(
    order: Sequence[tuple[int, Node | Repeat]], sources: Mapping[int, Sequence[int]]
) -> frozenset[int]:
    """Return the places whose arrays other values may be, or be views of."""
    found: set[int] = set()
    for place, node in order:
        if isinstance(node, Repeat):
            found.add(node.source)
        elif not _makes_an_array(node):
            found.update(sources[place])
    return frozenset(found)


def overwritten(
    node: Node, sources: Sequence[int], gone: Collection[int]
) -> int | None:
    """Return the place of an input whose array an elementwise call may write into.

    Parameters
    ----------
    node : Node
        A call outside of loops.
    sources : sequence of int
        The places of its inputs.
    gone : collection of int
        The places that nobody reads afterwards, and that nothing else shows.
    """
    role = node.role
    if not isinstance(role, Call) or node.loop is not None:
        return None
    function = role.operation.function
    if not isinstance(function, np.ufunc) or function not in ELEMENTWISE:
        return None
    for place, parent in zip(sources, node.inputs, strict=True):
        # Another place than the node's has other plates.
        if place in gone and place == parent.index and _is_like(parent, node):
            return place
    return None


def _may_go(node: Node | Repeat) -> bool:
    """Tell whether a value can be computed again, and cannot be asked for."""
    if isinstance(node, Repeat):
        return True
    role, spec = node.role, node.spec
    return (
        isinstance(role, Call)
        and role.operation.kind == "numpy"
        and not node.is_named
        and spec.parts is None
        and not spec.sparse
    )


def _is_like(parent: Node, node: Node) -> bool:
    """Tell whether a value is an array of its own, of the shape of another."""
    return _makes_an_array(parent) and parent.spec == node.spec


def _makes_an_array(node: Node) -> bool:
    """Tell whether a value is elementwise or a product: others may be views."""
    role = node.role
    if not isinstance(role, Call):
        return False
    function = role.operation.function
    return isinstance(function, np.ufunc) or role.operation.name == "matmul"
