"""What a memory refuses, and the soft twins of its functions."""

import numpy as np
import pytest
from memory_models import RNG, assert_same
from oracles import finite_difference

import scg

# Errors


def small(graph, value=0.0):
    return scg.memory.begin(graph, 5, 2, value, name="m")


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
        (-5, 0.0, scg.GraphError),
        (5.0, 0.0, scg.GraphError),
        (True, 0.0, scg.GraphError),
        ((5, 2), 0.0, scg.GraphError),
        (2**63, 0.0, scg.GraphError),
        (3, np.zeros((2, 2)), scg.ShapeError),
        (3, [[1.0], [1.0, 2.0], [3.0]], scg.ShapeError),
        (3, np.nan, scg.ShapeError),
    ],
    ids=[
        "none", "fewer", "float", "bool", "shape", "many", "others", "ragged", "nan",
    ],
)  # fmt: skip
def test_a_memory_begins_with_what_fits(cells, value, error):
    with pytest.raises(error, match="memory"):
        scg.memory.begin(scg.Graph(), cells, 2, value)


def test_cells_that_are_no_number_are_told_so():
    with pytest.raises(scg.GraphError, match=r"whole number of cells, .* got \(5, 2\)"):
        scg.memory.begin(scg.Graph(), (5, 2))
    with pytest.raises(scg.GraphError, match="expected a graph, got 1000"):
        scg.memory.begin(1000, 20)


def test_a_number_too_large_for_the_memory_is_refused():
    graph = scg.Graph(dtype=np.float32)
    with pytest.raises(scg.ShapeError, match=r"finite float32 .*got 1e\+300"):
        scg.memory.begin(graph, 5, 2, 1e300)
    with pytest.raises(scg.ShapeError, match=r"finite float32 .*got 1e\+300"):
        scg.memory.write(small(graph), 0, 1e300)
    small(scg.Graph(dtype=np.float64), 1e300)


@pytest.mark.parametrize(
    ("index", "got"),
    [(5, "got 5 in all rows"), (-1, "got -1 in all rows"), ([0, 7], "got 7 in all")],
)
def test_a_number_that_is_no_cell_is_refused_when_the_graph_is_built(index, got):
    memory = small(scg.Graph())
    with pytest.raises(scg.CellIndexError, match=f"0 to 4.*{got}"):
        scg.memory.read(memory, index)
    with pytest.raises(scg.CellIndexError, match=f"0 to 4.*{got}"):
        scg.memory.write(memory, index, 1.0)
    assert scg.memory.read(memory, [0, 4]).event_shape == (2, 2)


def test_lists_of_unequal_length_are_refused():
    memory = small(scg.Graph())
    with pytest.raises(scg.GraphError, match=r"whole numbers, got \[\[1, 2\], \[3\]\]"):
        scg.memory.read(memory, [[1, 2], [3]])
    with pytest.raises(scg.ShapeError, match=r"write to 'm'.*got \[\[1\], \[1, 2\]\]"):
        scg.memory.write(memory, 0, [[1], [1, 2]])


def test_a_memory_too_large_to_be_shown_says_what_to_do():
    graph = scg.Graph()
    memory = scg.memory.begin(graph, 2**50, name="m")
    graph.cost("loss", scg.memory.read(memory, 2**50 - 1))
    trace = scg.forward(graph, {}, rng=RNG(0), rows=1)
    with pytest.raises(MemoryError) as raised:
        trace["m"]
    assert raised.value.__notes__ == [
        "while writing out all cells of 'm': read some of them in the graph, by "
        "scg.memory.read(memory, index)"
    ]


@pytest.mark.parametrize(
    ("memory", "weights", "value"),
    [
        ((5, 3), (4,), (3,)),
        ((5, 3), (1,), (3,)),
        ((5, 3), (5,), (1,)),
        ((5, 3), (5,), ()),
        ((5,), (5,), (3,)),
    ],
)
def test_soft_memory_broadcasts_no_shape_that_is_wrong(memory, weights, value):
    graph = scg.Graph()
    nodes = [*map(graph.input, "max", (memory, weights, value))]
    arrays = [np.ones((2, *shape)) for shape in (memory, weights, value)]
    for m, a, x in (nodes, arrays):
        with pytest.raises(scg.ShapeError, match=r"soft_write: expected .* \(width,\)"):
            scg.memory.soft_write(m, a, x)
        if weights != (5,) or len(memory) == 1:
            with pytest.raises(scg.ShapeError, match="soft_read: expected"):
                scg.memory.soft_read(m, a)


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
    rows = np.arange(4)
    cells = RNG(0).normal(size=(4, 3, 2))
    i, x = np.array([0, 2, 2, 1]), RNG(1).normal(size=(4, 2))
    weights = np.eye(3)[i]
    written = cells.copy()
    written[rows, i] = x
    np.testing.assert_array_equal(scg.memory.soft_read(cells, weights), cells[rows, i])
    found = scg.memory.soft_write(cells, weights, x)
    np.testing.assert_allclose(found, written, rtol=1e-15, atol=1e-15)
    halves = scg.memory.soft_write(cells, 0.5 * weights, x)
    assert np.abs(halves - written).max() > 0.1


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
