"""The examples run small, and reach what a working engine reaches."""

import importlib.util

import numpy as np
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


@pytest.fixture
def pong(monkeypatch):
    pytest.importorskip("ale_py")
    monkeypatch.syspath_prepend(ROOT / "examples")
    return load("pong", monkeypatch)


def test_pong_learns_at_first_to_lose(pong, tmp_path):
    config = pong.Config(
        decisions=4096, rows=8, length=128, test_games=2, folder=tmp_path
    )
    assert -21 <= pong.main(config) <= -10
    assert {"curve.png", "weights.png"} <= {p.name for p in tmp_path.iterdir()}


def test_pong_sees_a_court_and_its_mirror_image_alike(pong):
    frames = np.random.default_rng(0).random((3, 2, 80, 80)) < 0.01
    seen = pong.sums(frames)
    mirrored = pong.sums(frames[:, :, ::-1])
    np.testing.assert_allclose(seen[:, 0], mirrored[:, 1], rtol=1e-4, atol=1e-4)
    assert np.abs(seen[:, 0] - seen[:, 1]).max() > 0.1


def test_the_original_recipe_takes_ten_games_for_one_step(pong):
    config = pong.Config(recipe="karpathy")
    court = pong.scg.Environment(pong.Court(1), name="court", seed=0)
    graph, method, _ = pong.learner(config, court)
    rng = np.random.default_rng(0)
    params = graph.init(rng)
    before = params["w1"].copy()
    method.update(params, method.init(params), None, rng=rng, step=0)
    assert len(court.returns) == 10
    assert max(court.returns) <= -10
    assert np.abs(params["w1"] - before).max() > 0


def test_a_game_of_pong_is_filmed_to_its_end(pong, tmp_path):
    court = pong.scg.Environment(pong.Court(1), name="court", seed=0)
    graph, _, _ = pong.learner(pong.Config(), court)
    film = []
    params = graph.init(np.random.default_rng(0))
    assert -21 <= pong.score(pong.Config(), params, 1, film) <= -10
    assert len(film) > 700
    pong.write_film(tmp_path / "game.gif", film[:50])
    assert (tmp_path / "game.gif").stat().st_size > 1000


def test_pong_says_which_extras_it_needs(pong, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ale_py", None)
    monkeypatch.delitem(__import__("sys").modules, "pong_court")
    with pytest.raises(SystemExit, match=r"pip install -e '\.\[atari,train\]'"):
        load("pong", monkeypatch)
