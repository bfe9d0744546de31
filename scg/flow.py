"""Gradient flow: along which edges back-propagation runs, for a choice of estimators.

An edge is smooth (a derivative exists), constant (its derivative is zero on purpose) or
blocked (none exists). A pathwise draw passes gradient from its value to its parameters;
any other draw ends the way. Whether the edges suffice for a correct gradient is
decided in `scg.check`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from scg.autodiff import constant_part, has_derivative
from scg.inference import LONG, dummies_of
from scg.influence import Edge, Influence, is_random
from scg.node import Node
from scg.operation import Operation
from scg.pattern import EdgeKind
from scg.roles import Call, Draw, Param

__all__ = ["Flow", "edge_kind"]


def edge_kind(source: Node, target: Node, slot: int | None) -> EdgeKind:
    """Tell what gradient does on the edge from `source` into `target`."""
    role = target.role
    if isinstance(role, Call) and slot is not None:
        kinds = role.pattern.kinds
        if slot not in kinds:
            kinds[slot] = _kind_of_call(target, role.operation, slot)
        return kinds[slot]
    if source.spec.parts is None and source.dtype.kind not in "fc":
        return "blocked"
    if isinstance(role, Draw):
        return "smooth"
    return "blocked" if is_random(target) else "smooth"


def _kind_of_call(target: Node, operation: Operation, slot: int) -> EdgeKind:
    if slot in constant_part(operation):
        return "constant"
    inputs = [dummies_of(node)[0] for node in target.inputs]
    with np.errstate(all="ignore"):
        value = operation(inputs, LONG) if operation.kind != "black box" else None
        smooth = has_derivative(operation, slot, value, inputs, LONG)
    return "smooth" if smooth else "blocked"


class Flow:
    """Where gradient runs in one graph, given which draws are pathwise.

    `carrying` holds the nodes whose value a param reaches along smooth edges.
    """

    def __init__(self, influence: Influence, pathwise: Collection[int]) -> None:
        self.influence = influence
        self.nodes = influence.store.nodes
        self.pathwise = frozenset(pathwise)
        self.carrying = self._spread(
            n.index for n in self.nodes if isinstance(n.role, Param)
        )

    def kind(self, edge: Edge) -> EdgeKind:
        """Return what gradient does on an edge."""
        nodes = self.nodes
        return edge_kind(nodes[edge.source], nodes[edge.target], edge.slot)

    def is_constant(self, edge: Edge) -> bool:
        """Tell whether an edge's derivative is zero on purpose; nothing is tried."""
        role = self.nodes[edge.target].role
        return isinstance(role, Call) and edge.slot in constant_part(role.operation)

    def passes(self, edge: Edge) -> bool:
        """Tell whether the value's adjoint crosses an edge backwards."""
        target = self.nodes[edge.target]
        if is_random(target) and target.index not in self.pathwise:
            return False
        return self.kind(edge) == "smooth"

    def behind(self, seeds: Iterable[int]) -> frozenset[int]:
        """Return the carrying nodes from which a seed is reached along smooth edges."""
        found = {i for i in seeds if i in self.carrying}
        stack = list(found)
        while stack:
            for edge in self.influence.parents[stack.pop()]:
                i = edge.source
                if i not in found and i in self.carrying and self.passes(edge):
                    found.add(i)
                    stack.append(i)
        return frozenset(found)

    def _spread(self, sources: Iterable[int]) -> frozenset[int]:
        found = set(sources)
        stack = list(found)
        while stack:
            for edge in self.influence.children[stack.pop()]:
                if edge.target not in found and self.passes(edge):
                    found.add(edge.target)
                    stack.append(edge.target)
        return frozenset(found)
