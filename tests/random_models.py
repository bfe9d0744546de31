"""Random models with finite outcomes, written once and run by two interpreters.

`write` says what a model is, on an interpreter: `AsGraph` makes a graph of it, and
`exact_gradient` differentiates, by autograd, the expected cost summed over every joint
outcome. The second shares no code with the package.
"""

import itertools
import math
from dataclasses import dataclass

import autograd
import autograd.numpy as anp
import numpy as np

import scg

SUPPORTS = {
    "bernoulli": np.array([0.0, 1.0]),
    "categorical": np.array([0, 1, 2]),
    "pair": np.array(list(itertools.product([0.0, 1.0], repeat=2))),
}
LENGTH = 2
PICKS = 512


@dataclass(frozen=True)
class Drawn:
    """One discrete sample of a model; one inside the loop is drawn at every step."""

    name: str
    kind: str
    inside: bool

    @property
    def support(self):
        return SUPPORTS[self.kind]


def write(seed, on, *, budget=16, continuous=False):
    """Write model number `seed`, of at most `budget` joint outcomes, on `on`."""
    rng = np.random.default_rng(seed)
    x, s = on.x, on.param("s", rng.normal())
    features, discrete = [x], [x]
    looped, i = False, 0
    while budget > 1 and i < 4:
        kinds = [k for k in SUPPORTS if len(SUPPORTS[k]) <= budget]
        if continuous and (i == 0 or rng.uniform() < 0.4):
            kinds = ["normal", "uniform"]
        if not looped and budget >= 2**LENGTH and rng.uniform() < 0.5:
            looped, budget = True, budget // 2**LENGTH
            features.append(write_loop(rng, on, s, features, continuous))
            continue
        kind = str(rng.choice(kinds))
        budget //= len(SUPPORTS.get(kind, [0]))
        fresh = write_sample(rng, on, f"d{i}", kind, s, features)
        if kind in SUPPORTS:
            discrete.append(fresh)
        features.append(fresh)
        write_cost(rng, on, f"c{i}", s, features, discrete)
        i += 1
    product = 1 + np.tanh(0.3) * on.np.tanh(s) * x
    for f in features[1:]:
        product = product * (1 + rng.normal() * f)
    on.cost("all", product)
    on.cost("penalty", 0.1 * s**2)


def mix(rng, on, s, features, chance=0.6):
    """Add up some of the features, some of them bent or scaled by a param."""
    total = None
    for f in features:
        if rng.uniform() > chance:
            continue
        term = rng.normal() * f
        if rng.uniform() < 0.4:
            term = on.np.tanh(term) + 0.2 * term  # two ways that meet again
        if rng.uniform() < 0.4:
            term = term * on.np.tanh(s)
        total = term if total is None else total + term
    return total


def write_sample(rng, on, name, kind, s, features):
    """Draw from logits of params and some features; return a number a row."""
    shape = {"categorical": (3,), "pair": (2,)}.get(kind, ())
    location = on.param(f"t {name}", rng.normal(size=shape))
    h = mix(rng, on, s, features)
    weights = rng.normal(size=shape)
    on.value(f"v {name}", on.own_param(f"phi {name}"), 1 + 0.3 * sum(features))
    if h is not None:
        location = location + (h[:, None] * weights if shape else h * weights)
    drawn = on.sample(name, kind, location)
    if kind == "categorical":
        return on.np.where(drawn == 1, weights[0], weights[1] * drawn)
    return on.np.sum(drawn * weights, axis=-1) if kind == "pair" else drawn


def write_cost(rng, on, name, s, features, discrete):
    """Perhaps add a cost: smooth, of a param directly, or of a black box."""
    h = mix(rng, on, s, features)
    if h is None or rng.uniform() < 0.3:
        return
    if rng.uniform() < 0.4:
        seen = [f for f in discrete if rng.uniform() < 0.7] or discrete[-1:]
        box = on.black_box(lambda *u: np.floor(3 * np.sin(sum(u) + 0.3)), seen)
        on.cost(name, box * (1 + on.np.sin(h)) if rng.uniform() < 0.5 else box)
    else:
        on.cost(name, (h - rng.normal()) ** 2 + s * rng.normal())


def write_loop(rng, on, s, features, continuous):
    """Write a short loop with one sample and one cost; return its last carry."""
    theta, phi = on.param("t loop", rng.normal()), on.own_param("phi")
    a, b, style = rng.normal(), rng.normal(), rng.integers(3)
    smooth = continuous and rng.uniform() < 0.5

    def step(h):
        on.value("v loop", phi, 1 + 0.3 * h)
        if smooth:
            z = on.sample("loop", "normal", theta + b * on.np.sin(h))
        else:
            z = on.sample("loop", "bernoulli", theta + b * on.np.sin(h))
        on.cost("loop cost", (z - a) ** 2 * (1 + 0.3 * h) * (1 + 0.1 * s))
        return (z + 0.5 * h, on.np.tanh(s * h + z), z * (1 + s))[style]

    start = features[-1] if rng.uniform() < 0.7 else features[0]
    return on.scan(step, start * 1.0)


