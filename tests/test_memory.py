"""Memory cell by cell is the dense form, at a cost that the cells have no part in."""

import time
from unittest import mock

import numpy as np
import pytest
from autograd import grad
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_models import (
    CELLS,
    LENGTH,
    WIDTH,
    Dense,
    Hard,
    MemoryScan,
    beginnings,
    write_line,
)
from oracles import finite_difference
from pooled import pooled
from tiny_environment import tiny_environment

import scg
from scg import cell_slots
from scg.backward import backward
from scg.cells import History
from scg.plan import plan_of
from scg.replay import Replay

RNG = np.random.default_rng
ROWS = 3


def line(seed, kind):
    return write_line(seed, kind)


def loop(seed, kind):
    return MemoryScan(seed, kind).graph


def numbers(graph, seed, rows=ROWS):
    """Give a graph's params and inputs."""
    rng = RNG(seed)
    params = {n.name: rng.normal(size=n.shape) for n in graph.params}
    inputs = {"x": rng.normal(size=rows)}
    names = {n.name: n for n in graph.nodes}
    inputs["i"] = rng.integers(CELLS, size=(rows, *names["i"].event_shape))
    if "xs" in names:
        inputs["xs"] = rng.normal(size=(rows, LENGTH, WIDTH))
    return params, inputs


def assert_same(found, expected, rtol=1e-9):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = 1 + np.abs(value).max()
        np.testing.assert_allclose(
            found[name] / scale, value / scale, rtol=0, atol=rtol, err_msg=name
        )


def both(build, seed):
    """Give the estimate, of its second run, and that of the dense form."""
    hard, dense = build(seed, Hard), build(seed, Dense)
    params, inputs = numbers(hard, seed)
    step = scg.compile(hard)
    step(params, {**inputs, "x": inputs["x"] + 1}, rng=RNG(0))
    found = step(params, inputs, rng=RNG(0))
    return found, scg.estimate_gradient(dense, params, inputs, rng=RNG(0))


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


# Sampled indices


def addressed(kind, *, steps=2):
    """Write where a sample says, read where another says; nothing is known of both."""
    graph = scg.Graph()
    logits = graph.param("logits", np.zeros((2, CELLS)))
    w = graph.param("w", np.zeros((CELLS, WIDTH)))
    x = graph.input("x")
    ops = kind(graph)
    memory = ops.begin(w, x)
    for t in range(steps):
        i = graph.sample(f"i{t}", scg.Categorical(logits=logits[t] * x[:, None]))
        memory = ops.write(memory, i, np.tanh(x[:, None] + w[t]))
    j = graph.sample("j", scg.Categorical(logits=ops.read(memory, i) @ w.T))
    graph.cost("loss", np.sin(ops.read(memory, j)).sum(axis=1))
    graph.cost("rest", (ops.whole(memory) ** 2).sum(axis=(1, 2)))
    return graph


def drawn(choice):
    return {
        "score": dict.fromkeys(("i0", "i1", "j"), scg.ScoreFunction()),
        "enumeration": dict.fromkeys(("i0", "i1", "j"), scg.Enumeration()),
        "branches": dict.fromkeys(
            ("i0", "i1", "j"),
            scg.ScoreFunction(samples=3, baseline=scg.LeaveOneOut()),
        ),
        "mixed": {
            "i0": scg.ScoreFunction(samples=3, baseline=scg.LeaveOneOut()),
            "i1": scg.Enumeration(),
        },
    }[choice]


@pytest.mark.parametrize("choice", ["score", "enumeration", "branches", "mixed"])
@pytest.mark.parametrize("samples", [1, 2])
def test_sampled_indices_train_as_in_the_dense_form(choice, samples):
    hard, dense = addressed(Hard), addressed(Dense)
    rng = RNG(0)
    params = {n.name: rng.normal(size=n.shape) for n in hard.params}
    inputs = {"x": rng.normal(size=ROWS)}
    estimators = drawn(choice)
    options = {"estimators": estimators, "samples": samples, "rng": RNG(1)}
    expected = scg.estimate_gradient(dense, params, inputs, **options)
    given = {
        k: expected.trace[k]
        for k in ("i0", "i1", "j")
        if not isinstance(estimators.get(k), scg.Enumeration)
    }
    found = scg.estimate_gradient(hard, params, inputs, given=given, **options)
    assert found.cost == pytest.approx(expected.cost, rel=1e-12)
    assert_same(found.gradient, expected.gradient)


