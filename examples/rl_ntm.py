r"""Reinforcement Learning Neural Turing Machines: five tasks on tapes with hard heads.

A controller (an LSTM) sees one cell of the input tape at a time and one of the memory
tape. At each step it decides where its heads go (left, stay, right) and whether to emit
a symbol; none of this has a derivative. What it emits, and what it writes, has: the
cost of an emitted symbol is -log p(right symbol), through which gradient flows, and
whose value is what the decisions are credited with,

.. math:: \nabla E\Big[\sum_t c_t\Big] = E\Big[\sum_t \nabla c_t + \sum_t \sum_{a \in t}
          \nabla \log \pi(a) \Big(\sum_{t' \ge t,\, a \prec c_{t'}} c_{t'} - b\Big)\Big]

where b is the mean of the other seven rollouts of the same input. Steps are few: when
as many are left as symbols, one is emitted at every step. With *direct access* the
symbols under the heads are added, through gates, to the memory and to the output.

Sequences grow as the machine learns: from 1 letter to 10. It is solved when of a
thousand sequences of *twenty* at least 99 % are right from the first symbol to the
last. ``python examples/rl_ntm.py --task reverse`` takes half a minute.

Zaremba & Sutskever 2015, "Reinforcement Learning Neural Turing Machines", with a
leave-one-out baseline and a small reward for entropy.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
from options import check, of_fields, plain_errors
from rl_ntm_machine import CONTROLLERS, Machine
from rl_ntm_picture import draw
from rl_ntm_tasks import END, TASKS

import scg
from scg.extras import require

OWN = {"forward-reverse": {"rows": 32, "units": 8}}  # in place of Config's
EXAMS = (
    ("trained length", 1, {"greedy": True}),
    ("twice", 2, {"greedy": True}),
    ("four times", 4, {"greedy": True}),
    ("twice sampled", 2, {}),
    ("twice blind", 2, {"greedy": True, "blind": True}),
)


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    task: str = "copy"
    controller: str = "direct"
    """``direct`` has gated copies from tape to tape; ``lstm`` has not."""
    seed: int = 0
    units: int = 16
    """Of the LSTM: too few to hold the letters."""
    rows: int = 64
    samples: int = 8
    """Inputs in a batch, and rollouts of each."""
    shortest: int = 1
    longest: int = 10
    """Letters to begin with, and to train with at most."""
    learning_rate: float = 0.01
    entropy: float = 0.3
    """Reward, in nats of cost, for a nat of entropy of a decision."""
    minutes: float = 20.0
    """Of one core, to give up after."""
    folder: str = "runs/rl_ntm"

    def __post_init__(self) -> None:
        known = {"task": TASKS, "controller": CONTROLLERS}
        least = dict.fromkeys(("units", "rows", "shortest"), 1) | {"samples": 2}
        least |= dict.fromkeys(("learning_rate", "entropy", "minutes", "seed"), 0)
        check(self, known, least | {"longest": self.shortest})

    @property
    def settings(self) -> dict:
        """Return what makes a run another one."""
        own = asdict(self)
        del own["minutes"], own["folder"]
        return own

    @property
    def path(self) -> Path:
        """The folder of this run."""
        return Path(self.folder) / f"{self.task}-{self.controller}-{self.seed}"


class Lessons:
    """Estimate gradients on sequences that grow longer: the model that `fit` trains.

    Of the batches, 10 % are of a length up to the longest, 25 % of one up to level + e,
    65 % of level + e letters, e geometric. The level rises when fewer than a fifth of
    the symbols are wrong, at the level or beyond, and 20 batches have passed.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.machines = config, {}
        self.first = float(config.shortest), 1.0, 0.0
        score = scg.ScoreFunction(baseline=scg.LeaveOneOut())
        ways = self.machine(1).ways
        self.estimators = dict.fromkeys(ways, score)

    def machine(self, length: int, **options: bool) -> Machine:
        """Return the machine for sequences of so many letters."""
        key = (length, *options.items())
        if key not in self.machines:
            self.machines[key] = Machine(self.config, length, **options)
        return self.machines[key]

    def __call__(self, params, inputs, *, rng, rows=None, samples=1, state=None):
        """Draw a length and its sequences, and estimate; `fit` keeps the state."""
        level, error, batches = state["lesson"] if state else self.first
        length = self.draw_length(int(level), rng)
        machine = self.machine(length)
        inputs = machine.task.draw(rng, self.config.rows, length)
        estimate = scg.estimate_gradient(
            machine.graph, params, inputs, estimators=self.estimators, rng=rng,
            samples=self.config.samples,
        )  # fmt: skip
        if length >= level:
            wrong = estimate.trace["wrong"].sum() / self.config.samples
            error = 0.9 * error + 0.1 * wrong / inputs["count"].sum()
            batches += 1
        if error < 0.2 and batches >= 20 and level < self.config.longest:
            level, error, batches = level + 1, 1.0, 0.0
        state = {"lesson": np.array([level, error, batches])}
        metrics = {"level": level, "error": error}
        return replace(estimate, state=state, metrics=metrics)

    def draw_length(self, level: int, rng) -> int:
        """Draw the length of a batch's sequences."""
        beyond, kind = level + rng.geometric(0.5) - 1, rng.random()
        if kind < 0.1:
            return int(rng.integers(1, self.config.longest + 1))
        if kind < 0.35:
            beyond = rng.integers(1, beyond + 1)
        return int(min(beyond, self.config.longest))

    def examine(self, params, length: int, seed, rows=1000, **options) -> dict:
        """Return the share of sequences, and of letters, that are right."""
        rng, machine = np.random.default_rng(seed), self.machine(length, **options)
        inputs = machine.task.draw(rng, rows, length)
        trace = scg.forward(machine.graph, params, inputs, rng=rng, lean=True)
        wrong, is_letter = trace["wrong"], trace["right"] != END
        letters = (inputs["count"] - 1).sum()
        return {
            "sequences": float(1 - wrong.any(axis=0).mean()),
            "letters": float(1 - (wrong & is_letter).sum() / letters),
        }

    def are_over(self, report) -> bool:
        """Tell whether sequences twice as long are solved, in two exams."""
        config, seed = self.config, (self.config.seed, report.step)
        if report.metrics["level"] < config.longest:
            return False
        exam = partial(self.examine, report.params, 2 * config.longest, greedy=True)
        return (
            exam(seed, 1000)["sequences"] >= 0.995
            and exam((*seed, 1), 4000)["sequences"] >= 0.99
        )


