"""Which steps of a loop influence what: reachability, written as masks over time.

A mask is an array of truth values with one axis for the steps of a draw, one for those
of what it may influence, where these are in a loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.node import Loop, Node
from scg.program import Program
from scg.roles import ScanOutput

__all__ = ["entry_mask", "exit_mask", "lag_mask", "mixes"]


def mixes(program: Program, source: Node, target: Node) -> bool:
    """Tell whether a path from one node to another leads through other rows."""
    if not program.mixing:
        return False
    below = program.influence.descendants
    return any(target.index in below(m) for m in program.mixed.of(source.index))


def lag_mask(program: Program, draw: Node, target: Node, steps: int) -> Any:
    """Tell which steps of a draw influence which steps of a node of the same loop.

    Returns
    -------
    array of bool, shape (steps of `target`, steps of `draw`)
    """
    sets = program.influence.lag_sets(draw)
    hit = np.array([target.index in sets.at(lag) for lag in range(steps)])
    lag = np.arange(steps)[:, None] - np.arange(steps)
    return (lag >= 0) & hit[np.maximum(lag, 0)]


def entry_mask(program: Program, node: Node, target: Node, steps: int) -> Any:
    """Tell which steps of a node in a loop one from outside of it influences."""
    assert target.loop is not None
    sets = program.influence.entry_sets(node, target.loop)
    return np.array([target.index in sets.at(t) for t in range(steps)])


def exit_mask(program: Program, draw: Node, target: Node, steps: int) -> Any:
    """Tell which steps of a draw in a loop influence a node outside of it."""
    assert draw.loop is not None
    sets = program.influence.lag_sets(draw)
    each, last = _exits(program, draw.loop, target)
    mask = np.zeros(steps, bool)
    hit = False
    for t in range(steps - 1, -1, -1):
        lag = steps - 1 - t
        now = sets.at(lag) | ({draw.index} if lag == 0 else set())
        hit = hit or bool(each & now)
        mask[t] = hit or bool(last & now)
    return mask


def _exits(program: Program, loop: Loop, target: Node) -> tuple[set[int], set[int]]:
    """Return the body's nodes that lead to the target at each and at the last step."""
    each: set[int] = set()
    last: set[int] = set()
    for edge in program.exits.get(loop.name, ()):
        source, after = program.nodes[edge.source], program.nodes[edge.target]
        below = program.influence.descendants(after.index)
        if after is not target and target.index not in below:
            continue
        stacked = isinstance(after.role, ScanOutput) and after.role.stacked
        (each if stacked else last).add(source.index)
    return each, last
