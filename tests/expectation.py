"""The exact expectation of an estimate: every joint outcome, run and weighed.

`expected_at_once` runs all outcomes together: a model made with ``pick=True`` has a
copy of its params for each, so that the gradient's entries are the single estimates.
Outcomes are then rows, which are independent of each other; where the estimator mixes
rows they are samples. `expected_one_by_one` runs the model as it is, once an outcome.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from cases import choices
from random_models import LENGTH, PICKS, AsGraph, exact_gradient, joint, write

import scg

XS = (0.7, -0.4)
TOLERANCE = 1e-9
exact = functools.cache(exact_gradient)


@functools.cache
def written(seed, *, pick, values, continuous, budget):
    """Write a model as a graph, once for all cases."""
    model = AsGraph(pick=pick, values=values)
    write(seed, model, continuous=continuous, budget=budget)
    return model


@dataclass
class Outcomes:
    """All joint outcomes: `values` have shape (outcomes, steps, copies, branches)."""

    model: AsGraph
    step: object
    case: object
    values: dict
    count: int

    def run(self, which):
        """Run some of the outcomes; return the estimate and their probabilities."""
        case, count, inputs = self.case, len(which), {}
        given = {n: self.folded(n, v[which]) for n, v in self.values.items()}
        state = {}
        for d in self.model.drawn if case.averages else []:
            state |= {f"{d.name}/mean": np.array(0.7), f"{d.name}/weight": 0.9}
        rows = XS[: case.copies] if case.as_rows else np.full(count, XS[0])
        inputs["x"] = np.array(rows)
        estimate = self.step(
            self.model.graph.init(np.random.default_rng(0)),
            inputs,
            rng=np.random.default_rng(0),
            samples=count if case.as_rows else case.copies,
            given=given,
            state=state,
        )
        names = [n for n in self.values if n != "pick"]
        terms = [self.log_p(estimate.trace, name, count) for name in names]
        return estimate, np.broadcast_to(np.exp(sum(terms)), (count,))

    def folded(self, name, value):
        """Lay values out as a trace does."""
        order = (1, 2, 0, 3) if self.case.as_rows else (1, 0, 2, 3)
        value = value.transpose(*order, *range(4, value.ndim))
        value = value.reshape(len(value), -1, *value.shape[4:])
        return value if self.model.graph[name].loop else value[0]

    def log_p(self, trace, name, count):
        """Return the log-probability of one sample's values in each outcome."""
        program, case = self.step.program, self.case
        node = program.node(name)
        parameter = trace.values[node.inputs[0].index]
        if node.inputs[0].has_rows and node.loop is None:
            have = program.plates[node.inputs[0].index]
            parameter = trace.layout.align(parameter, have, program.plates[node.index])
        terms = np.asarray(node.role.at([parameter]).log_prob(trace[name]))
        lead = LENGTH if node.loop else 1
        if case.as_rows:
            return terms.reshape(lead, case.copies, count, -1).sum(axis=(0, 1, 3))
        return terms.reshape(lead, count, -1).sum(axis=(0, 2))


def lay_out(model, seed, case):
    """Choose estimators until the joint outcomes are few enough, and list these."""
    for attempt in range(30):
        chosen = choices(case, model.drawn, (seed, attempt))
        chosen |= dict.fromkeys(model.pathwise, scg.Pathwise())
        step = scg.compile(model.graph, chosen)
        free = [d for d in model.drawn if not chosen[d.name].lays_out]
        shapes = [slots(d, step.program, case) for d in free]
        sizes = [
            len(d.support) ** math.prod(shape)
            for d, shape in zip(free, shapes, strict=True)
        ]
        if math.prod(sizes) <= PICKS and case.wants(chosen):
            break
    count = math.prod(sizes)
    assert count <= PICKS
    values = {}
    for d, shape, column in zip(free, shapes, joint(sizes), strict=True):
        each = joint([len(d.support)] * math.prod(shape)).T[column]
        values[d.name] = d.support[each.reshape(count, *shape)]
    if model.pick is not None:
        each = np.arange(count)[:, None, None, None]
        values["pick"] = np.broadcast_to(each, (count, 1, case.copies, 1))
    return Outcomes(model, step, case, values, count)


def slots(drawn, program, case):
    """Tell how many values one outcome has of a sample: steps, copies, branches."""
    plates = program.plates[program.names[drawn.name]]
    branches = [program.branching[p] for p in plates if p in program.branching]
    return LENGTH if drawn.inside else 1, case.copies, math.prod(branches)


def expected_at_once(seed, case):
    """Return the expected gradient of a model, by one run."""
    model = written(seed, pick=True, values=case.learns, continuous=False, budget=16)
    laid_out = lay_out(model, seed, case)
    estimate, p = laid_out.run(range(laid_out.count))
    assert abs(p.sum() - 1) < 1e-12
    return {
        name: np.tensordot(p, estimate.gradient[name][: len(p)], 1) * len(p)
        for name in model.params
    }


def expected_one_by_one(seed, case, *, continuous, budget):
    """Return the expected gradient, and the noise of what is not discrete."""
    model = written(
        seed, pick=False, values=case.learns, continuous=continuous, budget=budget
    )
    laid_out = lay_out(model, seed, case)
    runs = [laid_out.run([k]) for k in range(laid_out.count)]
    assert abs(sum(p[0] for _, p in runs) - 1) < 1e-12
    gradient = {
        name: sum(p[0] * estimate.gradient[name] for estimate, p in runs)
        for name in model.params
    }
    noises = [noise_by_name(model, estimate.trace) for estimate, _ in runs]
    assert all(noise == noises[0] for noise in noises)
    return gradient, noises[0]


def noise_by_name(model, trace):
    """Return the noise of the pathwise samples, ``@t`` after the name in a loop."""
    found = {}
    for name in model.pathwise:
        node = model.graph[name]
        noise = trace.noise[node.index]
        for t, e in enumerate(noise if node.loop else [noise]):
            found[f"{name}@{t}" if node.loop else name] = e.item()
    return found


def error_at_once(seed, case):
    """Compare the expected estimate with the derivative of the expected cost."""
    rows = XS[: case.copies] if case.as_rows else XS[:1]
    return distance(expected_at_once(seed, case), [exact(seed, x) for x in rows])


def distance(found, rows):
    """Return the largest difference from the mean of the rows' gradients."""
    return max(
        np.abs(found[name] - np.mean([row[name] for row in rows], axis=0)).max()
        for name in found
    )
