"""The training loop: what it computes, saves, shows, and how it stops."""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from noisy_run import noisy_data, noisy_fit, noisy_params, noisy_quadratic

from scg.checkpoint import load, save
from scg.checkpoint_folder import checkpoint_path, latest, saved_steps
from scg.errors import CheckpointError, InputError, MissingExtraError, NonFiniteError
from scg.fit import fit
from scg.interrupt import interruptible
from scg.method import AbstractMethod
from scg.optimizers import adam, rmsprop, sgd
from scg.run_state import load_params

TESTS = Path(__file__).parent


def parabola(params, inputs, *, rng, rows=None, samples=1, state=None):
    x = params["x"]
    gradient = {"x": 2 * x}
    return SimpleNamespace(
        cost=float(np.sum(x**2)), gradient=gradient, state=state, metrics={}
    )


def parabola_fit(model=parabola, num_steps=10, **options):
    chosen = {
        "params": {"x": np.array([1.0, 2.0])},
        "optimizer": sgd(0.25),
        "rng": np.random.default_rng(0),
        "progress": False,
        **options,
    }
    return fit(model, num_steps=num_steps, **chosen)


def assert_same_bits(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert left[name].tobytes() == right[name].tobytes(), name


def assert_same_result(left, right):
    assert_same_bits(left.params, right.params)
    assert_same_bits(left.optimizer_state, right.optimizer_state)
    assert_same_bits(left.state, right.state)
    assert left.step == right.step
    assert without_seconds(left) == without_seconds(right)


def without_seconds(result):
    return [
        {name: value for name, value in record.items() if name != "seconds"}
        for record in result.history
    ]


def after(step, action):
    """Make a callback that acts once, after a step."""
    return lambda report: action() if report.step == step else None


def stop_after(step):
    return after(step, lambda: True)


# ---


def test_fit_is_the_plain_loop():
    rng, params, state = np.random.default_rng(1), noisy_params(), None
    optimizer = adam(0.1)
    optimizer_state = optimizer.init(params)
    for step in range(30):
        inputs = noisy_data(rng, step)
        estimate = noisy_quadratic(params, inputs, rng=rng, state=state)
        params, optimizer_state = optimizer.update(
            estimate.gradient, optimizer_state, params
        )
        state = estimate.state
    result = noisy_fit(None, 30, optimizer=optimizer)
    assert_same_bits(result.params, params)
    assert_same_bits(result.optimizer_state, optimizer_state)
    assert_same_bits(result.state, state)
    assert (result.stopped, result.step) == ("finished", 30)


def test_a_quadratic_is_minimised_and_its_history_falls():
    result = parabola_fit(num_steps=40)
    assert np.abs(result.params["x"]).max() < 1e-10
    costs = [record["cost"] for record in result.history]
    assert costs[0] == 5.0
    assert costs == sorted(costs, reverse=True)
    assert result.history[0]["gradient_norm"] == pytest.approx(2 * 5**0.5)


def test_the_params_given_are_not_changed():
    params = {"x": np.array([1.0, 2.0])}
    parabola_fit(params=params)
    assert params["x"].tolist() == [1.0, 2.0]


def test_rows_samples_and_state_reach_the_model():
    seen = []

    def model(params, inputs, *, rng, rows=None, samples=1, state=None):
        seen.append((inputs, rows, samples, state))
        return parabola(params, inputs, rng=rng, state={"n": np.array(2)})

    parabola_fit(model, 2, rows=7, samples=3, state={"n": np.array(1)})
    assert seen == [(None, 7, 3, {"n": 1}), (None, 7, 3, {"n": 2})]


def test_the_history_has_a_record_every_few_steps():
    result = parabola_fit(num_steps=10, log_every=4)
    assert [record["step"] for record in result.history] == [4, 8]
    assert result.history[0]["seconds"] <= result.history[1]["seconds"]


def test_a_callback_sees_every_step_and_can_stop():
    seen = []
    callbacks = [
        stop_after(3),
        lambda report: seen.append((report.step, report.metrics["cost"])),
    ]
    result = parabola_fit(callbacks=callbacks)
    assert (result.stopped, result.step) == ("callback", 3)
    assert seen == [(1, 5.0), (2, 1.25), (3, 0.3125)]


def test_a_method_may_step_many_times():
    class Twice(AbstractMethod):
        def init(self, params):
            return {"count": np.array(0)}

        def update(self, params, optimizer_state, state, *, rng, step):
            for _ in range(2):
                params = {name: value / 2 for name, value in params.items()}
            count = {"count": optimizer_state["count"] + 2}
            return params, count, {"step": np.array(step)}, {"kl": np.float32(0.5)}

    result = parabola_fit(Twice(), 3, optimizer=None)
    assert result.params["x"].tolist() == [1 / 64, 2 / 64]
    assert result.optimizer_state["count"] == 6
    assert result.state["step"] == 2
    assert result.history[0]["kl"] == 0.5
    with pytest.raises(InputError, match="Twice is a method, which has its own opt"):
        parabola_fit(Twice(), 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": -1}, "num_steps: expected 0 or more, got -1"),
        ({"log_every": 0}, "log_every: expected 1 or more"),
        ({"save_every": 0}, "save_every: expected 1 or more"),
        ({"save_seconds": -1.0}, "save_seconds: expected 0 or more"),
        ({"keep": 0}, "keep: expected 1 or more"),
        ({"extra_state": {"a/b": None}}, "names without '/', got 'a/b'"),
        ({"optimizer": None}, "optimizer: expected one"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        parabola_fit(**options)


# Saving and resuming.


@pytest.mark.parametrize("stop", [1, 20, 39])
def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path, stop):
    whole = noisy_fit(tmp_path / "whole", 40)
    part = noisy_fit(tmp_path / "part", 40, callbacks=[stop_after(stop)])
    assert part.step == stop
    assert_same_result(noisy_fit(tmp_path / "part", 40), whole)


def test_a_resumed_run_leaves_the_generator_where_the_uninterrupted_one_does(tmp_path):
    whole, resumed = np.random.default_rng(1), np.random.default_rng(1)
    noisy_fit(None, 20, rng=whole)
    noisy_fit(tmp_path, 8)
    noisy_fit(tmp_path, 20, rng=resumed)
    assert resumed.random(3).tolist() == whole.random(3).tolist()
    assert resumed.spawn(1)[0].random() == whole.spawn(1)[0].random()


def test_a_finished_run_is_not_continued(tmp_path):
    first = noisy_fit(tmp_path, 5)
    again = noisy_fit(tmp_path, 5, model=None)
    assert_same_result(again, first)
    assert again.stopped == "finished"


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


def must_not_run(*args, **kwargs):
    raise AssertionError


def test_another_model_is_refused_with_what_differs(tmp_path):
    parabola_fit(checkpoint=tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    others = {
        r"'x' is float64 of shape \(2,\) there and float64 of shape \(3,\)": {
            "x": np.zeros(3)
        },
        r"'x' is float64 .* there and float32": {"x": np.zeros(2, np.float32)},
        r"'x' is .* there and absent here; .*'y' is absent there": {"y": np.zeros(2)},
    }
    for message, params in others.items():
        if "x" in params:
            message = message.replace("'x'", "param 'x'")
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
        with pytest.raises(MissingExtraError, match=r"scg\[train\]"):
            parabola_fit(must_not_run, **{option: tmp_path})
    parabola_fit()


class Counter:
    """An environment with a state, or one that cannot give it."""

    def __init__(self, *, gives_state=True):
        self.count = 0
        self.gives_state = gives_state

    def get_state(self):
        return {"count": np.array(self.count)} if self.gives_state else None

    def set_state(self, state):
        self.count = int(state["count"])

    def __call__(self, rng, step):
        self.count += 1
        return {"target": np.float32(self.count)}


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


# Numbers that are not finite.


def spoiled(step, **bad):
    """Make the parabola go wrong in one step, counted from 1."""
    count = 0

    def model(params, inputs, **options):
        nonlocal count
        count += 1
        estimate = parabola(params, inputs, **options)
        return SimpleNamespace(**vars(estimate) | (bad if count == step else {}))

    return model


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["cost", "gradient of param 'x'"])
def test_the_first_number_that_is_not_finite_is_named_with_its_step(
    tmp_path, what, value
):
    gradient = {"x": np.array([0.0, value])}
    bad = (
        {"cost": value, "gradient": gradient}
        if what == "cost"
        else {"gradient": gradient}
    )
    message = f"step 6: {what}: expected finite .* The last checkpoint is of step 4"
    with pytest.raises(NonFiniteError, match=message):
        parabola_fit(spoiled(6, **bad), checkpoint=tmp_path, save_every=2)
    assert list(saved_steps(tmp_path)) == [0, 2, 4]
    resumed = parabola_fit(checkpoint=tmp_path)
    assert_same_bits(resumed.params, parabola_fit().params)


def test_a_cost_of_a_method_that_is_not_finite_is_found():
    class Spoiled(AbstractMethod):
        def init(self, params):
            return {}

        def update(self, params, optimizer_state, state, *, rng, step):
            return params, {}, None, {"cost": 1.0 if step < 3 else np.nan}

    with pytest.raises(NonFiniteError, match="step 4: cost: expected"):
        parabola_fit(Spoiled(), optimizer=None)


def test_params_that_are_not_finite_never_become_a_checkpoint(tmp_path):
    class Spoiled(AbstractMethod):
        def init(self, params):
            return {}

        def update(self, params, optimizer_state, state, *, rng, step):
            params["x"][1] = 1.0 if step < 5 else np.inf
            return params, {}, None, {}

    with pytest.raises(NonFiniteError, match=r"step 6: param 'x': .*got inf at \(1,\)"):
        parabola_fit(Spoiled(), optimizer=None, checkpoint=tmp_path, save_every=2)
    assert list(saved_steps(tmp_path)) == [0, 2, 4]


def test_a_metric_that_is_not_known_does_not_stop_the_run():
    model = spoiled(2, metrics={"return": np.nan})
    assert parabola_fit(model, 3).stopped == "finished"


def test_an_error_of_the_model_that_names_its_node_gets_the_step():
    def model(params, inputs, **options):
        msg = "node 'h': nan in log"
        raise NonFiniteError(msg)

    with pytest.raises(NonFiniteError, match="step 1: node 'h': nan in log$"):
        parabola_fit(model)


def test_any_other_error_of_the_model_is_passed_on_with_the_step():
    def model(params, inputs, **options):
        raise KeyError("frame")

    with pytest.raises(KeyError, match="frame") as caught:
        parabola_fit(model)
    assert caught.value.__notes__ == ["in training step 1"]


# Signals.


def send(number, times=1):
    for _ in range(times):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_returns(tmp_path, number):
    before = signal.getsignal(number)
    callbacks = [after(4, lambda: send(number))]
    result = noisy_fit(tmp_path, 20, callbacks=callbacks)
    assert (result.stopped, result.step) == ("interrupted", 4)
    assert signal.getsignal(number) == before
    assert load(latest(tmp_path))[1]["step"] == 4
    assert_same_result(noisy_fit(tmp_path, 20), noisy_fit(None, 20))


def test_a_signal_inside_a_step_lets_it_end():
    def model(params, inputs, **options):
        send(signal.SIGINT)
        return parabola(params, inputs, **options)

    result = parabola_fit(model)
    assert (result.stopped, result.step) == ("interrupted", 1)
    assert result.params["x"].tolist() == [0.5, 1.0]


def test_the_second_ctrl_c_leaves_at_once(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    callbacks = [after(4, lambda: send(signal.SIGINT, times=2))]
    with pytest.raises(KeyboardInterrupt):
        noisy_fit(tmp_path, 20, callbacks=callbacks, save_every=3)
    assert signal.getsignal(signal.SIGINT) == before
    assert list(saved_steps(tmp_path)) == [0, 3]


def test_handlers_are_restored_after_an_error():
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(NonFiniteError):
        parabola_fit(spoiled(1, cost=np.nan))
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_that_the_program_ignores_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as interruption:
            send(signal.SIGINT)
            assert not interruption.requested
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_in_another_thread_installs_no_handlers():
    results = []
    thread = threading.Thread(target=lambda: results.append(parabola_fit()))
    thread.start()
    thread.join()
    assert results[0].stopped == "finished"


def killed_at(folder, num_steps, delay):
    """Start the run in a process, kill it after a while, say how far it said it was."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, str(TESTS / "noisy_run.py"), str(folder), str(num_steps)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True
    )
    lines = [process.stdout.readline()]
    timer = threading.Timer(delay, process.kill)
    timer.start()
    lines += process.stdout.readlines()
    timer.cancel()
    process.stdout.close()
    return process.wait(), [int(line) for line in lines if line.endswith("\n")]


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    delays = random.Random(3)
    num_steps, kills, code, reached = 250, 0, -9, 0
    while code != 0:
        code, said = killed_at(tmp_path, num_steps, delays.uniform(0.0, 0.25))
        kills += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
        steps = [load(path)[1]["step"] for path in saved_steps(tmp_path).values()]
        assert steps == list(saved_steps(tmp_path))
        # A step is said just before it is saved.
        assert steps[-1] >= said[-1] - 1
        assert said == list(range(reached + 1, said[-1] + 1))
        reached = steps[-1]
    assert kills >= 3
    whole = noisy_fit(None, num_steps, size=20_000)
    assert_same_bits(load_params(tmp_path), whole.params)


# What is shown and logged.


class Terminal:
    def __init__(self, *, is_terminal=True):
        self.text = ""
        self.encoding = "utf-8"
        self._is_terminal = is_terminal

    def isatty(self):
        return self._is_terminal

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass


@pytest.fixture
def impatient(monkeypatch):
    """Show every step."""
    monkeypatch.setattr("scg.progress.TERMINAL_SECONDS", 0.0)
    monkeypatch.setattr("scg.progress.LOG_SECONDS", 0.0)


@pytest.mark.parametrize("with_rich", [True, False])
def test_a_terminal_shows_how_far_the_run_is(monkeypatch, impatient, with_rich):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    if not with_rich:
        monkeypatch.setitem(sys.modules, "rich.progress", None)
    parabola_fit(spoiled(4, metrics={"return": -21.0}), 4, progress=True)
    shown = "step 4/4  cost 0.07812  gradient_norm 0.559  return -21  "
    assert shown in terminal.text
    assert "steps/s" in terminal.text
    assert "0:00:00 left" in terminal.text
    assert "step 2/4" in terminal.text
    assert ("━" in terminal.text) == with_rich


def test_a_terminal_is_not_drawn_on_more_often_than_can_be_seen(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    parabola_fit(num_steps=200, progress=True)
    assert terminal.text.count("\r") < 20
    assert "step 200/200" in terminal.text


def test_a_file_gets_nothing_and_the_log_gets_a_line(monkeypatch, caplog):
    pipe = Terminal(is_terminal=False)
    monkeypatch.setattr("sys.stdout", pipe)
    with caplog.at_level(logging.INFO, "scg.progress"):
        parabola_fit(num_steps=50, progress=True)
    assert pipe.text == ""
    assert len(caplog.records) == 1
    assert "step 50/50" in caplog.text


def test_without_progress_nothing_is_shown(monkeypatch, impatient, caplog):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    with caplog.at_level(logging.INFO):
        parabola_fit(progress=False)
    assert terminal.text == caplog.text == ""


def test_the_speed_of_a_resumed_run_counts_its_own_steps(tmp_path, monkeypatch):
    clock = iter(range(10_000))
    clocked = SimpleNamespace(monotonic=lambda: next(clock))
    terminal = Terminal()
    parabola_fit(num_steps=100, checkpoint=tmp_path)
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("scg.progress.time", clocked)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    parabola_fit(num_steps=104, checkpoint=tmp_path, progress=True)
    # Two ticks a step: one to see whether it is time, one to show.
    assert "step 104/104  cost" in terminal.text
    assert "0.5 steps/s" in terminal.text


def events(folder):
    """Read TensorBoard's event files: length, checksum, message, checksum."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            yield proto.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def test_metrics_are_written_for_tensorboard(tmp_path):
    result = parabola_fit(num_steps=5, log_dir=tmp_path / "logs", log_every=2)
    costs = {
        event.step: value.simple_value
        for event in events(tmp_path / "logs")
        for value in event.summary.value
        if value.tag == "cost"
    }
    want = {record["step"]: record["cost"] for record in result.history}
    assert costs == pytest.approx(want)


def test_a_resumed_run_hides_what_was_logged_about_lost_steps(tmp_path):
    logs, folder = tmp_path / "logs", tmp_path / "run"
    parabola_fit(num_steps=3, log_dir=logs, checkpoint=folder)
    assert not any(event.HasField("session_log") for event in events(logs))
    parabola_fit(num_steps=6, log_dir=logs, checkpoint=folder)
    starts = [event.step for event in events(logs) if event.HasField("session_log")]
    assert starts == [4]


def test_a_log_folder_that_cannot_be_made_is_found_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="log_dir .*: expected a folder to write to"):
        parabola_fit(must_not_run, log_dir=tmp_path / "file" / "logs")
