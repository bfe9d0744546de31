"""Which of some targets every node influences: one sweep, one bit for each target.

A node's targets are those of its children and the children themselves, so that all
nodes' are found from the last to the first by ORs of Python integers. Nodes that lead
to each other over the steps of a loop have the same targets and are taken together.

References
----------
Sharir 1981, "A strong-connectivity algorithm and its applications in data flow
analysis", for the nodes that lead to each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scg.influence import Influence

__all__ = ["Downstream", "Increment", "groups"]


@dataclass(frozen=True, slots=True)
class Increment:
    """What a source influences: all that `base` does, which it influences, and more.

    Where there is no such source, `base` is None and `extra` is all.
    """

    source: int
    base: int | None
    extra: tuple[int, ...]


class Downstream:
    """Which targets each node of a graph influences.

    Parameters
    ----------
    influence : Influence
    targets : sequence of int
        Indices of nodes.
    same_step : bool
        Whether paths may not lead into a later step of a loop.

    Examples
    --------
    >>> import scg
    >>> from scg.influence import influence_of
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> a = graph.sample("a", scg.Bernoulli(logits=theta))
    >>> cost_of_a = graph.cost("cost of a", a)
    >>> b = graph.sample("b", scg.Bernoulli(logits=a))
    >>> cost_of_b = graph.cost("cost of b", b)
    >>> costs = [cost_of_a.index, cost_of_b.index]
    >>> downstream = Downstream(influence_of(graph.store), costs)
    >>> downstream.matrix([a.index, b.index]).tolist()
    [[True, True], [False, True]]
    >>> [i.extra == (c,) for i, c in zip(downstream.increments([a.index, b.index]),
    ...                                  reversed(costs))]
    [True, True]
    """

    def __init__(
        self,
        influence: Influence,
        targets: Sequence[int],
        *,
        same_step: bool = False,
    ) -> None:
        self.targets = tuple(targets)
        self.children: list[list[int]] = [
            [e.target for e in edges if not (same_step and e.lag)]
            for edges in influence.children
        ]
        cyclic = not same_step and any(e.lag for e in influence.edges)
        self._groups = groups(self.children) if cyclic else None
        # The first target has the highest bit: nodes near the end have small numbers.
        last = len(self.targets) - 1
        self._bits = {i: 1 << (last - k) for k, i in enumerate(self.targets)}
        self._rows = self._sweep()

    def reaches(self, i: int, target: int) -> bool:
        """Tell whether a node influences a target."""
        return bool(self._rows[i] & self._bits[target])

    def of(self, i: int) -> tuple[int, ...]:
        """Return the targets that a node influences, in the order of `targets`."""
        return self.named(self._rows[i])

    def bit(self, target: int) -> int:
        """Return the bit of a target."""
        return self._bits[target]

    def bits(self, i: int) -> int:
        """Return the targets that a node influences, as the bits of a number."""
        return self._rows[i]

    def matrix(self, sources: Sequence[int]) -> Any:
        """Return which sources influence which targets.

        Returns
        -------
        array of bool, shape (sources, targets)
        """
        count = len(self.targets)
        length = (count + 7) // 8
        rows = b"".join(self._rows[i].to_bytes(length, "big") for i in sources)
        packed = np.frombuffer(rows, np.uint8).reshape(len(sources), length)
        return np.unpackbits(packed, axis=1)[:, 8 * length - count :].astype(bool)

    def increments(self, sources: Iterable[int]) -> list[Increment]:
        """Write what each source influences as what another does, and some more.

        Later sources come first, so that a sum over a source's targets is one that is
        known already plus the extra ones. In a chain of n sources with a target each
        that takes n sums, in place of n²/2.
        """
        wanted = frozenset(sources)
        found: list[Increment] = []
        nearest: list[int | None] = [None] * len(self._rows)
        for group in self._in_order():
            base = self._largest(group, nearest)
            known = 0 if base is None else self._rows[base]
            for i in wanted.intersection(group):
                extra = self.named(self._rows[i] ^ known)
                found.append(Increment(i, base, extra))
                base, known = i, self._rows[i]
            for i in group:
                nearest[i] = base
        return found

    def _largest(
        self, group: Sequence[int], nearest: Sequence[int | None]
    ) -> int | None:
        """Return, of the sources right below a group, that with the most targets."""
        found = (nearest[c] for i in group for c in self.children[i])
        below = {i for i in found if i is not None}
        return max(below, key=lambda i: (self._rows[i].bit_count(), i), default=None)

    def _in_order(self) -> Iterable[Sequence[int]]:
        """List the nodes, each after those it leads to, in groups of equal targets."""
        if self._groups is not None:
            return self._groups
        return ((i,) for i in range(len(self.children) - 1, -1, -1))

    def _sweep(self) -> list[int]:
        rows, inclusive = ([0] * len(self.children) for _ in range(2))
        for group in self._in_order():
            row = 0
            for i in group:
                for child in self.children[i]:
                    got = inclusive[child]
                    if got is not row:  # rows that are equal are shared
                        row = row | got if row and got else row or got
            if len(group) > 1 or group[0] in self.children[group[0]]:
                for i in group:
                    row |= self._bits.get(i, 0)
            for i in group:
                rows[i] = row
                inclusive[i] = row | self._bits[i] if i in self._bits else row
        return rows

    def named(self, row: int) -> tuple[int, ...]:
        """Return the targets whose bits are set."""
        length = (row.bit_length() + 7) // 8
        data = np.frombuffer(row.to_bytes(length, "little"), np.uint8)
        places = np.flatnonzero(data)  # few, where a source adds little to another
        at, bit = np.unpackbits(data[places, None], axis=1, bitorder="little").nonzero()
        last = len(self.targets) - 1
        return tuple(self.targets[last - k] for k in (8 * places[at] + bit)[::-1])


def groups(children: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the sets of nodes that lead to each other, each after what it leads to.

    Parameters
    ----------
    children : sequence of sequences of int
        Where the edges of each node lead.

    Examples
    --------
    >>> [sorted(group) for group in groups([[1], [2], [1, 3], []])]
    [[3], [1, 2], [0]]
    """
    parents: list[list[int]] = [[] for _ in children]
    for i, below in enumerate(children):
        for child in below:
            parents[child].append(i)
    placed = [False] * len(children)
    found: list[list[int]] = []
    for root in reversed(_last_visits(children)):
        group = [] if placed[root] else [root]
        placed[root] = True
        for i in group:  # grows as it is read
            new = [p for p in dict.fromkeys(parents[i]) if not placed[p]]
            group += new
            for p in new:
                placed[p] = True
        if group:
            found.append(group)
    return found[::-1]


def _last_visits(children: Sequence[Sequence[int]]) -> list[int]:
    """List the nodes as a depth-first search leaves them, without recursion."""
    seen = [False] * len(children)
    left: list[int] = []
    for root in range(len(children)):
        path = [] if seen[root] else [(root, iter(children[root]))]
        seen[root] = True
        while path:
            i, rest = path[-1]
            following = next((c for c in rest if not seen[c]), None)
            if following is None:
                left.append(i)
                path.pop()
            else:
                seen[following] = True
                path.append((following, iter(children[following])))
    return left
