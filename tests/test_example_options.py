"""What an example cannot do is refused in a sentence, and a run is not mixed up."""

import logging
import runpy
import sys
from dataclasses import replace

import numpy as np
import pytest
from markdown_code import ROOT

import scg
from scg.errors import MissingExtraError


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return __import__


@pytest.fixture
def glimpse(example, monkeypatch, tmp_path):
    """Return the example, with its smallest run as what it does by default."""
    glimpse = example("glimpse")
    small = {"glimpses": 2, "copies": 2, "epochs": 1, "batch": 40}
    small |= {"data": noise(tmp_path), "folder": str(tmp_path / "run")}
    return glimpse, glimpse.Config(**small)


def noise(folder, seed=0):
    rng, arrays = np.random.default_rng(seed), {}
    for part, n in (("train", 80), ("test", 50)):
        arrays[f"x_{part}"] = rng.integers(0, 255, (n, 28, 28), np.uint8)
        arrays[f"y_{part}"] = rng.integers(0, 10, n)
    path = folder / f"noise{seed}.npz"
    np.savez(path, **arrays)
    return str(path)


WRONG = [
    ("glimpse", "glimpses", 0), ("glimpse", "patch", -2), ("glimpse", "scales", 0),
    ("glimpse", "batch", -4), ("glimpse", "copies", 0), ("glimpse", "epochs", 0),
    ("glimpse", "deviation", float("nan")), ("glimpse", "deviation", float("inf")),
    ("glimpse", "learning_rate", -1.0), ("glimpse", "held_out", -5),
    ("glimpse", "seed", -1), ("glimpse", "task", "x"), ("glimpse", "credit", "x"),
    ("hard_memory", "way", "x"), ("hard_memory", "task", "x"),
    ("hard_memory", "cells", 150), ("hard_memory", "cells", 1),
    ("hard_memory", "cells", 0), ("hard_memory", "cells", 10**18 + 1),
    ("hard_memory", "base", 1), ("hard_memory", "num_updates", -1),
    ("hard_memory", "length", 13), ("hard_memory", "samples", 1),
    ("hard_memory", "seed", -1),
    ("rl_ntm", "task", "x"), ("rl_ntm", "controller", "x"), ("rl_ntm", "units", 0),
    ("rl_ntm", "rows", 0), ("rl_ntm", "samples", 1), ("rl_ntm", "shortest", 0),
    ("rl_ntm", "longest", 0), ("rl_ntm", "minutes", float("nan")),
    ("rl_ntm", "entropy", float("nan")), ("rl_ntm", "learning_rate", -1.0),
    ("rl_ntm", "seed", -1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field", "value"), WRONG)
def test_an_option_that_makes_no_sense_is_refused(example, name, field, value):
    got = f"{value:,}" if isinstance(value, int) else repr(value)
    with pytest.raises(scg.InputError, match=rf"^{field}: expected .*, got {got}"):
        example(name).Config(**{field: value})


def test_no_more_images_are_held_out_than_there_are(glimpse):
    glimpse, config = glimpse
    glimpse.load(replace(config, held_out=79))
    with pytest.raises(scg.InputError, match="held_out: expected fewer than the 80"):
        glimpse.load(replace(config, held_out=80))


def test_a_program_ends_with_what_the_error_says(example):
    with (
        pytest.raises(SystemExit, match=r"^InputError: seed: expected .* 0 or more"),
        example("options").plain_errors(),
    ):
        example("glimpse").Config(seed=-1)
    with (
        pytest.raises(SystemExit, match=r"enough memory.* smaller sizes"),
        example("options").plain_errors(),
    ):
        np.zeros(2**62, bool)
    with (
        pytest.raises(SystemExit, match=r"^interrupted$"),
        example("options").plain_errors(),
    ):
        raise KeyboardInterrupt
    with pytest.raises(ZeroDivisionError), example("options").plain_errors():
        1 / 0  # noqa: B018 - a mistake of the program is shown as one


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"task": "translated"}, {"epochs": 2}, {"data": None}],
    ids=["seed", "task", "epochs", "data"],
)
def test_another_glimpse_run_does_not_go_on_in_the_folder(glimpse, other, tmp_path):
    pytest.importorskip("matplotlib")
    glimpse, config = glimpse
    glimpse.main(config)
    if "data" in other:
        other = {"data": noise(tmp_path, seed=1)}
    (name,) = other
    name = {"data": "source"}.get(name, name)
    with pytest.raises(scg.CheckpointError, match=f"other settings: {name} is .* here"):
        glimpse.main(replace(config, **other))
    moved = (tmp_path / "noise0.npz").rename(tmp_path / "moved.npz")
    assert glimpse.main(replace(config, data=str(moved)))  # the same in another place


