r"""A variational autoencoder with bits for its code, by any estimator.

Problem. A sigmoid belief network draws 200 bits and paints an image x of black and
white pixels with them; an inference network q says which bits an image may have come
from. Both are trained on a bound on the negative log-likelihood, in nats an image:

.. math:: -\log p(x) \le \mathbb E_{q(h \mid x)}\bigl[-\log p(x \mid h)\bigr]
          + \mathrm{KL}\bigl(q(h \mid x) \,\|\, p(h)\bigr).

The costs are the two terms. The divergence has a closed form, so no sample influences
it and gradient reaches it by differentiation alone; only the pixels are credited to
the bits. With ``--layers 2`` the same holds layer by layer: the upper bits are
credited with what they say about the lower ones, and not with the pixels. ``--drawn``
puts the densities of the samples in the place of closed forms, credited as usual.

Which estimator takes the gradient past the bits is ``--estimator``; the model does not
change. Where the table below says ``bound``, the objective is that of two importance
samples, which is made of whole runs: densities then take the place of closed forms.

Images are binarised anew at every step, those for testing once. ``python
examples/discrete_vae.py`` learns scikit-learn's digits, ``--data mnist`` MNIST.
All estimators beside each other: examples/discrete_vae_compare.py, of which
docs/results/discrete-vae.md shows what came out.

Mnih & Gregor 2014, "Neural variational inference and learning in belief networks".
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import digits
import numpy as np

import scg

PIXELS = 28 * 28


@dataclass(frozen=True)
class Method:
    """An estimator for every layer, and how often the pixels are painted a step."""

    make: Callable[[int], Any]
    """Give the estimator of a layer."""
    samples: int = 2
    evaluations: int = 2
    """Of the decoder for each image; every draw, smooth draw and mean is one."""
    bound: bool = False


def score(baseline: scg.AbstractBaseline, **options: Any) -> Method:
    return Method(lambda layer: scg.ScoreFunction(baseline=baseline), **options)


def one(make: Callable[[], Any], **options: Any) -> Method:
    return Method(lambda layer: make(), **options)


def nvil(layer: int) -> scg.ScoreFunction:
    learned = scg.LearnedBaseline(f"learned{layer}", centre=True)
    return scg.ScoreFunction(baseline=learned)


# Temperatures are those of the least noise, or of the best bound, of those tried;
# coefficients are fitted or learned. See docs/results/discrete-vae.md.
METHODS = {
    "no-baseline": score(scg.NoBaseline()),
    "moving-average": score(scg.MovingAverage()),
    "nvil": Method(nvil),
    "leave-one-out": score(scg.LeaveOneOut()),
    "arm": one(scg.ARM, samples=1),
    "disarm": one(scg.DisARM, samples=1),
    "muprop": one(partial(scg.MuProp, coefficient=None), samples=1),
    "rebar": one(partial(scg.REBAR, temperature=0.1), samples=1, evaluations=3),
    "relax": Method(lambda i: scg.RELAX(coefficient=f"learned{i}", temperature=0.1)),
    "straight-through": one(scg.StraightThrough),
    "gumbel-softmax": one(partial(scg.GumbelSoftmax, temperature=0.2)),
    "vimco": score(scg.NoBaseline(), bound=True),
}


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    seed: int = 0
    data: str = "small"
    """``small``, ``mnist`` or a path."""
    estimator: str = "disarm"
    layers: int = 1
    units: int = 200
    """Bits of a layer."""
    drawn: bool = False
    """Whether densities of the samples take the place of closed forms."""
    rows: int = 100
    """Images of a step."""
    num_steps: int = 4000
    learning_rate: float = 1e-3
    test_every: int = 500


def build(config: Config, mean: np.ndarray) -> scg.Graph:
    """Write the model, given the mean of the images."""
    graph = scg.Graph("sigmoid belief network", dtype=np.float32)
    drawn, units = config.drawn or METHODS[config.estimator].bound, config.units
    x = graph.input("x", PIXELS)

    usual = np.clip(mean, 1e-3, 1 - 1e-3)
    usual = np.log(usual / (1 - usual))
    start = np.append(surprise(usual, mean), np.zeros(units))

    seen, q, h = x - graph.constant(mean), {}, {}
    for i in range(1, config.layers + 1):
        if config.estimator == "nvil":
            graph.value(f"learned{i}", expectation(graph, i, seen, 1)[:, 0])
        elif config.estimator == "relax":
            learned = expectation(graph, i, seen, units + 1, exactly(start))
            graph.value(f"learned{i}", learned)
        q[i] = linear(graph, f"encode{i}", seen, units)
        h[i] = graph.sample(f"h{i}", scg.Bernoulli(logits=q[i]))
        seen = 2 * h[i] - 1

    prior = graph.param("prior", np.zeros(units))
    for i in range(1, config.layers + 1):
        top, law = i == config.layers, scg.Bernoulli(logits=q[i])
        p = prior if top else linear(graph, f"decode{i + 1}", 2 * h[i + 1] - 1, units)
        if top and not drawn:
            kl = law.kl(scg.Bernoulli(logits=prior))
            graph.cost(f"divergence{i}", np.sum(kl, axis=-1))
        else:
            entropy = surprise(q[i], h[i]) if drawn else np.sum(law.entropy(), axis=-1)
            graph.cost(f"entropy{i}", -entropy)
            graph.cost(f"bits{i}", surprise(p, h[i]))
    pixels = linear(graph, "decode1", 2 * h[1] - 1, PIXELS, exactly(usual))
    graph.cost("pixels", surprise(pixels, x))
    return graph


def exactly(values):
    """Return an initializer that draws nothing."""
    return lambda shape: lambda rng: values


def linear(graph, name, x, columns, bias=scg.nn.zeros):
    """Return a layer's logits."""
    rows = x.shape[-1]
    layer = scg.nn.dense(graph, name, rows, columns, weights=scg.nn.lecun, bias=bias)
    return layer(x)


