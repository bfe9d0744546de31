"""Pong from pixels, by one graph and two recipes.

A frame of ALE Pong is cropped to the court, halved, its background removed: 80×80
pixels, on or off. A lost point costs 1, a won one -1, and credit ends where a point
does. Actions are sticky (.25), a decision is held for four frames.

``default``: clipped surrogates (PPO). The present frame and its change are summed under
fixed windows and ramps over three bands of the court: 96 numbers. Two hidden layers,
averaged over the court and its mirror image, give three logits and a value. 32 games.

``karpathy``: "Deep Reinforcement Learning: Pong from Pixels" (2016), game after game,
ten a batch: sparse difference frames, 200 ReLU units, one logit for UP, score function
with standardised returns, RMSProp. It needs about 10 million decisions to play evenly.

``python examples/pong.py`` learns, writes to ``runs/pong``, goes on where it stopped,
and ends with the mean score of 20 games; ``--play`` films one (docs/results/pong.md).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the emulator has the other core

import numpy as np
from options import check, of_fields, plain_errors

import scg
from scg.extras import require
from scg.method import GradientStep
from scg.pictures import draw_curves, draw_images, write_film
from scg.schedules import linear

try:
    from pong_court import WINDOWS, Court, difference, sums
except ImportError as error:
    sys.exit(f"{error}. Pong needs its extras: pip install -e '.[atari,train]'")


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    recipe: str = "default"
    seed: int = 0
    decisions: int = 6_000_000
    """Of all games together; a batch of ten games counts as 10,000."""
    rows: int = 32
    length: int = 64
    """Games side by side, decisions of each between updates: the default recipe's."""
    test_games: int = 20
    folder: str = "runs/pong"
    resume: bool = True
    """Go on from a checkpoint in the folder; if not, refuse a folder that has one."""


def default_policy(graph: scg.Graph):
    """Write a network on window sums; return what decides on frames."""

    def layer(i, rows, columns, scale):
        w = graph.param(f"w{i}", lambda rng: scale * rng.normal(size=(rows, columns)))
        return w, graph.param(f"b{i}", np.zeros(columns, np.float32))

    layers = [layer(1, 96, 128, 0.15), layer(2, 128, 64, 0.125), layer(3, 64, 4, 0.01)]

    def network(x):
        for w, b in layers[:-1]:
            x = np.maximum(x @ w + b, 0)
        w, b = layers[-1]
        return x @ w + b

    def decide(frames):
        x = scg.black_box(sums, (2, 96))(frames)
        seen, twin = network(x[:, 0]), network(x[:, 1])
        graph.value("value", (seen[:, 3] + twin[:, 3]) / 2)
        logits = (seen[:, :3] + twin[:, [0, 2, 1]]) / 2
        return graph.sample("move", scg.Categorical(logits=logits))

    return decide


def karpathy_policy(graph: scg.Graph):
    """Write the two layers of 2016."""
    w1 = graph.param("w1", lambda rng: rng.normal(size=(6400, 200)) / np.sqrt(6400))
    w2 = graph.param("w2", lambda rng: rng.normal(size=200) / np.sqrt(200))

    def decide(frames):
        x = scg.black_box(difference, (6400,), sparse=True)(frames)
        logit = np.maximum(x @ w1, 0) @ w2
        up = graph.sample("move", scg.Bernoulli(logits=logit))
        return np.where(up == 1, 1, 2)

    return decide


POLICIES = {"default": default_policy, "karpathy": karpathy_policy}


def build(config: Config, court: scg.Environment, length: int, until: str | None):
    """Write the loop around a policy."""
    graph = scg.Graph(f"pong {config.recipe}", dtype=np.float32)
    decide = POLICIES[config.recipe](graph)
    point_over = scg.black_box(lambda reward: reward != 0, (), bool)

    def step(carry):
        frames, games = carry
        frames, reward, over = court(decide(frames))
        graph.rename("point over", point_over(reward))
        graph.rename("game over", over)
        graph.cost("points lost", -reward)
        games = games + over
        graph.rename("ten games over", games >= 10)
        return frames, games

    graph.scan(step, init=(court.reset(), 0), length=length, until=until)
    return graph


