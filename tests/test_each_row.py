"""Black boxes of one row: what they get, how many at a time, and what is kept."""

import threading
import time

import numpy as np
import pytest

import scg

COSTS = np.array([1.0, 4.0, 2.0, 3.0])


def box(function, how, **options):
    graph = scg.Graph()
    k = graph.sample("k", scg.Categorical(logits=graph.param("w", np.zeros(4))))
    cost = scg.black_box(function, name="box", each_row=how, **options)(k)
    graph.cost("loss", cost)
    return graph


def run(graph, rows=20, seed=0):
    rng = np.random.default_rng(seed)
    return scg.estimate_gradient(graph, graph.init(rng), rng=rng, rows=rows)


HOWS = {
    "one after the other": scg.EachRow(),
    "three at a time": scg.EachRow(workers=3),
    "more workers than rows": scg.EachRow(workers=50),
    "kept": scg.EachRow(cache=10),
    "three at a time, kept": scg.EachRow(workers=3, cache=10),
    "fewer kept than there are": scg.EachRow(cache=2),
}


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
def test_a_box_of_one_row_makes_the_gradient_of_one_of_all_rows(how):
    whole = run(box(lambda k: COSTS[k], None))
    single = box(lambda k: COSTS[k], how)
    for _ in range(2):  # with nothing kept, and with what was kept
        estimate = run(single)
        assert estimate.cost == whole.cost
        assert (estimate.gradient["w"] == whole.gradient["w"]).all()


def test_a_row_is_a_number_or_an_array_and_what_has_no_rows_comes_whole():
    seen = []

    def look(*args):
        seen.append(args)
        return np.ones(2)

    graph = scg.Graph("looked at", dtype=np.float32)
    w = graph.param("w", np.zeros(3))
    k = graph.sample("k", scg.Categorical(logits=w))
    x = graph.input("x", shape=(2, 3))
    table = np.arange(20.0)
    boxed = scg.black_box(look, shape=2, each_row=scg.EachRow())
    graph.cost(
        "loss", np.sum(boxed(table, k, scg.stop_gradient(w), x, k > 1, k / 2), axis=-1)
    )
    inputs = {"x": np.arange(24, dtype=np.float32).reshape(4, 2, 3)}
    rng = np.random.default_rng(0)
    trace = scg.forward(graph, graph.init(rng), inputs, rng=rng)
    assert len(seen) == 4
    for i, (whole, number, param, array, truth, half) in enumerate(seen):
        assert whole.tolist() == table.tolist()
        assert type(number) is int
        assert number == trace["k"][i]
        assert param.tolist() == [0, 0, 0]
        assert array.tolist() == inputs["x"][i].tolist()
        assert not array.flags.writeable
        assert type(truth) is bool
        assert type(half) is float
        assert half == number / 2
    assert trace.values[-2].dtype == np.float32


def test_a_box_that_returns_the_same_array_each_time_is_copied_from():
    answer = np.zeros(())

    def same(k):
        answer[()] = COSTS[k]
        return answer

    whole = run(box(lambda k: COSTS[k], None))
    for how in (scg.EachRow(), scg.EachRow(cache=10)):
        graph = box(same, how)
        assert run(graph).cost == run(graph).cost == whole.cost


def test_every_draw_of_a_row_is_a_row():
    asked = []
    graph = box(lambda k: asked.append(k) or COSTS[k], scg.EachRow())
    rng = np.random.default_rng(0)
    estimator = scg.ScoreFunction(samples=3, baseline=scg.LeaveOneOut())
    scg.estimate_gradient(
        graph, graph.init(rng), estimators={"k": estimator}, rng=rng, rows=5
    )
    assert len(asked) == 15


def test_a_box_of_params_alone_is_called_once():
    graph = scg.Graph()
    w = graph.param("w", np.ones(3))
    graph.cost("mean", graph.sample("x", scg.Normal(mean=w[0], scale=1.0)))
    total = scg.black_box(np.sum, each_row=scg.EachRow(workers=2, cache=9))
    graph.cost("loss", total(scg.stop_gradient(w)))
    assert run(graph).trace["loss"] == 3


# Workers


def test_so_many_rows_are_under_way_at_a_time_and_no_more():
    lock, under_way, most = threading.Lock(), [0], [0]
    gate = threading.Barrier(3)

    def meet(k):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        gate.wait(30)  # breaks unless three calls wait here at a time
        time.sleep(0.005)
        with lock:
            under_way[0] -= 1
        return 1.0

    run(box(meet, scg.EachRow(workers=3)), rows=12)
    assert most[0] == 3


