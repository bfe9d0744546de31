"""What anybody holds is never written over; what nobody holds is used again."""

import gc
import threading
import tracemalloc

import numpy as np
import pytest
from pooled import pooled
from random_scans import RandomScan

import scg
from scg import kernels, pulls
from scg.buffers import SMALL, Buffers

RNG = np.random.default_rng
LARGE = (100, 200)
DTYPE = np.dtype(float)


# The pool


# Runs


def model(width=100):
    """A network that draws bits from a wide layer, and a loop over its output."""
    graph = scg.Graph()
    x = graph.input("x", shape=(width,))
    W = graph.param("W", np.zeros((width, width)))
    h = graph.rename("h", np.tanh(x @ W))
    b = graph.sample("b", scg.Bernoulli(logits=h * graph.param("s", np.ones(width))))

    def step(carry):
        carry = np.tanh(carry @ W + b)
        graph.cost("inside", np.mean(carry**2, axis=-1))
        return carry

    last, _ = graph.scan(step, h, length=3)
    graph.cost("loss", np.mean((b - scg.sigmoid(last)) ** 2, axis=-1))
    params = {"W": RNG(0).normal(size=(width, width)) * 0.1, "s": np.ones(width)}
    return scg.compile(graph), params, {"x": RNG(1).normal(size=(150, width))}


