"""Random numbers of one run: a stream for each stochastic node, one block for many.

What a node draws depends on the run's seed and on the node, not on how other nodes are
drawn, so that estimators can be compared under common random numbers. A stream of its
own costs a node a few microseconds; where a node needs one uniform number for each
element of each row, as bits and categories do, its numbers are cut from one block, at a
place that depends on the graph alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Streams"]

# The multiplier of PCG64, and the golden ratio in 128 bits.
_STEP = 0x2360ED051FC65DA44385DF649FCCF645
_PHI = 0x9E3779B97F4A7C15F39CC0605CEDC835
_MASK = (1 << 128) - 1


class Streams:
    """The random numbers of one run, from one seed.

    Examples
    --------
    >>> streams = Streams(1)
    >>> a, b = streams.own(3).random(), streams.own(4).random()
    >>> streams.at(3).random() == a, a == b
    (True, False)
    """

    __slots__ = ("_bits", "_seed", "_shared")

    def __init__(self, seed: int, spare: Any = None) -> None:
        self._seed = seed
        self._shared = spare or np.random.Generator(np.random.PCG64DXSM(0))
        self._bits: Any = self._shared.bit_generator

    @property
    def spare(self) -> np.random.Generator:
        """The generator that `at` returns, for another run to use."""
        return self._shared

    def at(self, node: int) -> np.random.Generator:
        """Return a node's stream at its start; the next call takes it away again."""
        self._bits.state = self._state(node)
        return self._shared

    def own(self, node: int) -> np.random.Generator:
        """Return a node's stream at its start, in a generator of its own."""
        bits: Any = np.random.PCG64DXSM(0)
        bits.state = self._state(node)
        return np.random.Generator(bits)

    def _state(self, node: int) -> dict[str, Any]:
        # As PCG64 is seeded: a step, the seed added, another step. Each node has an
        # increment, and with it a sequence, of its own.
        increment = (2 * (node + 1) * _PHI + 1) & _MASK
        state = ((increment + self._seed * _PHI) * _STEP + increment) & _MASK
        return {
            "bit_generator": "PCG64DXSM",
            "state": {"state": state, "inc": increment},
            "has_uint32": 0,
            "uinteger": 0,
        }
