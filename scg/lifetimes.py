"""How long values outside of loops are needed: until the last step that reads them.

A large value that no gradient rule looks at, and that has no name by which anybody
could ask for it, leaves its array to the next. What had to go can be computed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.kernels import ELEMENTWISE
from scg.node import Node
from scg.plates import Plates
from scg.roles import Call, Cost, Value

__all__ = ["Repeat", "dying_places", "overwritten"]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A value repeated along the plates it lacks."""

    source: int
    have: Plates
    want: Plates


def dying_places(plan: Any) -> dict[int, tuple[int, ...]]:
    """Return, for each place outside of loops, whose values go when it is filled."""
    kept = {i for cs in plan.crossings.values() for c in cs for i in c.pull.reads}
    last: dict[int, int] = {}
    for place, node in plan.order:
        repeated = isinstance(node, Repeat)
        sources = [node.source] if repeated else plan.sources[place]
        last.update(dict.fromkeys(sources, place))
        if not repeated and not isinstance(node.role, Call | Cost | Value):
            kept.update(sources)
    found: dict[int, list[int]] = {}
    for place, node in plan.order:
        if place in last and place not in kept and _may_go(node):
            found.setdefault(last[place], []).append(place)
    return {place: tuple(gone) for place, gone in found.items()}


def overwritten(plan: Any, node: Node) -> int | None:
    """Return the place of an input whose array an elementwise call may write into."""
    role = node.role
    if not isinstance(role, Call) or node.loop is not None:
        return None
    function = role.operation.function
    if not isinstance(function, np.ufunc) or function not in ELEMENTWISE:
        return None
    gone = plan.dying.get(node.index, ())
    for place, parent in zip(plan.sources[node.index], node.inputs, strict=True):
        if place in gone and place == parent.index and _is_like(parent, node, plan):
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


def _is_like(parent: Node, node: Node, plan: Any) -> bool:
    """Tell whether two values have equal shapes, and the first is an array of its own.

    What is neither a product nor elementwise may be a view of something else.
    """
    role, plates = parent.role, plan.program.plates
    if not isinstance(role, Call):
        return False
    function = role.operation.function
    return (
        (isinstance(function, np.ufunc) or role.operation.name == "matmul")
        and parent.spec == node.spec
        and plates[parent.index] == plates[node.index]
    )