def test_numpys_error_state_is_the_same_in_a_worker():
    # A run ignores what is divided by 0; elsewhere the warning would be an error here.
    assert run(box(lambda k: np.log(k * 0.0) > 0, scg.EachRow(workers=2))).cost == 0


# Failures


@pytest.mark.parametrize("workers", [1, 4])
def test_the_row_that_failed_is_named_with_what_it_was_given(workers):
    def breaks(k):
        if k == 2:
            msg = "does not compile"
            raise ValueError(msg)
        return 0.0

    graph = box(breaks, scg.EachRow(workers=workers))
    first = run(box(lambda k: 0.0, scg.EachRow())).trace["k"].tolist().index(2)
    assert first > 0
    with pytest.raises(scg.BlackBoxError) as error:
        run(graph)
    assert str(error.value).startswith(
        "black box 'box' raised ValueError: does not compile. It was given 2; to debug"
    )
    assert str(error.value).endswith(f"This was in row {first}.")
    assert error.value.arguments == (2,)
    assert isinstance(error.value.__cause__, ValueError)


def test_a_wrong_answer_for_a_row_is_told_as_one():
    for wrong, message in (
        (lambda k: np.ones(2), r"expected shape \(\), got \(2,\)"),
        (lambda k: np.nan, r"expected finite numbers, got nan\. This was in row 0"),
        (lambda k: None, "got None. This was in row 0"),
    ):
        with pytest.raises(scg.BlackBoxError, match=message):
            run(box(wrong, scg.EachRow()))


def test_the_limit_and_the_attempts_are_those_of_a_row():
    release, calls = threading.Event(), []

    def hangs_once(k):
        calls.append(k)
        if len(calls) == 3:
            release.wait(60)
        time.sleep(0.02)
        return COSTS[k]

    # All rows together take longer than the limit.
    graph = box(hangs_once, scg.EachRow(), timeout=0.3, attempts=2, pause=0)
    start = time.monotonic()
    estimate = run(graph)
    assert time.monotonic() - start > 0.3 + 20 * 0.02
    release.set()
    assert len(calls) == 21
    assert estimate.cost == run(box(lambda k: COSTS[k], None)).cost


def test_rows_that_wait_are_not_begun_after_a_failure():
    begun, release = [], threading.Event()

    def first_breaks(k):
        begun.append(k)
        if len(begun) == 1:
            raise ValueError
        release.wait(60)
        return 0.0

    with pytest.raises(scg.BlackBoxError):
        run(box(first_breaks, scg.EachRow(workers=2)), rows=200)
    release.set()
    time.sleep(0.1)
    assert len(begun) <= 3  # the one, and what two workers had begun meanwhile


# The cache


def test_equal_rows_are_asked_for_once():
    asked = []
    graph = box(lambda k: asked.append(k) or COSTS[k], scg.EachRow(cache=4))
    for seed in range(5):
        run(graph, rows=50, seed=seed)
    assert sorted(asked) == [0, 1, 2, 3]


def test_without_a_cache_every_row_is_asked_for():
    asked = []
    run(box(lambda k: asked.append(k) or COSTS[k], scg.EachRow()), rows=50)
    assert len(asked) == 50


def test_the_least_recently_used_answer_is_forgotten_first():
    asked = []
    graph = scg.Graph()
    x = graph.input("x")
    double = scg.black_box(
        lambda x: asked.append(x) or 2 * x, each_row=scg.EachRow(cache=2)
    )
    graph.cost("loss", double(x))

    def ask(*values):
        asked.clear()
        rng = np.random.default_rng(0)
        trace = scg.forward(graph, {}, {"x": np.array(values)}, rng=rng)
        assert trace["loss"].tolist() == [2 * v for v in values]
        return asked

    assert ask(1.0, 2.0) == [1.0, 2.0]
    assert ask(1.0) == []
    assert ask(3.0) == [3.0]  # and 2 is forgotten
    assert ask(1.0) == []
    assert ask(2.0) == [2.0]
    assert ask(5.0, 6.0, 7.0, 6.0) == [5.0, 6.0, 7.0]  # more than are kept


