r"""Two learners who see each other learn: LOLA-DiCE in the iterated prisoner's dilemma.

Both players cooperate (C) or defect (D), again and again; a step pays -1 each for CC,
-2 each for DD, and for CD -3 to the one who cooperated, 0 to the other. A policy has
memory one: five logits to cooperate, after CC, CD, DC, DD (own action first) and at the
start. A *naive* learner descends its own discounted cost. A learner with *look-ahead*
descends the cost that comes after the opponent's next step,

.. math:: L_1(\theta_1, \theta_2 - \alpha \nabla_{\theta_2} L_2(\theta_1, \theta_2)),

and differentiates through that step too. All costs are sampled: ``scg.surrogate_loss``
is a function of both players' logits, right at every order, so autograd differentiates
the opponent's estimated gradient once more. With one look-ahead policies like tit for
tat emerge, and a step pays -1 to -1.3; naive learners end in mutual defection, at -2.

Foerster, Farquhar, Al-Shedivat, Rocktäschel, Xing & Whiteson 2018, "DiCE: the
infinitely differentiable Monte-Carlo estimator"; docs/results/prisoners-dilemma.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from autograd import grad
from autograd.tracer import getval

import scg
from scg.extras import require

PAYOFF = np.array([-1.0, -3.0, 0.0, -2.0])  # mine, after CC, CD, DC, DD
SWAPPED = np.array([0, 2, 1, 3, 4])  # what the other player calls these; 4 is the start
SCORE = scg.ScoreFunction(baseline=scg.BatchMean())
ESTIMATORS = {"mine": SCORE, "yours": SCORE}


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    seed: int = 0
    look_ahead: int = 1
    """Steps of the opponent that a player differentiates through; 0 is naive."""
    num_updates: int = 200
    rows: int = 64
    """Games side by side in each estimate."""
    length: int = 150
    """Steps of a game."""
    discount: float = 0.96
    opponent_rate: float = 0.3
    """α, the learning rate that a player believes the opponent to have."""
    learning_rate: float = 0.1
    spread: float = 0.0
    """Standard deviation of the logits at the start."""


def build(config: Config) -> scg.Graph:
    """Write the game as one player sees it; the other one swaps the two params."""
    graph = scg.Graph("iterated prisoner's dilemma")
    me, you = (graph.param(name, np.zeros(5)) for name in ("me", "you"))
    payoff, swapped = graph.constant(PAYOFF), graph.constant(SWAPPED)

    def step(carry):
        state, worth = carry
        mine = graph.sample("mine", scg.Bernoulli(logits=me[state]))
        yours = graph.sample("yours", scg.Bernoulli(logits=you[swapped[state]]))
        state = (3 - 2 * mine - yours).astype(np.int64)
        graph.rename("outcome", state)
        graph.cost("loss", -worth * payoff[state])
        return state, config.discount * worth

    graph.scan(step, init=(np.array(4), 1.0), length=config.length)
    return graph


def play(config, graph, me, you, rng):
    """Sample games, and return the surrogate of my cost with the players' outcomes."""
    params = {"me": getval(me), "you": getval(you)}  # samples are constants
    trace = scg.forward(graph, params, rng=rng, rows=config.rows, estimators=ESTIMATORS)
    return scg.surrogate_loss(graph, trace, ESTIMATORS), trace["outcome"]


def gradient(config, graph, me, you, rng):
    """Differentiate my cost through the opponent's steps to come."""

    def cost_after_your_steps(me):
        other = you
        for _ in range(config.look_ahead):
            yours, _ = play(config, graph, other, me, rng)
            slope = grad(lambda x, yours=yours: yours({"me": x, "you": me}))
            other = other - config.opponent_rate * slope(other)
        mine, _ = play(config, graph, me, other, rng)
        return mine({"me": me, "you": other})

    return grad(cost_after_your_steps)(me)


def train(config: Config) -> list[float]:
    """Let both learn, print what they became, return the payoff after each update."""
    graph, rng = build(config), np.random.default_rng(config.seed)
    both = config.spread * rng.normal(size=(2, 5))
    payoffs, worth = [], config.discount ** np.arange(config.length)
    for _ in range(config.num_updates):
        slopes = [gradient(config, graph, *pair, rng) for pair in (both, both[::-1])]
        both = both - config.learning_rate * np.array(slopes)
        _, outcome = play(config, graph, *both, rng)
        of_both = (PAYOFF + PAYOFF[SWAPPED[:4]])[outcome].mean(axis=1) / 2
        payoffs.append(float(np.average(of_both, weights=worth)))
    policies = (" ".join(f"{1 / (1 + np.exp(-x)):.2f}" for x in each) for each in both)
    cells = config.look_ahead, config.seed, f"{np.mean(payoffs[-10:]):.2f}", *policies
    print("|", " | ".join(map(str, cells)), "|", flush=True)
    return payoffs


def main(config: Config) -> float:
    """Train one pair, and return what a step pays, over the last ten updates."""
    return float(np.mean(train(config)[-10:]))


def draw(config: Config, path: Path, num_seeds: int = 5) -> None:
    """Draw the payoffs of pairs with 0, 1, 2 and 3 look-aheads as they learn."""
    figure = require("matplotlib.figure", extra="train").Figure((7, 4), layout="tight")
    ax = figure.subplots()
    for look_ahead, colour in enumerate(("#767676", "#d9822b", "#1f5fa8", "#2a7f4f")):
        pair = replace(config, look_ahead=look_ahead)
        runs = [train(replace(pair, seed=seed)) for seed in range(num_seeds)]
        ax.plot(np.transpose(runs), color=colour, linewidth=0.6, alpha=0.35)
        ax.plot(np.mean(runs, axis=0), color=colour, linewidth=2, label=look_ahead)
    ax.set(
        xlabel="update", ylabel="what a step pays, discounted mean", ylim=(-2.05, -0.95)
    )
    ax.grid(alpha=0.3)
    ax.legend(title="look-aheads", ncols=4, loc="lower right", bbox_to_anchor=(1, 0.08))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for field in fields(Config):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default)
    parser.add_argument("--figure", type=Path, help="draw 0 to 3 look-aheads, 5 seeds")
    options = vars(parser.parse_args())
    figure = options.pop("figure")
    config = Config(**options)
    draw(config, figure) if figure else main(config)
