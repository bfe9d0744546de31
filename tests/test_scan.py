"""What a time loop must keep to is checked when it is traced."""

import numpy as np
import pytest

import scg


@pytest.fixture
def graph():
    return scg.Graph("g")


@pytest.fixture
def x(graph):
    return graph.input("x", shape=(5, 3))


def refusal(error, build, *args, **kwargs):
    with pytest.raises(scg.ScgError) as caught:
        build(*args, **kwargs)
    assert type(caught.value) is error
    return str(caught.value)


# Structure

STRUCTURES = {
    "one": (0.0, lambda c: c + 1),
    "tuple": ((0.0, np.zeros(2)), lambda c: (c[0] + 1, c[1] * 2)),
    "list": ([0.0, 1.0], lambda c: [c[1] + 0, c[0] + 0]),
    "dict": ({"a": 0.0, "b": 1.0}, lambda c: {"b": c["b"] + 1, "a": c["a"] + 2}),
    "nested": (
        {"a": (0.0, [1.0])},
        lambda c: {"a": (c["a"][0] + 1, [c["a"][1][0] + 1])},
    ),
}


def nest(value):
    if isinstance(value, dict):
        return {k: nest(v) for k, v in value.items()}
    return type(value)(map(nest, value)) if isinstance(value, tuple | list) else "leaf"


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_carry_may_be_any_nest_of_tuples_lists_and_dicts(name, graph):
    init, step = STRUCTURES[name]
    last, outputs = graph.scan(step, init, length=3)
    assert outputs is None
    assert nest(last) == nest(init)


