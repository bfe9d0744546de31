"""What is written in a block: its name, and the functions that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scg.drawing.formulas import Formula, formula_of, summary_of
from scg.drawing.names import LONGEST_NAME, NAMELESS, Names, function_of, shape_of
from scg.drawing.picture import Kind
from scg.drawing.text import cut, wrapped
from scg.node import Node
from scg.roles import Call, Captured, Carry, Component, Constant, ScanOutput, Slice
from scg.routes import Choice, is_black_box

__all__ = ["Labels", "kind_of"]

_WIDTH, _LONGEST_FORMULA = 26, 66
_ATOM = 9
_KINDS: Mapping[str, Kind] = {
    "parameter": "parameter",
    "input": "input",
    "stochastic": "stochastic",
    "environment": "environment",
    "cost": "cost",
    "value": "value",
}


def kind_of(node: Node) -> Kind:
    """Return what a node looks like."""
    if isinstance(node.role, Carry | Slice | Captured | ScanOutput):
        return "port"
    if isinstance(node.role, Constant):
        return "constant"
    if isinstance(node.role, Call) and is_black_box(node):
        return "black box"
    return _KINDS.get(node.kind, "deterministic")


class Labels:
    """Titles, notes and formulas of the blocks of one graph."""

    def __init__(self, names: Names, choices: Mapping[int, Choice]) -> None:
        self.names = names
        self.nodes = names.nodes
        self.choices = choices
        self.readers: dict[str, list[str]] = {}
        for index, choice in choices.items():
            for name in choice.reads:
                word = "critic" if choice.critic is not None else "baseline"
                found = self.readers.setdefault(name, [])
                found.append(f"{word} of {self.nodes[index].name}")

    def title(self, head: Node) -> str:
        """Return a block's own name, or what its value is for."""
        role: Any = head.role
        if head.is_named:
            return cut(head.name, LONGEST_NAME)
        kind = kind_of(head)
        if kind in {"port", "constant"}:
            return ""
        if kind == "environment":
            return cut(str(role.environment.name), LONGEST_NAME)
        if kind == "black box":
            return cut(function_of(head), LONGEST_NAME)
        return cut(self.names.purpose(head), LONGEST_NAME)

    def notes(self, head: Node, members: Sequence[int]) -> tuple[str, ...]:
        """Return the lines below the title."""
        kind, role = kind_of(head), head.role
        if kind == "stochastic":
            family: Any = role
            choice = self.choices[head.index]
            return type(family.distribution).__name__, choice.words
        if kind in {"parameter", "input"}:
            return (shape_of(head),) if head.event_shape else ()
        if kind in {"environment", "black box"}:
            return (kind,)
        if kind in {"port", "constant"}:
            return () if head.is_named else (self.names.reference(head.index)[0],)
        if kind == "value" and (readers := self.readers.get(head.name)):
            return tuple(readers[:2]) + (("and others",) if len(readers) > 2 else ())
        formula = self.formula(head, members)
        if formula == NAMELESS:
            return ()
        if len(formula) <= _LONGEST_FORMULA:
            return tuple(wrapped(formula, _WIDTH))
        return self._summary(members)

    def formula(self, head: Node, members: Sequence[int]) -> str:
        """Write a block as a function of what it reads."""
        texts: dict[int, Formula] = {}
        for i in members:
            node = self.nodes[i]
            given = [
                texts.get(p.index) or self.names.reference(p.index) for p in node.inputs
            ]
            if isinstance(node.role, Call):
                texts[i] = formula_of(node.role.operation, given)
            elif isinstance(node.role, Component):
                texts[i] = self._part(node, given[0])
            elif given:
                texts[i] = given[0]
        return texts.get(head.index, ("", _ATOM))[0]

    def _part(self, node: Node, whole: Formula) -> Formula:
        returned = self.names.returned(node)
        assert isinstance(node.role, Component)
        return returned or f"{whole[0]}[{node.role.position}]", _ATOM

    def _summary(self, members: Sequence[int]) -> tuple[str, ...]:
        called = [name for i in members if (name := function_of(self.nodes[i]))]
        lines = wrapped(summary_of(called), _WIDTH)
        if len(called) == 1:
            return tuple(lines[:1])
        shown = lines if len(lines) <= 2 else [lines[0], f"{lines[1]} …"]
        return f"{len(called)} functions:", *shown
