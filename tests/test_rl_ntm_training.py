"""The machine with tapes in training: its curriculum, its runs, and its pictures."""

import dataclasses

import numpy as np
import pytest
from markdown_code import ROOT
from rl_ntm_models import any_decisions, machine_of, params_of

import scg


def test_batches_are_of_lengths_around_the_level(rl_ntm):
    lessons = rl_ntm.Lessons(rl_ntm.Config(longest=9))
    rng = np.random.default_rng(7)
    drawn = np.array([lessons.draw_length(4, rng) for _ in range(20_000)])
    assert drawn.min() == 1
    assert drawn.max() == 9
    expected = np.full(9, 0.1 / 9)
    for beyond, share in zip(range(4, 44), 0.5 ** np.arange(1, 41), strict=True):
        expected[min(beyond, 9) - 1] += 0.65 * share
        evenly = np.minimum(np.arange(1, beyond + 1), 9) - 1
        np.add.at(expected, evenly, 0.25 * share / beyond)
    found = np.bincount(drawn, minlength=10)[1:] / len(drawn)
    assert expected.sum() == pytest.approx(1, abs=1e-9)
    z = (found - expected) / np.sqrt(expected * (1 - expected) / len(drawn))
    assert np.abs(z).max() < 5


@pytest.mark.parametrize(
    ("level", "error", "batches", "after"),
    [(2, 0.1, 30, 3), (2, 0.9, 30, 2), (2, 0.1, 3, 2), (5, 0.1, 30, 5)],
)
def test_the_level_rises_where_few_symbols_are_wrong(
    rl_ntm, level, error, batches, after
):
    lessons = rl_ntm.Lessons(rl_ntm.Config(rows=2, longest=5))
    rng = np.random.default_rng(15)
    params = lessons.machine(1).graph.init(rng)
    state = {"lesson": np.array([level, error, batches])}
    estimate = lessons(params, None, rng=rng, state=state)
    assert estimate.state["lesson"][0] == after == estimate.metrics["level"]
    if after > level:
        assert estimate.state["lesson"].tolist() == [after, 1.0, 0.0]


def train(rl_ntm, config, num_steps, folder=None):
    lessons, rng = rl_ntm.Lessons(config), np.random.default_rng(config.seed)
    params = lessons.machine(1).graph.init(rng)
    return scg.fit(
        lessons, params, optimizer=scg.adam(0.01), rng=rng, num_steps=num_steps,
        checkpoint=folder, progress=False,
    )  # fmt: skip


def test_a_run_that_goes_on_is_the_one_never_stopped(rl_ntm, tmp_path):
    pytest.importorskip("safetensors")
    config = rl_ntm.Config(task="forward-reverse", rows=4, longest=4)
    whole = train(rl_ntm, config, 30)
    train(rl_ntm, config, 12, tmp_path)
    resumed = train(rl_ntm, config, 30, tmp_path)
    assert resumed.step == 30
    np.testing.assert_array_equal(whole.state["lesson"], resumed.state["lesson"])
    for name, value in whole.params.items():
        np.testing.assert_array_equal(value, resumed.params[name])
    other = train(rl_ntm, dataclasses.replace(config, seed=1), 30)
    assert np.abs(other.params["output.bias"] - whole.params["output.bias"]).max() > 0


@pytest.fixture
def rl_ntm(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return __import__("rl_ntm")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    pytest.importorskip("safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")
        rl_ntm = __import__("rl_ntm")
        folder = tmp_path_factory.mktemp("rl_ntm")
        config = rl_ntm.Config(rows=32, minutes=1.0, folder=str(folder))
        yield config, rl_ntm.main(config), folder / "copy-direct-0"


@pytest.mark.slow
def test_copying_is_learned_and_not_by_heart(trained):
    _, found, _ = trained
    assert found["solved"]
    assert found["level"] == 10
    assert found["twice, sequences"] >= 0.99
    assert found["twice blind, letters"] < 0.15  # chance is 1/20
    assert found["minutes"] < 0.5


def test_a_trained_machine_is_drawn(trained, rl_ntm):
    pytest.importorskip("matplotlib")
    config, _, folder = trained
    rl_ntm.picture(config)
    assert (folder / "tapes.png").stat().st_size > 5_000


def test_the_memory_drawn_is_the_memory_there_was(rl_ntm):
    picture = __import__("rl_ntm_picture")
    machine = machine_of(rl_ntm, "forward-reverse", 3)
    params = params_of(machine, scale=0.5)
    params["gates.bias"] = np.array([0.0, 0.0, 40.0])  # what is written is what is read
    inputs = machine.task.draw(np.random.default_rng(8), 1, 3)
    rng, given = np.random.default_rng(9), any_decisions(machine, 8, 1)
    trace = scg.forward(machine.graph, params, inputs, rng=rng, given=given)
    steps, cells = len(trace["emit"]), machine.cells
    drawn, heads = picture.memory_tape(trace, 0, steps, cells)
    ring = trace["memory head"][:, 0]
    tape = [picture.BLANK] * cells
    for t in range(steps):
        for at, cell in zip(heads, ring, strict=True):
            assert drawn[at, t] == tape[cell]
        head = trace["input head"][t, 0]
        inside = 0 <= head < inputs["tape"].shape[1]
        tape[ring[t]] = inputs["tape"][0, head] if inside else picture.BLANK
    assert sorted(set(heads)) == list(range(len(drawn)))
    assert np.abs(np.diff(heads)).max() == 1
    assert len(set(tape)) > 2


def test_an_answer_that_is_out_early_is_drawn_so_far(rl_ntm, tmp_path):
    pytest.importorskip("matplotlib")
    machine = machine_of(rl_ntm, "forward-reverse", 3)
    params = params_of(machine) | {"emit.bias": np.array([-40.0, 40.0])}
    inputs = machine.task.draw(np.random.default_rng(18), 1, 3)
    trace = scg.forward(machine.graph, params, inputs, rng=np.random.default_rng(19))
    assert len(trace["emit"]) == 4 < inputs["steps"][0]
    picture = __import__("rl_ntm_picture")
    picture.draw(tmp_path / "early.png", "early", inputs, trace, machine)
    assert (tmp_path / "early.png").stat().st_size > 3_000


def test_the_suite_goes_on_where_it_was_and_stops_where_it_is_stopped(
    rl_ntm, monkeypatch, tmp_path
):
    suite = __import__("rl_ntm_suite")
    done = []

    def pretend(config):
        done.append((config.task, config.controller, config.seed))
        if len(done) == 3:
            return {}  # interrupted
        config.path.mkdir(parents=True)
        (config.path / "result.json").write_text("{}")
        return {"solved": True}

    monkeypatch.setattr(suite, "main", pretend)
    suite.suite(rl_ntm.Config(folder=str(tmp_path)))
    assert [task for task, *_ in done] == ["copy", "reverse", "duplicated-input"]
    suite.suite(rl_ntm.Config(folder=str(tmp_path)))
    assert done.pop(2) == done[2]
    assert len(set(done)) == len(done) == 30


@pytest.mark.slow
def test_what_was_reached_is_told(trained, rl_ntm, capsys):
    pytest.importorskip("matplotlib")
    config, _, folder = trained
    __import__("rl_ntm_suite").report(config)
    assert capsys.readouterr().out.startswith("| copy | direct | 0 | yes | 10 |")
    assert (folder.parent / "levels.png").stat().st_size > 5_000
