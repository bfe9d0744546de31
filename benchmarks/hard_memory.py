"""What memory costs and learns, addressed in three ways, from 10² to 10⁶ cells.

``train`` trains ``examples/hard_memory.py`` in each way, on both tasks, with several
seeds, and draws how it learns. ``time`` times one training step and one test step of
each way at each size, in turn, in seconds of one core, and draws the figure. Both write
what they found to ``docs/results/hard-memory``; ``train`` skips what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import scg
from scg.extras import require

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

import hard_memory  # noqa: E402
from options import check, plain_errors  # noqa: E402

FOLDER = ROOT / "docs" / "results" / "hard-memory"
TRAINED = [
    ("soft", 100),
    ("all cells", 100),
    ("digits", 100),
    ("digits", 1_000_000),
    ("heads", 1_000_000),
]
EACH = 25  # updates that a point of a curve is the mean of
SIZES = [10**k for k in range(2, 7)]
# Each way with what its base is; of these the first two grow with the cells.
TIMED = {
    "soft": ("soft", None),
    "all cells": ("digits", "cells"),
    "digits": ("digits", 10),
    "heads": ("heads", None),
}
LABELS = {
    "soft": "soft attention",
    "all cells": "one sample over all cells",
    "digits": "sampled digits of an address",
    "heads": "a head that moves",
}
COLOURS = {
    "soft": "#c8452f",
    "all cells": "#b8860b",
    "digits": "#1f5fa8",
    "heads": "#1b7f4b",
}


def train(seeds: list[int]) -> None:
    """Train each way on each task, and note the share of symbols that are right."""
    path = FOLDER / "accuracy.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for seed in seeds:
        for way, cells in TRAINED:
            for task in ("recall", "copy"):
                name = f"{way} {cells} {task} {seed}"
                if name in found:
                    continue
                config = replace(configured(way, cells), task=task, seed=seed)
                found[name] = run(config)
                print(name, found[name], flush=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                lines = (f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found.items())
                path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    table(found)
    draw_learning(found)


def run(config: hard_memory.Config) -> dict:
    """Train once; return what is right after it and, for every EACH updates, in it."""
    every = []
    start = time.process_time()
    right = hard_memory.main(config, lambda _, __, share: every.append(share))
    seconds = time.process_time() - start
    means = np.mean(np.reshape(every, (-1, EACH)), axis=1)
    curve = [round(float(share), 4) for share in means]
    return {"right": right, "seconds": round(seconds, 2), "curve": curve}


def draw_learning(found: dict) -> None:
    """Draw the share of symbols that are right over updates, a line for each run."""
    figure = require("matplotlib.figure", extra="train").Figure((10.5, 4.2))
    axes = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(0.06, 0.13, 0.985, 0.9, wspace=0.08)
    for ax, task in zip(axes, ("recall", "copy"), strict=True):
        for way, cells in TRAINED:
            label = f"{LABELS[way]}, {cells:,} cells"
            style = "--" if (way, cells) == ("digits", 100) else "-"
            begin = f"{way} {cells} {task} "
            for run in (v for k, v in found.items() if k.startswith(begin)):
                x = EACH * (np.arange(len(run["curve"])) + 0.5)
                look = {"color": COLOURS[way], "linestyle": style, "linewidth": 1.1}
                ax.plot(x, 100 * np.array(run["curve"]), label=label, alpha=0.8, **look)
                label = None  # once in the legend
        ax.set_title(task, loc="left", fontsize=12, weight="bold")
        ax.set(xlabel="updates", ylim=(0, 103))
        ax.grid(axis="y", color="#e5e5e5")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("symbols right, %")
    axes[0].legend(fontsize=8.5, loc="center right")
    figure.savefig(FOLDER / "learning.png", dpi=110)


def table(found: dict) -> None:
    """Print each way's accuracy: median, and that of each seed."""
    for way, cells in TRAINED:
        for task in ("recall", "copy"):
            begin = f"{way} {cells} {task} "
            runs = [v for k, v in found.items() if k.startswith(begin)]
            right = [100 * run["right"] for run in runs]
            seconds = median(run["seconds"] for run in runs)
            each = ", ".join(f"{r:.1f}" for r in sorted(right))
            print(
                f"| {way} | {cells:,} | {task} | {median(right):.1f} | {each} |", end=""
            )
            print(f" {seconds:.0f} |")


def configured(label: str, cells: int) -> hard_memory.Config:
    """Return what the example is given for one of `TIMED`."""
    way, base = TIMED[label]
    base = cells if base == "cells" else base or 10
    return hard_memory.Config(way=way, cells=cells, base=base)


