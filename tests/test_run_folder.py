"""Runs that are saved and resumed: bit for bit, or not at all."""

import os
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from fit_runs import (
    Counter,
    after,
    assert_same_bits,
    assert_same_result,
    must_not_run,
    noisy_fit,
    parabola_fit,
    stop_after,
)

import scg
from scg.checkpoint import save
from scg.checkpoint_folder import checkpoint_path, saved_steps
from scg.errors import CheckpointError, MissingExtraError
from scg.optimizers import adam, rmsprop
from scg.run_state import load_params


@pytest.mark.parametrize("stop", [1, 20, 39])
def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path, stop):
    whole = noisy_fit(tmp_path / "whole", 40)
    part = noisy_fit(tmp_path / "part", 40, callbacks=[stop_after(stop)])
    assert part.step == stop
    assert_same_result(noisy_fit(tmp_path / "part", 40), whole)


def test_a_resumed_run_of_a_compiled_graph_equals_the_uninterrupted_one(tmp_path):
    graph = scg.Graph("toy")
    theta = graph.param("theta", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", (b - 0.45) ** 2)
    model = scg.compile(graph, {"b": scg.ScoreFunction(baseline=scg.MovingAverage())})

    def run(folder, num_steps):
        params, optimizer = {"theta": np.zeros(())}, adam(0.05)
        options = {"params": params, "optimizer": optimizer, "checkpoint": folder}
        return parabola_fit(model, num_steps, rows=64, **options)

    whole = run(None, 60)
    run(tmp_path, 25)
    assert_same_result(run(tmp_path, 60), whole)
    assert whole.state
    assert whole.params["theta"] < -1.0


def test_a_resumed_run_leaves_the_generator_where_the_uninterrupted_one_does(tmp_path):
    whole, resumed = np.random.default_rng(1), np.random.default_rng(1)
    noisy_fit(None, 20, rng=whole)
    noisy_fit(tmp_path, 8)
    noisy_fit(tmp_path, 20, rng=resumed)
    assert resumed.random(3).tolist() == whole.random(3).tolist()
    assert resumed.spawn(1)[0].random() == whole.spawn(1)[0].random()


def test_a_finished_run_is_neither_continued_nor_written_again(tmp_path):
    first = noisy_fit(tmp_path, 5)
    files = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    again = noisy_fit(tmp_path, 5, model=must_not_run)
    assert_same_result(again, first)
    assert again.stopped == "finished"
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == files


def test_the_clock_of_a_resumed_run_goes_on(tmp_path):
    pause = after(3, lambda: time.sleep(0.05))
    first = parabola_fit(num_steps=4, checkpoint=tmp_path, callbacks=[pause])
    result = parabola_fit(num_steps=6, checkpoint=tmp_path)
    seconds = [record["seconds"] for record in result.history]
    assert seconds == sorted(seconds)
    assert 0.05 < first.history[3]["seconds"] < seconds[4] < 5.0


def test_a_damaged_checkpoint_is_not_kept_in_place_of_a_good_one(tmp_path):
    noisy_fit(tmp_path, 30, save_every=10)
    os.truncate(checkpoint_path(tmp_path, 30), 1000)
    result = noisy_fit(tmp_path, 25, keep=1)
    assert_same_bits(load_params(tmp_path), result.params)


def test_checkpoints_are_made_every_few_steps_and_at_the_end(tmp_path):
    parabola_fit(num_steps=11, checkpoint=tmp_path, save_every=3, keep=9)
    assert list(saved_steps(tmp_path)) == [0, 3, 6, 9, 11]


def test_checkpoints_are_made_as_time_passes(tmp_path, monkeypatch):
    clock = iter(range(10_000))
    clocked = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("scg.run_folder.time", clocked)
    parabola_fit(num_steps=11, checkpoint=tmp_path, save_seconds=4, keep=99)
    assert list(saved_steps(tmp_path)) == [0, 4, 8, 11]


def test_by_default_a_short_run_is_saved_at_its_start_and_end(tmp_path):
    parabola_fit(num_steps=11, checkpoint=tmp_path)
    assert list(saved_steps(tmp_path)) == [0, 11]


def test_the_last_few_checkpoints_are_kept(tmp_path):
    parabola_fit(num_steps=10, checkpoint=tmp_path, save_every=1, keep=2)
    assert list(saved_steps(tmp_path)) == [9, 10]


@pytest.mark.parametrize("keep", [1, 3])
def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(
    tmp_path, caplog, keep
):
    whole = noisy_fit(tmp_path / "whole", 40)
    folder = tmp_path / "part"
    noisy_fit(folder, 30, save_every=10)
    os.truncate(checkpoint_path(folder, 30), 1000)
    resumed = noisy_fit(folder, 40, save_every=7, keep=keep)
    assert "cut short" in caplog.text
    assert_same_result(resumed, whole)
    assert_same_bits(load_params(folder), whole.params)


def test_params_can_be_read_from_a_folder_or_a_file(tmp_path):
    result = parabola_fit(checkpoint=tmp_path)
    assert_same_bits(load_params(tmp_path), result.params)
    start = load_params(checkpoint_path(tmp_path, 0))
    assert start["x"].tolist() == [1.0, 2.0]
    with pytest.raises(CheckpointError, match="expected a checkpoint or a folder"):
        load_params(tmp_path / "none")


def test_a_checkpoint_holds_the_end_of_a_long_history(tmp_path, monkeypatch):
    monkeypatch.setattr("scg.run_state.HISTORY_TAIL", 3)
    parabola_fit(num_steps=5, checkpoint=tmp_path)
    result = parabola_fit(num_steps=6, checkpoint=tmp_path)
    assert [record["step"] for record in result.history] == [3, 4, 5, 6]


def test_another_model_is_refused_with_what_differs(tmp_path):
    parabola_fit(checkpoint=tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    others = {
        r"param 'x' is float64 of shape \(2,\) there and float64 of shape \(3,\)": {
            "x": np.zeros(3)
        },
        r"param 'x' is float64 .* there and float32": {"x": np.zeros(2, np.float32)},
        r"param 'x' is .* there and absent here; param 'y' is absent there": {
            "y": np.zeros(2)
        },
    }
    for message, params in others.items():
        with pytest.raises(CheckpointError, match=message):
            parabola_fit(must_not_run, 20, params=params, checkpoint=tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_another_optimizer_is_refused(tmp_path):
    parabola_fit(checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="another optimiser: state 'square/x'"):
        parabola_fit(must_not_run, checkpoint=tmp_path, optimizer=rmsprop(0.1))


def test_another_method_state_is_refused(tmp_path):
    noisy_fit(tmp_path, 3)
    with pytest.raises(CheckpointError, match="another method: state 'average'"):
        noisy_fit(tmp_path, 4, state={"mean": np.zeros(())})


def test_another_kind_of_generator_is_refused(tmp_path):
    parabola_fit(checkpoint=tmp_path)
    rng = np.random.Generator(np.random.SFC64(0))
    with pytest.raises(CheckpointError, match="expected a generator over PCG64"):
        parabola_fit(must_not_run, checkpoint=tmp_path, rng=rng)


def test_arrays_that_are_no_run_are_refused(tmp_path):
    save(checkpoint_path(tmp_path, 5), {"x": np.zeros(2)}, {"my": "own"})
    with pytest.raises(CheckpointError, match="expected one of a run"):
        parabola_fit(must_not_run, checkpoint=tmp_path)


def test_a_run_does_not_start_over_in_a_folder_that_holds_one(tmp_path):
    parabola_fit(checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=r"checkpoints of steps \[0, 10\]"):
        parabola_fit(must_not_run, checkpoint=tmp_path, resume=False)
    parabola_fit(checkpoint=tmp_path / "new", resume=False)


def test_a_folder_that_cannot_be_written_to_is_found_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="expected one that can be written to"):
        parabola_fit(must_not_run, checkpoint=tmp_path / "file" / "runs")


def test_a_disk_too_full_is_found_before_the_first_step(tmp_path, monkeypatch):
    usage = SimpleNamespace(free=15)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(CheckpointError, match="expected 48 free bytes"):
        parabola_fit(must_not_run, checkpoint=tmp_path)


def test_a_missing_package_is_found_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    for option in ("checkpoint", "log_dir"):
        with pytest.raises(MissingExtraError, match=r"\.\[train\]"):
            parabola_fit(must_not_run, **{option: tmp_path})
    parabola_fit()


def test_the_state_of_an_environment_is_saved(tmp_path):
    def run(folder, num_steps):
        counter = Counter()
        extra = {"counter": counter, "other": Counter()}
        return noisy_fit(folder, num_steps, data=counter, extra_state=extra)

    whole = run(None, 20)
    run(tmp_path, 7)
    assert_same_result(run(tmp_path, 20), whole)


def test_an_environment_that_cannot_give_its_state_is_named(tmp_path, caplog):
    def run(num_steps):
        extra = {"pong": Counter(gives_state=False)}
        return parabola_fit(num_steps=num_steps, checkpoint=tmp_path, extra_state=extra)

    run(3)
    assert caplog.text == ""
    run(4)
    assert "'pong' could not give its state" in caplog.text


def test_an_environment_without_its_saved_state_is_refused(tmp_path):
    parabola_fit(checkpoint=tmp_path, extra_state={"pong": Counter()})
    with pytest.raises(CheckpointError, match=r"extra_state for \['pong'\], got \[\]"):
        parabola_fit(must_not_run, checkpoint=tmp_path)
