"""Layers and cells: against autograd, finite formulas and what their names promise."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

import scg
from scg import nn

RNG = np.random.default_rng


def reference_lstm(p, x, h, c):
    """Compute one step with a matrix a gate."""
    n = h.shape[-1]
    z = [
        x @ p["core.weights"][:, k * n : (k + 1) * n]
        + h @ p["core.recurrent"][:, k * n : (k + 1) * n]
        + p["core.bias"][k * n : (k + 1) * n]
        for k in range(4)
    ]
    forget, write, show = (1 / (1 + anp.exp(-z[k])) for k in range(3))
    c = forget * c + write * anp.tanh(z[3])
    return show * anp.tanh(c), c


def reference_gru(p, x, h):
    """Compute one step as it is written in the docstring."""
    n = h.shape[-1]

    def gate(k):
        part = slice(k * n, (k + 1) * n)
        return x @ p["core.weights"][:, part] + p["core.bias"][part], (
            h @ p["core.recurrent"][:, part]
        )

    reset = 1 / (1 + anp.exp(-sum(gate(0))))
    z = 1 / (1 + anp.exp(-sum(gate(1))))
    a, b = gate(2)
    new = anp.tanh(a + reset * (b + p["core.recurrent_bias"]))
    return (1 - z) * new + z * h


def shaken(params):
    """Move every param off where it begins, so that no bias is 0."""
    rng = RNG(5)
    return {k: v + 0.3 * rng.normal(size=v.shape) for k, v in params.items()}


def through_the_loop(cell, steps=6):
    """Build a graph that runs a cell and returns it with its estimate and params."""
    graph = scg.Graph("loop", dtype=np.float64)
    xs = graph.input("x", (steps, 3))
    if cell == "lstm":
        core = nn.lstm(graph, "core", 3, 4)
        (h, c), _ = graph.scan(lambda s, x: core(x, s), init=core.start, xs=xs)
        graph.cost("end", (h**2).sum(axis=-1) + np.sin(c).sum(axis=-1))
    else:
        core = nn.gru(graph, "core", 3, 4)
        h, _ = graph.scan(lambda h, x: core(x, h), init=core.start, xs=xs)
        graph.cost("end", (h**2).sum(axis=-1))
    params = shaken(graph.init(RNG(0)))
    x = RNG(1).normal(size=(2, steps, 3))
    return scg.estimate_gradient(graph, params, {"x": x}, rng=RNG(2)), params, x


def reference_cost(cell, x):
    """Return the cost as a function of the params, to differentiate by autograd."""

    def cost(params):
        h, c = anp.zeros((len(x), 4)), anp.zeros((len(x), 4))
        for t in range(x.shape[1]):
            if cell == "lstm":
                h, c = reference_lstm(params, x[:, t], h, c)
            else:
                h = reference_gru(params, x[:, t], h)
        total = anp.sum(h**2, axis=-1)
        if cell == "lstm":
            total = total + anp.sum(anp.sin(c), axis=-1)
        return anp.mean(total)

    return cost


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_cell_in_a_loop_equals_autograd(cell):
    estimate, params, x = through_the_loop(cell)
    cost = reference_cost(cell, x)
    assert estimate.cost == pytest.approx(float(cost(params)), rel=1e-12)
    expected = grad(cost)(params)
    assert set(expected) == set(estimate.gradient)
    for name, gradient in estimate.gradient.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-9, atol=1e-12)
        assert np.abs(gradient).max() > 1e-4, name


def test_dense_and_embedding_equal_autograd():
    graph = scg.Graph("m", dtype=np.float64)
    table = nn.embedding(graph, "symbols", 5, 3)
    out = nn.dense(graph, "out", 3, 2)
    bare = nn.dense(graph, "bare", 2, 2, bias=None)
    index = graph.input("i", 4, dtype=int)
    y = bare(np.tanh(out(table(index))))
    assert y.event_shape == (4, 2)
    graph.cost("c", (y**2).sum(axis=(-1, -2)))
    params = shaken(graph.init(RNG(0)))
    assert set(params) == {"symbols.table", "out.weights", "out.bias", "bare.weights"}
    i = RNG(1).integers(5, size=(6, 4))

    def cost(p):
        h = anp.tanh(p["symbols.table"][i] @ p["out.weights"] + p["out.bias"])
        return anp.mean(anp.sum((h @ p["bare.weights"]) ** 2, axis=(1, 2)))

    estimate = scg.estimate_gradient(graph, params, {"i": i}, rng=RNG(2))
    expected = autograd.grad(cost)(params)
    for name, gradient in estimate.gradient.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-9, atol=1e-12)


def test_float32_stays():
    graph = scg.Graph("m", dtype=np.float32)
    core = nn.lstm(graph, "core", 3, 4)
    xs = graph.input("x", (2, 3))
    (h, _), _ = graph.scan(lambda s, x: core(x, s), init=core.start, xs=xs)
    graph.cost("end", h.sum(axis=-1))
    x = np.ones((2, 2, 3), np.float32)
    estimate = scg.estimate_gradient(graph, graph.init(RNG(0)), {"x": x}, rng=RNG(0))
    assert {g.dtype for g in estimate.gradient.values()} == {np.dtype(np.float32)}


def test_cell_begins_by_remembering():
    graph = scg.Graph("m")
    nn.lstm(graph, "core", 3, 4, forget=2.0)
    assert graph.init(RNG(0))["core.bias"].tolist() == [2.0] * 4 + [0.0] * 12


def test_each_gate_begins_with_its_own_orthogonal_matrix():
    graph = scg.Graph("m")
    nn.gru(graph, "core", 3, 5)
    u = graph.init(RNG(0))["core.recurrent"]
    gates = [u[:, 5 * k : 5 * k + 5] for k in range(3)]
    for gate in gates:
        np.testing.assert_allclose(gate.T @ gate, np.eye(5), atol=1e-12)
    assert np.abs(gates[0] - gates[1]).max() > 0.1


def test_runs_begin_the_same_from_one_seed():
    graph = scg.Graph("m")
    nn.gru(graph, "core", 3, 5)
    first, again, other = (graph.init(RNG(s)) for s in (0, 0, 1))
    assert all((first[k] == again[k]).all() for k in first)
    assert any((first[k] != other[k]).any() for k in first)


STDS = {
    "normal": (nn.normal, 1.0),
    "uniform": (nn.uniform, 1 / 3**0.5),
    "glorot": (nn.glorot, (2 / (80 + 500)) ** 0.5),
    "lecun": (nn.lecun, 80**-0.5),
    "he": (nn.he, (2 / 80) ** 0.5),
}


@pytest.mark.parametrize("name", STDS)
def test_scale_is_as_promised(name):
    make, std = STDS[name]
    drawn = make((4, 20, 500))(RNG(3)) / std  # inputs: 4 times 20
    square = drawn**2
    z = (square.mean() - 1) / (square.std() / square.size**0.5)
    assert abs(z) < 5
    z = drawn.mean() * drawn.size**0.5
    assert abs(z) < 5
    z = ((1.1 * drawn) ** 2).mean() - 1  # the control: a tenth too wide is seen
    assert z / (square.std() / square.size**0.5) > 5


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 3, 4), (5, 5)])
def test_orthogonal(shape):
    w = 0.5 * nn.orthogonal(shape, gain=2.0)(RNG(0)).reshape(-1, shape[-1])
    small = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)


def test_orthogonal_draws_both_orientations_evenly():
    signs = [nn.orthogonal((1, 1))(RNG(s))[0, 0] for s in range(400)]
    z = np.mean(signs) * 400**0.5
    assert abs(z) < 5
    assert set(np.round(signs, 12)) == {-1.0, 1.0}


def refused(error, build):
    with pytest.raises(error) as caught:
        build(scg.Graph("m"))
    return str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "8"])
def test_sizes_are_whole_numbers(size):
    message = refused(scg.GraphError, lambda g: nn.dense(g, "h", size, 3))
    assert "'h': expected inputs to be a whole number >= 1" in message
    message = refused(scg.GraphError, lambda g: nn.lstm(g, "h", 3, size))
    assert "units" in message
    message = refused(scg.GraphError, lambda g: nn.embedding(g, "h", size, 2))
    assert "symbols" in message


def test_last_axis_is_checked_by_name():
    def dense(g):
        nn.dense(g, "hidden", 3, 2)(g.input("x", 4))

    def lstm_state(g):
        core = nn.lstm(g, "core", 3, 2)
        core(g.input("x", 3), (np.zeros(2), np.zeros(3)))

    def gru_input(g):
        nn.gru(g, "core", 3, 2)(g.input("x"), np.zeros(2))

    assert "'hidden': expected a last axis of 3" in refused(scg.ShapeError, dense)
    assert "'core: c': expected a last axis of 2" in refused(scg.ShapeError, lstm_state)
    assert "'core': expected a last axis of 3" in refused(scg.ShapeError, gru_input)


def test_embedding_wants_whole_numbers():
    message = refused(
        scg.GraphError, lambda g: nn.embedding(g, "e", 3, 2)(g.input("x"))
    )
    assert "embedding 'e': expected a node of whole numbers" in message


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.glorot((3,)),
        lambda: nn.orthogonal((3,)),
        lambda: nn.normal([3]),
        lambda: nn.zeros((0, 3)),
        lambda: nn.normal((3,), std=-1.0),
        lambda: nn.he((3, 2), gain=float("nan")),
        lambda: nn.uniform((3,), bound=float("inf")),
        lambda: nn.glorot((3, 2), gain="large"),
        lambda: nn.orthogonal((3, 2), gain=None),
    ],
    ids=["fans", "axes", "list", "empty", "negative", "nan", "infinite", "str", "none"],
)
def test_initializers_refuse(make):
    with pytest.raises(scg.GraphError, match="initializer: expected"):
        make()


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((3, 2)), "he", None, np.zeros],
    ids=["array", "name", "none", "of arrays"],
)
def test_what_is_no_initializer_is_refused_by_name(wrong):
    makers = {
        "h.weights": lambda g: nn.dense(g, "h", 3, 2, weights=wrong),
        "c.weights": lambda g: nn.lstm(g, "c", 3, 2, weights=wrong),
        "u.recurrent": lambda g: nn.gru(g, "u", 3, 2, recurrent=wrong),
        "e.table": lambda g: nn.embedding(g, "e", 3, 2, table=wrong),
    }
    for name, make in makers.items():
        message = refused(scg.GraphError, make)
        assert f"'{name}': expected an initializer, such as scg.nn.glorot" in message


def test_an_initializer_of_another_shape_is_refused_by_name():
    def other(shape):
        return nn.zeros((2, 3))

    makers = {
        "h.weights": lambda g: nn.dense(g, "h", 3, 2, weights=other),
        "h.bias": lambda g: nn.dense(g, "h", 3, 2, bias=other),
        "c.weights": lambda g: nn.lstm(g, "c", 3, 2, weights=other),
        "u.recurrent": lambda g: nn.gru(g, "u", 3, 2, recurrent=other),
        "e.table": lambda g: nn.embedding(g, "e", 3, 2, table=other),
    }
    for name, make in makers.items():
        message = refused(scg.ShapeError, make)
        assert f"'{name}': expected an initializer that draws shape (" in message
        assert "got one that draws (2, 3)" in message
    nn.dense(scg.Graph(), "h", 2, 3, weights=other)


def test_a_state_is_two_arrays():
    def one(g):
        nn.lstm(g, "core", 3, 2)(g.input("x", 3), g.input("h", 2))

    def three(g):
        core, h = nn.lstm(g, "core", 3, 2), g.input("h", 2)
        core(g.input("x", 3), (h, h, h))

    for build in (one, three):
        message = refused(scg.ShapeError, build)
        assert "'core': expected a state (h, c), got" in message
    message = refused(scg.GraphError, lambda g: nn.lstm(g, "core", 3, 2, forget="a"))
    assert "'core': expected forget to be a finite number" in message


def test_error_inside_a_run_names_the_node():
    graph = scg.Graph("m")
    table = nn.embedding(graph, "symbols", 3, 2)
    graph.cost("c", table(graph.input("i", dtype=int)).sum(axis=-1))
    params = graph.init(RNG(0))
    with pytest.raises(IndexError) as caught:
        scg.estimate_gradient(graph, params, {"i": np.array([0, 3])}, rng=RNG(0))
    assert "getitem" in caught.value.__notes__[0]
    assert "from 'symbols.table', " in caught.value.__notes__[0]


@pytest.mark.parametrize("carried", [False, True], ids=["at once", "step by step"])
def test_error_inside_a_loop_names_the_node(carried):
    graph = scg.Graph("m")
    table = nn.embedding(graph, "symbols", 3, 2)

    def step(carry, i):
        total, k = carry
        seen = table(i + k if carried else i)
        return total + seen.sum(axis=-1), k

    start = (np.zeros(()), np.zeros((), int))
    (total, _), _ = graph.scan(step, init=start, xs=graph.input("i", 2, dtype=int))
    graph.cost("c", total)
    params = graph.init(RNG(0))
    with pytest.raises(IndexError) as caught:
        scg.estimate_gradient(graph, params, {"i": np.array([[0, 3]])}, rng=RNG(0))
    assert "getitem" in caught.value.__notes__[0]
    assert "from 'symbols.table', " in caught.value.__notes__[0]
