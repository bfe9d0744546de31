"""Black boxes: what they are given, must return, and how long they may take."""

import threading
import time

import numpy as np
import pytest

import scg


def box(function, *args, **options):
    graph = scg.Graph()
    k = graph.sample("k", scg.Categorical(logits=graph.param("w", np.zeros(4))))
    made = scg.black_box(function, *args, **options)(k)
    graph.cost("loss", made if made.event_shape == () else np.sum(made, axis=1))
    return graph


def run(graph):
    rng = np.random.default_rng(0)
    return scg.estimate_gradient(graph, graph.init(rng), rng=rng, rows=5)


def test_a_black_box_sees_all_rows_at_once_and_is_not_run_when_built():
    seen = []
    graph = box(lambda k: seen.append(k) or k * 1.0)
    assert seen == []
    trace = run(graph).trace
    assert len(seen) == 1
    assert seen[0].tolist() == trace["k"].tolist()


@pytest.mark.parametrize("shape", [3, (3,), np.array([3])])
def test_the_shape_of_a_row_may_be_a_number_or_a_tuple(shape):
    graph = box(lambda k: np.ones((len(k), 3)), shape)
    assert run(graph).cost == 3


@pytest.mark.parametrize("shape", [-1, (None,), ("rows", 2), 2.5])
def test_a_shape_that_is_none_is_refused_when_the_box_is_made(shape):
    with pytest.raises(scg.ShapeError, match="black box 'f': expected the shape"):
        scg.black_box(np.sqrt, shape, name="f")


def test_integers_and_truth_values_become_the_promised_float():
    assert run(box(lambda k: k > 1)).trace.values[-1].dtype == np.float64


def test_a_box_of_params_alone_has_no_rows():
    graph = scg.Graph()
    made = scg.black_box(np.linalg.norm)(graph.param("w", np.ones(4)))
    assert made.shape == ()
    graph.cost("loss", made)
    with pytest.raises(scg.NotDifferentiableError, match="'norm:1' is a black box"):
        graph.check()


def test_a_box_may_return_the_same_array_each_time():
    answer = np.zeros(5)

    def same(k):
        answer[:] = k
        return answer

    costs = []
    for function in (same, lambda k: k * 1.0):
        graph = scg.Graph()
        w = graph.param("w", np.zeros(4))
        first, second = (graph.sample(n, scg.Categorical(logits=w)) for n in "ab")
        box = scg.black_box(function)
        graph.cost("loss", box(first) - 2 * box(second))
        costs.append(run(graph).trace["loss"].tolist())
    assert costs[0] == costs[1]


def test_a_box_may_not_write_into_what_it_is_given():
    def spoil(k):
        k += 1
        return k * 1.0

    with pytest.raises(scg.BlackBoxError, match="read-only") as error:
        run(box(spoil))
    assert "'spoil' raised ValueError" in str(error.value)
    assert run(box(lambda k: spoil(k.copy()))).trace["k"].max() <= 3


def test_the_way_out_of_a_wrong_shape_or_dtype_is_named():
    with pytest.raises(scg.BlackBoxError, match=r"got \(5, 2\).*shape="):
        run(box(lambda k: np.ones((len(k), 2)), name="box"))
    with pytest.raises(scg.BlackBoxError, match=r"expected dtype int64.*dtype="):
        run(box(lambda k: k * 1.5, dtype=np.int64))


def test_what_is_no_number_goes_from_box_to_box_as_an_object():
    words = ["wet", "dry", "damp", "soaked"]
    graph = scg.Graph()
    k = graph.sample("k", scg.Categorical(logits=graph.param("w", np.zeros(4))))
    chosen = scg.black_box(lambda k: [words[i] for i in k], dtype=object)(k)
    graph.cost("length", scg.black_box(lambda texts: list(map(len, texts)))(chosen))
    trace = run(graph).trace
    assert trace["length"].tolist() == [len(words[i]) for i in trace["k"]]


@pytest.mark.parametrize("dtype", [str, "U8", "S1", "datetime64[s]"])
def test_a_dtype_of_text_is_refused_when_the_box_is_made(dtype):
    with pytest.raises(scg.GraphError, match="'f': expected a dtype of numbers, or ob"):
        scg.black_box(np.sqrt, dtype=dtype, name="f")


def test_what_is_no_dtype_is_refused_when_the_box_is_made():
    with pytest.raises(scg.GraphError, match="'f': expected a dtype, got 'reals'"):
        scg.black_box(np.sqrt, dtype="reals", name="f")


def test_a_box_may_return_the_same_sparse_array_each_time():
    sparse = pytest.importorskip("scipy.sparse")
    answer = sparse.csr_array(np.ones((5, 2)))

    def same(k):
        answer.data[:] = np.repeat(k, 2)
        return answer

    graph = scg.Graph()
    w = graph.param("w", np.zeros(4))
    first, second = (graph.sample(n, scg.Categorical(logits=w)) for n in "ab")
    box = scg.black_box(same, shape=2, sparse=True)
    x, y = box(first), box(second)  # both, before either is read
    graph.cost("loss", x @ np.ones(2) - 10 * (y @ np.ones(2)))
    trace = run(graph).trace
    assert np.abs(trace["a"] - trace["b"]).max() > 0
    assert trace["loss"].tolist() == (2 * trace["a"] - 20 * trace["b"]).tolist()