def branching(kind, which):
    """Branch between writes, from each kind of beginning."""
    graph = scg.Graph()
    logits = graph.param("logits", np.zeros((2, CELLS)))
    graph.param("start", np.zeros((CELLS, WIDTH)))
    x = graph.input("x")
    ops = kind(graph)
    graph.cost("penalty", 0.1 * (graph["start"] ** 2).sum())
    memory = ops.begin(beginnings(graph, x)[which], x)
    for t in range(2):
        i = graph.sample(f"i{t}", scg.Categorical(logits=logits[t]))
        memory = ops.write(memory, i, np.tanh(x[:, None] + logits[t, :WIDTH]))
    graph.cost("loss", (np.sin(ops.whole(memory)) ** 2).sum(axis=(1, 2)))
    return graph


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("cells", [CELLS, 0], ids=["table", "hash"])
def test_every_beginning_is_repeated_for_every_branch(which, cells):
    hard, dense = branching(Hard, which), branching(Dense, which)
    rng = RNG(0)
    params = {n.name: rng.normal(size=n.shape) for n in hard.params}
    inputs = {"x": rng.normal(size=ROWS)}
    score = scg.ScoreFunction(samples=2, baseline=scg.LeaveOneOut())
    options = {"estimators": {"i0": score, "i1": score}, "samples": 2}
    expected = scg.estimate_gradient(dense, params, inputs, rng=RNG(1), **options)
    drawn = {k: expected.trace[k] for k in ("i0", "i1")}
    with mock.patch.object(cell_slots, "_MANY", cells):
        found = scg.estimate_gradient(
            hard, params, inputs, rng=RNG(1), given=drawn, **options
        )
    assert found.cost == pytest.approx(expected.cost, rel=1e-12)
    assert_same(found.gradient, expected.gradient)


def test_enumerated_indices_give_the_derivative_of_the_expected_cost():
    graph = addressed(Hard)
    params = {n.name: RNG(2).normal(size=n.shape) for n in graph.params}
    inputs = {"x": RNG(3).normal(size=ROWS)}
    step = scg.compile(graph, drawn("enumeration"))
    expected = finite_difference(lambda p: step(p, inputs, rng=RNG(0)).cost, params)
    assert_same(step(params, inputs, rng=RNG(0)).gradient, expected, rtol=1e-6)


@pytest.mark.statistical
def test_scores_of_indices_in_a_loop_are_unbiased():
    graph = scg.Graph()
    logits = graph.param("logits", np.array([0.5, -0.5, 0.2]))
    w = graph.param("w", np.array([1.0, -2.0]))

    def step(memory):
        i = graph.sample("i", scg.Categorical(logits=logits))
        memory = scg.memory.write(memory, i, w)
        j = graph.sample("j", scg.Categorical(logits=logits))
        graph.cost("loss", (scg.memory.read(memory, j) ** 3).sum(axis=1))
        return memory

    graph.scan(step, scg.memory.begin(graph, 3, 2), length=2)

    def expected_cost(p):
        q = np.exp(p["logits"]) / np.exp(p["logits"]).sum()
        written = (q**2).sum() + (q * (1 - (1 - q) ** 2)).sum()
        return written * (p["w"] ** 3).sum()

    params = graph.init(RNG(0))
    step = scg.compile(graph)
    found = np.array(
        [
            np.concatenate([*step(params, rng=RNG(k), rows=1000).gradient.values()])
            for k in range(200)
        ]
    )
    exact = finite_difference(expected_cost, params)
    expected = np.concatenate([exact["logits"], exact["w"]])
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - expected) < 5 * error)
    # A gradient without the score of what was written before is told apart.
    wrong = expected + np.array([0.2, 0, 0, 0, 0])
    assert not np.all(np.abs(found.mean(axis=0) - wrong) < 5 * error)


