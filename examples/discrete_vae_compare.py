r"""All estimators beside each other on the variational autoencoder of discrete_vae.py.

Two questions, and a panel of the figure for each.

*What does training with it reach?* One run for each estimator: the same seed, steps,
images and learning rate.

*How noisy is its gradient?* At moments of the run with DisARM, every estimator
estimates the gradient g of the inference network again and again, with the same params
and the same images. The noise is the trace of the covariance, the sum of Var(g_i) over
its 157,000 params; the bias, of those that declare one, is the distance of their mean
from REBAR's mean over more estimates, in lengths of the latter. What an estimator
learns itself goes on learning at each moment first, with the model held still.

Goes on where it was stopped: what lies in ``--folder`` is not made again. The other
options are those of discrete_vae.py; docs/results/discrete-vae.md shows what came out.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import digits
import numpy as np
from discrete_vae import (
    METHODS,
    PIXELS,
    Config,
    add_options,
    binarise,
    build,
    stepper,
    train,
)

import scg
from scg.pictures import new_figure, save_figure

ALONG = "disarm"  # whose run gives the params that noise is measured with
LONG_OF = "rebar"  # whose mean a bias is measured against: of little noise, unbiased
OWN = "own"  # how params begin that are an estimator's, not the model's
DRAWN = ("leave-one-out", "disarm", "rebar")  # tried without closed forms too
REPEATS, LONG, WARM_UP, LEARN = 50, 1000, 50, 500
# Colour, and how the line is drawn: dashes for what is biased, dots for another bound.
LOOKS = {
    "no-baseline": ("#a3a3a3", "-"),
    "moving-average": ("#6b6b6b", "-"),
    "nvil": ("#c58a00", "-"),
    "leave-one-out": ("#d9541e", "-"),
    "vimco": ("#d9541e", ":"),
    "arm": ("#6aa6e0", "-"),
    "disarm": ("#1f5fa8", "-"),
    "muprop": ("#8a6fd1", "-"),
    "rebar": ("#14703f", "-"),
    "relax": ("#53b36f", "-"),
    "straight-through": ("#c2477f", "--"),
    "gumbel-softmax": ("#7d2150", "--"),
}


@dataclass(frozen=True)
class Study:
    """What all estimators have in common, and where things lie."""

    config: Config
    folder: Path

    @property
    def moments(self) -> list[int]:
        """The steps after which noise is measured: 100, 166, 278, and so on."""
        steps = (100 * 10 ** (np.arange(30) / 4.5)).astype(int).tolist()
        last = self.config.num_steps
        return [n for n in steps if n <= last] or [last]

    def path(self, kind: str, name: str, ending: str = "json") -> Path:
        return self.folder / f"{kind}-{name}.{ending}"

    def found(self, kind: str) -> dict[str, dict]:
        """Return what has been measured, by estimator, in the order of the table."""
        paths = {name: self.path(kind, name) for name in self.entrants}
        return {k: json.loads(p.read_text()) for k, p in paths.items() if p.exists()}

    @property
    def entrants(self) -> dict[str, Config]:
        """What is compared: the reference first, then the others."""
        names = [ALONG, *(name for name in METHODS if name != ALONG)]
        found = {name: replace(self.config, estimator=name) for name in names}
        return found | {
            f"{name}-drawn": replace(found[name], drawn=True) for name in DRAWN
        }


class Estimates:
    """The sum of gradients of the inference network, and of their squares."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0
        self.seconds: list[float] = []

    def add(self, estimate: scg.Estimate) -> None:
        names = sorted(k for k in estimate.gradient if k.startswith("encode"))
        g = np.concatenate([estimate.gradient[k].ravel() for k in names])
        g = g.astype(np.float64)
        self.count += 1
        self.total = self.total + g
        self.squares += float(g @ g)

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.count

    @property
    def noise(self) -> float:
        """The trace of the covariance of an estimate."""
        around = self.squares / self.count - float(self.mean @ self.mean)
        return around * self.count / (self.count - 1)


