"""What a run must compute for the credit of some samples, and no more.

A critic looks so many followers ahead. What lies behind the last of their value nodes
is not needed for an update of what lies before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scg.critics import critic_of
from scg.followers import Followers
from scg.influence import Influence
from scg.roles import Cost

__all__ = ["Needed", "needed"]


@dataclass(frozen=True, slots=True)
class Needed:
    """What some samples' credit takes.

    Attributes
    ----------
    costs, run : frozenset of int
        The costs that are counted, and all nodes that are computed.
    loops : frozenset of str
        The loops that run.
    looked : dict of int to float
        How many followers ahead it looks from each sample with a critic.
    """

    costs: frozenset[int]
    run: frozenset[int]
    loops: frozenset[str]
    looked: dict[int, float]


def needed(
    influence: Influence,
    estimators: Mapping[int, Any],
    followers: Mapping[int, Followers],
    chosen: Iterable[int],
) -> Needed:
    """Return what the credit of some samples takes."""
    nodes = influence.store.nodes
    looked: dict[int, float] = {}
    ends: set[int] = set()
    for i in chosen:
        estimator = estimators[i]
        ends |= {i, *(influence.node(name).index for name in estimator.reads)}
        critic = critic_of(estimator)
        if critic is estimator and not critic.weight:
            continue  # its value node is not fitted
        if critic is not None:
            looked[i] = max(looked.get(i, 0), critic.lookahead.steps or math.inf)
        else:
            below = influence.descendants(i)
            ends |= {n.index for n in nodes if isinstance(n.role, Cost)} & below
    for i in sorted(followers):  # each comes before its followers
        if i not in looked:
            continue
        after = followers[i]
        ends |= {i, *after.costs}
        for u in after.samples:
            ends.add(influence.node(critic_of(estimators[u]).value).index)
            if looked[i] > 1:
                looked[u] = max(looked.get(u, 0), looked[i] - 1)
    return _closed(influence, ends, looked)


def _closed(influence: Influence, ends: set[int], looked: dict[int, float]) -> Needed:
    """Add what leads to what is needed; of a loop, all of its body and its inputs."""
    nodes = influence.store.nodes
    while True:
        run = influence.ancestors(*ends) | ends
        loops = {n.loop.name for i in run if (n := nodes[i]).loop is not None}
        bodies = {n.index for n in nodes if n.loop is not None and n.loop.name in loops}
        if bodies <= run:
            break
        ends = ends | bodies
    costs = {i for i in run if isinstance(nodes[i].role, Cost)}
    return Needed(frozenset(costs), frozenset(run), frozenset(loops), looked)