def valued(kind, estimator, environment=None):
    """Act on what a value node sees too: what was noted before."""
    graph = scg.Graph()
    logits = graph.param("logits", np.zeros((WIDTH, CELLS)))
    weights = graph.param("weights", np.zeros(WIDTH))
    x = graph.input("x")
    ops = kind(graph)

    def step(carry):
        memory, at = carry
        noted = ops.read(memory, at)
        graph.value("v", noted @ weights)
        i = graph.sample("i", scg.Categorical(logits=noted @ logits))
        memory = ops.write(memory, i, np.tanh(noted + 0.1 * i[:, None]))
        graph.cost("loss", np.sin(ops.read(memory, 0 * i)).sum(axis=1))
        if environment is not None:
            graph.cost("reward", -environment(i * 1.0)[1])
        return memory, i

    begun = ops.begin(np.ones((CELLS, WIDTH)), x)
    graph.scan(step, (begun, np.zeros((), int)), length=4)
    return graph, {"i": estimator}


@pytest.mark.parametrize(
    "estimator",
    [
        scg.ScoreFunction(baseline=scg.LearnedBaseline("v")),
        scg.ScoreFunction(discount=0.9, critic=scg.GAE("v", lam=0.7)),
    ],
    ids=["baseline", "critic"],
)
def test_a_value_node_may_read_a_memory(estimator):
    (hard, chosen), (dense, _) = (valued(kind, estimator) for kind in (Hard, Dense))
    params = {n.name: RNG(0).normal(size=n.shape) for n in hard.params}
    inputs = {"x": np.zeros(ROWS)}
    expected = scg.estimate_gradient(
        dense, params, inputs, estimators=chosen, rng=RNG(1)
    )
    found = scg.estimate_gradient(
        hard,
        params,
        inputs,
        estimators=chosen,
        rng=RNG(1),
        given={"i": expected.trace["i"]},
    )
    assert_same(found.gradient, expected.gradient)


def test_a_critic_that_reads_a_memory_is_refused_in_an_environment():
    world = tiny_environment()
    critic = scg.ScoreFunction(discount=0.9, critic=scg.GAE("v", lam=0.7))
    graph, chosen = valued(Hard, critic, world)
    params = {n.name: RNG(0).normal(size=n.shape) for n in graph.params}
    with pytest.raises(scg.EstimatorError, match=r"'i'.*'v'.*memory.*LearnedBaseline"):
        scg.estimate_gradient(
            graph, params, {"x": np.zeros(2)}, estimators=chosen, rng=RNG(1)
        )


def test_influence_passes_through_what_is_written_and_where():
    graph = addressed(Hard)
    assert graph.influences("i0", "loss")
    assert graph.deterministically_influences("w", "loss")
    assert graph.deps("j") == {"logits", "w", "i0", "i1"} - {"logits"}
    assert graph.downstream_costs("j") == ("loss",)


def test_an_index_that_params_reach_is_refused_naming_it():
    graph = scg.Graph()
    w = graph.param("w", np.zeros(3))
    x = graph.input("x")
    at = graph.rename("at", np.argmax(x[:, None] * w, axis=-1))
    memory = scg.memory.begin(graph, 3, 2, np.ones((3, 2)))
    graph.cost("loss", scg.memory.read(memory, at).sum(axis=1) + w.sum())
    with pytest.raises(scg.NotDifferentiableError, match=r"'at' is int64.*Categorical"):
        graph.check()


def test_the_slots_of_a_read_hold_the_memory_constant():
    # Else what is written would have to be differentiated in where it is found.
    graph = loop(0, Hard)
    graph.check()


# What runs leave behind


