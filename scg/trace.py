"""A trace: one batched run of a graph, with what the backward pass needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scg.cells import Cells
from scg.errors import GraphError, unknown_name
from scg.node import Node
from scg.plates import Layout
from scg.roles import Draw

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
    ``(time, rows, ...)``. With branches or samples, rows is rows times branches. A
    memory is written out, all cells of it, when it is asked for.

    Attributes
    ----------
    rows : int
        The number of rows before branching.
    carries : dict of str to list
        Of each loop with `keep_every`, those that each span of steps began with, where
        they are needed.
    drawn_with : dict of int to array
        In a run evaluated under other params, the log-density that each sample was
        drawn with.

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
    alive: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    shared: dict[int, Any] = field(default_factory=dict)
    carries: dict[str, list[Any]] = field(default_factory=dict)
    drawn_with: dict[int, Any] = field(default_factory=dict)

    def still(self, node: Node) -> Any:
        """Return where a row of a loop has not stopped, or None where none can stop.

        A bool array of shape ``(time, rows)``.
        """
        return None if node.loop is None else self.alive.get(node.loop.name)

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
                f"node {name!r} has no recorded value: inside a loop, and of large "
                "values, only those of named nodes and what the gradient needs are "
                "kept, with keep_every not even that. Name it: graph.rename(name, "
                "node)."
            )
            raise KeyError(msg)
        try:
            return _shown(value)
        except MemoryError as error:
            error.add_note(
                f"while writing out all cells of {name!r}: read some of them in the "
                "graph, by scg.memory.read(memory, index)"
            )
            raise

    def distribution(self, name: str) -> Any:
        """Return the distribution that a sample was drawn from in this run.

        Its parameters are arrays with the leading axes of the sample's value, or
        broadcast to them, so that ``log_prob``, ``entropy`` and ``kl`` have its shape,
        for a family of vectors without the last axis.

        Parameters
        ----------
        name : str
            A stochastic node.

        Raises
        ------
        GraphError
            When the node is of another kind.

        Examples
        --------
        >>> import numpy as np
        >>> import scg
        >>> graph = scg.Graph()
        >>> theta = graph.param("theta", 0.0)
        >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
        >>> loss = graph.cost("loss", b)
        >>> rng = np.random.default_rng(0)
        >>> trace = scg.forward(graph, {"theta": 0.0}, rng=rng, rows=2)
        >>> trace.distribution("b").log_prob(trace["b"]).round(3).tolist()
        [-0.693, -0.693]
        """
        if name not in self.names:
            raise unknown_name("node", name, self.names)  # noqa: EM101
        node = self.nodes[self.names[name]]
        if not isinstance(node.role, Draw):
            msg = f"distribution: expected a stochastic node, got {node.kind} {name!r}."
            raise GraphError(msg)
        homes = self.layout.homes
        values = []
        for parent in node.inputs:
            value = self.values[parent.index]
            if parent.has_rows and parent.loop is None and node.loop is None:
                have, want = homes[parent.index], homes[node.index]
                value = self.layout.align(value, have, want)
            values.append(value)
        return node.role.at(values)


def _shown(value: Any) -> Any:
    """Return a value as an array; a memory is written out."""
    if isinstance(value, Cells):
        return value.dense()
    if isinstance(value, list) and value and isinstance(value[0], Cells):
        return np.stack([version.dense() for version in value])
    return value