def distance(a: Estimates, b: Estimates) -> float:
    """Return how far apart two means are, without what noise adds; 0 if it is all."""
    apart = a.mean - b.mean
    square = float(apart @ apart) - a.noise / a.count - b.noise / b.count
    return float(np.sqrt(max(square, 0.0)))


def length(of: Estimates) -> float:
    """Return the length of a mean, without what noise adds."""
    square = float(of.mean @ of.mean) - of.noise / of.count
    return float(np.sqrt(max(square, 1e-12)))


def run(study: Study, name: str) -> dict:
    """Train one entrant; of the first one keep the params at all moments."""
    config = study.entrants[name]

    def keep(report):
        if name == ALONG and report.step in study.moments:
            np.savez(study.path("params", f"{report.step}", "npz"), **report.params)

    records, _ = train(config, keep)
    return {"config": asdict(config), "records": records}


class Noise:
    """Measure the noise of one estimator, moment by moment, in their order."""

    def __init__(self, config: Config) -> None:
        self.images = digits.read(config.data).train.reshape(-1, PIXELS)
        self.some = self.images[: config.rows]
        graph = build(config, self.images.mean(axis=0))
        self.step, self.optimizer = stepper(config, graph), scg.adam(1e-3)
        self.rng = np.random.default_rng(config.seed)
        params = graph.init(self.rng)
        layers = range(1, config.layers + 1)
        made = [METHODS[config.estimator].make(i) for i in layers]
        self.biased = any(each.biases for each in made)
        self.own = {k: v for k, v in params.items() if k.startswith(OWN)}
        self.learning, self.state = self.optimizer.init(self.own), None

    def estimate(self, params: dict, x: np.ndarray) -> scg.Estimate:
        whole = params | self.own
        return self.step(whole, {"x": x}, rng=self.rng, state=self.state)

    def learn(self, params: dict) -> None:
        """Let what the estimator learns follow the model."""
        for _ in range(LEARN if self.own else WARM_UP):
            some = self.rng.integers(len(self.images), size=len(self.some))
            now = self.estimate(params, binarise(self.images[some], self.rng))
            if not (self.own or now.state):
                return
            gradient = {k: now.gradient[k] for k in self.own}
            self.own, self.learning = self.optimizer.update(
                gradient, self.learning, self.own
            )
            self.state = now.state

    def measure(self, params: dict, repeats: int) -> Estimates:
        """Estimate the gradient many times, with the same params and images."""
        self.learn(params)
        found, x = Estimates(), binarise(self.some, np.random.default_rng(0))
        for _ in range(repeats):
            began = time.process_time()
            estimate = self.estimate(params, x)
            found.seconds.append(time.process_time() - began)
            found.add(estimate)
        return found


def measure(study: Study) -> None:
    """Measure the noise of every entrant that has not been measured."""
    known = study.found("noise")
    left = {k: Noise(config) for k, config in study.entrants.items() if k not in known}
    found = {name: {"step": [], "noise": [], "ms": [], "bias": []} for name in left}
    reference = Noise(study.entrants[LONG_OF])
    for moment in study.moments if left else []:
        with np.load(study.path("params", f"{moment}", "npz")) as file:
            params = dict(file)
        biased = any(noise.biased for noise in left.values())
        long = reference.measure(params, LONG) if biased else None
        for name, noise in left.items():
            these, figures = noise.measure(params, REPEATS), found[name]
            figures["step"].append(moment)
            figures["noise"].append(these.noise)
            figures["ms"].append(1e3 * float(np.median(these.seconds)))
            if noise.biased:
                figures["bias"].append(distance(these, long) / length(long))
            print(f"step {moment}, {name}: noise {these.noise:.4g}", flush=True)
    for name, figures in found.items():
        study.path("noise", name).write_text(json.dumps(figures))


