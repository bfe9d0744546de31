"""A trace: one batched run of a graph, with what the backward pass needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scg.errors import unknown_name
from scg.node import Node
from scg.plates import Layout

__all__ = ["Ends", "Trace"]


@dataclass(slots=True)
class Ends:
    """Where episodes of one environment ended in a run.

    `terminated` and `truncated` have shape ``(time, rows)``; `finals` lists
    ``(step, rows, observations)`` with the last observations of what ended.
    """

    terminated: Any
    truncated: Any
    finals: list[tuple[int, Any, Any]]


@dataclass(slots=True)
class Trace:
    """The values of one run.

    ``trace["h"]`` is the array of node h: shape ``(rows, ...)``, inside a loop
    ``(time, rows, ...)``. With branches or samples, rows is rows times branches.

    Attributes
    ----------
    rows : int
        The number of rows before branching.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> x = graph.input("x")
    >>> theta = graph.param("theta", 2.0)
    >>> loss = graph.cost("loss", theta * x)
    >>> inputs = {"x": np.array([1.0, 3.0])}
    >>> rng = np.random.default_rng(0)
    >>> scg.forward(graph, {"theta": 2.0}, inputs, rng=rng)["loss"]
    array([2., 6.])
    """

    nodes: tuple[Node, ...]
    values: list[Any]
    layout: Layout
    names: Mapping[str, int]
    noise: dict[int, Any] = field(default_factory=dict)
    ends: dict[int, Ends] = field(default_factory=dict)
    last_carries: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The number of rows before branching."""
        return self.layout.rows

    def __getitem__(self, name: str) -> Any:
        if name not in self.names:
            raise unknown_name("node", name, self.names)  # noqa: EM101
        value = self.values[self.names[name]]
        if value is None:
            msg = (
                f"node {name!r} has no recorded value: inside a loop only named "
                "nodes and "
                "what the gradient needs are kept. Name it: graph.rename(name, node)."
            )
            raise KeyError(msg)
        return value
