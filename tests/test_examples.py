"""The examples run small, and reach what a working engine reaches."""

import importlib.util

import pytest
from markdown_code import ROOT


def load(name, monkeypatch):
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "examples" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_cartpole_learns_to_balance(monkeypatch):
    pytest.importorskip("gymnasium")
    cartpole = load("cartpole", monkeypatch)
    # A random policy keeps the pole up for about 22 steps.
    assert cartpole.main(cartpole.Config(num_steps=60)) > 100


def test_pong_runs_and_loses_at_first(monkeypatch):
    pytest.importorskip("ale_py")
    pong = load("pong", monkeypatch)
    config = pong.Config(num_envs=2, length=1100, num_steps=1, checkpoint=None)
    assert -21 <= pong.main(config) <= -10
