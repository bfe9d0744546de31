"""What is shown of a run, where, and how often."""

import logging
import sys
from types import SimpleNamespace

import pytest
from fit_runs import parabola_fit, spoiled


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
    if with_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich.progress", None)
    parabola_fit(spoiled(4, metrics={"return": -21.0}), 4, progress=True)
    shown = "step 4/4  cost 0.07812  gradient_norm 0.559  return -21  "
    assert shown in terminal.text
    assert "steps/s" in terminal.text
    assert "0:00:00 left" in terminal.text
    assert "step 2/4" in terminal.text
    assert ("━" in terminal.text) == with_rich


@pytest.mark.parametrize("with_rich", [True, False])
def test_a_terminal_is_not_drawn_on_more_often_than_can_be_seen(monkeypatch, with_rich):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    if not with_rich:
        monkeypatch.setitem(sys.modules, "rich.progress", None)
    parabola_fit(num_steps=200, progress=True)
    assert terminal.text.count("cost") < 20
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
    assert "  0.5 steps/s" in terminal.text