class Clock:
    """Seconds of processor time, over all processes that worked on a run."""

    def __init__(self) -> None:
        self.before = -time.process_time()

    @property
    def seconds(self) -> float:
        return self.before + time.process_time()

    def get_state(self) -> dict[str, np.ndarray]:
        return {"seconds": np.array(self.seconds)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.before = float(state["seconds"]) - time.process_time()


def main(config: Config) -> dict:
    """Train until it is solved or time is up; write and return what was reached.

    What was over before is not trained on, but with more minutes.
    """
    require("matplotlib.figure", extra="train")  # before training, not after it
    if found := reached(config):
        return found
    lessons, clock = Lessons(config), Clock()

    def over(report) -> bool:
        if report.step % 100:
            return False
        if clock.seconds > 60 * config.minutes:
            return True
        return lessons.are_over(report)

    rng = np.random.default_rng(config.seed)
    adam = scg.adam(config.learning_rate)
    optimizer = scg.chain(scg.clip_by_global_norm(1.0), adam)
    run = scg.fit(
        lessons, lessons.machine(1).graph.init(rng), rng=rng, num_steps=10**6,
        optimizer=optimizer, checkpoint=config.path, log_every=20,
        callbacks=[over], extra_state={"clock": clock}, settings=config.settings,
    )  # fmt: skip
    found = {
        "task": config.task, "controller": config.controller, "seed": config.seed,
        "level": int(run.state["lesson"][0]), "updates": run.step,
        "episodes": run.step * config.rows * config.samples,
        "minutes": clock.seconds / 60,
    }  # fmt: skip
    if run.stopped == "interrupted":
        return found
    for name, times, options in EXAMS:
        share = lessons.examine(
            run.params, times * config.longest, (config.seed, 1), rows=2000, **options
        )
        found |= {f"{name}, {what}": x for what, x in share.items()}
    found["solved"] = found["twice, sequences"] >= 0.99
    (config.path / "history.json").write_text(json.dumps(run.history))
    (config.path / "result.json").write_text(json.dumps(found, indent=1))
    return found


def reached(config: Config) -> dict | None:
    """Return the result of a run that is over: it is solved, or has had its time."""
    path = config.path / "result.json"
    if not path.exists() or scg.load_settings(config.path) != config.settings:
        return None  # `fit` says what is wrong with other settings
    found = result(path)
    over = found["solved"] or found["minutes"] >= config.minutes
    return found if over else None


def result(path: Path) -> dict:
    """Read what was reached."""
    try:
        found = json.loads(path.read_text())
        found["task"], found["solved"], found["minutes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"expected what a run has reached in {str(path)!r}, got {error!r}. Delete "
            "the file, and run the same command again."
        )
        raise scg.InputError(msg) from error
    return found


def picture(config: Config, letters: int = 6) -> None:
    """Draw the tapes and heads of one sequence, by the params of a run."""
    params, settings = scg.load_params(config.path), scg.load_settings(config.path)
    config = replace(config, **of_fields(Config, settings))
    machine = Lessons(config).machine(letters, greedy=True)
    rng = np.random.default_rng(config.seed)
    inputs = machine.task.draw(rng, 1, letters)
    trace = scg.forward(machine.graph, params, inputs, rng=rng)
    draw(config.path / "tapes.png", config.task, inputs, trace, machine)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], argument_default=argparse.SUPPRESS
    )
    for field in fields(Config):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default))
    parser.add_argument("--draw", action="store_true", help="only draw what it learned")
    given = vars(parser.parse_args())
    drawing = given.pop("draw", False)
    with plain_errors():
        config = Config(**{**OWN.get(given.get("task"), {}), **given})
        if not drawing:
            print(json.dumps(main(config), indent=1))
        picture(config)
