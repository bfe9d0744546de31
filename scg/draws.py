"""How the stochastic nodes of one run are drawn: by a kernel, or by their estimator.

Outside of loops a node is drawn once. Inside, it is drawn for all steps at once where
its parameters are there beforehand, and else step by step; both give the same values,
since a node's numbers come from its own stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from scg.buffers import Buffers
from scg.entries import check_support, given_value
from scg.errors import DistributionError
from scg.node import Node
from scg.plan import Plan
from scg.plates import SAMPLES
from scg.roles import Draw
from scg.streams import Streams
from scg.trace import Trace
from scg.views import some

__all__ = ["Draws", "refusal"]

# More uniform numbers than this are not drawn ahead of a loop.
_AHEAD = 4_000_000

# (parameters, number of the step in its span) -> value
OneStep = Callable[[Sequence[Any], int], Any]


class Draws:
    """The random part of one run."""

    def __init__(
        self,
        plan: Plan,
        trace: Trace,
        seed: int,
        given: Mapping[str, Any],
        buffers: Buffers,
    ) -> None:
        self.plan = plan
        self.program = plan.program
        self.trace = trace
        self.given = given
        self.buffers = buffers
        self.streams = Streams(seed, plan.spare())
        self.going: dict[int, np.random.Generator] = {}
        self.wholes: dict[int, Any] = {}
        self.block = self._block()

    def close(self) -> None:
        """Leave the generator to another run."""
        self.plan.spares.append(self.streams.spare)

    def once(self, node: Node, parameters: Sequence[Any], count: int) -> Any:
        """Draw a node outside of loops, with numbers from its own stream."""
        shape = (count, *node.event_shape)
        if node.name in self.given:
            self._weigh(node, None)
            value = given_value(node, self.given[node.name], shape)
            return self._given(node, parameters, value)
        if node.index in self.plan.draws:
            self._weigh(node, None)
            noise = self._uniform(self.streams.at(node.index), shape)
            return self._by_kernel(node, parameters, noise)
        return self._by_estimator(node, parameters, shape)

    def all_steps(
        self, node: Node, parameters: Sequence[Any], span: range, count: int
    ) -> Any:
        """Draw a node of a loop for all steps of a span, time folded into the rows."""
        steps, is_whole = len(span), len(span) == _length(node)
        flat = (steps * count, *node.event_shape)
        if node.name in self.given:
            value = some(self._whole(node, count), span).reshape(flat)
            return self._given(node, parameters, value)
        at = self.streams.at if is_whole else self._going
        stream = at(node.index)
        if node.index in self.plan.draws:
            noise = self._uniform(stream, flat)
            return self._by_kernel(node, parameters, noise, share=is_whole)
        distribution = _distribution(node, parameters)
        distribution.validate(node.name)
        estimator = self.program.estimators[node.index]
        drawn = estimator.draw(distribution, flat, stream)
        if drawn.noise is not None:
            self.trace.noise.setdefault(node.index, []).extend(
                drawn.noise.reshape(steps, count, *drawn.noise.shape[1:])
            )
        return drawn.value

    def by_step(self, node: Node, span: range, count: int) -> OneStep:
        """Return what draws a node of a loop at one step of a span after the other."""
        shape = (count, *node.event_shape)
        if node.name in self.given:
            here = some(self._whole(node, count), span)
            return lambda parameters, t: check_support(
                node, _distribution(node, parameters), here[t]
            )
        stream = self._going(node.index)
        if node.index not in self.plan.draws:
            return lambda parameters, t: self._one_step(node, parameters, shape, stream)
        if len(span) * prod(shape) > _AHEAD:
            return lambda parameters, t: self._by_kernel(
                node, parameters, self._uniform(stream, shape), share=False
            )
        noise = self._uniform(stream, (len(span), *shape))
        return lambda parameters, t: self._by_kernel(
            node, parameters, noise[t], share=False
        )

    def _going(self, index: int) -> np.random.Generator:
        """Return a node's stream where the span before has left it."""
        if index not in self.going:
            self.going[index] = self.streams.own(index)
        return self.going[index]

    def _whole(self, node: Node, count: int) -> Any:
        """Return the values that a sample in a loop is given, of all steps."""
        if node.index not in self.wholes:
            shape = (_length(node), count, *node.event_shape)
            given = given_value(node, self.given[node.name], shape)
            self.wholes[node.index] = given
        return self.wholes[node.index]

    def _given(self, node: Node, parameters: Sequence[Any], value: Any) -> Any:
        """Return the values that a sample is given, which have to be ones it takes."""
        distribution = _distribution(node, parameters)
        distribution.validate(node.name)
        return check_support(node, distribution, value)

    def _one_step(
        self, node: Node, parameters: Sequence[Any], shape: Any, stream: Any
    ) -> Any:
        estimator = self.program.estimators[node.index]
        drawn = estimator.draw(_distribution(node, parameters), shape, stream)
        if drawn.noise is not None:
            self.trace.noise.setdefault(node.index, []).append(drawn.noise)
        return drawn.value

    def _by_estimator(
        self, node: Node, parameters: Sequence[Any], shape: tuple[int, ...]
    ) -> Any:
        distribution = _distribution(node, parameters)
        distribution.validate(node.name)
        estimator = self.program.estimators[node.index]
        drawn = estimator.draw(distribution, shape, self.streams.at(node.index))
        if drawn.noise is not None:
            self.trace.noise[node.index] = drawn.noise
        self._weigh(node, drawn.weights)
        return drawn.value

    def _by_kernel(
        self, node: Node, parameters: Sequence[Any], noise: Any, *, share: bool = True
    ) -> Any:
        (parameter,) = parameters
        drawn = self.plan.draws[node.index].draw(parameter, noise, self.buffers)
        if drawn is None:
            raise refusal(node, parameters)
        value, shared = drawn
        if share:
            self.trace.shared[node.index] = shared
        return value

    def _weigh(self, node: Node, weights: Any) -> None:
        """Note the probability weight of each of a node's branches."""
        branches = self.program.branching.get(node.index)
        if branches is not None:
            equal = weights is None
            self.trace.layout.weights[node.index] = 1 / branches if equal else weights

    def _uniform(self, stream: np.random.Generator, shape: tuple[int, ...]) -> Any:
        dtype = self.plan.block_dtype
        out = self.buffers.take(shape, dtype)
        return stream.random(dtype=dtype, out=out)

    def _block(self) -> Any:
        """Draw the uniform numbers of all nodes that take theirs from the block."""
        if not self.plan.block:
            return None
        rows = self.trace.layout.count((SAMPLES,))
        return self._uniform(self.streams.at(-1), (self.plan.block_size * rows,))


def refusal(node: Node, parameters: Sequence[Any]) -> DistributionError:
    """Return the error for parameters that a kernel could not draw with."""
    try:
        _distribution(node, parameters).validate(node.name)
    except DistributionError as error:
        return error
    return DistributionError(
        f"node {node.name!r}: expected parameters in range, got {parameters[0]}."
    )


def _length(node: Node) -> int:
    """Return the number of steps of a node's loop."""
    assert node.loop is not None
    assert node.loop.length is not None
    return node.loop.length


def _distribution(node: Node, parameters: Sequence[Any]) -> Any:
    role = node.role
    assert isinstance(role, Draw)
    return role.at(parameters)
