"""Foveal glimpses: a network that decides where to look, and so reads a digit.

"Recurrent Models of Visual Attention" (Mnih, Heess, Graves and Kavukcuoglu, 2014). A
retina sees a small patch of an image. A recurrent network takes in one glimpse after
the other, says each time where to look next, and after the last one names the digit:

    g_t = relu(W relu(W ρ(x, l_t)) + W relu(W l_t))         glimpse
    h_t = relu(W h_{t-1} + W g_t)                           core
    l_{t+1} ~ Normal(tanh(W h_t), σ)                        where to look next
    p(digit) = softmax(W h_T)                               decision

Each W is another one, with a bias. The retina ρ has no derivative. Cross-entropy trains
the decision and what it is made from by back-propagation; the locator is trained by the
score function alone. The last location is never looked at: it influences no cost, and
the graph finds that out.

``python examples/glimpse.py --data mnist`` learns and ends with the errors on the test
images; it goes on where it stopped. ``--test`` draws what is looked at. Needs ``pip
install -e '.[digits,train]'`` (docs/results/glimpse.md).
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a second one gains little here

import numpy as np
from glimpse_pictures import draw_errors, draw_glimpses
from glimpse_retina import make_retina, sums
from glimpse_tasks import SIZES, Clock, Images, load
from options import check, of_fields, plain_errors

import scg
from scg import nn
from scg.extras import require
from scg.method import GradientStep
from scg.schedules import cosine


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    task: str = "plain"
    """Or "translated", "cluttered": somewhere in 60×60 pixels."""
    data: str = "small"
    """What `digits.read` reads."""
    glimpses: int = 6
    patch: int = 8
    scales: int = 1
    deviation: float = 0.09
    """Of a location about its mean, where an image is 2 wide."""
    credit: str = "both"
    """Locations are credited with "both" costs, or "wrong": the published reward."""
    batch: int = 90
    copies: int = 4
    """Of each image: the others' costs are the baseline. With 1, it is learnt."""
    epochs: int = 20
    learning_rate: float = 1e-3
    """At the start; it falls to 0 along half a cosine."""
    held_out: int = 0
    """The last so many training images are the test: to choose these numbers."""
    seed: int = 0
    folder: str = "runs/glimpse"
    resume: bool = True

    def __post_init__(self) -> None:
        known = {"task": SIZES, "credit": ("both", "wrong")}
        ones = ("glimpses", "patch", "scales", "batch", "copies", "epochs")
        least = dict.fromkeys(ones, 1) | {"deviation": 1e-9}
        check(self, known, least | {"learning_rate": 0, "held_out": 0, "seed": 0})

    def settings(self, source: str) -> dict:
        """Return what makes a run another one: all but where it is and its data are."""
        elsewhere = ("data", "folder", "resume")
        own = {k: v for k, v in asdict(self).items() if k not in elsewhere}
        return own | {"source": source}


def layer(graph: scg.Graph, name: str, inputs: int, units: int, weights=nn.he):
    """Make a layer that begins as suits a ReLU."""
    return nn.dense(graph, name, inputs, units, weights=weights)


def make_core(graph: scg.Graph, pixels: int):
    """Return what takes a glimpse in: from h, what is seen, and where, the next h."""
    what, where = layer(graph, "what", pixels, 128), layer(graph, "where", 2, 128)
    from_what = layer(graph, "from what", 128, 256)
    from_where = layer(graph, "from where", 128, 256)
    from_past = layer(graph, "from past", 256, 256)
    from_glimpse = layer(graph, "from glimpse", 256, 256)

    def core(h, seen, at):
        h_g, h_l = np.maximum(what(seen), 0), np.maximum(where(at), 0)
        g = graph.rename("g", np.maximum(from_what(h_g) + from_where(h_l), 0))
        return graph.rename("h", np.maximum(from_past(h) + from_glimpse(g), 0))

    return core


def build(config: Config) -> scg.Graph:
    """Write the model."""
    graph = scg.Graph(f"glimpses, {config.task}", dtype=np.float32)
    pixels, size = config.scales * config.patch**2, SIZES[config.task]
    small = functools.partial(nn.normal, std=0.01)
    core = make_core(graph, pixels)
    locator = layer(graph, "locator", 256, 2, small)
    decision = layer(graph, "decision", 256, 10)
    learnt = config.copies == 1
    expected = layer(graph, "expected", 256, 1, small) if learnt else None

    image = graph.input("image", (size, size), np.uint8)
    label = graph.input("label", dtype=int)
    table = scg.black_box(sums, (size + 1, size + 1), name="sums")(image)
    shape = (config.scales, config.patch, config.patch)
    retina = scg.black_box(make_retina(config.patch, config.scales), shape, name="seen")

    def step(carry):
        h, at = carry
        h = core(h, retina(table, at).reshape(-1, pixels), at)
        fixed = scg.stop_gradient(h)  # what decides where to look does not train h
        if expected:
            graph.value("expected cost", expected(fixed)[:, 0])
        mean = np.tanh(locator(fixed))
        location = graph.sample("location", scg.Normal(mean, config.deviation))
        # It is credited as it was drawn; only what is looked at is cut off.
        return h, graph.rename("next", np.clip(location, -1, 1))

    start = (np.zeros(256, np.float32), graph.input("start", 2))
    (h, _), _ = graph.scan(step, start, length=config.glimpses)
    logits = graph.rename("logits", decision(h))
    graph.cost("cross-entropy", -scg.Categorical(logits=logits).log_prob(label))
    fixed = scg.stop_gradient(logits)
    graph.cost("wrong", scg.black_box(is_wrong, name="is wrong")(fixed, label))
    if config.credit == "wrong":  # takes the cross-entropy out of the sum of costs
        graph.cost("uncredited", scg.Categorical(logits=fixed).log_prob(label))
    return graph


