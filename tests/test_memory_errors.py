"""What a memory refuses, and the soft twins of its functions."""

import numpy as np
import pytest
from memory_models import (
    RNG,
    Dense,
    assert_same,
    loop,
    numbers,
)
from oracles import finite_difference

import scg

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