CHANGED = {
    "None": (0.0, lambda c: None, "got None for leaf"),
    "one more": (0.0, lambda c: (c, c, c), "tuple(leaf, leaf, leaf) for leaf"),
    "one less": ((0.0, 1.0), lambda c: c[0], "got leaf for tuple(leaf, leaf)"),
    "list for tuple": ((0.0, 1.0), lambda c: [c[0], c[1]], "list(leaf, leaf)"),
    "other keys": ({"a": 0.0}, lambda c: {"b": c["a"]}, "dict(leaf)"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_carry_keeps_its_structure(name, graph):
    init, step, says = CHANGED[name]
    msg = refusal(scg.GraphError, graph.scan, step, init, length=3, name="loop")
    assert "scan 'loop': expected the step to return the carry" in msg
    assert says in msg


def test_a_carry_keeps_its_shape_and_dtype(graph, x):
    wide = refusal(
        scg.ShapeError, graph.scan, lambda c: c[:, None] * np.ones(2), 0.0, length=2
    )
    assert "expected (rows,) float64 as in init, got (rows, 2) float64" in wide
    whole = refusal(scg.ShapeError, graph.scan, lambda c: c * 0.5, 0, length=2)
    assert "expected (rows,) int64 as in init, got (rows,) float64" in whole
    assert "Give init the shape and dtype that the step returns" in whole


@pytest.mark.parametrize("init", ["a", object(), 1j, abs])
def test_a_carry_is_a_node_or_numbers(init, graph):
    msg = refusal(scg.GraphError, graph.scan, lambda c: c, init, length=2)
    assert "scan init 0: expected a node or numbers" in msg


def test_a_carry_without_rows_is_refused_with_the_way_out(graph):
    w = graph.param("w", np.ones(3))
    msg = refusal(
        scg.ShapeError, graph.scan, lambda c: np.tanh(w), np.ones(3), length=2
    )
    assert "expected a value with rows, got node 'tanh:" in msg


def test_a_loop_without_a_carry_is_a_map(graph, x):
    last, outputs = graph.scan(lambda c, x_t: (c, x_t * 2), None, xs=x)
    assert last is None
    assert outputs.shape == (-1, 5, 3)


# Lengths


def test_the_length_is_that_of_the_time_axis(graph, x):
    _, outputs = graph.scan(lambda c, x_t: (c, x_t), 0.0, xs=x, name="told")
    assert outputs.shape == (-1, 5, 3)
    graph.scan(lambda c, x_t: c, 0.0, xs=x, length=5, name="twice told")


def test_lengths_that_differ_or_are_none_are_refused(graph, x):
    y = graph.input("y", shape=(4,))
    row = graph.input("row")

    def step(c, x_t=None):
        return c

    for wrong in (
        {"xs": (x, y)},
        {"xs": x, "length": 4},
        {"xs": row},
        {},
        {"length": 0},
        {"length": -1},
        {"length": 2.0},
        {"length": "3"},
    ):
        msg = refusal(scg.ShapeError, graph.scan, step, 0.0, name="loop", **wrong)
        assert "scan 'loop': expected one whole number of steps, at least 1" in msg
        assert f"length={wrong.get('length')!r}" in msg


# Inside and outside


def test_a_loop_inside_a_loop_is_refused_by_name(graph):
    def inner(c):
        return graph.scan(lambda d: d + 1, c, length=2, name="inner")[0]

    msg = refusal(scg.GraphError, graph.scan, inner, 0.0, length=3, name="outer")
    assert "scan 'inner': a scan inside the scan 'outer' is not supported" in msg


def leaked(graph):
    kept = {}

    def step(c):
        kept["h"] = np.tanh(c)
        return kept["h"] + 1

    graph.scan(step, 0.0, length=3, name="loop")
    return kept["h"]


OUTSIDE = {
    "a call": lambda graph, h: h + 1,
    "a sample": lambda graph, h: graph.sample("z", scg.Normal(mean=h, scale=1.0)),
    "a cost": lambda graph, h: graph.cost("loss", h),
    "a value": lambda graph, h: graph.value("v", h),
    "a black box": lambda graph, h: scg.black_box(np.sqrt)(h),
    "a name": lambda graph, h: graph.rename("h", h),
    "another loop's init": lambda graph, h: graph.scan(
        lambda c: c, h, length=2, name="other"
    ),
    "another loop's body": lambda graph, h: graph.scan(
        lambda c: c + h, 0.0, length=2, name="other"
    ),
    "another loop's carry": lambda graph, h: graph.scan(
        lambda c: h, 0.0, length=2, name="other"
    ),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_node_of_the_step_is_refused_outside_of_it(name, graph):
    h = leaked(graph)
    msg = refusal(scg.GraphError, OUTSIDE[name], graph, h)
    assert f"node {h.name!r} lives inside the scan 'loop' and was used outside" in msg
    assert "Return it from the step" in msg


def test_params_and_inputs_are_made_outside(graph):
    for make in (graph.param, graph.input):
        msg = refusal(
            scg.GraphError,
            graph.scan,
            lambda c, make=make: c + make("new", 1),
            0.0,
            length=2,
        )
        assert "outside of the scan's step" in msg


def test_after_a_step_that_failed_its_names_are_free_again(graph):
    def step(c, fail):
        a = graph.sample("a", scg.Bernoulli(logits=c))
        graph.cost("loss", a)
        return c @ c if fail else c + a

    before = graph.nodes
    refusal(scg.ShapeError, graph.scan, lambda c: step(c, fail=True), 0.0, length=2)
    assert [n.name for n in graph.nodes[len(before) :]] == ["scan init 0:0"]
    graph.scan(lambda c: step(c, fail=False), 0.0, length=2)
    rng = np.random.default_rng(0)
    assert scg.forward(graph, {}, rng=rng, rows=4)["loss"].shape == (2, 4)


def test_a_name_of_the_loop_is_given_once(graph, x):
    msg = refusal(
        scg.DuplicateNameError, graph.scan, lambda c: c, 0.0, length=1, name="x"
    )
    assert "'x'" in msg


def test_until_names_a_boolean_of_the_step(graph):
    def step(c):
        graph.rename("over", c > 2)
        graph.rename("amount", c * 2)
        return c + 1

    for until, says in (("amount", "one boolean a row"), ("ovr", "mean 'over'")):
        with pytest.raises(scg.ScgError, match=says):
            graph.scan(step, 0.0, length=5, until=until)
    graph.scan(step, 0.0, length=5, until="over")
