"""What a run depends on is kept with it, and another run does not go on with it."""

import numpy as np
import pytest
from fit_runs import assert_same_result, noisy_fit, stop_after

import scg


def test_a_run_with_other_settings_does_not_go_on(tmp_path):
    noisy_fit(tmp_path, 5, settings={"task": "copy", "seed": 0})
    before = sorted(path.name for path in tmp_path.iterdir())
    rng = np.random.default_rng(7)
    state = rng.bit_generator.state
    with pytest.raises(
        scg.CheckpointError,
        match=r"other settings: seed is 0 there and 1 here; task is 'copy' there and "
        r"'sort' here\. Choose another folder",
    ):
        noisy_fit(tmp_path, 9, settings={"task": "sort", "seed": 1}, rng=rng)
    assert rng.bit_generator.state == state
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    with pytest.raises(scg.CheckpointError, match="rows is None there and 8 here"):
        noisy_fit(tmp_path, 9, settings={"task": "copy", "seed": 0, "rows": 8})


def test_a_run_with_the_same_settings_goes_on(tmp_path):
    settings = {"sizes": (3, 4), "rate": 0.1}
    whole = noisy_fit(tmp_path / "whole", 9, settings=settings)
    noisy_fit(tmp_path / "part", 9, settings=settings, callbacks=[stop_after(4)])
    assert_same_result(noisy_fit(tmp_path / "part", 9, settings=settings), whole)
    assert scg.load_settings(tmp_path / "part") == {"sizes": [3, 4], "rate": 0.1}


def test_a_run_that_says_no_settings_keeps_those_there_are(tmp_path):
    noisy_fit(tmp_path, 5)
    assert scg.load_settings(tmp_path) == {}
    noisy_fit(tmp_path, 7, settings={"seed": 0})  # the run had said none
    noisy_fit(tmp_path, 9)
    assert scg.load_settings(tmp_path) == {"seed": 0}


def test_settings_that_are_not_json_are_refused_before_the_first_step(tmp_path):
    with pytest.raises(scg.InputError, match=r"settings: expected .*json\.dumps"):
        noisy_fit(tmp_path, 5, settings={"rng": np.random.default_rng(0)})
    assert not list(tmp_path.iterdir())


def test_settings_of_no_run_are_an_error(tmp_path):
    with pytest.raises(scg.CheckpointError, match="Train first"):
        scg.load_settings(tmp_path)
