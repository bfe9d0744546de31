"""Runs that are stopped from outside: asked, told, or killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fit_runs import (
    after,
    assert_same_bits,
    assert_same_result,
    noisy_fit,
    parabola,
    parabola_fit,
    spoiled,
)

from scg.checkpoint import load
from scg.checkpoint_folder import latest, saved_steps
from scg.errors import NonFiniteError
from scg.interrupt import interruptible
from scg.run_state import load_params

TESTS = Path(__file__).parent


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


def killed_after(folder, num_steps, said_steps, delay):
    """Make the run in a process, kill it soon after a step, give what it had said."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, str(TESTS / "fit_runs.py"), str(folder), str(num_steps)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = [process.stdout.readline() for _ in range(said_steps)]
        time.sleep(delay)
        process.kill()
        lines += process.stdout.readlines()
    return process.returncode, [int(line) for line in lines if line.endswith("\n")]


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    pytest.importorskip("safetensors")
    chance = random.Random(3)
    num_steps, kills, code, reached = 250, 0, -9, 0
    while code != 0:
        # A step and its checkpoint take some milliseconds.
        delay = chance.uniform(0.0, 0.01)
        code, said = killed_after(tmp_path, num_steps, chance.randint(1, 50), delay)
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        steps = [load(path)[1]["step"] for path in saved_steps(tmp_path).values()]
        assert steps == list(saved_steps(tmp_path))
        assert said == list(range(reached + 1, reached + 1 + len(said)))
        # A step is said just before it is saved.
        assert steps[-1] >= reached + len(said) - 1
        reached = steps[-1]
    assert kills >= 4
    whole = noisy_fit(None, num_steps, size=20_000)
    assert_same_bits(load_params(tmp_path), whole.params)
