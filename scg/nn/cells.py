"""Recurrent cells: what one step of a loop does to its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.errors import GraphError, ShapeError
from scg.functions import sigmoid
from scg.graph import Graph
from scg.nn.initializers import Initializer, glorot, orthogonal
from scg.nn.layers import check_last_axis, count, param
from scg.node import Node

__all__ = ["GRU", "LSTM", "gru", "lstm"]


@dataclass(frozen=True, slots=True)
class LSTM:
    """A cell with its params; see `lstm`."""

    name: str
    units: int
    weights: Node
    recurrent: Node
    bias: Node

    @property
    def start(self) -> tuple[Any, Any]:
        """The state to begin with: zeros."""
        return np.zeros(self.units), np.zeros(self.units)

    def __call__(self, x: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        """Return the next ``(h, c)``."""
        h, c = _two(self.name, state)
        n = self.units
        check_last_axis(self.name, x, self.weights.shape[0])
        check_last_axis(f"{self.name}: h", h, n)
        check_last_axis(f"{self.name}: c", c, n)
        z = x @ self.weights + h @ self.recurrent + self.bias
        gates = sigmoid(z[..., : 3 * n])
        forget, write, show = gates[..., :n], gates[..., n : 2 * n], gates[..., 2 * n :]
        c = forget * c + write * np.tanh(z[..., 3 * n :])
        return show * np.tanh(c), c


def lstm(  # noqa: PLR0913 - a cell's sizes, and how its params begin
    graph: Graph,
    name: str,
    inputs: int,
    units: int,
    *,
    weights: Initializer = glorot,
    recurrent: Initializer = orthogonal,
    forget: float = 1.0,
) -> LSTM:
    r"""Make a long short-term memory cell.

    .. math:: f, i, o = \sigma(x W + h U + b)_{f, i, o}, \quad
              c' = f c + i \tanh(x W + h U + b)_g, \quad h' = o \tanh(c')

    Adds the params ``"{name}.weights"``, shape ``(inputs, 4 units)``,
    ``"{name}.recurrent"``, ``(units, 4 units)``, and ``"{name}.bias"``, with the gates
    in the order f, i, o, g.

    Parameters
    ----------
    graph : Graph
    name : str
    inputs, units : int
        The last axis of ``x``, and of ``h`` and ``c``.
    weights, recurrent : Initializer
        How the matrix of each gate begins.
    forget : float
        What the bias of the forget gate begins with; the others with 0.

    Returns
    -------
    LSTM
        ``h, c = cell(x, (h, c))``; ``cell.start`` is a state of zeros.

    Raises
    ------
    GraphError
        When a size is no whole number of at least 1, `weights` or `recurrent` no
        initializer; when called inside a step.
    ShapeError
        When an initializer draws another shape; when the cell is called with other last
        axes.

    References
    ----------
    Hochreiter & Schmidhuber 1997, "Long short-term memory"; the forget gate and its
    bias: Gers, Schmidhuber & Cummins 2000, "Learning to forget".

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> cell = scg.nn.lstm(graph, "core", inputs=3, units=8)
    >>> def step(state, x):
    ...     h, c = cell(x, state)
    ...     return (h, c), h
    >>> (h, c), hs = graph.scan(step, init=cell.start, xs=graph.input("x", (5, 3)))
    >>> h.shape, hs.shape
    ((rows, 8), (rows, 5, 8))
    """
    inputs, units = count(name, "inputs", inputs), count(name, "units", units)
    begin = np.zeros(4 * units)
    begin[:units] = _finite(name, forget)
    return LSTM(
        name,
        units,
        param(graph, f"{name}.weights", weights, (inputs, units), gates=4),
        param(graph, f"{name}.recurrent", recurrent, (units, units), gates=4),
        graph.param(f"{name}.bias", lambda rng: begin),
    )


def _two(name: str, state: Any) -> Any:
    if not isinstance(state, tuple | list) or len(state) != 2:
        msg = (
            f"{name!r}: expected a state (h, c), got {state!r}. Call it as "
            "cell(x, (h, c)), and begin with cell.start."
        )
        raise ShapeError(msg)
    return state


def _finite(name: str, forget: Any) -> Any:
    if not isinstance(forget, int | float | np.number) or not np.isfinite(forget):
        msg = f"{name!r}: expected forget to be a finite number, got {forget!r}."
        raise GraphError(msg)
    return forget


@dataclass(frozen=True, slots=True)
class GRU:
    """A cell with its params; see `gru`."""

    name: str
    units: int
    weights: Node
    recurrent: Node
    bias: Node
    recurrent_bias: Node

    @property
    def start(self) -> Any:
        """The state to begin with: zeros."""
        return np.zeros(self.units)

    def __call__(self, x: Any, h: Any) -> Any:
        """Return the next ``h``."""
        n = self.units
        check_last_axis(self.name, x, self.weights.shape[0])
        check_last_axis(f"{self.name}: h", h, n)
        a = x @ self.weights + self.bias
        b = h @ self.recurrent
        gates = sigmoid(a[..., : 2 * n] + b[..., : 2 * n])
        reset, keep = gates[..., :n], gates[..., n:]
        new = np.tanh(a[..., 2 * n :] + reset * (b[..., 2 * n :] + self.recurrent_bias))
        return new + keep * (h - new)


def gru(
    graph: Graph,
    name: str,
    inputs: int,
    units: int,
    *,
    weights: Initializer = glorot,
    recurrent: Initializer = orthogonal,
) -> GRU:
    r"""Make a gated recurrent unit.

    .. math:: r, z = \sigma(x W + b + h U)_{r, z}, \quad
              n = \tanh((x W + b)_n + r\,((h U)_n + d)), \quad h' = (1 - z)\,n + z\,h

    The reset gate acts on what the recurrent matrix made of ``h``, so that one product
    with ``h`` is enough. Adds the params ``"{name}.weights"``, shape
    ``(inputs, 3 units)``, ``"{name}.recurrent"``, ``(units, 3 units)``,
    ``"{name}.bias"`` and ``"{name}.recurrent_bias"``, with the gates in the order
    r, z, n.

    Parameters
    ----------
    graph : Graph
    name : str
    inputs, units : int
        The last axis of ``x`` and of ``h``.
    weights, recurrent : Initializer
        How the matrix of each gate begins.

    Returns
    -------
    GRU
        ``h = cell(x, h)``; ``cell.start`` is a state of zeros.

    Raises
    ------
    GraphError
        When a size is no whole number of at least 1, `weights` or `recurrent` no
        initializer; when called inside a step.
    ShapeError
        When an initializer draws another shape; when the cell is called with other last
        axes.

    References
    ----------
    Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder for
    statistical machine translation".

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> cell = scg.nn.gru(graph, "core", inputs=3, units=8)
    >>> h, _ = graph.scan(
    ...     lambda h, x: cell(x, h), init=cell.start, xs=graph.input("x", (5, 3)))
    >>> h.shape
    (rows, 8)
    """
    inputs, units = count(name, "inputs", inputs), count(name, "units", units)
    return GRU(
        name,
        units,
        param(graph, f"{name}.weights", weights, (inputs, units), gates=3),
        param(graph, f"{name}.recurrent", recurrent, (units, units), gates=3),
        graph.param(f"{name}.bias", lambda rng: np.zeros(3 * units)),
        graph.param(f"{name}.recurrent_bias", lambda rng: np.zeros(units)),
    )
