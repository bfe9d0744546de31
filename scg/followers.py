"""Which samples with critics follow a sample, and which costs it pays on the way.

The value node of a sample u stands for the costs that u influences. So, below w, the
costs of w are those on the way to its followers and, for each of these, what its value
node stands for. Followers are taken in the order of the graph, as long as their costs
are among those of w that none has yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scg.downstream import Downstream
from scg.influence import Influence
from scg.roles import Cost

__all__ = ["Followers", "followers_of"]


@dataclass(frozen=True, slots=True)
class Followers:
    """What comes after a sample; after its loop, where it is in one.

    Attributes
    ----------
    costs : tuple of int
        Those on the way.
    samples : tuple of int
        The followers.
    """

    costs: tuple[int, ...]
    samples: tuple[int, ...]


def followers_of(
    influence: Influence, critics: Iterable[int], costs: Downstream | None = None
) -> dict[int, Followers]:
    """Return what follows each of some samples, all of which have critics."""
    nodes = influence.store.nodes
    order = sorted(critics)
    if costs is None:
        every = [n.index for n in nodes if isinstance(n.role, Cost)]
        costs = Downstream(influence, every)
    below = Downstream(influence, order)
    bits = {i: costs.bits(i) for i in order}
    found = {}
    for i in order:
        loop = nodes[i].loop
        later, left = list(below.of(i)), bits[i]
        if loop is not None:
            left &= ~sum(costs.bit(c) for c in costs.targets if nodes[c].loop is loop)
            later = [u for u in later if nodes[u].loop is not loop]
        taken, left = _taken(later, bits, left)
        found[i] = Followers(costs.named(left), taken)
    return found


def _taken(
    later: Sequence[int], bits: dict[int, int], left: int
) -> tuple[tuple[int, ...], int]:
    taken = []
    for u in later:
        if not left:
            break
        if bits[u] and not bits[u] & ~left:
            taken.append(u)
            left &= ~bits[u]
    return tuple(taken), left
