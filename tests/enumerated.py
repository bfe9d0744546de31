"""Models written once, run twice: as graphs, and by enumeration with autograd alone.

A model is a function ``write(params, sample, cost)``. Given the methods of a graph it
builds one; given those of `Outcome` it runs on autograd's values for one joint outcome.
Nothing of the library takes part in the second.
"""

import itertools

import autograd.numpy as anp
import numpy as np
from autograd import jacobian

import scg


class Outcome:
    """A joint outcome of binary samples, or many: log-probability and cost."""

    def __init__(self, values):
        self.values = values
        self.log_prob = 0.0
        self.total = 0.0

    def sample(self, name, logits):
        b = self.values[name]
        self.log_prob = self.log_prob - anp.log(1 + anp.exp(-(2 * b - 1) * logits))
        return b

    def cost(self, name, value):
        self.total = self.total + value


def every_outcome(names):
    """Return the values of every sample in all joint outcomes, one array each."""
    values = np.array(list(itertools.product([0.0, 1.0], repeat=len(names)))).T
    return dict(zip(names, values, strict=True))


def outcomes(names, count):
    """List every joint outcome of `count` independent runs of binary samples."""
    for flat in itertools.product([0.0, 1.0], repeat=count * len(names)):
        yield dict(zip(names, np.reshape(flat, (len(names), count)), strict=True))


def graph_of(write, params):
    graph = scg.Graph()
    nodes = {name: graph.param(name, value) for name, value in params.items()}
    write(
        nodes,
        lambda name, logits: graph.sample(name, scg.Bernoulli(logits=logits)),
        graph.cost,
    )
    return graph


def expected_cost(write, names):
    """Return the exactly expected cost, a function of a dict of params."""

    def function(params):
        run = Outcome(every_outcome(names))
        write(params, run.sample, run.cost)
        return anp.sum(anp.exp(run.log_prob) * run.total)

    return function


def probability(write, params, outcome):
    """Return the probability of an outcome of independent runs."""
    run = Outcome(outcome)
    write(params, run.sample, run.cost)
    return float(np.exp(np.sum(run.log_prob)))


def expected_surrogate(write, params, estimators, *, rows=1, samples=1, **options):
    """Return the mean over all outcomes of the surrogate loss, a function of params."""
    graph = graph_of(write, params)
    losses = []
    for outcome in outcomes(list(estimators), rows * samples):
        trace = scg.forward(
            graph,
            params,
            estimators=estimators,
            rng=np.random.default_rng(0),
            rows=rows,
            samples=samples,
            given=outcome,
        )
        loss = scg.surrogate_loss(graph, trace, estimators, **options)
        losses.append((probability(write, params, outcome), loss))
    assert abs(sum(p for p, _ in losses) - 1) < 1e-12
    return lambda now: sum(p * loss(now) for p, loss in losses)


def derivative(function, params, order):
    """Differentiate a function of a dict of numbers `order` times, on a flat vector."""
    names = list(params)

    def flat(x):
        return function({name: x[i] for i, name in enumerate(names)})

    for _ in range(order):
        flat = jacobian(flat)
    return flat(np.array([params[name] for name in names], float))
