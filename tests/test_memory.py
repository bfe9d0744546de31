"""Memory cell by cell is the dense form."""

from unittest import mock

import numpy as np
import pytest
from autograd import grad
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_models import (
    LENGTH,
    RNG,
    ROWS,
    Dense,
    Hard,
    MemoryScan,
    assert_same,
    both,
    data,
    line,
    loop,
    numbers,
    stepping,
)
from oracles import finite_difference
from pooled import pooled

import scg
from scg import cell_slots
from scg.backward import backward
from scg.cells import History
from scg.replay import Replay

# Against the dense form


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_any_pattern_of_reads_and_writes_is_the_dense_form(seed):
    found, expected = both(line, seed)
    assert found.cost == pytest.approx(expected.cost, rel=1e-12)
    assert_same(found.gradient, expected.gradient)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_any_loop_is_the_dense_form(seed):
    found, expected = both(loop, seed)
    assert found.cost == pytest.approx(expected.cost, rel=1e-12)
    assert_same(found.gradient, expected.gradient)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([line, loop]))
def test_arrays_from_the_pool_give_the_same(seed, build):
    with pooled():
        found, expected = both(build, seed)
    assert_same(found.gradient, expected.gradient)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([line, loop]))
def test_so_does_a_memory_too_large_for_a_table_of_its_cells(seed, build):
    with mock.patch.object(cell_slots, "_MANY", 0):
        found, expected = both(build, seed)
    assert_same(found.gradient, expected.gradient)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([line, loop]))
def test_the_rules_of_autograd_give_the_same(seed, build):
    graph = build(seed, Hard)
    params, inputs = numbers(graph, seed)
    found = scg.compile(graph, kernels=False)(params, inputs, rng=RNG(0))
    expected = scg.compile(graph)(params, inputs, rng=RNG(0))
    assert_same(found.gradient, expected.gradient)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, LENGTH + 1))
def test_a_loop_that_keeps_some_carries_gives_the_same(seed, every):
    graph = MemoryScan(seed, Hard, keep_every=every).graph
    params, inputs = numbers(graph, seed)
    found = scg.estimate_gradient(graph, params, inputs, rng=RNG(0))
    dense = loop(seed, Dense)
    expected = scg.estimate_gradient(dense, params, inputs, rng=RNG(0))
    assert_same(found.gradient, expected.gradient)


@pytest.mark.parametrize("every", [None, 1, 4])
def test_a_loop_copies_no_memory(every):
    graph = stepping(5, length=10, name=None, keep_every=every)
    params, inputs = graph.init(RNG(0)), data(5, 0, length=10)
    with mock.patch.object(History, "copied") as copied:
        scg.estimate_gradient(graph, params, inputs, rng=RNG(0))
    assert not copied.called


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([line, loop]))
def test_several_runs_a_row_are_as_many_rows(seed, build):
    graph = build(seed, Hard)
    params, inputs = numbers(graph, seed)
    found = scg.estimate_gradient(graph, params, inputs, rng=RNG(0), samples=2)
    expected = scg.estimate_gradient(graph, params, inputs, rng=RNG(0))
    assert_same(found.gradient, expected.gradient)


@pytest.mark.parametrize("build", [line, loop])
@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_is_that_of_finite_differences(build, seed):
    graph = build(seed, Hard)
    params, inputs = numbers(graph, seed)
    step = scg.compile(graph)
    expected = finite_difference(lambda p: step(p, inputs, rng=RNG(0)).cost, params)
    found = step(params, inputs, rng=RNG(0)).gradient
    assert_same(found, expected, rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([line, loop]))
def test_the_second_derivative_is_that_of_the_dense_form(seed, build):
    found = []
    for kind in (Hard, Dense):
        graph = build(seed, kind)
        params, inputs = numbers(graph, seed)
        trace = scg.forward(graph, params, inputs, rng=RNG(0))
        surrogate = scg.surrogate_loss(graph, trace)
        first = grad(surrogate)

        def size(p, first=first):
            return sum((v**2).sum() for v in first(p).values())

        found.append((first(params), grad(size)(params)))
    assert_same(found[0][0], found[1][0])
    assert_same(found[0][1], found[1][1])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([line, loop]))
def test_a_replay_is_a_run_under_the_new_params(seed, build):
    graph = build(seed, Hard)
    params, inputs = numbers(graph, seed)
    model = scg.compile(graph)
    trace = model.forward(params, inputs, rng=RNG(0))
    moved = {k: v + 0.5 for k, v in params.items()}
    rows = np.array([2, 0])
    again = Replay(model.program, trace)(moved, rows)
    expected = model(moved, {k: v[rows] for k, v in inputs.items()}, rng=RNG(0))
    np.testing.assert_allclose(again["loss"], expected.trace["loss"], rtol=1e-12)
    assert_same(backward(model.program, again, {}), expected.gradient)


