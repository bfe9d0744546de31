"""A loop that keeps every k-th carry gives what it gives when it keeps all."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from long_loops import LENGTH, MODELS, boxed, feed_forward, recurrent, stopping

import scg
from scg import loop_reverse
from scg.loop_run import run_again
from scg.replay import Replay
from scg.roles import Draw, EnvironmentStep

RNG = np.random.default_rng
EVERY = [1, 3, LENGTH, 100]


def assert_same_run(trace, other, model):
    """Compare what both keep, bit for bit."""
    inside = [n.name for n in model.graph.store.nodes if n.loop and n.is_named]
    assert {"loss"} < set(inside)
    for name in inside:
        np.testing.assert_array_equal(trace[name], other[name], err_msg=name)
    assert trace.steps == other.steps


def assert_same_gradient(estimate, other, rtol=1e-12):
    for name, gradient in other.gradient.items():
        assert np.any(gradient != 0)
        np.testing.assert_allclose(estimate.gradient[name], gradient, rtol, 0)


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("name", MODELS)
def test_values_and_gradients_are_those_of_a_loop_that_keeps_all(name, every):
    model, whole = MODELS[name](every), MODELS[name](None)
    estimate, expected = model.estimate(), whole.estimate()
    assert_same_run(estimate.trace, expected.trace, model)
    assert_same_gradient(estimate, expected)
    assert estimate.cost == expected.cost


@pytest.mark.parametrize("name", MODELS)
def test_a_lean_run_has_the_same_values(name):
    model = MODELS[name](3)
    trace = model.forward(lean=True)
    assert_same_run(trace, MODELS[name](None).forward(), model)
    assert trace.carries == {}


def test_given_samples_are_taken_step_by_step():
    given = {"z": RNG(2).integers(2, size=(LENGTH, 3)).astype(float)}
    estimators = {"e": scg.ScoreFunction()}
    runs = []
    for every in (4, None):
        model = replace(recurrent(every), estimators=estimators)
        runs.append(model.estimate(given=given))
    np.testing.assert_array_equal(runs[0].trace["z"], given["z"])
    assert_same_gradient(*runs)


def test_several_samples_a_row_are_drawn_alike():
    runs = [recurrent(every).estimate(samples=2) for every in (4, None)]
    np.testing.assert_array_equal(runs[0].trace["z"], runs[1].trace["z"])
    assert_same_gradient(*runs)


def test_float32_stays_float32():
    run, whole = (recurrent(k, dtype=np.float32).estimate() for k in (4, None))
    np.testing.assert_array_equal(run.trace["z"], whole.trace["z"])
    assert run.gradient["w"].dtype == np.float32
    assert_same_gradient(run, whole, rtol=1e-4)


def test_a_loop_may_stop_where_a_span_ends():
    for every in (1, 2, 3):
        model = stopping(every)
        given = {"b": np.zeros((4 * LENGTH, 4))}
        given["b"][5] = 1
        estimate = model.estimate(given=given)
        assert estimate.trace.steps == {"scan": 6}
        assert_same_gradient(estimate, stopping(None).estimate(given=given))


def test_a_black_box_is_called_once_a_step():
    model = boxed(3)
    model.estimate()
    assert len(model.calls) == LENGTH


def is_world(node):
    return isinstance(node.role, EnvironmentStep)


def test_an_environment_is_stepped_once_a_step_and_its_observations_are_kept():
    model = feed_forward(4)
    steps = []
    (world,) = {n.role.environment for n in model.graph.store.nodes if is_world(n)}
    advance = world.parts[0].advance
    world.parts[0].advance = lambda action: steps.append(1) or advance(action)
    model.estimate()
    assert len(steps) == 3 * LENGTH


def with_other_samples(plan, trace, loop, span):
    values = list(trace.values)
    for node in plan.program.nodes:
        if isinstance(node.role, Draw) and node.loop is loop:
            values[node.index] = values[node.index][:, ::-1]
    return run_again(plan, replace(trace, values=values), loop, span)


def from_other_carries(plan, trace, loop, span):
    carries = [[np.zeros_like(c) for c in at] for at in trace.carries[loop.name]]
    other = replace(trace, carries={loop.name: carries})
    return run_again(plan, other, loop, span)


def of_another_span(plan, trace, loop, span):
    return run_again(plan, trace, loop, range(3))


@pytest.mark.parametrize(
    "wrong", [with_other_samples, from_other_carries, of_another_span]
)
def test_a_wrong_recomputation_is_caught(wrong, monkeypatch):
    monkeypatch.setattr(loop_reverse, "run_again", wrong)
    model = recurrent(3, length=9)
    expected = recurrent(None, length=9).estimate()
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same_gradient(model.estimate(), expected)


def test_adjoints_that_are_not_handed_on_are_caught(monkeypatch):
    back = loop_reverse.LoopReverse._back
    forgetful = lambda self, span, last: back(self, span, {})  # noqa: E731
    monkeypatch.setattr(loop_reverse.LoopReverse, "_back", forgetful)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same_gradient(recurrent(3).estimate(), recurrent(None).estimate())


def peak(run):
    """Return the bytes that a run needs at its peak."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_is_what_is_stated():
    """T/k carries, k steps of all values, and numbers of each step and row."""
    rows, hidden, length, every = 16, 128, 900, 30
    carry = 8 * rows * hidden
    observed = 8 * rows * length
    # Of a step: the state, four more values as wide, and their adjoints; of all steps:
    # two samples and their parameters, noise, a cost, and what credit makes of them.
    bound = (length / every + 10 * every) * carry + 24 * observed

    def needed(every, length=length):
        model = recurrent(every, length=length, rows=rows, hidden=hidden)
        return peak(model.estimate)

    assert needed(every) < bound
    assert needed(None) > 2 * length * carry > 3 * bound
    # The same segments, twice as many: more of what is kept, no more of the rest.
    more = needed(every, 2 * length) - needed(every)
    assert more < length / every * carry + 24 * observed


def test_only_what_is_stated_is_kept():
    model = recurrent(4)
    trace = model.estimate().trace
    unnamed = [n for n in model.graph.store.nodes if n.loop and not n.is_named]
    parameters = {p.index for d in ("z", "e") for p in model.graph[d].inputs}
    kept = {n.index for n in unnamed if trace.values[n.index] is not None}
    assert kept == {i for i in parameters if model.graph.store.nodes[i].loop}
    assert [len(at) for at in trace.carries["scan"]] == [1, 1, 1]
    assert trace.distribution("z").logits.shape == (LENGTH, 3)
    (name,) = (n.name for n in unnamed if n.name.startswith("tanh"))
    with pytest.raises(KeyError, match="keep_every"):
        trace[name]


def test_what_looks_at_all_values_says_so():
    model = recurrent(4)
    estimate = model.estimate()
    program = scg.compile(model.graph, model.estimators).program
    with pytest.raises(scg.EstimatorError, match=r"scan 'scan' with keep_every=4"):
        Replay(program, estimate.trace)
    with pytest.raises(scg.EstimatorError, match=r"Build the graph with keep_every="):
        scg.surrogate_loss(model.graph, estimate.trace, model.estimators)


@pytest.mark.parametrize("every", [0, -1, 2.5, "3"])
def test_keep_every_is_a_whole_number_of_steps(every):
    with pytest.raises(scg.GraphError, match="keep_every to be a whole number"):
        recurrent(every)