def learner(config: Config, court: scg.Environment):
    """Return the graph, what a step of training is, and how many there are."""
    policy = scg.ScoreFunction(discount=0.99, boundary="point over", standardise=True)
    if config.recipe == "karpathy":
        graph = build(config, court, 200_000, until="ten games over")
        optimizer = scg.rmsprop(1e-4, decay=0.99)
        method = GradientStep(scg.compile(graph, {"move": policy}), optimizer)
        return graph, method, config.decisions // 10_000
    graph = build(config, court, config.length, until=None)
    critic = scg.GAE("value", lam=0.97, weight=0.5)
    model = scg.compile(graph, {"move": replace(policy, critic=critic)})
    num_steps = max(1, config.decisions // (config.rows * config.length))
    updates = num_steps * 4 * -(-config.rows * config.length // 256)
    optimizer = scg.chain(
        scg.clip_by_global_norm(0.5), scg.adam(linear(7e-4, 0.0, updates), epsilon=1e-5)
    )
    entropy = linear(0.004, 0.0, num_steps)
    return graph, scg.Clipped(model, optimizer, entropy=entropy, ahead=True), num_steps


def score(config: Config, params: dict, games: int, film: list | None = None) -> float:
    """Play full games with samples of the policy; return their mean score."""
    court = scg.Environment(
        Court(games, film, threads=2), name="court", seed=1000 + config.seed
    )
    graph = build(config, court, 27_000, until="game over")
    trace = scg.forward(graph, params, rng=np.random.default_rng(0), lean=True)
    scores = sorted(-trace["points lost"].sum(axis=0).astype(int))
    print(f"{games} games: mean {np.mean(scores):+.2f}, {[int(s) for s in scores]}")
    return float(np.mean(scores))


def main(config: Config) -> float:
    """Train, draw what was learnt, and return the mean score of some full games."""
    check(config, {"recipe": POLICIES}, {"seed": 0, "decisions": 1, "test_games": 1})
    require("matplotlib", extra="train")  # now, not when all is learnt
    folder = Path(config.folder)
    # In two halves: one is decided for while the other one is emulated.
    halves = [1] if config.recipe == "karpathy" else [config.rows // 2] * 2
    court = scg.Environment([*map(Court, halves)], name="court", seed=config.seed)
    graph, method, num_steps = learner(config, court)
    rng = np.random.default_rng(config.seed)
    run = scg.fit(
        method, graph.init(rng), rng=rng, num_steps=num_steps, log_every=10,
        checkpoint=folder / "checkpoints", log_dir=folder / "events",
        resume=config.resume, extra_state={"court": court},
        settings={"recipe": config.recipe, "seed": config.seed},
    )  # fmt: skip
    draw_curves(folder / "curve.png", run.history, "return", x="seconds")
    first = run.params["w1"].T[:40]
    if config.recipe == "default":  # what the units see of the present frame
        first = first[:, :48] @ WINDOWS[:, :48].T
    draw_images(folder / "weights.png", first.reshape(-1, 80, 80))
    if run.stopped != "finished":
        return run.history[-1]["return"] if run.history else float("nan")
    return score(config, run.params, config.test_games)


def show(given: dict, film: list | None = None) -> None:
    """Play with a run's params, by its settings but for those that are given."""
    folder = Path(given.get("folder", Config.folder))
    params = scg.load_params(folder / "checkpoints")
    settings = of_fields(Config, scg.load_settings(folder / "checkpoints"))
    config = Config(**settings | given)
    score(config, params, config.test_games if film is None else 1, film)
    if film:
        write_film(folder / "game.gif", film, per_second=30)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], argument_default=argparse.SUPPRESS
    )
    parser.add_argument("--recipe", choices=POLICIES)
    for name, kind in (("seed", int), ("decisions", int), ("folder", str)):
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction)
    for name, help in (("play", "film a game, and leave"), ("test", "play 20 games")):
        parser.add_argument(f"--{name}", action="store_true", default=False, help=help)
    given = vars(parser.parse_args())
    playing, testing = given.pop("play"), given.pop("test")
    with plain_errors():
        if playing or testing:
            show(given, [] if playing else None)
        else:
            main(Config(**given))
