"""What code written for arrays may do with a node, and what is refused, with names."""

import numpy as np
import pytest

import scg


@pytest.fixture
def graph():
    return scg.Graph("g")


@pytest.fixture
def x(graph):
    return graph.input("x", shape=(3,))


@pytest.fixture
def W(graph):
    return graph.param("W", np.ones((3, 2)))


@pytest.fixture
def k(graph):
    return graph.input("k", dtype=np.int64)


def refusal(error, build):
    with pytest.raises(scg.ScgError) as caught:
        build()
    assert type(caught.value) is error
    return str(caught.value)


# Shapes and rows

SHAPES = {
    "matmul": (lambda x, W, k: x @ x, "matmul('x': (rows, 3) float64"),
    "constant": (lambda x, W, k: x + np.ones(4), "(4,)"),
    "index": (lambda x, W, k: x[:, 5], "out of bounds"),
    "reshape": (lambda x, W, k: x.reshape(6), "reshape('x'"),
    "constant matrix first": (lambda x, W, k: np.ones((2, 3)) @ x, "dummy rows"),
    "text": (lambda x, W, k: x + "a", "add('x'"),
    "None": (lambda x, W, k: x + None, "NoneType"),
    "concatenate": (lambda x, W, k: np.concatenate([x, W], axis=1), "'W': (3, 2)"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_do_not_meet_are_refused_with_the_nodes_and_a_way_out(
    name, x, W, k
):
    build, says = SHAPES[name]
    msg = refusal(scg.ShapeError, lambda: build(x, W, k))
    assert says in msg
    assert "cannot be computed, as a try on" in msg
    assert "x[:, None]" in msg


LOST = {
    "mean": lambda x, W, k: np.mean(x, axis=0),
    "mean, kept": lambda x, W, k: np.mean(x, axis=0, keepdims=True),
    "sum of all": lambda x, W, k: np.sum(x),
    "method": lambda x, W, k: x.max(),
    "ufunc": lambda x, W, k: np.add.reduce(x),
    "first row": lambda x, W, k: x[0],
    "transpose": lambda x, W, k: x.T,
    "stack": lambda x, W, k: np.stack([x, x]),
    "concatenate": lambda x, W, k: np.concatenate([x, x]),
    "matrix of rows": lambda x, W, k: np.einsum("ri,qi->rq", x, x),
    "flatten": lambda x, W, k: x.flatten(),
    "mask": lambda x, W, k: x[x > 0.5],
    "unique": lambda x, W, k: np.unique(k),
    "argmax": lambda x, W, k: np.argmax(x, axis=0),
}


@pytest.mark.parametrize("name", LOST)
def test_a_lost_row_axis_is_refused_with_a_way_out(name, x, W, k):
    msg = refusal(scg.ShapeError, lambda: LOST[name](x, W, k))
    assert "expected a value whose axis 0 is the rows" in msg
    assert "axis=-1" in msg
    assert "rows=False" in msg


MIXED = {
    "cumsum": lambda x, W, k: np.cumsum(x, axis=0),
    "sort": lambda x, W, k: np.sort(x, axis=0),
    "argsort": lambda x, W, k: np.argsort(x, axis=0),
    "roll": lambda x, W, k: np.roll(x, 1, axis=0),
    "flip": lambda x, W, k: np.flip(x, axis=0),
    "of integers": lambda x, W, k: np.cumsum(k),
    "rolled integers": lambda x, W, k: np.roll(k, 1),
    "of truth values": lambda x, W, k: np.roll(x > 0.5, 1, axis=0),
    "counted truth values": lambda x, W, k: np.cumsum(x > 0.5, axis=0),
    "wrapped": lambda x, W, k: scg.deterministic(lambda x: x - x.mean(0))(x),
    "wrapped, of integers": lambda x, W, k: scg.deterministic(lambda k: k - k.max())(k),
}


@pytest.mark.parametrize("name", MIXED)
def test_a_row_that_depends_on_another_is_refused(name, x, W, k):
    msg = refusal(scg.ShapeError, lambda: MIXED[name](x, W, k))
    assert "a row that depends on other rows" in msg
    assert "rows=False" in msg


KEPT = {
    "cumsum": lambda x, W, k: np.cumsum(x, axis=1),
    "table of a number": lambda x, W, k: np.take(W, k, axis=0)[:, :1],
    "one-row table": lambda x, W, k: np.take(W[:1], k, axis=0),
    "one hot": lambda x, W, k: k[:, None] == np.arange(3),
    "arithmetic": lambda x, W, k: (k * 2 + 1) % 3,
    "all rows": lambda x, W, k: x[:][0:][...],
    "reshape": lambda x, W, k: x.reshape(x.shape[0], 3, 1),
    "shape of another": lambda x, W, k: np.reshape(x, x.shape),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_keeps_the_rows_apart_is_not_refused(name, x, W, k):
    assert KEPT[name](x, W, k).has_rows


@pytest.mark.parametrize("cut", [slice(10), slice(1, None), slice(None, None, 2)])
def test_a_slice_of_the_rows_is_refused_though_it_may_fit_the_dummy_rows(cut, x):
    msg = refusal(scg.ShapeError, lambda: x[cut])
    assert "node 'x'" in msg
    assert "x[:, 2:5]" in msg
    refusal(scg.ShapeError, lambda: x[cut, 1])
    assert x[:, cut].has_rows


# What needs a value

NEEDS_VALUE = {
    "if": lambda x: 1 if x > 0 else 0,
    "and": lambda x: (x > 0) and (x < 1),
    "chained": lambda x: 0 < x < 1,
    "max": lambda x: max(x, 0),
    "not": lambda x: not x,
}


@pytest.mark.parametrize("name", NEEDS_VALUE)
def test_a_truth_test_is_refused_with_the_way_out(name, x):
    msg = refusal(scg.TruthValueError, lambda: NEEDS_VALUE[name](x))
    assert "np.where" in msg


ARRAYS = {
    "array": np.array,
    "asarray": np.asarray,
    "list": lambda x: np.array([x, x]),
    "float": float,
    "int": int,
    "complex": complex,
    "range": range,
    "index": lambda x: np.arange(3)[x],
    "list index": lambda x: [1, 2][x],
    "item": lambda x: x.item(),
    "tolist": lambda x: x.tolist(),
    "generator": lambda x: np.random.default_rng(0).normal(x),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_node_is_no_array_and_the_error_says_how_to_go_on(name, k):
    msg = refusal(scg.GraphError, lambda: ARRAYS[name](k))
    assert "node 'k': expected an array, got a node" in msg
    assert "np.stack" in msg
    assert "scg.black_box" in msg


def test_rows_cannot_be_looped_over_but_those_of_a_param_can(x, W):
    assert "cannot loop over rows" in refusal(scg.GraphError, lambda: list(x))
    assert [row.shape for row in W] == [(2,)] * 3
    assert len(W) == 3
    with pytest.raises(TypeError, match=r"'x' of shape \(rows, 3\) has no length"):
        len(x)


def test_the_number_of_elements_is_known_without_rows_only(x, W):
    assert W.size == np.size(W) == 6
    assert "node 'x'" in refusal(scg.ShapeError, lambda: x.size)
    assert "node 'x'" in refusal(scg.ShapeError, lambda: np.size(x))


# What writes

WRITES = {
    "out": lambda x, W: np.add(x, 1, out=np.zeros(3)),
    "out of a function": lambda x, W: np.sum(x, axis=-1, out=np.zeros(3)),
    "into a node": lambda x, W: np.add(1, np.ones(3), out=x),
    "item": lambda x, W: x.__setitem__(0, 1.0),
    "array += node": lambda x, W: np.zeros(3).__iadd__(x),
    "at": lambda x, W: np.add.at(np.zeros(3), 0, x),
    "copyto": lambda x, W: np.copyto(np.zeros((7, 3)), x),
    "fill_diagonal": lambda x, W: np.fill_diagonal(W, 0.0),
    "put": lambda x, W: np.put(W, 0, 1.0),
    "nan_to_num": lambda x, W: np.nan_to_num(x, copy=False),
    "median": lambda x, W: np.median(x, axis=1, overwrite_input=True),
}


@pytest.mark.parametrize("name", WRITES)
def test_writing_is_refused_with_the_way_out(name, x, W):
    msg = refusal(scg.GraphError, lambda: WRITES[name](x, W))
    assert "would write into an array" in msg
    assert "np.where" in msg


def test_adding_up_in_place_binds_the_name_to_a_new_node(x):
    total = x
    total += 1
    total *= 2
    assert total is not x
    assert x.name == "x"

    graph, rng = scg.Graph(), np.random.default_rng(0)
    y = graph.input("y")
    z = y
    z += 1
    z -= 3
    z /= 2
    z **= 2
    graph.cost("loss", z)
    assert scg.forward(graph, {}, {"y": np.array([4.0])}, rng=rng)["loss"] == 1


@pytest.mark.parametrize("method", ["accumulate", "outer", "reduceat"])
def test_a_ufuncs_methods_are_refused_by_name(method, x):
    msg = refusal(scg.GraphError, lambda: getattr(np.add, method)(x, [0]))
    assert f"np.add, got its method {method!r}" in msg


@pytest.mark.parametrize("function", [lambda x: None, lambda x: "a", lambda x: {}])
def test_a_function_must_return_numbers(function, x, W):
    msg = refusal(scg.ShapeError, lambda: scg.deterministic(function)(W))
    assert "expected a function that returns numbers" in msg


# Array methods are NumPy's functions

METHODS = {
    "all": (), "any": (), "argmax": (), "argmin": (), "argsort": (), "clip": (0.2, 0.6),
    "conj": (), "copy": (), "cumprod": (0,), "cumsum": (0,), "diagonal": (),
    "dot": ([1.0, 2.0],), "flatten": (), "max": (), "mean": (), "min": (), "prod": (),
    "ravel": (), "repeat": (2, 0), "reshape": (2, 3), "round": (1,), "squeeze": (),
    "std": (), "sum": (), "swapaxes": (0, 1), "take": ([1, 0], 0), "trace": (),
    "transpose": (), "var": (),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_a_method_gives_the_array_methods_value(name):
    graph = scg.Graph()
    W = graph.param("W", np.ones((3, 2)))
    made = getattr(W, name)(*METHODS[name])
    value = np.random.default_rng(0).uniform(size=(3, 2))
    expected = getattr(value, name)(*METHODS[name])
    graph.rename("made", made * 1)
    graph.cost("loss", np.sum(W))
    trace = scg.forward(graph, {"W": value}, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(trace["made"], expected)
    assert made.shape == np.shape(expected)


def test_attributes_of_an_array_are_there_too(x, W):
    assert (W.ndim, x.ndim, W.T.shape) == (2, 2, (2, 3))
    assert (W.real.dtype, W.imag.shape) == (np.float64, (3, 2))
    assert x.astype(np.float32).dtype == np.float32
    assert np.iscomplexobj(x) is False
    assert np.isrealobj(x * 1j) is False
    assert np.copy(x) is x
    assert (np.ndim(x), np.shape(x)) == (2, (-1, 3))
    assert repr(x) == "<input node 'x' (rows, 3) float64>"


# Tuples


def test_parts_of_a_tuple_are_taken_as_of_a_tuple(x):
    parts = np.split(x, 3, axis=1)
    assert len(parts) == 3
    assert [p.shape for p in parts] == [(-1, 1)] * 3
    assert parts[-1].shape == parts[np.int64(2)].shape
    assert len(parts[1:]) == 2
    with pytest.raises(IndexError, match="has 3 parts, got index 3"):
        parts[3]


@pytest.mark.parametrize(
    "use", [lambda t: t + 1, np.tanh, lambda t: t[:, 0], lambda t: t @ t]
)
def test_a_tuple_is_no_array(use, x):
    with pytest.raises(scg.GraphError, match="tuple"):
        use(np.modf(x))