def test_rows_are_equal_only_to_the_last_bit():
    asked = []
    graph = scg.Graph()
    x = graph.input("x", shape=2)
    sign = scg.black_box(
        lambda x: asked.append(x) or np.copysign(1.0, x[0]),
        each_row=scg.EachRow(cache=9),
    )
    graph.cost("loss", sign(x))
    inputs = {"x": np.array([[0.0, 1], [-0.0, 1], [0.0, np.nextafter(1, 2)], [0.0, 1]])}
    trace = scg.forward(graph, {}, inputs, rng=np.random.default_rng(0))
    assert trace["loss"].tolist() == [1, -1, 1, 1]
    assert len(asked) == 3


def test_other_params_are_other_rows():
    graph = scg.Graph()
    w = graph.param("w", np.zeros(4))
    k = graph.sample("k", scg.Categorical(logits=w))
    look = scg.black_box(lambda k, w: w[k], each_row=scg.EachRow(cache=99))
    graph.cost("loss", look(k, scg.stop_gradient(w)))
    for w in (np.zeros(4), COSTS):
        trace = scg.forward(graph, {"w": w}, rng=np.random.default_rng(0), rows=9)
        assert trace["loss"].tolist() == w[trace["k"]].tolist()


def test_answers_are_kept_by_text_too():
    texts, asked = np.array(["", "a", "a\0", "long"], object), []
    graph = scg.Graph()
    k = graph.sample("k", scg.Categorical(logits=graph.param("w", np.zeros(4))))
    text = scg.black_box(lambda k: texts[k], dtype=object)(k)
    measure = scg.black_box(
        lambda text: asked.append(text) or len(text), each_row=scg.EachRow(cache=4)
    )
    graph.cost("loss", measure(text))
    trace = run(graph, rows=50).trace
    assert trace["loss"].tolist() == np.array([0, 1, 2, 4])[trace["k"]].tolist()
    assert sorted(asked) == ["", "a", "a\0", "long"]


@pytest.mark.parametrize("cache", [0, 4])
def test_answers_are_not_kept_by_addresses(cache):
    graph = scg.Graph()
    k = graph.sample("k", scg.Categorical(logits=graph.param("w", np.zeros(4))))
    made = scg.black_box(lambda k: [{"k": n} for n in k], dtype=object)(k)
    read = scg.black_box(lambda m: m["k"], name="f", each_row=scg.EachRow(cache=cache))
    graph.cost("loss", read(made))
    if cache:
        with pytest.raises(scg.BlackBoxError, match=r"'f': expected numbers or text"):
            run(graph)
    else:
        assert run(graph).cost > 0


def test_a_failure_is_not_kept():
    calls = []

    def breaks_once(k):
        calls.append(k)
        if len(calls) == 1:
            raise ValueError
        return COSTS[k]

    graph = box(breaks_once, scg.EachRow(cache=9))
    with pytest.raises(scg.BlackBoxError):
        run(graph)
    assert run(graph).cost == run(box(lambda k: COSTS[k], None)).cost


# Options


@pytest.mark.parametrize(("name", "least"), [("workers", 1), ("cache", 0)])
@pytest.mark.parametrize("value", [-1, 0.5, True, "3", None])
def test_workers_and_cache_are_whole_numbers(name, least, value):
    with pytest.raises(scg.GraphError, match=f"expected {name} of {least} or more"):
        scg.EachRow(**{name: value})


def test_each_row_is_an_object_of_its_own():
    with pytest.raises(scg.GraphError, match=r"'f': expected each_row=scg.EachRow\(\)"):
        scg.black_box(np.sqrt, name="f", each_row=True)


@pytest.mark.parametrize("option", [{"rows": False}, {"sparse": True}])
def test_a_function_of_one_row_neither_mixes_rows_nor_is_sparse(option):
    with pytest.raises(scg.GraphError, match="'f': expected a function of all rows"):
        scg.black_box(np.sqrt, name="f", each_row=scg.EachRow(), **option)


def test_a_row_of_a_sparse_array_is_not_taken():
    sparse = pytest.importorskip("scipy.sparse")
    graph = scg.Graph()
    k = graph.sample("k", scg.Categorical(logits=graph.param("w", np.zeros(4))))
    rows = scg.black_box(
        lambda k: sparse.csr_array(np.eye(4)[k]), shape=4, sparse=True, name="rows"
    )(k)
    with pytest.raises(scg.GraphError, match=r"'f': expected arrays.*sparse 'rows'"):
        scg.black_box(np.sum, name="f", each_row=scg.EachRow())(rows)
