"""The examples run small, and reach what a working engine reaches."""

import importlib.util
from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from markdown_code import ROOT
from test_prisoners_dilemma import assert_unbiased, value_of

import scg
from scg.errors import MissingExtraError


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")  # what it imports lies beside it
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
def dilemma(monkeypatch):
    return load("prisoners_dilemma", monkeypatch)


def test_players_who_look_ahead_cooperate_where_naive_ones_defect(dilemma):
    small = {"num_updates": 50, "length": 60, "rows": 48, "learning_rate": 0.2}
    assert dilemma.main(dilemma.Config(look_ahead=0, **small)) < -1.85
    assert dilemma.main(dilemma.Config(look_ahead=1, **small)) > -1.5


def exact_gradient(steps, look_ahead, rate, me, you):
    """Differentiate through the opponent's steps in closed form."""
    value = value_of(steps)

    def payoff(mine, yours):
        return value(anp.concatenate([mine, yours]))

    def after(me):
        other = you
        for _ in range(look_ahead):
            other = other + rate * grad(payoff)(other, me)
        return -payoff(me, other)

    return grad(after)(me)


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("look_ahead", [1, 2])
def test_the_gradient_goes_through_the_opponents_steps(dilemma, look_ahead):
    config = dilemma.Config(rows=4000, length=12, look_ahead=look_ahead)
    graph, rng = dilemma.build(config), np.random.default_rng(4)
    me, you = np.random.default_rng(5).normal(size=(2, 5))
    found = np.array([dilemma.gradient(config, graph, me, you, rng) for _ in range(20)])
    exact = exact_gradient(12, look_ahead, config.opponent_rate, me, you)
    assert_unbiased(found, exact)
    with pytest.raises(AssertionError):
        assert_unbiased(found, exact_gradient(12, 0, config.opponent_rate, me, you))


@pytest.fixture
def score_function(monkeypatch):
    pytest.importorskip("matplotlib")
    return load("score_function", monkeypatch)


def test_a_picture_says_which_extra_it_needs(score_function, dilemma, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    for draw in (
        lambda: score_function.main(score_function.Config(rows=2)),
        lambda: dilemma.draw(dilemma.Config(), ROOT / "never.png"),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install -e '\.\[train\]'"):
            draw()


def test_a_step_along_the_scores_raises_the_reward_and_is_drawn(
    score_function, tmp_path
):
    path = tmp_path / "figures" / "score.png"
    rise = score_function.main(score_function.Config(path=str(path)))
    assert 0.3 < rise < 0.9
    assert path.stat().st_size > 50_000


def test_the_step_is_the_mean_of_the_arrows_drawn(score_function):
    drawn = {}

    def keep(path, trace, before, fresh, after):
        x = trace["x"]
        score = trace.distribution("x").score(x)["mean"]
        drawn["arrows"] = -trace["loss"][:, None] * score
        drawn["step"] = after - before

    score_function.draw = keep
    score_function.main(score_function.Config(learning_rate=0.5))
    np.testing.assert_allclose(drawn["step"], 0.5 * drawn["arrows"].mean(axis=0))


def test_the_expected_reward_is_that_of_quadrature(score_function):
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    theta = np.array([0.3, -0.7])
    x = theta + score_function.SIGMA * np.stack(np.meshgrid(nodes, nodes), axis=-1)
    mean = np.sum(np.outer(weights, weights) * score_function.reward(x)) / (2 * np.pi)
    assert score_function.expected_reward(theta) == pytest.approx(mean, abs=1e-9)


@pytest.fixture
def pong(monkeypatch):
    pytest.importorskip("ale_py")
    monkeypatch.syspath_prepend(ROOT / "examples")
    return load("pong", monkeypatch)


def test_pong_learns_at_first_to_lose(pong, tmp_path, monkeypatch):
    config = pong.Config(
        seed=3, decisions=4096, rows=8, length=128, test_games=2, folder=tmp_path
    )
    assert -21 <= pong.main(config) <= -10
    assert {"curve.png", "weights.png"} <= {p.name for p in tmp_path.iterdir()}

    with pytest.raises(pong.scg.CheckpointError, match="seed is 3 there and 4 here"):
        pong.main(replace(config, seed=4))
    played = []
    monkeypatch.setattr(pong, "score", lambda *args: played.append(args))
    pong.show({"folder": tmp_path})
    pong.show({"folder": tmp_path, "seed": 5}, [])
    assert [(c.seed, games) for c, _, games, _ in played] == [(3, 20), (5, 1)]


@pytest.mark.parametrize("wrong", [{"decisions": 0}, {"seed": -1}, {"recipe": "other"}])
def test_pong_refuses_options_that_make_no_sense(pong, wrong):
    with pytest.raises(pong.scg.InputError, match=f"{next(iter(wrong))}: expected"):
        pong.main(pong.Config(**wrong))


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


@pytest.fixture
def hard_memory(monkeypatch):
    return load("hard_memory", monkeypatch)


@pytest.mark.parametrize(
    ("way", "task", "cells"),
    [("soft", "recall", 20), ("digits", "copy", 100), ("heads", "copy", 10**9)],
)
def test_a_memory_is_learnt_to_be_used(hard_memory, way, task, cells):
    small = {"length": 3, "symbols": 6, "units": 16, "num_updates": 150, "gain": 4.0}
    config = hard_memory.Config(
        way=way, task=task, cells=cells, learning_rate=0.01, **small
    )
    # By chance one in six.
    assert hard_memory.main(config) > 0.9


def test_symbols_of_a_hard_memory_come_back_by_their_keys(hard_memory):
    config = hard_memory.Config()
    data = hard_memory.episodes(config, np.random.default_rng(0), 50)
    for row in range(50):
        stored = dict(zip(data["key"][row], data["symbol"][row], strict=True))
        assert len(stored) == config.length
        asked = [stored[key] for key in data["asked"][row]]
        assert asked == data["answer"][row].tolist()


@pytest.mark.parametrize("way", ["soft", "digits", "heads"])
def test_only_what_is_written_tells_the_symbols(hard_memory, way):
    graph = hard_memory.model(hard_memory.Config(way=way))
    params = graph.init(np.random.default_rng(0))
    data = hard_memory.episodes(hard_memory.Config(), np.random.default_rng(0), 200)
    others = {**data, "symbol": 0 * data["symbol"]}

    def right(params, data):
        trace = scg.forward(graph, params, data, rng=np.random.default_rng(0))
        return trace["right"]

    assert not np.array_equal(right(params, data), right(params, others))
    # With nothing in the cells, what is said does not depend on what was stored.
    params["symbols.table"][:] = 0
    assert np.array_equal(right(params, data), right(params, others))
