"""What runs with a memory leave behind, and what they cost."""

import time

import numpy as np
import pytest
from memory_models import CELLS, RNG, WIDTH, Dense, Hard, assert_same, data, stepping

import scg
from scg.plan import plan_of


def test_a_trace_shows_every_version_as_an_array():
    graph = stepping(5)
    inputs = data(5, 0)
    trace = scg.forward(graph, graph.init(RNG(0)), inputs, rng=RNG(0))
    expected = np.zeros((4, 5, 4), np.float32)
    for t in range(6):
        expected[np.arange(4), inputs["i"][:, t, 0]] = inputs["x"][:, t]
        np.testing.assert_allclose(trace["memory"][t], expected, rtol=1e-6)
    np.testing.assert_allclose(trace["last"], expected, rtol=1e-6)


def test_runs_that_are_held_keep_their_values():
    graph = stepping(5)
    step, params = scg.compile(graph), graph.init(RNG(0))
    held = [step(params, data(5, k), rng=RNG(0)) for k in range(3)]
    kept = [(e.trace["memory"].copy(), e.gradient["w"].copy()) for e in held]
    for k in range(3, 12):
        step(params, data(5, k), rng=RNG(0))
    for estimate, (memory, gradient) in zip(held, kept, strict=True):
        np.testing.assert_array_equal(estimate.trace["memory"], memory)
        np.testing.assert_array_equal(estimate.gradient["w"], gradient)


def test_a_run_begins_with_the_memory_as_it_was_meant():
    graph = stepping(5)
    params = graph.init(RNG(0))
    step = scg.compile(graph)
    alone = step(params, data(5, 1), rng=RNG(0)).gradient["w"].copy()
    for k in (0, 2, 1):
        found = step(params, data(5, k), rng=RNG(0))
    np.testing.assert_array_equal(found.gradient["w"], alone)


@pytest.mark.parametrize("cells", [1000, 10**12])
def test_runs_take_the_same_arrays_again(cells):
    graph = stepping(cells)
    step, params = scg.compile(graph), graph.init(RNG(0))

    def slots(estimate):
        last = estimate.trace.values[step.program.names["last"]]
        return last.history.slots

    first = step(params, data(cells, 0), rng=RNG(0))
    held = slots(first)
    everywhere = np.concatenate([data(cells, k)["i"][..., 0] for k in (0, 1)], axis=1)
    assert held.look(everywhere).any()
    del first
    assert not held.look(everywhere).any()
    second = step(params, data(cells, 1), rng=RNG(0))
    assert slots(second) is held
    third = step(params, data(cells, 1), rng=RNG(0))
    assert slots(third) is not held


def test_a_run_that_fails_leaves_a_clean_memory():
    graph = stepping(5)
    step, params = scg.compile(graph), graph.init(RNG(0))
    expected = step(params, data(5, 1), rng=RNG(0)).gradient["w"].copy()
    wrong = data(5, 0)
    wrong["i"][2, 3, 0] = 5
    with pytest.raises(scg.CellIndexError):
        step(params, wrong, rng=RNG(0))
    found = step(params, data(5, 1), rng=RNG(0))
    np.testing.assert_array_equal(found.gradient["w"], expected)


def test_a_million_cells_cost_what_a_hundred_do():
    steps = {}
    for cells in (100, 1_000_000):
        graph = stepping(cells, length=20)
        step, params = scg.compile(graph), graph.init(RNG(0))
        inputs = data(cells, 0, length=20)
        step(params, inputs, rng=RNG(0))
        steps[cells] = lambda s=step, p=params, i=inputs: s(p, i, rng=RNG(0))
    times = {cells: [] for cells in steps}
    for _ in range(15):
        for cells, run in steps.items():
            start = time.perf_counter()
            run()
            times[cells].append(time.perf_counter() - start)
    # Ten thousand times the cells; the machine may be busy.
    assert min(times[1_000_000]) < 3 * min(times[100])


def test_a_lean_run_has_the_same_costs():
    graph = stepping(5)
    params, inputs = graph.init(RNG(0)), data(5, 0)
    lean = scg.forward(graph, params, inputs, rng=RNG(0), lean=True)
    full = scg.forward(graph, params, inputs, rng=RNG(0))
    np.testing.assert_array_equal(lean["loss"], full["loss"])


def test_rows_that_stop_one_by_one_keep_their_memories():
    found = []
    for kind in (Hard, Dense):
        graph = scg.Graph()
        w, start = graph.param("w", 0.7), graph.input("x")
        ops = kind(graph)

        def step(carry, graph=graph, ops=ops, w=w):
            memory, n = carry
            at = n.astype(int) % CELLS
            memory = ops.write(memory, at, w * n[:, None] * np.ones(WIDTH))
            graph.rename("over", n > 5)
            graph.cost("loss", (ops.read(memory, (at + 1) % CELLS) ** 2).sum(axis=1))
            return memory, n + 1

        begun = ops.begin(0.5, start)
        graph.scan(step, (begun, start), length=9, until="over")
        inputs = {"x": np.array([0.0, 3.0, 5.0])}
        found.append(scg.estimate_gradient(graph, {"w": 0.7}, inputs, rng=RNG(0)))
    assert found[0].cost == pytest.approx(found[1].cost, rel=1e-12)
    assert_same(found[0].gradient, found[1].gradient)


def test_a_graph_with_a_memory_is_drawn_and_explained(tmp_path):
    graph = stepping(5)
    graph.draw(tmp_path / "memory.svg")
    assert "memory" in (tmp_path / "memory.svg").read_text()
    assert "w  ← memory ← loss" in graph.explain()


def test_what_is_not_taken_is_kept_for_nobody():
    graph = stepping(1000)
    step, params = scg.compile(graph), graph.init(RNG(0))
    for k in range(3):
        step(params, data(1000, k), rng=RNG(0))
    buffers = plan_of(step.program).buffers
    for _ in range(6):
        buffers.sweep()
    assert buffers.take_whole(("cells", 4, 1000, (4,), np.dtype(np.float32))) is None