def table(study: Study) -> str:
    """Return the figures as a table, the least noise at the end first."""
    runs, noise = study.found("run"), study.found("noise")
    quickest = min(figures["ms"][-1] for figures in noise.values())
    lines = [
        "| estimator | evaluations | ms | nats | nats in equal time | noise, first | "
        "last | bias, first | last |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in sorted(noise.items(), key=lambda item: item[1]["noise"][-1]):
        evaluations = METHODS[runs[name]["config"]["estimator"]].evaluations
        records, ms = runs[name]["records"], figures["ms"][-1]
        steps, bounds = ([r[key] for r in records] for key in ("step", "bound"))
        then = np.interp(steps[-1] * quickest / ms, steps, bounds)
        cells = [name, evaluations, *(f"{x:.1f}" for x in (ms, bounds[-1], then))]
        cells += [f"{figures['noise'][k]:.3g}" for k in (0, -1)]
        cells += [
            f"{figures['bias'][k]:.2f}" if figures["bias"] else "" for k in (0, -1)
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def draw(study: Study) -> None:
    """Draw the bound of every run, and the noise of every estimator."""
    figure, axes = new_figure(1, 2, (13.5, 6.2))
    left, right = axes[0]
    runs, noise = study.found("run"), study.found("noise")
    bounds, noises = {}, {}
    for name in METHODS:
        records, figures = runs[name]["records"], noise[name]
        bounds[name] = [[r["step"] for r in records], [r["bound"] for r in records]]
        noises[name] = [figures["step"], figures["noise"]]
    ends = sorted(y[-1] for _, y in bounds.values())
    left.set_ylim(ends[0] - 1, ends[-1] + 14)
    right.set(xscale="log", yscale="log")
    panel(
        left, bounds, "How well does it train?", "Bound on −log p of a test image, nats"
    )
    panel(
        right,
        noises,
        "How noisy is its gradient?",
        "Trace of the covariance, the same params for all",
    )
    lines = "solid: unbiased;  dashed: biased;  dotted: of the bound of two samples"
    for ax in (left, right):
        ax.set_xlabel("training step")
    figure.supxlabel(lines, fontsize=11, color="#444444")
    save_figure(figure, study.folder / "estimators.png")


def panel(ax, lines: dict, title: str, text: str) -> None:
    """Draw lines with their names."""
    for name, (x, y) in lines.items():
        colour, style = LOOKS[name]
        ax.plot(x, y, style, color=colour, linewidth=1.8)
    ax.set_title(f"{title}\n", fontsize=14, weight="bold", loc="left")
    ax.text(0, 1.025, text, transform=ax.transAxes, fontsize=11, color="#444444")
    ax.margins(x=0)
    ax.autoscale_view()  # now, for the places of the names
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    label(ax, lines)


def label(ax, lines: dict, apart: float = 0.043) -> None:
    """Write each line's name beside its end, moved where two would overlap."""
    within = ax.transScale + ax.transLimits
    at = {name: within.transform((x[-1], y[-1]))[1] for name, (x, y) in lines.items()}
    names = sorted(at, key=at.get)
    places = np.array([at[name] for name in names])
    for _ in range(500):  # neighbours push each other away
        lacking = np.maximum(apart - np.diff(places), 0) / 2
        places[:-1] -= lacking
        places[1:] += lacking
    for name, place in zip(names, places, strict=True):
        colour, style = LOOKS[name]
        line = {"arrowstyle": "-", "color": colour, "lw": 0.7, "ls": style}
        line |= {"relpos": (0, 0.5), "shrinkA": 0, "shrinkB": 0}
        ax.annotate(
            f" {name}", (1, at[name]), (1.06, place), color=colour, fontsize=11,
            xycoords="axes fraction", textcoords="axes fraction", va="center",
            arrowprops=line,
        )  # fmt: skip


def main(study: Study) -> str:
    """Do what has not been done, draw the figure, return the table."""
    study.folder.mkdir(parents=True, exist_ok=True)
    for name in study.entrants:
        if not study.path("run", name).exists():
            study.path("run", name).write_text(json.dumps(run(study, name)))
    measure(study)
    draw(study)
    return table(study)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add_options(parser, but=["estimator"])
    parser.add_argument("--folder", type=Path, default=Path("runs/discrete_vae"))
    options = vars(parser.parse_args())
    folder = options.pop("folder")
    print(main(Study(Config(**options), folder)))
