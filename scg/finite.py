"""Where a run went wrong: the first value that is not a finite number, by name."""

from __future__ import annotations

import numpy as np

from scg.errors import NonFiniteError
from scg.forward import restore
from scg.program import Program
from scg.trace import Trace

__all__ = ["check_finite_costs"]


def check_finite_costs(program: Program, trace: Trace) -> None:
    """Raise at the first cost that is not finite, naming where it began."""
    if all(np.isfinite(trace.values[cost.index]).all() for cost in program.costs):
        return
    restore(program, trace)
    for cost in program.costs:
        value = trace.values[cost.index]
        if np.isfinite(value).all():
            continue
        for node in program.nodes:
            v = trace.values[node.index]
            is_float = isinstance(v, np.ndarray) and v.dtype.kind == "f"
            if is_float and not np.isfinite(v).all():
                msg = (
                    f"node {node.name!r}: expected finite numbers, got NaN or "
                    "infinity; "
                    f"it is the first such node on the way to cost {cost.name!r}."
                )
                raise NonFiniteError(msg)
        msg = f"cost {cost.name!r}: expected finite numbers, got NaN or infinity."
        raise NonFiniteError(msg)
