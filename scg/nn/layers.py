"""Layers: functions of a node whose params a graph holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.errors import GraphError, ShapeError
from scg.graph import Graph
from scg.nn.initializers import Initializer, glorot, normal, zeros
from scg.node import Node

__all__ = [
    "Dense",
    "Embedding",
    "check_last_axis",
    "count",
    "dense",
    "embedding",
    "param",
]


@dataclass(frozen=True, slots=True)
class Dense:
    """A layer with its params; see `dense`."""

    name: str
    weights: Node
    bias: Node | None

    def __call__(self, x: Any) -> Any:
        """Return ``x @ weights + bias``."""
        check_last_axis(self.name, x, self.weights.shape[0])
        product = x @ self.weights
        return product if self.bias is None else product + self.bias


def dense(
    graph: Graph,
    name: str,
    inputs: int,
    units: int,
    *,
    weights: Initializer = glorot,
    bias: Initializer | None = zeros,
) -> Dense:
    r"""Make a fully connected layer.

    .. math:: y = x W + b

    Adds the params ``"{name}.weights"``, shape ``(inputs, units)``, and
    ``"{name}.bias"``, shape ``(units,)``.

    Parameters
    ----------
    graph : Graph
    name : str
    inputs, units : int
        The last axis of `x` and of `y`.
    weights, bias : Initializer
        How they begin; a bias of None is left out.

    Returns
    -------
    Dense
        A function of one node of shape ``(rows, ..., inputs)``, to call any number of
        times.

    Raises
    ------
    GraphError
        When a size is no whole number of at least 1, or `weights` no initializer; when
        called inside a step.
    ShapeError
        When an initializer draws another shape; when the layer is called with another
        last axis.

    Examples
    --------
    >>> import numpy as np
    >>> import scg
    >>> graph = scg.Graph()
    >>> hidden = scg.nn.dense(graph, "hidden", 784, 200, weights=scg.nn.he)
    >>> np.maximum(hidden(graph.input("x", 784)), 0).shape
    (rows, 200)
    """
    inputs, units = count(name, "inputs", inputs), count(name, "units", units)
    w = param(graph, f"{name}.weights", weights, (inputs, units))
    b = None if bias is None else param(graph, f"{name}.bias", bias, (units,))
    return Dense(name, w, b)


@dataclass(frozen=True, slots=True)
class Embedding:
    """A table of vectors with its param; see `embedding`."""

    name: str
    table: Node

    def __call__(self, index: Any) -> Any:
        """Return ``table[index]``."""
        if not isinstance(index, Node) or index.dtype.kind not in "iu":
            got = repr(index)
            msg = (
                f"embedding {self.name!r}: expected a node of whole numbers, got {got}."
            )
            raise GraphError(msg)
        return self.table[index]


def embedding(
    graph: Graph,
    name: str,
    symbols: int,
    units: int,
    *,
    table: Initializer = normal,
) -> Embedding:
    r"""Make a table with one vector for each of a number of symbols.

    .. math:: y = E_i

    Adds the param ``"{name}.table"``, shape ``(symbols, units)``. As everywhere in
    NumPy, −1 is the last row; an index outside of the table is an error of the run.

    Parameters
    ----------
    graph : Graph
    name : str
    symbols, units : int
        How many symbols, and the length of each one's vector.
    table : Initializer
        How it begins.

    Returns
    -------
    Embedding
        A function of one node of whole numbers, of shape ``(rows, ...)``.

    Raises
    ------
    GraphError
        When a size is no whole number of at least 1, `table` no initializer, or the
        layer is called with something else than whole numbers.
    ShapeError
        When `table` draws another shape.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> symbols = scg.nn.embedding(graph, "symbols", 30, 8)
    >>> symbols(graph.input("symbol", dtype=int)).shape
    (rows, 8)
    """
    shape = count(name, "symbols", symbols), count(name, "units", units)
    return Embedding(name, param(graph, f"{name}.table", table, shape))


def param(
    graph: Graph, name: str, begin: Any, shape: tuple[int, ...], gates: int = 1
) -> Node:
    """Add a param that begins as an initializer says, once for each gate.

    The arrays of several gates are side by side, on the last axis.
    """
    initial = begin(shape) if callable(begin) else None
    if not callable(initial):
        msg = (
            f"{name!r}: expected an initializer, such as scg.nn.glorot: a function of "
            f"a shape that returns a function rng -> array. Got {begin!r}"
            f"{', which returns no function' if callable(begin) else ''}."
        )
        raise GraphError(msg)

    def make(rng: np.random.Generator) -> Any:
        drawn = [np.asarray(initial(rng)) for _ in range(gates)]
        if drawn[0].shape != shape:
            msg = (
                f"{name!r}: expected an initializer that draws shape {shape}, got one "
                f"that draws {drawn[0].shape}. It is given the shape: use that."
            )
            raise ShapeError(msg)
        return np.concatenate(drawn, axis=-1) if gates > 1 else drawn[0]

    return graph.param(name, make)


def count(name: str, what: str, value: Any) -> int:
    """Check the size of a layer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        msg = f"{name!r}: expected {what} to be a whole number >= 1, got {value!r}."
        raise GraphError(msg)
    return int(value)


def check_last_axis(name: str, x: Any, inputs: int) -> None:
    """Check that a layer is called with what it was made for."""
    shape = np.shape(x) if not isinstance(x, Node) else x.event_shape
    if not shape or shape[-1] != inputs:
        what = repr(x) if isinstance(x, Node) else f"an array of shape {shape}"
        msg = f"{name!r}: expected a last axis of {inputs}, got {what}."
        raise ShapeError(msg)
