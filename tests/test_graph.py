"""What a graph is told is checked at the line that tells it, and at the run."""

import numpy as np
import pytest

import scg


@pytest.fixture
def graph():
    return scg.Graph("g")


@pytest.fixture
def x(graph):
    return graph.input("x", shape=(3,))


def refusal(error, build, *args, **kwargs):
    with pytest.raises(scg.ScgError) as caught:
        build(*args, **kwargs)
    assert type(caught.value) is error
    return str(caught.value)


# Names

MAKERS = {
    "param": lambda graph, name: graph.param(name, 1.0),
    "input": lambda graph, name: graph.input(name),
    "sample": lambda graph, name: graph.sample(name, scg.Bernoulli(logits=0.0)),
    "cost": lambda graph, name: graph.cost(name, 1.0),
    "value": lambda graph, name: graph.value(name, 1.0),
    "scan": lambda graph, name: graph.scan(lambda c: c, 0.0, length=1, name=name),
    "rename": lambda graph, name: graph.rename(name, 1 * graph["first"]),
    "black box": lambda graph, name: scg.black_box(np.sqrt, name=name)(graph["first"]),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_name_is_given_once(maker, graph):
    graph.input("first")
    msg = refusal(scg.DuplicateNameError, MAKERS[maker], graph, "first")
    assert "graph 'g': expected a new name, got 'first', which the input node" in msg
    MAKERS[maker](graph, "second")


@pytest.mark.parametrize("maker", ["param", "input", "sample", "cost", "value"])
@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_is_a_string_that_is_not_empty(maker, name, graph):
    msg = refusal(scg.GraphError, MAKERS[maker], graph, name)
    assert f"non-empty string, got {name!r}" in msg


def test_an_unknown_name_is_answered_with_the_near_ones_that_were_given(graph, x):
    graph.rename("hidden", np.tanh(x) * 2)
    msg = refusal(scg.UnknownNameError, graph.__getitem__, "hiden")
    assert "got 'hiden'; did you mean 'hidden'?" in msg
    msg = refusal(scg.UnknownNameError, graph.influences, "x", "loss")
    assert msg.endswith("there are 'hidden', 'x'")  # no tanh:1, which nobody named
    assert "got 3" in refusal(scg.UnknownNameError, graph.deps, 3)


def test_a_node_has_one_name_only(graph, x):
    h = graph.rename("h", np.tanh(x))
    assert graph["h"] is h
    for node in (h, x):
        msg = refusal(scg.GraphError, graph.rename, "other", node)
        assert f"node {node.name!r}: expected a node without a name" in msg
    assert "got 2.0" in refusal(scg.GraphError, graph.rename, "other", 2.0)


# Two graphs


def test_nodes_of_two_graphs_do_not_meet(graph, x):
    y = scg.Graph("other").input("y", shape=(3,))
    ways = [
        lambda: x + y,
        lambda: y @ x,
        lambda: np.concatenate([x, y], axis=1),
        lambda: graph.sample("z", scg.Normal(mean=y, scale=1.0)),
        lambda: graph.cost("loss", y[:, 0]),
        lambda: graph.value("v", y[:, 0]),
        lambda: graph.rename("h", np.tanh(y)),
        lambda: graph.scan(lambda c: c, y, length=2),
        lambda: graph.scan(lambda c: c + y, x, length=2, name="inside"),
    ]
    for way in ways:
        assert "graph" in refusal(scg.GraphError, way)


# Costs


def test_a_cost_is_one_number_a_row(graph, x):
    msg = refusal(scg.ShapeError, graph.cost, "loss", x)
    assert "cost 'loss': expected one number a row, shape (rows,)" in msg
    assert "got node 'x', (rows, 3) float64. Reduce it: np.sum(..., axis=1)" in msg
    wide = x[:, :, None] * x[:, None]
    assert "axis=(1, 2)" in refusal(scg.ShapeError, graph.cost, "loss", wide)
    W = graph.param("W", np.ones(3))
    assert "np.sum(...)." in refusal(scg.ShapeError, graph.cost, "loss", W)
    assert graph.cost("loss", np.sum(x, axis=1)).shape == (-1,)


def test_a_cost_is_a_number(graph, x):
    msg = refusal(scg.ShapeError, graph.cost, "loss", x[:, 0] > 0)
    assert "of dtype bool" in msg
    assert "np.where" in msg
    assert "np.real" in refusal(scg.ShapeError, graph.cost, "loss", x[:, 0] * 1j)
    parts = np.split(x, 3, axis=1)
    assert "Take one part" in refusal(scg.ShapeError, graph.cost, "loss", parts)


@pytest.mark.parametrize("wrong", [None, "x", np.ones(3), np.nan, np.inf, [], abs])
def test_a_cost_is_a_node_or_a_finite_number(wrong, graph):
    msg = refusal(scg.GraphError, graph.cost, "loss", wrong)
    assert "cost 'loss': expected a node or a finite number" in msg
    assert graph.cost("loss", 1).shape == ()


# Params, inputs and dtypes


@pytest.mark.parametrize(
    "wrong",
    [
        np.nan,
        np.array([1.0, np.inf]),
        "a",
        None,
        True,
        1j,
        [[1.0], [1.0, 2.0]],
        lambda rng: "a",
        lambda rng: np.full(2, np.nan),
    ],
)
def test_a_param_is_made_of_finite_numbers(wrong, graph):
    assert "param 'w': expected" in refusal(scg.GraphError, graph.param, "w", wrong)
    graph.param("w", lambda rng: rng.normal(size=2))


def test_a_node_is_no_initial_value(graph, x):
    assert "param 'w'" in refusal(scg.GraphError, graph.param, "w", x)


def test_params_of_two_float_dtypes_do_not_meet(graph):
    graph.param("a", np.ones(2, np.float32))
    for build in (
        lambda: graph.param("b", np.ones(2)),
        lambda: graph.input("b", dtype=np.float64),
    ):
        msg = refusal(scg.GraphError, build)
        assert "node 'b': expected float32" in msg
        assert "since 'a', got float64" in msg
        assert "scg.Graph('g', dtype=np.float64)" in msg
    assert graph.param("b", 1.0).dtype == np.float32  # a Python number has none
    assert graph.input("c").dtype == np.float32


def test_a_dtype_that_is_named_converts_params():
    graph = scg.Graph(dtype=np.float32)
    assert graph.param("a", np.ones(2)).dtype == np.float32
    for wrong in (int, bool, complex):
        msg = refusal(scg.GraphError, scg.Graph, "g", wrong)
        assert "expected a float dtype" in msg


@pytest.mark.parametrize("shape", [-1, (None, 3), ("rows", 3), 2.0, "3"])
def test_the_shape_of_an_input_is_that_of_one_row(shape, graph):
    msg = refusal(scg.ShapeError, graph.input, "x", shape)
    assert "input 'x': expected the shape of one row" in msg
    assert graph.input("x", 3).shape == (-1, 3)


@pytest.mark.parametrize("dtype", [str, object, "datetime64[s]", complex])
def test_an_input_is_made_of_numbers(dtype, graph):
    msg = refusal(scg.GraphError, graph.input, "x", (), dtype)
    assert "input 'x': expected a dtype of numbers" in msg


# Samples


def test_a_sample_has_a_distribution(graph):
    for wrong in (scg.Normal, np.ones(3), None):
        msg = refusal(scg.DistributionError, graph.sample, "z", wrong)
        assert "node 'z': expected a distribution" in msg


def test_parameters_of_a_sample_must_fit(graph, x):
    def sample(**parameters):
        graph.sample("z", scg.Normal(**parameters))

    msg = refusal(scg.ShapeError, sample, mean=x, scale=np.ones(4))
    assert "mean = node 'x' (rows, 3) float64, scale of shape (4,)" in msg
    msg = refusal(scg.DistributionError, sample, mean=x, scale=-1.0)
    assert "node 'z': expected a positive, finite scale" in msg
    sample(mean=x, scale=np.ones(3))


# At the run


def model():
    graph = scg.Graph("run")
    x, k = graph.input("x", 3), graph.input("k", dtype=np.int64)
    w = graph.param("w", np.ones(3))
    z = graph.sample("z", scg.Normal(mean=x @ w + k, scale=1.0))
    graph.sample("b", scg.Bernoulli(logits=x[:, 0]))
    graph.cost("loss", z**2)
    return graph


def run(params=None, inputs=None, **options):
    good = {"x": np.ones((4, 3)), "k": np.ones(4, np.int64)}
    params = {"w": np.ones(3)} if params is None else params
    given = {**good, **inputs} if isinstance(inputs, dict) else good
    rng = np.random.default_rng(0)
    return scg.forward(model(), params, given, rng=rng, **options)


def test_a_run_with_what_was_declared_passes():
    assert run()["loss"].shape == (4,)
    assert run(inputs={"x": np.ones((4, 3), np.float32), "k": np.ones(4, np.int8)})


WRONG_INPUTS = {
    "shape": {"x": np.ones((4, 2))},
    "axes": {"x": np.ones(4)},
    "dtype": {"k": np.ones(4)},
    "text": {"x": np.full((4, 3), "a")},
    "not a number": {"x": np.full((4, 3), np.nan)},
    "infinity": {"x": np.full((4, 3), np.inf)},
    "complex": {"x": np.ones((4, 3)) * 1j},
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_an_input_that_does_not_fit_is_named(name):
    wrong = WRONG_INPUTS[name]
    msg = refusal(scg.InputError, run, inputs=wrong)
    assert f"input {next(iter(wrong))!r}: expected" in msg


WRONG_PARAMS = {
    "shape": np.ones(2),
    "rows": np.ones((4, 3)),
    "not a number": np.array([1.0, np.nan, 1.0]),
    "complex": np.ones(3) * 1j,
    "text": np.array(["a", "b", "c"]),
}


@pytest.mark.parametrize("name", WRONG_PARAMS)
def test_a_param_that_does_not_fit_is_named(name):
    msg = refusal(scg.InputError, run, {"w": WRONG_PARAMS[name]})
    assert "param" in msg
    assert "'w': expected" in msg


def test_what_is_missing_or_unknown_is_named():
    assert "['w']" in refusal(scg.InputError, run, {})
    near = refusal(scg.UnknownNameError, run, {"w": np.ones(3), "ww": 1.0})
    assert "expected the name of a param, got 'ww'; did you mean 'w'" in near
    msg = refusal(scg.UnknownNameError, run, inputs={"xx": np.ones(4)})
    assert "expected the name of an input" in msg or "input" in msg
    rng = np.random.default_rng(0)
    msg = refusal(scg.InputError, scg.forward, model(), {"w": np.ones(3)}, rng=rng)
    assert "'x'" in msg
    assert "'k'" in msg


def test_rows_are_of_one_number():
    msg = refusal(scg.InputError, run, inputs={"k": np.ones(5, np.int64)})
    assert "expected one number of rows, at least 1, got" in msg
    assert "'x': 4" in msg
    assert "'k': 5" in msg
    empty = {"x": np.ones((0, 3)), "k": np.ones(0, np.int64)}
    assert "at least 1" in refusal(scg.InputError, run, inputs=empty)
    assert "'rows': 3" in refusal(scg.InputError, run, rows=3)
    assert "samples=0" in refusal(scg.InputError, run, samples=0)


def test_a_given_value_must_be_that_of_a_free_sample():
    assert run(given={"z": np.zeros(4)})["z"].tolist() == [0.0] * 4
    for wrong in (np.zeros(3), np.zeros((4, 2)), np.full(4, "a")):
        msg = refusal(scg.InputError, run, given={"z": wrong})
        assert "given: expected values of node 'z' of shape (4,)" in msg
    msg = refusal(scg.UnknownNameError, run, given={"loss": np.zeros(4)})
    assert "stochastic node" in msg
    msg = refusal(
        scg.InputError,
        run,
        given={"b": np.zeros(4)},
        estimators={"b": scg.Enumeration()},
    )
    assert "'b'" in msg


def test_a_given_value_inside_a_loop_has_a_time_axis():
    graph = scg.Graph()

    def step(c):
        graph.cost("loss", graph.sample("b", scg.Bernoulli(logits=c)))
        return c

    graph.scan(step, 0.0, length=3)

    def given(values):
        rng = np.random.default_rng(0)
        return scg.forward(graph, {}, rng=rng, rows=2, given={"b": values})["b"]

    assert given(np.ones((3, 2))).tolist() == [[1, 1]] * 3
    for wrong in (np.ones((2, 2)), np.ones((3, 5)), np.float64(1)):
        msg = refusal(scg.InputError, given, wrong)
        assert "given: expected values of node 'b' of shape (3, 2)" in msg


@pytest.mark.parametrize("inside", [False, True])
def test_a_sample_is_given_only_what_it_can_be(inside):
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)

    def step(c):
        b = graph.sample("b", scg.Bernoulli(logits=theta + 0 * c))
        graph.cost("loss", b)
        return b

    if inside:
        graph.scan(step, 0.0, length=2)
    else:
        step(0.0)
    shape = (2, 3) if inside else (3,)

    def given(values):
        rng = np.random.default_rng(0)
        return scg.forward(graph, {"theta": 0.3}, rng=rng, rows=3, given={"b": values})

    assert given(np.ones(shape))["b"].all()
    msg = refusal(scg.InputError, given, np.full(shape, 0.5))
    assert "in the support of Bernoulli, got 0.5" in msg