def stepping(cells, *, length=6, name="memory", **options):
    graph = scg.Graph(dtype=np.float32)
    x = graph.input("x", (length, 4))
    i = graph.input("i", (length, 2), dtype=int)
    w = graph.param("w", np.eye(4))

    def step(memory, x):
        x, i = x
        memory = scg.memory.write(memory, i[:, 0], x @ w, name=name)
        graph.cost("loss", (scg.memory.read(memory, i[:, 1]) ** 2).sum(axis=1))
        return memory

    empty = scg.memory.begin(graph, cells, 4)
    last, _ = graph.scan(step, empty, xs=(x, i), **options)
    graph.rename("last", last)
    return graph


def data(cells, seed, rows=4, length=6):
    rng = RNG(seed)
    x = rng.normal(size=(rows, length, 4)).astype(np.float32)
    return {"x": x, "i": rng.integers(cells, size=(rows, length, 2))}


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


# Errors


def small(graph):
    return scg.memory.begin(graph, 5, 2, name="m")


@pytest.mark.parametrize("wrong", [-1, 5, 2**40])
@pytest.mark.parametrize("action", ["read", "write"])
def test_an_index_out_of_range_is_refused_naming_node_row_and_range(wrong, action):
    graph = scg.Graph()
    at = graph.input("at", dtype=int)
    memory = small(graph)
    if action == "write":
        memory = scg.memory.write(memory, at, 1.0)
        graph.cost("loss", scg.memory.read(memory, 0).sum(axis=1))
    else:
        graph.cost("loss", scg.memory.read(memory, at).sum(axis=1))
    with pytest.raises(scg.CellIndexError, match=f"'at'.*0 to 4.*{wrong} in row 1"):
        scg.forward(graph, {}, {"at": np.array([4, wrong])}, rng=RNG(0))


@pytest.mark.parametrize("dtype", [float, bool])
def test_an_index_that_is_no_whole_number_is_refused(dtype):
    graph = scg.Graph()
    memory, at = small(graph), graph.input("at", dtype=dtype)
    for act in (scg.memory.read, lambda m, i: scg.memory.write(m, i, 0.0)):
        with pytest.raises(scg.GraphError, match=r"'m'.*whole numbers.*'at'.*astype"):
            act(memory, at)
    with pytest.raises(scg.GraphError, match="whole numbers"):
        scg.memory.read(memory, 1.5)


def test_a_nan_that_becomes_an_index_is_refused():
    graph = scg.Graph()
    x = graph.input("x")
    at = graph.rename("at", np.log(x).astype(int))
    graph.cost("loss", scg.memory.read(small(graph), at).sum(axis=1))
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(scg.CellIndexError, match="'at'"),
    ):
        scg.forward(graph, {}, {"x": np.array([1.0, -1.0])}, rng=RNG(0))


@pytest.mark.parametrize(
    "use",
    [
        lambda g, m: m + 1,
        lambda g, m: np.sum(m, axis=(1, 2)),
        lambda g, m: m[:, 0],
        lambda g, m: scg.black_box(lambda m: m[:, 0, 0])(m),
        lambda g, m: scg.deterministic(lambda m: m)(m),
    ],
    ids=["add", "sum", "index", "black box", "deterministic"],
)
def test_a_memory_is_no_array(use):
    graph = scg.Graph()
    with pytest.raises(scg.GraphError, match=r"'m'.*scg.memory.read"):
        use(graph, small(graph))


def test_a_memory_is_no_parameter_of_a_sample():
    graph = scg.Graph()
    with pytest.raises(scg.GraphError, match=r"'z'.*'m'.*scg.memory.read"):
        graph.sample("z", scg.Normal(mean=small(graph), scale=1.0))


def test_an_array_is_no_memory():
    graph = scg.Graph()
    x = graph.input("x", (5, 2))
    with pytest.raises(scg.GraphError, match=r"expected a memory.*scg.memory.begin"):
        scg.memory.read(x, 0)
    with pytest.raises(scg.GraphError, match="expected a memory"):
        scg.memory.write(np.zeros((5, 2)), 0, 1.0)


