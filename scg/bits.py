"""What is known of bits because they were drawn: that they are bits, and their score.

Where a model has the log-probability of its own draw, as a variational bound does, the
score of the draw is the derivative of that very node. The score's factor is then one
more adjoint of the node, and both derivatives are one.
"""

from __future__ import annotations

from typing import Any

from scg.distributions import Bernoulli
from scg.functions import bernoulli_log_prob
from scg.node import Node
from scg.roles import Call, Draw

__all__ = ["reads_drawn_bits", "riding_scores"]


def reads_drawn_bits(node: Node) -> bool:
    """Tell whether a node is the log-probability of bits that were drawn."""
    role = node.role
    if not isinstance(role, Call) or role.operation.function is not bernoulli_log_prob:
        return False
    if not role.operation.plain:
        return False
    drawn = node.inputs[1].role
    return isinstance(drawn, Draw) and isinstance(drawn.distribution, Bernoulli)


def riding_scores(plan: Any) -> dict[int, Node]:
    """Return, of draws of bits, the nodes whose derivative their score is.

    By the index of the draw; outside of loops.
    """
    found: dict[int, Node] = {}
    for node in plan.program.outer:
        if not reads_drawn_bits(node):
            continue
        draw = node.inputs[1].index
        mine, its = plan.sources[node.index], plan.sources[draw]
        carries = any(c.to == mine[0] for c in plan.crossings[node.index])
        same_shape = plan.program.nodes[draw].event_shape == node.event_shape
        alike = mine[:1] == its and mine[1] == draw and same_shape
        if draw in plan.draws and carries and alike:
            found[draw] = node
    return found
