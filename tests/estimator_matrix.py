"""The matrix of estimators: families × graphs, with the exact gradient of each.

Every graph has the sample in question, ``x``; a chain has a coin above and a coin
below it, and with "density" the log-probability of the latter is a cost as well.
`write` is run twice: on nodes, and on arrays for every value of the coins and a grid of
values of x, whose density autograd differentiates.
"""

import functools
import itertools
from dataclasses import dataclass

import autograd
import autograd.numpy as anp
import numpy as np

import scg

GRAPHS = ["single", "chain", "density", "diamond"]
LONG = {"chain", "density"}


@dataclass(frozen=True)
class Family:
    """How x is drawn, and a grid of its values with the weights of a quadrature."""

    make: object  # parameters of one row -> distribution
    params: dict
    points: np.ndarray
    weights: np.ndarray
    number: object = lambda np, x: x  # a value as one number a row


def finite(points):
    return points, np.ones(len(points))


def between(low, high, count=300):
    x, w = np.polynomial.legendre.leggauss(count)
    return low + (high - low) * (x + 1) / 2, w * (high - low) / 2


def of_pair(np, x):
    return x[:, 0] * (1.0 + 0.7 * x[:, 1]) - 0.4 * x[:, 1]


def of_vector(np, x):
    return x[:, 0] * 0.3 - x[:, 1] + 0.5 * x[:, 2] * x[:, 2]


def of_category(np, x):
    return np.where(x == 1, -0.9, 0.7 * x - 0.2)


PAIRS = np.array(list(itertools.product([0.0, 1.0], repeat=2)))
LOGITS, VECTOR = {"t": 0.4}, {"t": np.array([0.4, -0.3, 0.1])}
TWO = {"t": np.array([0.4, -0.8])}
FAMILIES = {
    "bernoulli": Family(
        lambda t: scg.Bernoulli(logits=t), LOGITS, *finite(np.array([0.0, 1.0]))
    ),
    "bernoulli by probs": Family(
        lambda t: scg.Bernoulli(probs=scg.sigmoid(t)),
        LOGITS,
        *finite(np.array([0.0, 1.0])),
    ),
    "two bits": Family(lambda t: scg.Bernoulli(logits=t), TWO, *finite(PAIRS), of_pair),
    "categorical": Family(
        lambda t: scg.Categorical(logits=t), VECTOR, *finite(np.arange(3)), of_category
    ),
    "categorical by probs": Family(
        lambda t: scg.Categorical(probs=scg.softmax(t)),
        VECTOR,
        *finite(np.arange(3)),
        of_category,
    ),
    "one hot": Family(
        lambda t: scg.OneHotCategorical(logits=t), VECTOR, *finite(np.eye(3)), of_vector
    ),
    "one hot by probs": Family(
        lambda t: scg.OneHotCategorical(probs=scg.softmax(t)),
        VECTOR,
        *finite(np.eye(3)),
        of_vector,
    ),
    "normal": Family(
        lambda m, s: scg.Normal(mean=m, scale=scg.softplus(s)),
        {"m": 0.3, "s": 0.2},
        *between(-9, 9),
    ),
    "normal by log scale": Family(
        lambda m, s: scg.Normal(mean=m, log_scale=s),
        {"m": 0.3, "s": -0.2},
        *between(-9, 9),
    ),
    "normal of a fixed scale": Family(
        lambda m: scg.Normal(mean=m, scale=0.8), {"m": 0.3}, *between(-9, 9)
    ),
    "poisson": Family(
        lambda t: scg.Poisson(log_rate=t), {"t": 0.2}, *finite(np.arange(40.0))
    ),
    "poisson by rate": Family(
        lambda t: scg.Poisson(rate=scg.softplus(t)),
        {"t": 0.2},
        *finite(np.arange(40.0)),
    ),
    "exponential": Family(
        lambda t: scg.Exponential(rate=scg.softplus(t)), {"t": 0.9}, *between(0, 60)
    ),
    "exponential by log rate": Family(
        lambda t: scg.Exponential(log_rate=t), {"t": 0.3}, *between(0, 60)
    ),
    "gamma": Family(
        lambda t: scg.Gamma(concentration=2.5, rate=scg.softplus(t)),
        {"t": 1.1},
        *between(0, 60),
    ),
}