def test_a_replay_does_not_fold_what_is_written_aside():
    graph = scg.Graph()
    w, xs = graph.param("w", np.eye(2)), graph.input("xs", (LENGTH, 2))

    def step(memory, x):
        aside = scg.memory.write(memory, 1, x @ w)
        i = graph.sample("i", scg.Categorical(logits=scg.memory.read(aside, 1)))
        graph.cost("loss", i * x[:, 0])
        return scg.memory.write(memory, i, 1.0)

    graph.scan(step, scg.memory.begin(graph, 3, 2), xs=xs)
    model, inputs = scg.compile(graph), {"xs": RNG(0).normal(size=(ROWS, LENGTH, 2))}
    trace = model.forward({"w": np.eye(2)}, inputs, rng=RNG(0))
    replay = Replay(model.program, trace)
    assert not replay.folds
    again = replay({"w": 3 * np.eye(2)}, np.array([1])).distribution("i").logits
    np.testing.assert_allclose(again[:, 0], 3 * inputs["xs"][1], rtol=1e-12)


@pytest.mark.parametrize("inside", [False, True])
def test_what_has_no_rows_is_written_in_every_row(inside):
    graph = scg.Graph()
    w, i = graph.param("w", np.array([1.0, -2.0])), graph.input("i", 2, dtype=int)
    memory = scg.memory.begin(graph, 5, 2)
    if inside:
        memory, _ = graph.scan(lambda m: scg.memory.write(m, 0, w), memory, length=3)
    else:
        memory = scg.memory.write(memory, i, np.stack([w, 3 * w]))
    graph.cost("loss", (scg.memory.read(memory, 0) ** 2).sum(axis=1))
    inputs = {"i": np.array([[0, 1], [1, 0], [2, 3], [0, 0]])}
    estimate = scg.estimate_gradient(graph, graph.init(RNG(0)), inputs, rng=RNG(0))
    shown = np.array([1, 1, 1, 1]) if inside else np.array([1, 3, 0, 3])
    expected = 2 * np.mean(shown**2) * np.array([1.0, -2.0])
    np.testing.assert_allclose(estimate.gradient["w"], expected, rtol=1e-12)


@pytest.mark.parametrize("columns", [8, 9, 40])
def test_many_cells_at_once_may_be_the_same_one(columns):
    found = []
    for kind in (Hard, Dense):
        graph = scg.Graph()
        x, i = graph.input("x"), graph.input("i", columns, dtype=int)
        w = graph.param("w", np.array([0.5, -1.0]))
        ops = kind(graph)
        memory = ops.write(ops.begin(0.0, x), 0 * i[:, 0] + 1, x[:, None] * w)
        memory = ops.write(memory, 0 * i[:, 0] + 2, np.sin(x[:, None] * w))
        graph.cost("loss", (ops.read(memory, i) ** 2).sum(axis=(1, 2)))
        at = RNG(0).integers(1, 3, size=(ROWS, columns))
        inputs = {"x": np.array([1.0, 2.0, -1.0]), "i": at}
        found.append(
            scg.estimate_gradient(graph, graph.init(RNG(0)), inputs, rng=RNG(0))
        )
    assert_same(found[0].gradient, found[1].gradient)


@pytest.mark.parametrize("cells", [500, 10**12])
def test_a_long_loop_has_room_for_all_it_writes(cells):
    length = 600
    graph = stepping(cells, length=length)
    inputs = data(cells, 0, rows=2, length=length)
    inputs["i"][:, 1:, 1] = inputs["i"][:, :-1, 0]  # what was written a step before
    params = graph.init(RNG(0))
    trace = scg.forward(graph, params, inputs, rng=RNG(0))
    shown = [{} for _ in range(2)]
    for t in range(length):
        for r in range(2):
            shown[r][inputs["i"][r, t, 0]] = inputs["x"][r, t]
            held = shown[r].get(inputs["i"][r, t, 1], np.zeros(4))
            assert trace["loss"][t, r] == pytest.approx((held**2).sum(), rel=1e-5)


def test_float32_stays_float32():
    graph = scg.Graph(dtype=np.float32)
    w = graph.param("w", np.ones(2))
    x = graph.input("x")
    memory = scg.memory.write(scg.memory.begin(graph, 3, 2), 1, x[:, None] * w)
    graph.cost("loss", scg.memory.read(memory, 1).sum(axis=1))
    inputs = {"x": np.ones(2, np.float32)}
    estimate = scg.estimate_gradient(graph, graph.init(RNG(0)), inputs, rng=RNG(0))
    assert estimate.gradient["w"].dtype == np.float32
    assert estimate.gradient["w"].tolist() == [1.0, 1.0]
