"""What is told of a block where the pointer rests on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scg.drawing.labels import Labels, kind_of
from scg.drawing.names import shape_of
from scg.explain import credit_in_words, routes_in_words
from scg.node import Node
from scg.routes import Routes

__all__ = ["Facts"]

Fact = tuple[str, str]
_MOST_ROUTES = 12


class Facts:
    """Everything known of a block, as pairs of a heading and a text.

    `credits` lists, by their indices, each sample with a cost it is credited with.
    """

    def __init__(self, routes: Routes, labels: Labels) -> None:
        self.routes = routes
        self.labels = labels
        self.credits = self._credits()

    def of(self, head: Node, members: Sequence[int]) -> tuple[Fact, ...]:
        """List what there is to say of a block."""
        facts = [
            ("name", head.name if head.is_named else self.labels.title(head)),
            ("kind", self._kind(head)),
            ("shape", shape_of(head) or ("" if head.spec.parts else "one number")),
            ("dtype", "" if head.spec.parts else str(head.dtype)),
            ("repeated", self._repeated(head)),
            *self._own(head, members),
        ]
        return tuple((heading, text) for heading, text in facts if text)

    def _kind(self, head: Node) -> str:
        kind = kind_of(head)
        return "value passed on" if kind == "port" else kind

    def _repeated(self, head: Node) -> str:
        if head.loop is None:
            return ""
        until = head.loop.until
        most = f"at each of {head.loop.length} steps of {head.loop.name}"
        return f"{most}, until {until.name}" if until is not None else most

    def _own(self, head: Node, members: Sequence[int]) -> list[Fact]:
        kind = kind_of(head)
        if kind == "parameter":
            words = routes_in_words(self.routes, head)
            more = len(words) - _MOST_ROUTES
            shown = words[:_MOST_ROUTES] + ([f"and {more} more"] if more > 0 else [])
            return [("gradient", text) for text in shown]
        if kind == "stochastic":
            return self._sample(head)
        if kind == "cost":
            found = [i for i, cost in self.credits if cost == head.index]
            samples = ", ".join(self.routes.names(tuple(found)))
            formula = self.labels.formula(head, members)
            return [("computed as", formula), ("credited to", samples or "no sample")]
        if kind == "environment":
            return [("density", "unknown; no gradient passes; its state is kept")]
        if kind == "value":
            return [("computed as", self.labels.formula(head, members)), self._of(head)]
        if kind in {"deterministic", "black box"}:
            return [("computed as", self.labels.formula(head, members))]
        return []

    def _of(self, head: Node) -> Fact:
        """Say whose costs a value node stands for."""
        costs = [
            f"{name}: {', '.join(self.routes.influence.downstream_costs(name))}"
            for name in self.routes.readers.get(head.index, [])
        ]
        return "stands for the costs of", "; ".join(costs) or "no sample"

    def _sample(self, head: Node) -> list[Fact]:
        role: Any = head.role
        choice = self.routes.choices[head.index]
        return [
            ("distribution", type(role.distribution).__name__),
            ("estimator", choice.words),
            ("needs", ", ".join(sorted(choice.needs))),
            ("credit", credit_in_words(self.routes, head, choice)),
        ]

    def _credits(self) -> list[tuple[int, int]]:
        """List each scored sample with each cost that it influences."""
        routes = self.routes
        return [
            (i, routes.influence.node(cost).index)
            for i, choice in routes.choices.items()
            if choice.scored
            for cost in routes.influence.downstream_costs(routes.nodes[i])
        ]
