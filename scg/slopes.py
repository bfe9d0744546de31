"""The derivative of what lies below a sample with respect to its value.

For an estimator that looks down, each branch's ``Q̂`` is differentiated by the branch's
value: an extra reverse pass over what is below, in which all branches count in full.
Samples on the way add what their own estimators say, so that the derivative of the
expected ``Q̂`` is estimated without bias where theirs is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scg.backward import cost_seed, scores, site_adjoints
from scg.credit import Credit
from scg.node import Node
from scg.program import Program
from scg.reverse import Reverse
from scg.trace import Trace

__all__ = ["all_scores"]

Credits = Mapping[int, Credit]
Sites = dict[int, dict[str, Any]]


def all_scores(
    program: Program, trace: Trace, credits: Credits
) -> tuple[Sites, list[tuple[Node, Any]]]:
    """Return what the samples add to the surrogate loss, as `scg.backward.scores`.

    Those whose estimators look down are given the slope of what is below.
    """
    if not program.looking:
        return scores(program, trace, credits)
    looking = {i: c for i, c in credits.items() if program.estimators[i].looks_down}
    others = {i: c for i, c in credits.items() if i not in looking}
    sites, seeds = scores(program, trace, others)
    for i, credit in looking.items():
        slope = _slope(program, trace, program.nodes[i], credits)
        sites[i] = site_adjoints(program, trace, i, credit, slope)
    return sites, seeds


def _slope(program: Program, trace: Trace, node: Node, credits: Credits) -> Any:
    """Return the derivative by the value of a sample, times the weight of the row."""
    layout = trace.layout
    weights = {**layout.weights, node.index: 1.0}
    whole = replace(trace, layout=replace(layout, weights=weights))
    below = program.influence.descendants(node.index)
    inner = {i: c for i, c in credits.items() if i in below}
    sites, seeds = all_scores(program, whole, inner)
    reverse = Reverse(program, whole, below=node)
    for cost in program.costs:
        if cost.index in below and cost.index in program.flow.carrying:
            reverse.seed(cost, cost_seed(program, whole, cost))
    for index, adjoints in sites.items():
        reverse.seed_site(program.nodes[index], adjoints)
    for target, adjoint in seeds:
        reverse.seed(target, adjoint)
    reverse.run()
    arrived = reverse.adjoints.at[node.index]
    value = trace.values[node.index]
    return np.zeros_like(value) if arrived is None else np.asarray(arrived, value.dtype)
