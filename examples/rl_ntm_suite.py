"""Every task with several seeds, a table of what they reached, and what it costs.

``python examples/rl_ntm_suite.py`` trains, one run after another; what has a result is
not done again, and what was interrupted goes on. ``--report`` prints the table and
draws the curves of the runs in the folder, ``--speed`` times the gradients.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from options import plain_errors
from rl_ntm import OWN, Config, Lessons, main, result
from rl_ntm_picture import draw_levels
from rl_ntm_tasks import TASKS

import scg

SEEDS = 5
SHOWN = (
    ("trained length", "sequences"),
    ("twice", "sequences"),
    ("four times", "sequences"),
    ("twice sampled", "sequences"),
    ("twice blind", "letters"),
)


def suite(config: Config) -> None:
    """Train every task with several seeds, and once each with the plain LSTM.

    What has a result is not done again; what was interrupted goes on.
    """
    tasks = [replace(config, task=task, **OWN.get(task, {})) for task in TASKS]
    runs = [replace(each, seed=seed) for seed in range(SEEDS) for each in tasks]
    runs += [replace(each, controller="lstm", units=64) for each in tasks]
    for each in runs:
        if (each.path / "result.json").exists():
            continue
        found = main(each)
        print(json.dumps(found), flush=True)
        if "solved" not in found:  # interrupted
            return


def report(config: Config) -> None:
    """Print a table of all runs in a folder, and draw how they learned."""
    paths = sorted(Path(config.folder).glob("*/result.json"))
    if not paths:
        msg = f"expected runs with a result.json in {config.folder!r}, got none. Train."
        raise scg.InputError(msg)
    runs = [result(path) for path in paths]
    for task in TASKS:
        for run in (run for run in runs if run["task"] == task):
            cells = [
                task,
                run["controller"],
                run["seed"],
                ["no", "yes"][run["solved"]],
            ]
            cells += [run["level"], f"{run['minutes']:.2f}", f"{run['episodes']:,}"]
            cells += [f"{100 * run[f'{name}, {what}']:.1f}" for name, what in SHOWN]
            print("|", " | ".join(map(str, cells)), "|")
    stories = {task: [] for task in TASKS}
    for path, run in zip(paths, runs, strict=True):
        if run["controller"] == "direct":
            story = json.loads((path.parent / "history.json").read_text())
            stories[run["task"]].append((run["episodes"] / run["updates"], story))
    draw_levels(Path(config.folder) / "levels.png", stories)


def speed(config: Config) -> None:
    """Print what an estimate takes: milliseconds of processor time, the best of 8."""
    for task in TASKS:
        lessons, cells = Lessons(replace(config, task=task)), [task]
        for letters in (1, 5, 10, 20):
            rng, machine = np.random.default_rng(0), lessons.machine(letters)
            params = machine.graph.init(rng)
            inputs = machine.task.draw(rng, config.rows, letters)
            taken = []
            for _ in range(11):
                began = time.process_time()
                scg.estimate_gradient(
                    machine.graph, params, inputs, estimators=lessons.estimators,
                    rng=rng, samples=config.samples,
                )  # fmt: skip
                taken.append(time.process_time() - began)
            cells.append(f"{1000 * min(taken[3:]):.1f}")
        print("|", " | ".join(cells), "|")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=Config.folder)
    parser.add_argument("--minutes", type=float, default=Config.minutes)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    act = report if options.report else speed if options.speed else suite
    with plain_errors():
        act(Config(folder=options.folder, minutes=options.minutes))
