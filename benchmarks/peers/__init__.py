"""Four workloads, each written once for every library.

Read `workloads` for what is computed, then `numpy_by_hand` for how, then any other
module: all have the same four functions, each of which returns a step,
``step() -> dict`` of float32 gradients of the expected cost, averaged over rows.
"""