def expectation(graph, i, x, columns, start=scg.nn.zeros):
    """Return what an estimator learns to expect of an image: a network of its own."""
    hidden = np.tanh(linear(graph, f"own{i}.look", x, 100))
    return linear(graph, f"own{i}.expect", hidden, columns, start)


def surprise(logits, bits):
    """Return -log p of bits, or the cross-entropy of what lies between 0 and 1."""
    return np.sum(scg.softplus(logits) - bits * logits, axis=-1)


def stepper(config: Config, graph: scg.Graph) -> Callable[..., scg.Estimate]:
    """Return what estimates the gradient, with the samples its method asks for."""
    method = METHODS[config.estimator]
    layers = range(1, config.layers + 1)
    estimators = {f"h{i}": method.make(i) for i in layers}
    if method.bound:
        whole = partial(scg.estimate_bound_gradient, graph, estimators=estimators)
    else:
        whole = scg.compile(graph, estimators)

    def step(params, inputs, *, rng, state=None, **_):
        known = {} if method.bound else {"state": state}
        return whole(params, inputs, rng=rng, samples=method.samples, **known)

    return step


def binarise(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw each pixel, black or white, from its grey."""
    return (rng.random(images.shape, np.float32) < images).astype(np.float32)


def bound(graph, params, images, rng) -> float:
    """Return the bound, in nats an image, with one draw of hard bits for each."""
    params = {node.name: params[node.name] for node in graph.params}
    costs, total = [n.name for n in graph.nodes if n.kind == "cost"], 0.0
    for some in np.array_split(images, -(-len(images) // 1000)):
        trace = scg.forward(graph, params, {"x": some}, rng=rng)
        total += sum(float(trace[name].sum(dtype=np.float64)) for name in costs)
    return total / len(images)


def train(config: Config, *callbacks: Any) -> tuple[list[dict], scg.FitResult]:
    """Fit; return the bound on test images now and then, and what `scg.fit` returns."""
    data = digits.read(config.data)
    print(f"{config.estimator}; {data.source}", flush=True)
    train, test = (x.reshape(-1, PIXELS) for x in (data.train, data.test))
    test = binarise(test, np.random.default_rng(0))
    graph = build(config, train.mean(axis=0))
    plain = build(replace(config, estimator="disarm"), train.mean(axis=0))
    records = []

    def some(rng, step):
        return {"x": binarise(train[rng.integers(len(train), size=config.rows)], rng)}

    def look(report):
        if report.step % config.test_every and report.step != config.num_steps:
            return
        found = bound(plain, report.params, test, np.random.default_rng(1))
        seconds = round(report.seconds, 2)
        records.append({"step": report.step, "seconds": seconds, "bound": found})
        print(f"step {report.step}, {seconds} s: {found:.2f} nats", flush=True)

    rng = np.random.default_rng(config.seed)
    return records, scg.fit(
        stepper(config, graph),
        graph.init(rng),
        optimizer=scg.adam(config.learning_rate),
        rng=rng,
        num_steps=config.num_steps,
        data=some,
        log_every=config.test_every,
        callbacks=[look, *callbacks],
        progress=False,
    )


def add_options(parser: argparse.ArgumentParser, *, but: list[str]) -> None:
    """Add an option for every field, but some."""
    for field in fields(Config):
        name, kind = "--" + field.name.replace("_", "-"), type(field.default)
        if kind is bool:
            parser.add_argument(name, action="store_true")
        elif field.name not in but:
            parser.add_argument(name, type=kind, default=field.default)


def main(config: Config) -> float:
    """Train, and return the bound on the test images, in nats an image."""
    return train(config)[0][-1]["bound"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--estimator", choices=METHODS, default=Config.estimator)
    add_options(parser, but=["estimator"])
    print(f"{main(Config(**vars(parser.parse_args()))):.2f} nats an image")