def arrays(value):
    """List the arrays that an estimate is made of."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from arrays(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from arrays(part)


def parts(estimate):
    trace = estimate.trace
    inside = [trace.values, trace.noise, trace.shared, trace.last_carries]
    return list(arrays([estimate.gradient, estimate.state, *inside]))


def test_nothing_that_is_held_is_written_over():
    step, params, inputs = model()
    rng = RNG(0)
    held, views = [], []
    for i in range(5):
        estimate = step(params, inputs, rng=rng)
        held += [(a, a.copy()) for a in parts(estimate)]
        shown = [estimate.trace["h"][::2, 3:], estimate.gradient["W"].T]
        views += [(a, a.copy()) for a in shown]
        if i == 2:
            held = []  # only views are left
        del estimate, shown
    for array, copy in (*held, *views):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("until", [False, True])
def test_nothing_of_a_random_loop_is_written_over(until):
    with pooled():
        for seed in range(15):
            scan = RandomScan(seed, until=until)
            step = scg.compile(scan.graph, scan.estimators)
            first = step(scan.params, scan.inputs, rng=RNG(0))
            copies = [a.copy() for a in parts(first)]
            given = [a.copy() for a in arrays([scan.params, scan.inputs])]
            step(scan.params, scan.inputs, rng=RNG(1))
            again = step(scan.params, scan.inputs, rng=RNG(0))
            for one, two, three in zip(parts(first), copies, parts(again), strict=True):
                np.testing.assert_array_equal(one, two)
                np.testing.assert_array_equal(one, three)
            for one, two in zip(arrays([scan.params, scan.inputs]), given, strict=True):
                np.testing.assert_array_equal(one, two)


def gradients(seed, until, runs=2):
    scan = RandomScan(seed, until=until)
    step = scg.compile(scan.graph, scan.estimators)
    return [step(scan.params, scan.inputs, rng=RNG(k)).gradient for k in range(runs)]


def poisoned(self, shape, dtype, take=Buffers.take):
    """Hand out an array that nobody must read before writing into it."""
    array = take(self, shape, dtype)
    array.fill(np.nan if array.dtype.kind == "f" else 1)
    return array


@pytest.mark.parametrize("until", [False, True])
def test_nothing_is_read_of_an_array_before_it_is_written(until, monkeypatch):
    with pooled():
        expected = [gradients(seed, until) for seed in range(20)]
        monkeypatch.setattr(Buffers, "take", poisoned)
        for seed, gradient in enumerate(expected):
            np.testing.assert_equal(gradients(seed, until), gradient)


def test_the_check_sees_an_array_that_is_read_before_it_is_written(monkeypatch):
    monkeypatch.setattr(Buffers, "take", poisoned)
    rules = {**kernels.ELEMENTWISE, np.tanh: (lambda out, g, y, x: None,)}
    monkeypatch.setattr(pulls, "ELEMENTWISE", rules)
    graph = scg.Graph()
    graph.cost("loss", np.tanh(graph.param("w", 1.0) * graph.input("x")))
    inputs = {"x": np.ones(2)}
    with pooled(), pytest.raises(scg.NonFiniteError, match="'w'"):
        scg.estimate_gradient(graph, {"w": 1.0}, inputs, rng=RNG(0))


def test_the_check_sees_an_array_that_is_written_over():
    step, params, inputs = model()
    held = step(params, inputs, rng=RNG(0))
    at, copy = id(held.trace["h"]), held.trace["h"].copy()
    pool = step.program.plan.buffers
    key, array = pool._lent.pop(at)
    pool._free.setdefault(key, []).append(array)  # as if nobody held it
    del array
    step(params, {"x": 2 * inputs["x"]}, rng=RNG(1))
    assert not np.array_equal(held.trace["h"], copy)


def test_a_trace_that_is_read_after_other_runs_gives_the_same_gradient():
    step, params, inputs = model()
    trace = step.forward(params, inputs, rng=RNG(0))
    expected = step(params, inputs, rng=RNG(0))
    for seed in range(3):
        step(params, inputs, rng=RNG(seed))
    np.testing.assert_array_equal(trace["b"], expected.trace["b"])
    replayed = step(params, inputs, rng=RNG(5), given={"b": trace["b"]})
    for name, value in expected.gradient.items():
        np.testing.assert_allclose(replayed.gradient[name], value, atol=1e-12)


def test_state_of_runs_in_flight_is_each_runs_own():
    graph = scg.Graph()
    t = graph.param("t", np.zeros(100))
    b = graph.sample("b", scg.Bernoulli(logits=t))
    graph.cost("loss", np.sum(b, axis=-1))
    baseline = scg.MovingAverage()
    step = scg.compile(graph, {"b": scg.ScoreFunction(baseline=baseline)})
    params = {"t": np.zeros(100)}
    first = step(params, rng=RNG(0), rows=200)
    second = step(params, rng=RNG(1), rows=200, state=first.state)
    other = step(params, rng=RNG(1), rows=200, state=dict(first.state))
    third = step(params, rng=RNG(2), rows=200, state=second.state)
    np.testing.assert_array_equal(second.gradient["t"], other.gradient["t"])
    assert [float(s.state["b/weight"]) for s in (first, second, third)] == sorted(
        float(s.state["b/weight"]) for s in (first, second, third)
    )


# Memory


def growth(keeps):
    """Return how many bytes each step adds, and the largest block of the last one."""
    step, params, inputs = model()
    rng, held = RNG(0), []
    for _ in range(6):
        held = keeps(held, step(params, inputs, rng=rng))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            held = keeps(held, step(params, inputs, rng=rng))
        grown = (tracemalloc.get_traced_memory()[0] - before) / 5
        largest = max((t.size for t in tracemalloc.take_snapshot().traces), default=0)
    finally:
        tracemalloc.stop()
    return grown, largest


def test_a_step_uses_the_arrays_of_the_one_before():
    grown, largest = growth(lambda held, estimate: [estimate])
    assert grown < 16_000
    assert largest < 80_000


def test_memory_grows_where_every_estimate_is_held():
    grown, largest = growth(lambda held, estimate: [*held, estimate])
    assert grown > 1_000_000
    assert largest > 80_000


def kept(counts):
    """Return how many arrays the pool keeps after runs of so many rows each."""
    with pooled():
        step, params, inputs = model(4)
        for n in counts:
            step(params, {"x": inputs["x"][:n]}, rng=RNG(0))
    pool = step.program.plan.buffers
    return len(pool._lent) + sum(map(len, pool._free.values()))


def test_rows_that_change_from_step_to_step_do_not_fill_the_memory():
    assert kept(range(10, 60)) < 8 * kept([10] * 50)


def left_to_the_collector(runs):
    """Return how many arrays the pool keeps where no cycle is ever collected."""
    gc.disable()
    try:
        with pooled():
            scan = RandomScan(0)
            step = scg.compile(scan.graph, scan.estimators)
            for _ in range(runs):
                step(scan.params, scan.inputs, rng=RNG(0))
    finally:
        gc.enable()
    return len(step.program.plan.buffers._lent)


def test_a_run_leaves_no_cycle_that_holds_its_arrays():
    assert left_to_the_collector(20) == left_to_the_collector(4)


# Threads


def in_threads(run, count=2):
    """Call a function of its number in several threads, and raise what they raise."""
    failed = []

    def work(i):
        try:
            run(i)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def test_two_threads_with_one_model_get_what_each_would_alone():
    step, params, inputs = model(60)
    halves = [{"x": inputs["x"][:, :60] * (1 + i)} for i in range(2)]
    alone = [step(params, halves[i], rng=RNG(i)) for i in range(2)]

    def run(i):
        for _ in range(10):
            found = step(params, halves[i], rng=RNG(i))
            assert found.cost == alone[i].cost
            for name, value in alone[i].gradient.items():
                np.testing.assert_array_equal(found.gradient[name], value)

    in_threads(run)


def test_threads_may_take_from_one_pool():
    pool = Buffers()

    def run(i):
        for n in range(3000):
            array = pool.take(LARGE, DTYPE)
            array[0, :3] = (i, n, 0)
            other = pool.take(LARGE, DTYPE)
            assert array[0, :3].tolist() == [i, n, 0]
            if n % 3:
                pool.give(array)
            if n % 100 == 0:
                pool.sweep()
            del array, other

    in_threads(run, 3)


def test_small_arrays_are_left_to_numpy():
    pool = Buffers()
    pool.take((SMALL // 8 - 1,), DTYPE)
    assert not pool._lent
    pool.take((SMALL // 8,), DTYPE)
    assert len(pool._lent) == 1


def test_large_values_of_a_loop_leave_their_arrays_to_the_next():
    graph = scg.Graph()
    theta = graph.param("theta", 0.5)

    def step(h):
        for _ in range(20):
            h = h + theta  # no rule reads what is added to
        return 0.5 * h

    last, _ = graph.scan(step, graph.input("start", 200), length=3)
    graph.cost("loss", np.sum(last, axis=-1))
    model, start = scg.compile(graph), np.zeros((200, 200))
    rng = np.random.default_rng(0)
    model({"theta": 0.5}, {"start": start[:1]}, rng=rng)  # makes the plan
    tracemalloc.start()
    trace = model.forward({"theta": 0.5}, {"start": start}, rng=rng)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert trace["loss"][0] == 200 * 8.75
    # The carries' track is 4 of them; 20 more were held where each kept its own.
    assert peak < 12 * start.nbytes
