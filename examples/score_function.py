r"""What the score function does, seen: a policy in the plane, and one step of learning.

Problem. A policy draws actions x ~ N(θ, σ²) in the plane; each is paid a reward r(x) by
a black box, which has no derivative to offer. Which way should θ go?

.. math:: \nabla_\theta E[r(x)] = E[r(x) \nabla_\theta \log p(x)], \qquad
          \nabla_\theta \log p(x) = \frac{x - \theta}{\sigma^2}.

The picture, from left to right: every sample has an arrow, its score, which says how to
move θ for that sample to become likelier. The reward multiplies the arrow: what was
rewarded pulls the policy towards it, what was punished pushes it away. The mean of the
arrows is the estimate; one step along it, and the same policy earns more.

The reward is a hill and a floor below zero, so the expected reward has a closed form,

.. math:: E\bigl[a e^{-|x - c|^2 / 2 s^2} - d\bigr]
          = \frac{a s^2}{s^2 + \sigma^2} e^{-|\theta - c|^2 / 2 (s^2 + \sigma^2)} - d.

``python examples/score_function.py`` draws it to ``runs/score_function.png``; the step
raises the expected reward from -.19 to .38 with seed 0.

Williams 1992, "Simple statistical gradient-following algorithms"; the picture is after
Karpathy 2016, "Deep reinforcement learning: Pong from pixels".
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import scg
from scg.extras import require

SIGMA = 0.6
HILL, WIDTH, HEIGHT, FLOOR = np.array([-1.1, -0.9]), 0.8, 2.2, 0.7
BLUE, GREEN, RED, INK = "#1f5fa8", "#1b7f4b", "#c8452f", "#444444"
BOX = (-2.6, 2.1)


@dataclass(frozen=True)
class Config:
    """What the picture depends on."""

    seed: int = 0
    rows: int = 70
    """Samples, each one row of the graph."""
    learning_rate: float = 1.2
    path: str = "runs/score_function.png"


def reward(x):
    """Pay for being near the hill."""
    near = np.exp(-((x - HILL) ** 2).sum(axis=-1) / (2 * WIDTH**2))
    return HEIGHT * near - FLOOR


def expected_reward(theta):
    """Return the mean of the reward under the policy, exactly."""
    spread = WIDTH**2 + SIGMA**2
    near = np.exp(-((theta - HILL) ** 2).sum() / (2 * spread))
    return float(HEIGHT * WIDTH**2 / spread * near - FLOOR)


def main(config: Config) -> float:
    """Take one step, draw it, and return by how much the expected reward rose."""
    graph, rng = scg.Graph("a policy in the plane"), np.random.default_rng(config.seed)
    theta = graph.param("theta", np.zeros(2))
    x = graph.sample("x", scg.Normal(mean=theta, scale=SIGMA))
    graph.cost("loss", -scg.black_box(reward, shape=())(x))

    before = graph.init(rng)
    estimate = scg.estimate_gradient(graph, before, rng=rng, rows=config.rows)
    optimizer = scg.sgd(config.learning_rate)
    after, _ = optimizer.update(estimate.gradient, optimizer.init(before), before)
    fresh = scg.forward(graph, after, rng=rng, rows=config.rows)
    draw(Path(config.path), estimate.trace, before["theta"], fresh, after["theta"])
    return expected_reward(after["theta"]) - expected_reward(before["theta"])


def draw(path, trace, before, fresh, after):
    """Draw the samples with their scores, with their rewards, and after the step."""
    x, r = trace["x"], -trace["loss"][:, None]
    score = trace.distribution("x").score(x)["mean"]
    figure = require("matplotlib.figure", extra="train").Figure((13.2, 5.3))
    axes = figure.subplots(1, 3)
    figure.subplots_adjust(0.01, 0.12, 0.99, 0.86, wspace=0.04)

    circles(axes[0], before, INK, "policy (1σ, 2σ)")
    arrows(axes[0], x, score, BLUE, 7, "sample x, score (x − θ)/σ²")
    plane(axes[1])
    circles(axes[1], before, INK)
    for sign, colour, does in ((1, GREEN, "> 0 pulls"), (-1, RED, "< 0 pushes")):
        some = np.flatnonzero(sign * r > 0)
        arrows(axes[1], x[some], (r * score)[some], colour, 4, f"reward {does}")
    plane(axes[2])
    circles(axes[2], before, INK, "before", "--")
    circles(axes[2], after, BLUE, "after, with new samples")
    axes[2].scatter(*fresh["x"].T, s=14, color=BLUE, zorder=3)
    step = {"arrowstyle": "-|>", "lw": 2.5, "color": INK, "mutation_scale": 20}
    axes[2].annotate("", after, before, arrowprops=step, zorder=5)
    rise = f"{expected_reward(before):.2f} to {expected_reward(after):.2f}"
    titles = {
        "Where would each sample move θ?": "A step along its arrow makes it likelier.",
        "What was it worth?": "The reward scales the arrow, and needs no slope.",
        "One step along the mean arrow": f"Expected reward: from {rise}.",
    }
    legend = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "frameon": False}
    for ax, (title, text) in zip(axes, titles.items(), strict=True):
        ax.set(xlim=BOX, ylim=BOX, xticks=[], yticks=[], aspect=1)
        ax.set_title(f"{title}\n", fontsize=13, weight="bold", loc="left", color=INK)
        ax.text(0, 1.025, text, transform=ax.transAxes, fontsize=11, color=INK)
        ax.legend(ncols=2, columnspacing=1.2, handletextpad=0.5, **legend)
        ax.spines[:].set_color("#cccccc")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def circles(ax, mean, colour, label=None, line="-"):
    """Draw where the policy draws from."""
    angle = np.linspace(0, 2 * np.pi, 100)
    for radius, name in ((SIGMA, label), (2 * SIGMA, None)):
        x, y = mean[0] + radius * np.cos(angle), mean[1] + radius * np.sin(angle)
        ax.plot(x, y, line, color=colour, linewidth=1.2, label=name)


def arrows(ax, x, direction, colour, scale, label):
    """Draw a dot for each sample, and an arrow from it."""
    ax.scatter(*x.T, s=14, color=colour, zorder=3, label=label)
    units = {"angles": "xy", "scale_units": "xy", "scale": scale, "width": 0.0045}
    ax.quiver(*x.T, *direction.T, color=colour, alpha=0.75, zorder=4, **units)


def plane(ax):
    """Colour the plane by the reward: green where it is positive, red elsewhere."""
    colors = require("matplotlib.colors", extra="train").LinearSegmentedColormap
    shades = colors.from_list("reward", ["#e58f7e", "#ffffff", "#6fbf95"])
    x = np.stack(np.meshgrid(*[np.linspace(*BOX, 300)] * 2), axis=-1)
    ax.imshow(reward(x), extent=BOX * 2, origin="lower", cmap=shades, vmin=-2, vmax=2)
    ax.contour(x[..., 0], x[..., 1], reward(x), [0], colors="white", linewidths=1.5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--path", default=Config.path)
    print(f"expected reward raised by {main(Config(**vars(parser.parse_args()))):.3f}")
