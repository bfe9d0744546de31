"""The machine with tapes: against plain loops, all decisions summed up, and trained."""

import numpy as np
import pytest
from autograd import grad
from markdown_code import ROOT
from rl_ntm_models import any_decisions, machine_of, params_of
from tape_machine import TapeMachine

import scg

TASKS = ("copy", "reverse", "duplicated-input", "forward-reverse", "repeat-copy")


@pytest.fixture
def rl_ntm(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return __import__("rl_ntm")


@pytest.fixture
def tasks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return __import__("rl_ntm_tasks")


def by_hand(machine, params, inputs, row):
    return TapeMachine(
        params,
        {name: value[row] for name, value in inputs.items()},
        memory=machine.task.memory,
        backwards=machine.task.backwards,
        direct=machine.direct,
        cells=machine.cells,
    )


def written_down(letters, task, times):
    """Say what a task wants, letter by letter."""
    answer = {
        "copy": letters,
        "reverse": letters[::-1],
        "duplicated-input": letters,
        "forward-reverse": letters[::-1],
        "repeat-copy": letters * times,
    }[task]
    return [*answer, 20]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_wants_what_it_is_called(tasks, task):
    inputs = tasks.TASKS[task].draw(np.random.default_rng(0), 40, 5)
    seen = set()
    for tape, answer, count in zip(
        inputs["tape"].tolist(), inputs["answer"].tolist(), inputs["count"], strict=True
    ):
        assert tape[-1] == 20
        times = {22: 2, 23: 3}.get(tape[0], 1)
        seen.add(times)
        letters = tape[1:-1] if times > 1 else tape[:-1]
        if task == "duplicated-input":
            assert letters[::3] == letters[1::3] == letters[2::3]
            letters = letters[::3]
        assert len(letters) == 5
        assert max(letters) < 20
        assert answer[:count] == written_down(letters, task, times)
        assert set(answer[count:]) <= {20}
    assert seen == ({2, 3} if task == "repeat-copy" else {1})


def program(task, tape, head, passes, time):
    """Return what the plain program does on a cell: whether to emit, where to go.

    `passes` counts how often the end mark was met.
    """
    at_end, first = tape[head] == 20, tape[head] in (22, 23)
    if task == "copy":
        return True, 1
    if task == "duplicated-input":
        return time % 3 == 0, 1
    if task == "reverse":
        return passes > 0, -1 if at_end or passes else 1
    back = passes % 2 == 1  # repeat-copy: from an end mark to the front
    if first:
        return False, 1
    return not at_end and not back, -1 if at_end or back else 1


@pytest.mark.parametrize("task", [t for t in TASKS if t != "forward-reverse"])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_there_are_just_enough_steps_for_the_plain_program(tasks, task, length):
    inputs = tasks.TASKS[task].draw(np.random.default_rng(1), 20, length)
    for row in range(20):
        tape, count = inputs["tape"][row].tolist(), inputs["count"][row]
        head, said, passes, forced = 0, [], 0, False
        for t in range(inputs["steps"][row]):
            inside = 0 <= head < len(tape)
            emits, move = program(task, tape, head, passes, t) if inside else (True, 0)
            due = inputs["steps"][row] - t <= count - len(said)
            last = len(said) == count - 1
            # The end mark comes last, wherever the head is; RepeatCopy waits for it.
            forced |= due and not emits and not (last and task == "repeat-copy")
            if (emits or due) and len(said) < count:
                said.append(20 if last else tape[head])
                time_of_last = t
            if inside and (tape[head] == 20 or (passes % 2 and tape[head] in (22, 23))):
                passes += 1
            head += move
        assert said == inputs["answer"][row, :count].tolist()
        assert not forced
        assert time_of_last == inputs["steps"][row] - 1


@pytest.mark.parametrize("controller", ["direct", "lstm"])
@pytest.mark.parametrize("task", TASKS)
def test_tapes_and_heads_are_those_of_plain_loops(rl_ntm, task, controller):
    machine = machine_of(rl_ntm, task, 3, controller=controller)
    params = params_of(machine, scale=0.5)
    inputs = machine.task.draw(np.random.default_rng(2), 12, 3)
    trace = scg.forward(machine.graph, params, inputs, rng=np.random.default_rng(3))
    moved = set()
    for row in range(12):
        hand = by_hand(machine, params, inputs, row)
        decisions = {name: trace[name][:, row] for name in machine.ways}
        story = hand.follow(decisions, int(inputs["steps"][row]))
        for t, (head, memory_head, cost, written) in enumerate(story):
            assert trace["input head"][t, row] == head
            assert trace["surprise"][t, row] == pytest.approx(cost, abs=1e-9)
            moved |= {head, memory_head}
            if machine.task.memory:
                assert trace["memory head"][t, row] == memory_head
                np.testing.assert_allclose(trace["written"][t, row], written, atol=1e-9)
        assert trace["emit"][: len(story), row].sum() == inputs["count"][row]
    assert len(moved) > 2


CHECKED = {
    "copy": {"length": 2, "steps": 3, "count": 2},
    "repeat-copy": {"length": 1, "steps": 3, "count": 2},
    "forward-reverse": {"length": 1, "steps": 3},
}


def short(machine, length, steps, count=None):
    """Draw one row that ends after a few steps."""
    inputs = machine.task.draw(np.random.default_rng(4), 1, length)
    inputs["steps"] = np.array([steps])
    if count is not None:
        inputs["count"] = np.array([count])
    return inputs


def mean_gradient(machine, params, inputs, score):
    """Average the estimate over every sequence of decisions, by their probability."""
    steps, names = int(inputs["steps"][0]), list(machine.ways)
    step = scg.compile(machine.graph, dict.fromkeys(names, score))
    hand = by_hand(machine, params, inputs, 0)
    total = {name: np.zeros_like(value) for name, value in params.items()}
    mass = 0.0
    for decisions, p in hand.every(steps):
        given = {name: decisions[name][:, None] for name in names}
        rng = np.random.default_rng(0)
        estimate = step(params, inputs, rng=rng, given=given)
        mass += p
        for name, g in estimate.gradient.items():
            total[name] += p * g
    assert mass == pytest.approx(1, abs=1e-9)
    return total


def exact_gradient(machine, params, inputs):
    hand, entropy = by_hand(machine, params, inputs, 0), machine.config.entropy

    def cost(params):
        hand.params = params
        return hand.expected_cost(entropy)

    return grad(cost)(params)


def assert_same(found, exact):
    assert found.keys() == exact.keys()
    for name, value in exact.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("task", CHECKED)
def test_the_mean_over_all_decisions_is_the_exact_gradient(rl_ntm, task):
    machine = machine_of(rl_ntm, task, CHECKED[task]["length"], units=2)
    params, inputs = params_of(machine, scale=0.5), short(machine, **CHECKED[task])
    exact = exact_gradient(machine, params, inputs)
    assert max(np.abs(g).max() for g in exact.values()) > 0.1
    assert_same(mean_gradient(machine, params, inputs, scg.ScoreFunction()), exact)
    if task == "copy":
        biased = scg.ScoreFunction(discount=0.9)
        with pytest.raises(AssertionError):
            assert_same(mean_gradient(machine, params, inputs, biased), exact)


def test_leaving_one_rollout_out_adds_no_bias(rl_ntm):
    machine = machine_of(rl_ntm, "copy", 1, units=2)
    params, inputs = params_of(machine, scale=0.5), short(machine, 1, 2)
    score = scg.ScoreFunction(baseline=scg.LeaveOneOut())
    step = scg.compile(machine.graph, dict.fromkeys(machine.ways, score))
    every = list(by_hand(machine, params, inputs, 0).every(2))
    total = {name: np.zeros_like(value) for name, value in params.items()}
    for one, p in every:
        for other, q in every:
            given = {k: np.stack([one[k], other[k]], axis=1) for k in one}
            rng = np.random.default_rng(0)
            estimate = step(params, inputs, rng=rng, samples=2, given=given)
            for name, g in estimate.gradient.items():
                total[name] += p * q * g
    assert len(every) == 9  # both symbols are due
    assert_same(total, exact_gradient(machine, params, inputs))


@pytest.mark.parametrize("eager", [-40.0, 0.0, 40.0])
def test_as_many_symbols_are_emitted_as_are_due(rl_ntm, eager):
    machine = machine_of(rl_ntm, "repeat-copy", 3)
    params = params_of(machine, scale=0.3)
    params["emit.bias"] = np.array([-eager, eager])
    inputs = machine.task.draw(np.random.default_rng(5), 30, 3)
    trace = scg.forward(machine.graph, params, inputs, rng=np.random.default_rng(6))
    steps = np.arange(len(trace["emit"]))[:, None]
    over = np.cumsum(trace["emit"], axis=0) - trace["emit"] >= inputs["count"]
    emits = (trace["emit"] == 1) & ~over & (steps < inputs["steps"])
    assert (emits.sum(axis=0) == inputs["count"]).all()
    assert (trace["surprise"][~emits] == 0).all()
    assert not trace["wrong"][~emits].any()
    assert trace["wrong"][emits].any()
    last = inputs["steps"] - inputs["count"]
    if eager < 0:
        assert (emits == ((steps >= last) & (steps < inputs["steps"]))).all()
    elif eager > 0:
        assert (emits == (steps < inputs["count"])).all()
    else:
        assert (emits[: last.min()].sum(axis=0) > 0).any()


def test_the_heads_of_a_memory_never_go_round(rl_ntm):
    for length in (1, 4):
        machine = machine_of(rl_ntm, "forward-reverse", length)
        steps = machine.task.sizes(length)[2]
        inputs = machine.task.draw(np.random.default_rng(16), 1, length)
        given = any_decisions(machine, steps, 1)
        given["memory move"] = np.full((steps, 1), 2)
        given["emit"] = np.arange(steps)[:, None] >= steps - inputs["count"]
        trace = scg.forward(
            machine.graph, params_of(machine), inputs,
            rng=np.random.default_rng(17), given=given,
        )  # fmt: skip
        assert len(set(trace["memory head"][:, 0].tolist())) == steps


def first_said(rl_ntm, blind):
    machine = machine_of(rl_ntm, "copy", 1, blind=blind)
    inputs = machine.task.draw(np.random.default_rng(10), 50, 1)
    trace = scg.forward(
        machine.graph, params_of(machine), inputs, rng=np.random.default_rng(11)
    )
    return trace["said"][0]


def test_a_blind_machine_does_not_see_the_letter_it_should_say(rl_ntm):
    assert len(set(first_said(rl_ntm, blind=True))) == 1
    assert len(set(first_said(rl_ntm, blind=False))) > 5


def surprise(rl_ntm, blind, gate):
    """Return the costs of the same decisions, with memory written or not."""
    machine = machine_of(rl_ntm, "forward-reverse", 3, blind=blind)
    params = params_of(machine, scale=0.5)
    params["gates.bias"] = np.array([0.0, 0.0, gate])
    inputs = machine.task.draw(np.random.default_rng(12), 50, 3)
    rng, given = np.random.default_rng(14), any_decisions(machine, 8, 50)
    return scg.forward(machine.graph, params, inputs, rng=rng, given=given)["surprise"]


def test_a_blind_machine_reads_no_memory(rl_ntm):
    written, empty = (surprise(rl_ntm, True, gate) for gate in (40.0, -40.0))
    np.testing.assert_array_equal(written, empty)
    written, empty = (surprise(rl_ntm, False, gate) for gate in (40.0, -40.0))
    assert np.abs(written - empty).max() > 0.1