def is_wrong(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return 1 where another digit is the likeliest: the reward is what is missing."""
    return logits.argmax(axis=1) != label


@functools.lru_cache(maxsize=2)
def compiled(config: Config):
    """Return the graph, bound to its estimator, and itself."""
    graph = build(config)
    learnt = config.copies == 1
    baseline = scg.LearnedBaseline("expected cost") if learnt else scg.LeaveOneOut()
    estimators = {"location": scg.ScoreFunction(baseline=baseline)}
    return scg.compile(graph, estimators), graph


def learner(config: Config, train: Images):
    """Return the graph, what a step of training is, and the steps in an epoch."""
    model, graph = compiled(config)
    each = max(1, len(train.labels) // config.batch)

    @functools.lru_cache(maxsize=1)
    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([config.seed, epoch])
        return rng.permutation(len(train.labels))

    def data(rng: np.random.Generator, step: int):
        begin = step % each * config.batch
        chosen = order(step // each)[begin : begin + config.batch]
        return train.batch(chosen, rng)

    rate = cosine(config.learning_rate, 0.0, config.epochs * each)
    optimizer = scg.chain(scg.clip_by_global_norm(5.0), scg.adam(rate))
    return graph, GradientStep(model, optimizer, data, samples=config.copies), each


def look(config: Config, params: dict, inputs: dict, where: str, rng):
    """Run the model once on each image, with locations "sampled", "mean" or "random".

    Mean locations are samples whose deviation is next to nothing.
    """
    if where == "mean":
        config = replace(config, deviation=1e-9)
    given = None
    if where == "random":
        shape = (config.glimpses, len(inputs["label"]), 2)
        given = {"location": rng.uniform(-1, 1, shape).astype(np.float32)}
    model, _ = compiled(config)
    return model.forward(params, inputs, rng=rng, given=given, lean=True)


def error(config: Config, params: dict, test: Images, where: str = "sampled") -> float:
    """Return the percentage of images that are read wrongly, in one run each."""
    rng, wrong = np.random.default_rng(1000 + config.seed), 0.0
    every = np.arange(len(test.labels))
    for chosen in np.array_split(every, -(-len(every) // 500)):
        inputs = test.batch(chosen, rng)
        wrong += look(config, params, inputs, where, rng)["wrong"].sum()
    return 100 * float(wrong) / len(every)


def show(config: Config, params: dict, test: Images) -> dict[str, float]:
    """Return and log the errors; draw what is looked at in the first test images."""
    errors = {w: error(config, params, test, w) for w in ("sampled", "mean", "random")}
    logging.info("errors in %%: %s", errors)
    rng = np.random.default_rng(config.seed)
    inputs = test.batch(np.arange(min(8, len(test.labels))), rng)
    trace = look(config, params, inputs, "sampled", rng)
    path = Path(config.folder) / "glimpses.png"
    draw_glimpses(path, inputs, trace, config.patch, config.scales)
    return errors


def main(config: Config) -> dict[str, float]:
    """Train; return the errors with sampled, mean and random locations."""
    require("matplotlib.figure", extra="train")  # before the hour, not after it
    train, test = load(config)
    graph, step, each = learner(config, train)
    rng, clock = np.random.default_rng(config.seed), Clock()

    def report(now) -> None:
        if now.step % each == 0:
            found = error(config, now.params, test)
            clock.note(now.step // each, now.seconds, found)

    run = scg.fit(
        step, graph.init(rng), rng=rng, num_steps=config.epochs * each, log_every=each,
        checkpoint=Path(config.folder) / "checkpoints", resume=config.resume,
        extra_state={"record": clock}, callbacks=[report],
        settings=config.settings(train.source),
    )  # fmt: skip
    if run.stopped != "finished":
        return {}
    errors = show(config, run.params, test) | {"processor minutes": clock.minutes()}
    (Path(config.folder) / "errors.json").write_text(json.dumps(errors))
    draw_errors(Path(config.folder) / "errors.png", clock.errors)
    return errors


def retest(given: dict) -> dict[str, float]:
    """Show a run's params, with its settings but for those that are given."""
    folder = Path(given.get("folder", Config.folder)) / "checkpoints"
    params, settings = scg.load_params(folder), scg.load_settings(folder)
    if source := settings.pop("source", None):
        logging.info("trained with %s", source)
    config = Config(**of_fields(Config, settings) | given)
    return show(config, params, load(config)[1])


def parse() -> tuple[dict, bool]:
    """Read the command line; return the fields that are given."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], argument_default=argparse.SUPPRESS
    )
    for field in fields(Config):
        name, default = f"--{field.name.replace('_', '-')}", field.default
        kind = {"action": argparse.BooleanOptionalAction} if default is True else {}
        parser.add_argument(name, **kind or {"type": type(default)})
    only = "find the errors of a run's params, draw glimpses, and leave"
    parser.add_argument("--test", action="store_true", default=False, help=only)
    given = vars(parser.parse_args())
    return given, given.pop("test")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given, testing = parse()
    with plain_errors():
        retest(given) if testing else main(Config(**given))