@pytest.mark.parametrize(
    "value",
    [np.zeros(3), "text", np.zeros((2, 2))],
    ids=["wide", "text", "rows"],
)
def test_what_is_written_has_to_fit_a_cell(value):
    graph = scg.Graph()
    with pytest.raises(scg.ShapeError, match=r"write to 'm'.*\(rows, 2\)"):
        scg.memory.write(small(graph), 0, value)


def test_a_node_that_is_written_has_to_fit_a_cell():
    graph = scg.Graph()
    x = graph.input("x", 3)
    with pytest.raises(scg.ShapeError, match=r"\(rows, 4, 2\).*'x'"):
        scg.memory.write(small(graph), np.arange(4), x)


@pytest.mark.parametrize(
    ("cells", "value", "error"),
    [
        (0, 0.0, scg.GraphError),
        (3, np.zeros((2, 2)), scg.ShapeError),
        (3, np.nan, scg.ShapeError),
    ],
    ids=["none", "others", "nan"],
)
def test_a_memory_begins_with_what_fits(cells, value, error):
    with pytest.raises(error, match="memory"):
        scg.memory.begin(scg.Graph(), cells, 2, value)


def test_an_empty_index_is_refused():
    graph = scg.Graph()
    with pytest.raises(scg.ShapeError, match="empty"):
        scg.memory.read(small(graph), np.zeros(0, int))


def test_a_memory_goes_into_a_loop_by_its_carry_alone():
    graph = scg.Graph()
    memory = small(graph)
    x = graph.input("x", 2, dtype=int)
    with pytest.raises(scg.GraphError, match=r"'m'.*init"):
        graph.scan(lambda h, x: scg.memory.read(memory, x), np.zeros(2), xs=x)
    with pytest.raises(scg.GraphError, match=r"xs.*'m'"):
        graph.scan(lambda h, x: h, np.zeros(2), xs=memory)
    with pytest.raises(scg.GraphError, match="outputs"):
        graph.scan(lambda m: (m, m), memory, length=2)
    with pytest.raises(scg.GraphError, match="outside of a scan"):
        graph.scan(lambda h: [small(graph), h][1], np.zeros(2), length=2)


def test_a_carry_that_begins_as_an_array_cannot_become_a_memory():
    graph = scg.Graph()
    memory = small(graph)
    with pytest.raises(scg.ShapeError, match="a memory of shape"):
        graph.scan(lambda c: (c[0], c[0]), (memory, np.zeros((5, 2))), length=2)


# The soft twins


def test_soft_memory_is_hard_memory_where_the_weights_are_one_hot():
    graph = loop(1, Dense)
    params, inputs = numbers(graph, 1)
    assert scg.estimate_gradient(graph, params, inputs, rng=RNG(0)).cost


def test_soft_memory_has_the_gradient_of_finite_differences():
    graph = scg.Graph()
    start, logits = graph.param("start", np.ones((3, 2))), graph.param("a", np.zeros(3))
    x = graph.input("x", 2)
    a = scg.softmax(logits * x[:, :1])
    memory = scg.memory.soft_write(start + 0 * x[:, None], a, x)
    read = scg.memory.soft_read(memory, a)
    graph.cost("loss", (read**2).sum(axis=1))
    params = {"start": RNG(0).normal(size=(3, 2)), "a": RNG(1).normal(size=3)}
    inputs = {"x": RNG(2).normal(size=(4, 2))}
    step = scg.compile(graph)
    expected = finite_difference(lambda p: step(p, inputs, rng=RNG(0)).cost, params)
    assert_same(step(params, inputs, rng=RNG(0)).gradient, expected, rtol=1e-6)


def test_what_is_not_taken_is_kept_for_nobody():
    graph = stepping(1000)
    step, params = scg.compile(graph), graph.init(RNG(0))
    for k in range(3):
        step(params, data(1000, k), rng=RNG(0))
    buffers = plan_of(step.program).buffers
    for _ in range(6):
        buffers.sweep()
    assert buffers.take_whole(("cells", 4, 1000, (4,), np.dtype(np.float32))) is None
