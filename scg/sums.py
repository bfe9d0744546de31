"""Sums of the costs that samples outside of loops influence, each made from another.

What a sample influences is all that a later one does, and some more. Its sum is that
one's, which is known already, plus the extra costs: in a chain of n samples with a cost
each that takes n additions. Costs inside of loops, and models that mix rows, go cost by
cost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from scg.downstream import Increment
from scg.node import Node
from scg.plates import SAMPLES
from scg.program import Program
from scg.reach import entry_mask, mixes
from scg.trace import Trace

__all__ = ["outer_sums", "row_weight", "summed"]


def outer_sums(program: Program, trace: Trace) -> dict[int, Any]:
    """Return ``Q̂`` of each scored sample outside of loops, by its index.

    On the plates of the sample: arrays of shape ``(rows,)``.
    """
    sums: dict[int, Any] = {}
    if program.mixing or program.inner_costs:
        for i in program.scored:
            node = program.nodes[i]
            if node.loop is None:
                found = program.influence.descendants(i)
                costs = [c.index for c in program.costs if c.index in found]
                sums[i] = summed(program, trace, node, costs)
        return sums
    for increment in program.increments:
        sums[increment.source] = _increased(program, trace, increment, sums)
    return sums


def row_weight(program: Program, trace: Trace, node: Node) -> Any:
    """Return what a sum over rows needs to be a mean; 0 where a row has stopped."""
    plates = program.plates[node.index]
    weight = trace.layout.weight(plates, plates) / trace.layout.rows
    still = trace.still(node)
    return weight if still is None else weight * still


def _increased(
    program: Program, trace: Trace, increment: Increment, sums: dict[int, Any]
) -> Any:
    plates, layout, values = program.plates, trace.layout, trace.values
    source, base, extra = increment.source, increment.base, increment.extra
    here = plates[source]
    total: Any = None
    if base is not None:
        total = sums[base]
        if plates[base] != here:
            total = layout.reduce(total, plates[base], here)
    for i in extra:
        value = values[i]
        if plates[i] != here:
            value = layout.reduce(value, plates[i], here)
        total = value if total is None else total + value
    dtype = program.store.float_dtype("costs")
    if total is None or not total.ndim:
        filler = 0 if total is None else total
        return np.full(layout.count(here), filler, dtype)
    return total if total.dtype == dtype else total.astype(dtype)


def summed(program: Program, trace: Trace, node: Node, costs: Iterable[int]) -> Any:
    """Sum some costs outside of a sample's own loop, on the plates of the sample."""
    here = program.plates[node.index]
    total = np.zeros(trace.layout.count(here), program.store.float_dtype(node.name))
    for i in costs:
        cost, value = program.nodes[i], trace.values[i]
        if cost.loop is not None:
            value = value[entry_mask(program, node, cost, len(value))].sum(axis=0)
        if mixes(program, node, cost):
            total = total + _of_all_rows(program, trace, cost, value)
            continue
        total = total + trace.layout.reduce(value, program.plates[cost.index], here)
    return total.astype(node.store.float_dtype(node.name), copy=False)


def _of_all_rows(program: Program, trace: Trace, cost: Node, value: Any) -> Any:
    """Sum a cost over all rows and runs, for a sample whose row each of them reads."""
    plates, layout = program.plates[cost.index], trace.layout
    weighted = value * layout.weight(plates, plates) if cost.has_rows else value
    total = weighted.sum() if cost.has_rows else layout.rows * weighted
    return total * layout.sizes[SAMPLES]
