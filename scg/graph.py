"""The graph: a model written as NumPy expressions over nodes.

Longer than other modules: it is the public face of them all, and mostly docstrings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scg.check import check
from scg.declare import (
    add_constant,
    add_input,
    add_param,
    add_sample,
    add_term,
    rename,
)
from scg.drawing import Layout, draw, drawn
from scg.errors import GraphError
from scg.explain import explain
from scg.node import Node, Store
from scg.questions import Questions
from scg.roles import Cost, Param, Value
from scg.scan import scan

__all__ = ["Graph"]


class Graph(Questions):
    """A stochastic computation graph: params, inputs, samples and costs.

    Nodes are made by its methods and by NumPy functions of nodes. The graph holds no
    values: `init` makes the params, and a run takes them and returns new arrays.

    Parameters
    ----------
    name : str
        Used in messages and pictures.
    dtype : dtype, optional
        The one float dtype of the model. Left out, the first param or input fixes it.

    References
    ----------
    Schulman, Heess, Weber & Abbeel 2015, "Gradient Estimation Using Stochastic
    Computation Graphs".

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph("toy")
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> graph.influences("theta", "loss")
    True
    """

    def __init__(self, name: str = "graph", dtype: Any = None) -> None:
        self.name = name
        declared = None if dtype is None else np.dtype(dtype)
        if declared is not None and declared.kind != "f":
            msg = f"graph {name!r}: expected a float dtype, got {declared}."
            raise GraphError(msg)
        self.store = Store(name, declared)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in topological order."""
        return tuple(self.store.nodes)

    @property
    def params(self) -> tuple[Node, ...]:
        """The param nodes."""
        return tuple(n for n in self.store.nodes if isinstance(n.role, Param))

    def __getitem__(self, name: str) -> Node:
        return self.store.find(name)

    def param(self, name: str, value: Any) -> Node:
        """Add a leaf of Θ.

        Parameters
        ----------
        name : str
            Its key in the dict of params.
        value : array-like or callable
            The initial value, or ``(rng) -> array``. Without rows.

        Returns
        -------
        Node

        Raises
        ------
        GraphError
            When the value is not floating point or not finite.

        Examples
        --------
        >>> import scg
        >>> graph = scg.Graph()
        >>> graph.param("W", lambda rng: 0.1 * rng.normal(size=(3, 2))).shape
        (3, 2)
        """
        return add_param(self.store, name, value)

    def input(
        self, name: str, shape: int | tuple[int, ...] = (), dtype: Any = float
    ) -> Node:
        """Add data: an array of shape ``(rows, *shape)`` given at each run.

        Parameters
        ----------
        name : str
            Its key in the dict of inputs.
        shape : tuple of int, or int
            The shape of one row.
        dtype : dtype
            ``float`` is the graph's float dtype; else integers, truth values, or the
            graph's float dtype by its own name.

        Returns
        -------
        Node

        Examples
        --------
        >>> import scg
        >>> scg.Graph().input("x", shape=(28, 28)).shape
        (rows, 28, 28)
        """
        return add_input(self.store, name, shape, dtype)

    def constant(self, value: Any) -> Node:
        """Turn an array into a node, so that a sample can look something up in it.

        Elsewhere constants need no node: NumPy's functions take arrays beside nodes.
        But ``table[z]`` with an array and a node is the array's business, not the
        node's; with a node in the place of the array it builds graph.

        Parameters
        ----------
        value : array
            Copied; finite numbers. It has no rows.

        Returns
        -------
        Node

        Raises
        ------
        GraphError
            When it is no array of finite numbers.

        Examples
        --------
        >>> import numpy as np
        >>> import scg
        >>> graph = scg.Graph()
        >>> price = graph.constant(np.array([1.0, 3.0, 2.0]))
        >>> z = graph.sample("z", scg.Categorical(logits=np.zeros(3)))
        >>> graph.cost("price", price[z]).shape
        (rows,)
        """
        return add_constant(self.store, value)

    def sample(self, name: str, distribution: Any) -> Node:
        """Add a stochastic node: one draw from `distribution` for each row.

        Parameters
        ----------
        name : str
            How estimators and traces refer to it.
        distribution : AbstractDistribution
            Its parameters are nodes or constants. Without rows it still draws one value
            a row.

        Returns
        -------
        Node

        Raises
        ------
        DistributionError, ShapeError
            When `distribution` is none, or its parameters' shapes do not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import scg
        >>> graph = scg.Graph()
        >>> graph.sample("z", scg.Normal(mean=np.zeros(2), scale=1.0)).shape
        (rows, 2)
        """
        return add_sample(self.store, name, distribution)

    def cost(self, name: str, node: Any) -> Node:
        """Add a cost to minimise: one number a row. A reward is a cost with a minus.

        Parameters
        ----------
        name : str
            How `explain` and traces refer to it.
        node : Node
            Shape ``(rows,)``, or ``()`` for a term of the params alone.

        Returns
        -------
        Node

        Raises
        ------
        ShapeError
            When it is not one number a row.

        Examples
        --------
        >>> import numpy as np
        >>> import scg
        >>> graph = scg.Graph()
        >>> x = graph.input("x", shape=(3,))
        >>> graph.cost("squared error", np.sum(x**2, axis=-1)).shape
        (rows,)
        """
        return add_term(self.store, name, node, Cost())

    def value(self, name: str, node: Node) -> Node:
        """Add a value node, which an estimator reads and trains.

        ``LearnedBaseline`` and ``GAE`` fit one number a row to the costs downstream of
        a sample; ``RELAX``, ``REBAR`` and ``MuProp`` train coefficients, one number or
        several, on the variance of their estimates.

        Examples
        --------
        >>> import numpy as np
        >>> import scg
        >>> graph = scg.Graph()
        >>> x = graph.input("x", shape=(3,))
        >>> w = graph.param("w", np.zeros(3))
        >>> graph.value("expected cost", x @ w).shape
        (rows,)
        """
        return add_term(self.store, name, node, Value())

    def rename(self, name: str, node: Node) -> Node:
        """Give a node that has none a name, by which traces find it.

        Raises
        ------
        DuplicateNameError, GraphError
            When the name is taken, or the node already has one.

        Examples
        --------
        >>> import numpy as np
        >>> import scg
        >>> graph = scg.Graph()
        >>> x = graph.input("x", shape=(3,))
        >>> graph.rename("h", np.tanh(x)).name
        'h'
        """
        return rename(self.store, name, node)

    def scan(  # noqa: PLR0913 - the contract of ``jax.lax.scan``, and two options
        self,
        step: Callable[..., Any],
        init: Any,
        xs: Any = None,
        length: int | None = None,
        *,
        until: str | None = None,
        keep_every: int | None = None,
        name: str = "scan",
    ) -> tuple[Any, Any]:
        r"""Repeat `step` over time; the contract of ``jax.lax.scan``.

        Plain Python equivalent::

            carry, ys = init, []
            for t in range(length):
                carry, y = step(carry, xs[:, t])
                ys.append(y)
            return carry, np.stack(ys, axis=1)

        `step` is traced once. Samples, costs and values made in it happen at each of
        the `length` steps; in a trace they have shape ``(time, rows, ...)``.

        Parameters
        ----------
        step : callable
            ``step(carry)``, or ``step(carry, x)`` where `xs` is given. Returns the new
            carry, or ``(carry, output)``.
        init : node, constant, ``environment.reset()``, or nested tuples, lists, dicts
            The first carry. All carries have rows; a constant is repeated for each.
        xs : node or nested tuples, lists, dicts, optional
            Shape ``(rows, time, ...)``; each step gets its slice ``(rows, ...)``.
        length : int, optional
            The number of steps, where `xs` does not tell.
        until : str, optional
            A boolean node of the step, by name. A row's costs and samples count up to
            the step in which it is first true; the loop ends when all rows have
            stopped, after `length` steps at the latest. Not with outputs, which would
            have no shape.
        keep_every : int, optional
            Keep every k-th carry alone, and compute what is between again when going
            backwards, k steps at a time; see Notes. All is kept by default.
        name : str
            The loop's name.

        Returns
        -------
        carry : like `init`
            The last carry.
        outputs : like the step's output
            Shape ``(rows, time, ...)``; None when the step returns the carry alone.

        Raises
        ------
        ShapeError
            When the carry's shape or dtype changes, or lengths differ.
        GraphError
            When the carry's structure changes, or an option is none that there is.

        Notes
        -----
        A run of T steps records T times what its reverse pass looks at in a step, as a
        rule several values as large as a carry. With ``keep_every=k`` it takes

        .. math:: \lceil T/k \rceil \text{ carries} + k \text{ steps of those values and
                  their adjoints} + T \text{ steps of what is observed}

        and one more pass through the steps; k near √T takes least. Observed are samples
        with their parameters and noise, costs, values, named nodes, outputs, and what
        environments and black boxes returned: nothing is drawn, stepped or called
        again. Credit adds a few numbers a row for each step and sample. Gradients are
        the same up to rounding; `scg.surrogate_loss` and `scg.Clipped` refuse.

        Examples
        --------
        >>> import numpy as np
        >>> import scg
        >>> graph = scg.Graph()
        >>> x = graph.input("x", shape=(10, 3))
        >>> total, sums = graph.scan(lambda s, x_t: (s + x_t, s), np.zeros(3), xs=x)
        >>> total.shape, sums.shape
        ((rows, 3), (rows, 10, 3))
        """
        return scan(self.store, step, init, xs, length, name, until, keep_every)

    def init(self, rng: np.random.Generator) -> dict[str, Any]:
        """Make the params: a plain dict of arrays.

        Examples
        --------
        >>> import numpy as np
        >>> import scg
        >>> graph = scg.Graph()
        >>> _ = graph.param("theta", 0.5)
        >>> graph.init(np.random.default_rng(0))
        {'theta': array(0.5)}
        """
        params = {}
        for node in self.params:
            assert isinstance(node.role, Param)
            initial = node.role.initial
            made = initial(rng) if callable(initial) else initial
            params[node.name] = np.array(made, dtype=node.dtype)
        return params

    def check(self, estimators: Mapping[str, Any] | None = None) -> None:
        """Prove that every estimator is legal here, or raise naming the path.

        Raises
        ------
        NotDifferentiableError, BaselineError, UnreachableParamError, EstimatorError
        """
        check(self.store, estimators or {})

    def explain(self, estimators: Mapping[str, Any] | None = None) -> str:
        """Say for every param how gradient reaches it, or that none does."""
        return explain(self.store, estimators or {})

    def draw(
        self,
        path: str | os.PathLike[str],
        estimators: Mapping[str, Any] | None = None,
        *,
        collapse: bool = True,
        layout: Layout = "layered",
    ) -> None:
        """Draw the graph, and what gradient does on each edge with these estimators.

        Parameters
        ----------
        path : path
            ``.svg``, or ``.html``, which tells of a node what the pointer rests on.
            Its folder is made.
        estimators : mapping of str to AbstractEstimator, optional
            As for `estimate_gradient`.
        collapse : bool
            Draw what has no name in the node that reads it. False draws every node.
        layout : "layered" or "dot"
            By the library itself, the same on every machine, or by Graphviz' program
            ``dot``.

        Raises
        ------
        InputError, PictureError
            When the suffix is another, or the picture cannot be laid out or written.
        EstimatorError, UnknownNameError
            When an estimator is named for what is not a stochastic node.
        """
        draw(self.store, path, estimators or {}, collapse=collapse, layout=layout)

    def _repr_svg_(self) -> str:
        return drawn(self.store, {})