def write(np, graph, family, params, sample, cost):
    """Write one of the graphs; `sample` draws, `cost` adds a cost."""
    start, a = dict(family.params), 0.0
    own = {name: params[name] for name in start}
    if graph in LONG:
        a = sample("a", scg.Bernoulli(logits=params["up"]))
        cost("of a", 0.3 * a)
        own = {k: v + 0.8 * _like(np, a, v) for k, v in own.items()}
    x = family.number(np, sample("x", family.make(*own.values())))
    bounded = np.tanh(0.5 * x)
    if graph == "diamond":
        left, right = np.sin(x), bounded * params["w"]
        cost("meeting", (left + right - 0.2) ** 2 + np.cos(right))
        return
    cost("of x", (bounded - 0.45) ** 2 * (1 + params["w"]) + 0.5 * a * bounded)
    if graph in LONG:
        below = scg.Bernoulli(logits=params["w"] + 1.5 * bounded - a)
        d = sample("d", below)
        cost("of d", d * (1 - bounded) + 0.4 * a * d)
        if graph == "density":
            cost("density of d", 0.2 * below.log_prob(d))
    elif graph == "single":
        cost("again", 0.2 * x)


def _like(np, a, v):
    """Give a coin an axis for the entries of a parameter, where it has several."""
    return a if np.ndim(v) < 2 else np.expand_dims(a, 1)


START = {"up": 0.3, "w": 0.6}


def start_of(graph, family):
    used = ["up", "w"] if graph in LONG else ["w"]
    return {**family.params, **{k: START[k] for k in used}}


@functools.cache
def table_graph(graph, name, rows, prefix="", dtype=np.float64):
    """Write a graph whose rows each have params of their own.

    The entries of the gradient, times the number of rows, are single estimates.
    """
    family, model = FAMILIES[name], scg.Graph()
    row = model.input("row", dtype=np.int64)
    params = {}
    for key, value in start_of(graph, family).items():
        start = np.asarray(value, dtype)
        table = np.broadcast_to(start, (rows, *start.shape)).copy()
        params[key] = model.param(prefix + key, table)[row]
    write(
        np,
        graph,
        family,
        params,
        lambda name, distribution: model.sample(prefix + name, distribution),
        lambda name, node: model.cost(prefix + name, node),
    )
    return model


def single_estimates(
    graph, name, estimators, rows, *, seed=0, prefix="", dtype=np.float64, step=None
):
    """Return each row's estimate of the gradient, and the run."""
    model = table_graph(graph, name, rows, prefix, dtype)
    named = {prefix + k: e for k, e in estimators.items() if prefix + k in names(model)}
    step = (step or scg.compile)(model, named)
    estimate = step(
        model.init(np.random.default_rng(0)),
        {"row": np.arange(rows)},
        rng=np.random.default_rng(seed),
    )
    gradient = {k[len(prefix) :]: rows * g for k, g in estimate.gradient.items()}
    return gradient, estimate


def names(model):
    return {node.name for node in model.store.nodes}


@functools.cache
def exact(graph, name):
    """Differentiate the expected cost of one row."""
    family = FAMILIES[name]
    chosen = np.indices((2, len(family.points), 2)).reshape(3, -1)
    weights = family.weights[chosen[1]]
    if graph not in LONG:
        keep = (chosen[0] == 0) & (chosen[2] == 0)
        chosen, weights = chosen[:, keep], weights[keep]
    values = {
        "a": chosen[0] * 1.0,
        "x": family.points[chosen[1]],
        "d": chosen[2] * 1.0,
    }
    count = len(weights)

    def expected_cost(params):
        rows = {k: v + np.zeros((count, *np.shape(v))) for k, v in params.items()}
        log_p, total = [], []

        def sample(name, distribution):
            each = distribution.log_prob(values[name])
            log_p.append(anp.sum(anp.reshape(each, (count, -1)), axis=1))
            return values[name]

        write(anp, graph, family, rows, sample, lambda name, c: total.append(c))
        return anp.sum(weights * anp.exp(sum(log_p)) * sum(total))

    start = {k: np.asarray(v, float) for k, v in start_of(graph, family).items()}
    return autograd.grad(expected_cost)(start)
