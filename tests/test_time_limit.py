"""A limited call returns or raises as the call itself does, and can be interrupted."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from tiny_environment import TinyVectorEnv

import scg
from scg.time_limit import LateError, call_within


@pytest.fixture
def release():
    """Let calls that wait go on at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def interrupted_soon():
    """Press Ctrl-C in a moment."""
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    yield
    timer.join()


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_a_call_returns_and_raises_what_it_does_without_a_limit(seconds):
    assert call_within(seconds, divmod, 7, 2) == (3, 1)
    assert call_within(seconds, dict, a=1) == {"a": 1}
    with pytest.raises(ZeroDivisionError):
        call_within(seconds, divmod, 7, 0)
    with pytest.raises(SystemExit):
        call_within(seconds, sys.exit, 3)


def test_a_late_call_is_left_behind(release):
    start = time.monotonic()
    with pytest.raises(LateError, match=r"still running after 0.05 s"):
        call_within(0.05, release.wait, 60)
    assert time.monotonic() - start < 5


def test_ctrl_c_ends_the_wait_for_a_black_box(release, interrupted_soon):
    graph = scg.Graph()
    box = scg.black_box(lambda x: release.wait(60), timeout=50)
    graph.cost("loss", box(graph.input("x")))
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        scg.forward(graph, {}, {"x": np.ones(2)}, rng=np.random.default_rng(0))
    assert time.monotonic() - start < 10


def test_an_environment_whose_step_was_interrupted_refuses_further_use(
    release, interrupted_soon
):
    env = TinyVectorEnv(np.float64)
    env.step = lambda action: release.wait(60)
    world = scg.Environment(env, name="world", timeout=50)
    with pytest.raises(KeyboardInterrupt):
        world.parts[0].advance(np.zeros(2))
    with pytest.raises(scg.SimulatorError, match="'world': its state is unknown since"):
        world.parts[0].advance(np.zeros(2))
