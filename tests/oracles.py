"""Exact answers by a second way: enumeration of every joint outcome."""

import itertools

import numpy as np

import scg


def expected_surrogate_gradient(graph, params, estimators, names, branches, **options):
    """Average the estimated gradient over every joint outcome of binary nodes.

    `names` are the sampled nodes, upstream first; `branches[name]` is how many values
    one row draws of it. Each outcome is clamped, weighed with its probability.
    """
    step = scg.compile(graph, estimators)
    total = dict.fromkeys(params, 0.0)
    mass = 0.0
    shapes = [branches[n] for n in names]
    for flat in itertools.product([0, 1], repeat=sum(shapes)):
        given, at = {}, 0
        for name, count in zip(names, shapes, strict=True):
            given[name] = np.array(flat[at : at + count], float)
            at += count
        estimate = step(
            params, rng=np.random.default_rng(0), rows=1, given=given, **options
        )
        p = joint_probability(estimate.trace, graph, names, step)
        mass += p
        for k, g in estimate.gradient.items():
            total[k] = total[k] + p * g
    assert abs(mass - 1) < 1e-12
    return total


def joint_probability(trace, graph, names, step):
    p = 1.0
    for name in names:
        node = graph[name]
        plates = step.program.plates[node.index]
        logits = np.asarray(trace.values[node.inputs[0].index])
        if node.inputs[0].has_rows:
            logits = trace.layout.align(
                logits, step.program.plates[node.inputs[0].index], plates
            )
        q = 1 / (1 + np.exp(-logits))
        p *= float(np.prod(np.where(trace[name] == 1, q, 1 - q)))
    return p


def finite_difference(function, params, step=1e-6):
    """Differentiate an exactly computed function of the params."""
    gradient = {}
    for name, start in params.items():
        value = np.asarray(start, float)
        out = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            shifted = [value.copy(), value.copy()]
            shifted[0][index] += step
            shifted[1][index] -= step
            high, low = (function({**params, name: v}) for v in shifted)
            out[index] = (high - low) / (2 * step)
        gradient[name] = out
    return gradient