def calls(label: str, cells: int, rows: int) -> tuple:
    """Return one training step and one test step, each on fresh episodes."""
    config = configured(label, cells)
    graph, rng = hard_memory.model(config), np.random.default_rng(0)
    step, params = scg.compile(graph, hard_memory.method(config)), graph.init(rng)
    optimizer = scg.adam(config.learning_rate)
    kept = [params, optimizer.init(params)]

    def training() -> None:
        data = hard_memory.episodes(config, rng, rows)
        estimate = step(kept[0], data, rng=rng, samples=SAMPLES)
        kept[:] = optimizer.update(estimate.gradient, kept[1], kept[0])

    def testing() -> None:
        data = hard_memory.episodes(config, rng, rows)
        step.forward(kept[0], data, rng=rng, lean=True)

    return training, testing


SAMPLES = 2  # so that there is another run to compare with


def timed(rows: int, labels: list[str], rounds: int) -> dict:
    """Time all in turn; return seconds by label, kind and cells."""
    runs = {
        (label, kind, cells): call
        for label in labels
        for cells in SIZES
        for kind, call in zip(
            ("training", "test"), calls(label, cells, rows), strict=True
        )
    }
    seconds: dict = {key: [] for key in runs}
    for k in range(rounds + 2):
        for key, call in runs.items():
            # Of this process alone, whatever else the machine is busy with.
            start = time.process_time()
            call()
            if k >= 2:  # the first two make plans and arrays
                seconds[key].append(time.process_time() - start)
    found: dict = {}
    for (label, kind, cells), times in seconds.items():
        by_cells = found.setdefault(label, {}).setdefault(kind, {})
        by_cells[str(cells)] = median(times)
    return found


def measure(rounds: int) -> None:
    """Time one episode of each way, and many of those that do not grow."""
    found = {
        "1 row": timed(1, list(TIMED), rounds),
        "64 rows": timed(64, ["digits", "heads"], 3 * rounds),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "cost.json").write_text(json.dumps(found, indent=1) + "\n")
    for rows, by_label in found.items():
        for label, by_kind in by_label.items():
            for kind, by_cells in by_kind.items():
                times = list(by_cells.values())
                each = " | ".join(f"{1000 * t:.3g}" for t in times)
                ratio = times[-1] / times[0]
                print(f"| {rows} | {label} | {kind} | {each} | {ratio:.2f} |")
    draw(found["1 row"])


def draw(found: dict) -> None:
    """Draw the time of a step over the number of cells."""
    figure = require("matplotlib.figure", extra="train").Figure((10.5, 4.4))
    axes = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(0.075, 0.13, 0.86, 0.88, wspace=0.5)
    for ax, kind in zip(axes, ("training", "test"), strict=True):
        for label, by_kind in found.items():
            y = [1000 * t for t in by_kind[kind].values()]
            ax.plot(SIZES, y, "o-", color=COLOURS[label], linewidth=2, markersize=4)
        ends = {k: 1000 * list(v[kind].values())[-1] for k, v in found.items()}
        for label, at in apart(ends).items():
            text = LABELS[label].replace(" of ", "\nof ").replace(" over ", "\nover ")
            ax.annotate(
                text,
                (SIZES[-1], at),
                xytext=(8, 0),
                textcoords="offset points",
                color=COLOURS[label],
                va="center",
                fontsize=9.5,
            )
        ax.set(xscale="log", yscale="log", xlabel="cells N")
        ax.set_title(f"one {kind} step", loc="left", fontsize=12, weight="bold")
        ax.tick_params(labelleft=True)
        axes[0].set_ylabel("milliseconds")
        ax.grid(axis="y", color="#e5e5e5")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(FOLDER / "cost.png", dpi=110)


def apart(ends: dict[str, float], factor: float = 2.6) -> dict[str, float]:
    """Move labels up until none covers another."""
    moved, last = {}, 0.0
    for label, at in sorted(ends.items(), key=lambda item: item[1]):
        last = max(at, last * factor)
        moved[label] = last
    return moved


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["train", "table", "time", "draw"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with plain_errors():
        check(options, {}, {"seeds": 1, "rounds": 1})
        if options.what == "train":
            train(list(range(options.seeds)))
        elif options.what == "table":
            found = json.loads((FOLDER / "accuracy.json").read_text())
            table(found)
            draw_learning(found)
        elif options.what == "time":
            measure(options.rounds)
        else:
            draw(json.loads((FOLDER / "cost.json").read_text())["1 row"])
