"""What is known of bits because they were drawn: that they are bits, and their score.

Where a model has the log-probability of its own draw, as a variational bound does, the
score of the draw is the derivative of that very node. The score's factor is then one
more adjoint of the node, and both derivatives are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scg.bit_log_prob import bernoulli_log_prob
from scg.distributions import Bernoulli
from scg.node import Node
from scg.pulls import Crossing
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


def riding_scores(
    nodes: Iterable[Node],
    sources: Mapping[int, Sequence[int]],
    crossings: Mapping[int, Sequence[Crossing]],
) -> dict[int, Node]:
    """Return, of draws of bits, the nodes whose derivative their score is.

    By the index of the draw. `nodes` are those outside of loops, `sources` the places
    of each one's inputs, `crossings` where its adjoint goes.
    """
    found: dict[int, Node] = {}
    for node in nodes:
        if not reads_drawn_bits(node):
            continue
        draw = node.inputs[1]
        logits, bits = sources[node.index]
        carries = any(c.to == logits for c in crossings[node.index])
        alike = [logits] == sources[draw.index] and bits == draw.index
        if carries and alike and draw.event_shape == node.event_shape:
            found[draw.index] = node
    return found