def test_a_run_is_tested_as_it_was_trained(glimpse, caplog):
    pytest.importorskip("matplotlib")
    glimpse, config = glimpse
    config = replace(config, task="translated", scales=2, batch=20)
    errors = glimpse.main(config)
    del errors["processor minutes"]
    given = {"data": config.data, "folder": config.folder}
    with caplog.at_level(logging.INFO):
        assert glimpse.retest(given) == errors
    assert "trained with images that are not MNIST's" in caplog.text
    assert glimpse.retest(given | {"task": "plain"}) != errors


def test_what_draws_is_missed_before_the_run(glimpse, monkeypatch):
    glimpse, config = glimpse
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(glimpse, "load", lambda config: pytest.fail("too late"))
    with pytest.raises(MissingExtraError, match=r"'matplotlib'.*\[train\]"):
        glimpse.main(config)


@pytest.fixture
def rl_ntm(example, tmp_path):
    """Return the example, with a run of hundred updates."""
    rl_ntm = example("rl_ntm")
    small = {"rows": 2, "samples": 2, "units": 2, "longest": 1, "minutes": 0.0}
    small |= {"learning_rate": 0.0}  # nothing is solved
    return rl_ntm, rl_ntm.Config(folder=str(tmp_path), **small)


def test_a_run_that_is_over_is_not_trained_on(rl_ntm):
    pytest.importorskip("matplotlib")
    rl_ntm, config = rl_ntm
    found = rl_ntm.main(config)
    assert not found["solved"]
    assert rl_ntm.main(config) == found
    more = rl_ntm.main(replace(config, minutes=found["minutes"] + 1e-4))
    assert more["updates"] > found["updates"] > 0
    path = config.path / "result.json"
    path.write_text(path.read_text().replace("false", "true"))
    assert rl_ntm.main(replace(config, minutes=9.0)) == more | {"solved": True}


def test_tapes_of_another_run_are_not_trained_on(rl_ntm):
    pytest.importorskip("matplotlib")
    rl_ntm, config = rl_ntm
    rl_ntm.main(config)
    with pytest.raises(scg.CheckpointError, match="rows is 2 there and 4 here"):
        rl_ntm.main(replace(config, rows=4))


def test_tapes_are_drawn_by_the_machine_that_was_trained(rl_ntm):
    pytest.importorskip("matplotlib")
    rl_ntm, config = rl_ntm
    rl_ntm.main(config)
    rl_ntm.picture(rl_ntm.Config(folder=config.folder))  # of 16 units
    assert (config.path / "tapes.png").stat().st_size > 3_000


def test_a_result_that_cannot_be_read_is_named(rl_ntm, example, tmp_path):
    pytest.importorskip("matplotlib")
    rl_ntm, config = rl_ntm
    suite = example("rl_ntm_suite")
    with pytest.raises(scg.InputError, match=r"expected runs .* got none"):
        suite.report(config)
    rl_ntm.main(config)
    for text in ("{", "{}", "[]"):
        (config.path / "result.json").write_text(text)
        with pytest.raises(scg.InputError, match=r"result\.json.*Delete the file"):
            suite.report(config)
        with pytest.raises(scg.InputError, match=r"result\.json.*Delete the file"):
            rl_ntm.main(config)


@pytest.mark.parametrize(
    ("name", "argument", "says"),
    [
        ("glimpse_speed", "--rounds=0", "rounds: expected a number, 1 or more, got 0"),
        ("glimpse_speed", "--repeats=0", "repeats: expected"),
        ("glimpse_speed", "--copies=1", "copies: expected a number, 2 or more"),
        ("glimpse_speed", "--batch=-3", "batch: expected"),
        ("hard_memory", "--rounds=0", "rounds: expected a number, 1 or more"),
        ("hard_memory", "--seeds=-1", "seeds: expected"),
    ],
)
def test_a_benchmark_of_nothing_is_refused(monkeypatch, name, argument, says):
    what = ["time"] if name == "hard_memory" else []
    monkeypatch.setattr(sys, "argv", [name, *what, argument])
    monkeypatch.setattr(sys, "path", sys.path.copy())
    with pytest.raises(SystemExit, match=f"^InputError: {says}"):
        runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"), run_name="__main__")
