"""What a graph alone can tell: influence, and what separates samples from costs."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx

from scg.critic_sets import Given, baseline_set, critic_set, open_path
from scg.influence import influence_of, to_networkx
from scg.node import Node, Store

__all__ = ["Questions"]


class Questions:
    """The questions that can be asked of a `Graph` before any number exists.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", b * 1.0)
    >>> graph.influences("theta", "loss"), graph.downstream_costs("b")
    (True, ('loss',))
    """

    store: Store

    def to_networkx(self) -> nx.MultiDiGraph:
        """Return the graph for networkx: nodes by name, edges with their lag."""
        return to_networkx(self.store)

    def influences(self, v: str | Node, w: str | Node) -> bool:
        """Tell whether ``v ≺ w``: a path leads from v to w."""
        return influence_of(self.store).influences(v, w)

    def deterministically_influences(self, v: str | Node, w: str | Node) -> bool:
        """Tell whether ``v ≺ᴰ w``: all nodes between v and w are deterministic."""
        return influence_of(self.store).deterministically_influences(v, w)

    def deps(self, w: str | Node) -> frozenset[str]:
        """Return DEPS_w, the params and samples v with ``v ≺ᴰ w``."""
        return influence_of(self.store).deps(w)

    def downstream_costs(self, w: str | Node) -> tuple[str, ...]:
        """Return the costs that w influences."""
        return influence_of(self.store).downstream_costs(w)

    def non_influenced(self, w: str | Node) -> frozenset[str]:
        """Return the nodes that a baseline of w may read."""
        return influence_of(self.store).non_influenced(w)

    def baseline_set(self, w: str | Node, *, observed: bool = False) -> frozenset[str]:
        """Return what a baseline of w needs to read to know as much as any may.

        Given these, no other node that w does not influence tells anything about the
        costs that w influences. In a loop, nodes of w's own step and from outside.

        Parameters
        ----------
        w : str or Node
            A stochastic node.
        observed : bool
            Whether what environments show is all of their state.

        References
        ----------
        Weber, Heess, Buesing & Silver 2019, "Credit assignment techniques in stochastic
        computation graphs".

        Examples
        --------
        >>> import scg
        >>> graph = scg.Graph()
        >>> a = graph.sample("a", scg.Normal(mean=graph.param("m", 0.0), scale=1.0))
        >>> b = graph.sample("b", scg.Normal(mean=a, scale=1.0))
        >>> c = graph.sample("c", scg.Normal(mean=b, scale=1.0))
        >>> loss = graph.cost("loss", c**2)
        >>> graph.baseline_set("c")
        frozenset({'b'})
        """
        return baseline_set(self.store, w, observed=observed)

    def critic_set(self, w: str | Node, *, observed: bool = False) -> frozenset[str]:
        r"""Return the least that a critic of w reads, w itself and what it is drawn by.

        .. math:: \mathbb E\bigl[\nabla \log p(w) \, \hat Q_w\bigr] = \mathbb E\bigl[
                  \nabla \log p(w) \, \mathbb E[\hat Q_w \mid C]\bigr]

        for a critic set C: one that d-separates w and the parameters of its
        distribution from the costs it influences. Of w and what it is drawn by, this is
        a part from which nothing can be left out.

        Parameters
        ----------
        w : str or Node
            A stochastic node.
        observed : bool
            Whether what environments show is all of their state.

        References
        ----------
        Weber, Heess, Buesing & Silver 2019, "Credit assignment techniques in stochastic
        computation graphs".

        Examples
        --------
        >>> import scg
        >>> graph = scg.Graph()
        >>> a = graph.sample("a", scg.Normal(mean=graph.param("m", 0.0), scale=1.0))
        >>> b = graph.sample("b", scg.Normal(mean=a, scale=1.0))
        >>> loss = graph.cost("loss", b**2)
        >>> sorted(graph.critic_set("b"))
        ['b']
        >>> also = graph.cost("also", a * b)
        >>> sorted(graph.critic_set("b"))
        ['a', 'b']
        """
        return critic_set(self.store, w, observed=observed)

    def is_critic_set(
        self, w: str | Node, given: Iterable[Given], *, observed: bool = False
    ) -> bool:
        """Tell whether the expected ``Q̂`` of w, given these nodes, may replace it.

        `open_path` tells why not, and takes the same parameters.

        Examples
        --------
        >>> import scg
        >>> graph = scg.Graph()
        >>> a = graph.sample("a", scg.Normal(mean=graph.param("m", 0.0), scale=1.0))
        >>> b = graph.sample("b", scg.Normal(mean=a, scale=1.0))
        >>> loss = graph.cost("loss", a * b)
        >>> graph.is_critic_set("b", ["a", "b"]), graph.is_critic_set("b", ["b"])
        (True, False)
        """
        return not self.open_path(w, given, observed=observed)

    def open_path(
        self, w: str | Node, given: Iterable[Given], *, observed: bool = False
    ) -> str:
        """Write a path that keeps a set from being a critic set of w; '' if it is one.

        Parameters
        ----------
        w : str or Node
            A stochastic node.
        given : iterable of nodes or names
            In a loop those of w's own step; ``(node, k)`` is that k steps later.
        observed : bool
            Whether what environments show is all of their state.

        Raises
        ------
        GraphError, UnknownNameError
            When w is no stochastic node, or a name is nobody's.

        Examples
        --------
        >>> import scg
        >>> graph = scg.Graph()
        >>> a = graph.sample("a", scg.Normal(mean=graph.param("m", 0.0), scale=1.0))
        >>> b = graph.sample("b", scg.Normal(mean=a, scale=1.0))
        >>> loss = graph.cost("loss", a * b)
        >>> graph.open_path("b", ["b"])
        'b ← a → multiply:3 → loss'
        """
        return open_path(self.store, w, given, observed=observed)
