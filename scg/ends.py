"""Where credit ends inside a loop: with an episode, or where a row stops."""

from __future__ import annotations

from typing import Any

from scg.node import Loop, Node
from scg.program import Program
from scg.trace import Trace

__all__ = ["continues"]


def continues(program: Program, trace: Trace, node: Node, boundary: str | None) -> Any:
    """Return 0 where credit ends after a step, else 1; None where it never ends."""
    if node.loop is None or boundary is None:
        return None
    over = _ended(program, trace, node.loop)
    if boundary != "episode":
        at = trace[boundary].astype(bool)
        over = at if over is None else over | at
    return None if over is None else (~over).astype(node.store.float_dtype(node.name))


def _ended(program: Program, trace: Trace, loop: Loop) -> Any:
    over = None
    for i, ends in trace.ends.items():
        if program.nodes[i].loop is loop:
            now = ends.terminated | ends.truncated
            over = now if over is None else over | now
    if loop.until is not None:
        stopped = trace.values[loop.until.index]
        over = stopped if over is None else over | stopped
    return over