def test_a_box_may_read_a_sparse_array():
    sparse = pytest.importorskip("scipy.sparse")
    graph = scg.Graph()
    k = graph.sample("k", scg.Categorical(logits=graph.param("w", np.zeros(4))))
    one_hot = scg.black_box(
        lambda k: sparse.csr_array(np.eye(4)[k]), shape=4, sparse=True
    )(k)
    graph.cost("loss", scg.black_box(lambda m: m @ np.arange(4.0))(one_hot))
    trace = run(graph).trace
    assert trace["loss"].tolist() == trace["k"].tolist()


def test_not_a_number_is_named_with_its_row():
    with pytest.raises(scg.BlackBoxError, match="got nan in row 2"):
        run(box(lambda k: np.array([0.0, 1.0, np.nan, 0.0, 0.0])))


@pytest.mark.parametrize("wrong", [None, 3, "round"])
def test_what_is_no_function_is_refused(wrong):
    for wrap in (scg.black_box, scg.deterministic):
        with pytest.raises(scg.GraphError, match="expected a function"):
            wrap(wrong)


def test_a_box_needs_a_node():
    with pytest.raises(scg.GraphError, match="black box 'sqrt': expected at least one"):
        scg.black_box(np.sqrt)(np.ones(3))


def test_nodes_of_two_graphs_do_not_meet_in_a_box():
    x, y = scg.Graph("one").input("x"), scg.Graph("two").input("y")
    for wrap in (scg.black_box, scg.deterministic):
        with pytest.raises(scg.GraphError, match="'y' of graph 'two'"):
            wrap(lambda a, b: a + b)(x, y)


def test_a_deterministic_function_may_not_write_into_what_it_is_given():
    def spoil(x):
        x -= 1.0
        return x

    x = scg.Graph().input("x")
    with pytest.raises(scg.ShapeError, match=r"spoil.*read-only"):
        scg.deterministic(spoil)(x)
    assert scg.deterministic(lambda x: spoil(x.copy()))(x).shape == x.shape


def test_a_deterministic_function_that_mixes_rows_must_say_so():
    x = scg.Graph().input("x", shape=3)

    def centred(x):
        return x - x.mean(axis=0)

    with pytest.raises(scg.ShapeError, match=r"centred.*rows=False"):
        scg.deterministic(centred)(x)
    assert scg.deterministic(centred, rows=False)(x).shape == x.shape


# Time


@pytest.fixture
def release():
    """Let calls that wait go on at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_a_box_that_hangs_is_named_when_its_time_is_over(release):
    graph = box(lambda k: release.wait(60), name="service", timeout=0.1)
    start = time.monotonic()
    with pytest.raises(scg.BlackBoxError, match="'service': expected an answer within"):
        run(graph)
    assert time.monotonic() - start < 5


def test_a_box_can_be_called_again_after_it_hung_once(release):
    calls = []

    def sometimes(k):
        calls.append(k)
        if len(calls) == 1:
            release.wait(60)
        return k * 1.0

    graph = box(sometimes, timeout=0.5)
    with pytest.raises(scg.BlackBoxError, match="goes on in the background"):
        run(graph)
    assert np.isfinite(run(graph).cost)


def test_a_box_within_its_time_returns_the_same_as_without_a_limit():
    values = [run(box(lambda k: k * 2.0, timeout=t)).cost for t in (None, 60)]
    assert values[0] == values[1]


def test_what_a_box_raises_within_its_time_is_told_as_ever():
    def late(k):
        msg = "of its own"
        raise TimeoutError(msg)

    for timeout in (None, 60):
        with pytest.raises(scg.BlackBoxError, match="raised TimeoutError: of its own"):
            run(box(late, timeout=timeout))


def test_numpys_error_state_is_the_same_within_a_limit():
    for timeout in (None, 60):
        graph = box(lambda k: np.log(k * 0.0) > 0, timeout=timeout)
        assert run(graph).cost == 0


def test_only_with_a_limit_does_a_box_run_in_another_thread():
    threads = []
    for timeout in (None, 60):
        run(
            box(
                lambda k: threads.append(threading.current_thread()) or k * 1.0,
                timeout=timeout,
            )
        )
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()
    assert threads[1].daemon


@pytest.mark.parametrize("timeout", [0, -1, True, "3", float("inf"), float("nan")])
def test_a_limit_is_a_positive_number_of_seconds(timeout):
    with pytest.raises(scg.GraphError, match="expected a timeout of a positive number"):
        scg.black_box(np.sqrt, timeout=timeout)