class AsGraph:
    """Make a graph. With `pick`, each row can have params of its own.

    A gradient for each row is then one run: params are tables, and a sample that
    is given picks the entry, so that the gradient's entries are those of the rows.
    """

    np = np

    def __init__(self, *, pick=False, values=False, dtype=np.float64):
        self.graph = scg.Graph(dtype=dtype)
        self.values, self.drawn, self.params = values, [], {}
        self.pathwise, self.count = [], 0
        self.x = self.graph.input("x")
        flat = scg.Categorical(logits=np.zeros(PICKS))
        self.pick = self.graph.sample("pick", flat) if pick else None

    def param(self, name, value):
        self.params[name] = value = np.asarray(value)
        if self.pick is None:
            return self.graph.param(name, value)
        table = np.broadcast_to(value, (PICKS, *value.shape)).copy()
        return self.graph.param(name, table)[self.pick]

    def sample(self, name, kind, location):
        if kind in SUPPORTS:
            self.drawn.append(Drawn(name, kind, self.graph.store.loop is not None))
            family = scg.Categorical if kind == "categorical" else scg.Bernoulli
            return self.graph.sample(name, family(logits=location))
        self.pathwise.append(name)
        if kind == "normal":
            width = np.exp(0.1 * location)
            return self.graph.sample(name, scg.Normal(mean=location, scale=width))
        uniform = scg.Uniform(low=location, high=location + 1.5)
        return self.graph.sample(name, uniform)

    def own_param(self, name):
        return self.graph.param(name, 0.4) if self.values else None

    def value(self, name, phi, feature):
        if self.values:
            self.graph.value(name, phi * feature)

    def cost(self, name, value):
        self.graph.cost(name, value)

    def black_box(self, fn, features):
        return scg.black_box(fn, (), float)(*features)

    def scan(self, step, carry):
        return self.graph.scan(step, carry, length=LENGTH)[0]


class AsSum:
    """Sum the costs and log-probabilities of given outcomes, differentiably."""

    np = anp

    def __init__(self, params, x, outcomes, noise):
        self.params, self.outcomes, self.noise = params, outcomes, noise
        count = len(next(iter(outcomes.values()))) if outcomes else 1
        self.x = np.full(count, x)
        self.log_p = self.total = np.zeros(count)
        self.suffix = ""

    def param(self, name, _):
        return self.params[name]

    def sample(self, name, kind, location):
        if kind not in SUPPORTS:
            noise = self.noise[name + self.suffix]
            if kind == "normal":
                return location + anp.exp(0.1 * location) * noise + 0 * self.x
            return location + 1.5 * noise + 0 * self.x
        value = self.outcomes[name + self.suffix]
        if kind == "categorical":
            log_p = location - anp.log(
                anp.sum(anp.exp(location), axis=-1, keepdims=True)
            )
            term = anp.sum(np.eye(3)[value] * log_p, axis=-1)
        else:
            term = -anp.log(1 + anp.exp((1 - 2 * value) * location))
            term = anp.sum(term, axis=-1) if kind == "pair" else term
        self.log_p = self.log_p + term
        return value

    def own_param(self, name):
        return None

    def value(self, name, phi, feature):
        pass

    def cost(self, name, value):
        self.total = self.total + value

    def black_box(self, fn, features):
        return fn(*features)

    def scan(self, step, carry):
        for t in range(LENGTH):
            self.suffix = f"@{t}"
            carry = step(carry)
        self.suffix = ""
        return carry


def joint(sizes):
    """List every combination of choices from sets of these sizes, one column each."""
    return np.indices(sizes).reshape(len(sizes), math.prod(sizes))


def exact_gradient(seed, x, *, noise=None, **options):
    """Differentiate the exact expected cost of one row."""
    model = AsGraph()
    write(seed, model, **options)
    slots = [
        (d.name + suffix, d.support)
        for d in model.drawn
        for suffix in ([f"@{t}" for t in range(LENGTH)] if d.inside else [""])
    ]
    chosen = joint([len(support) for _, support in slots])
    outcomes = {
        name: support[k] for (name, support), k in zip(slots, chosen, strict=True)
    }

    def expected_cost(params):
        run = AsSum(params, x, outcomes, noise or {})
        write(seed, run, **options)
        return anp.sum(anp.exp(run.log_p) * run.total)

    return autograd.grad(expected_cost)(model.params)
