"""Calls that are alike share what was found on dummy rows; others do not."""

import numpy as np
import pytest
from derivative_cases import CASES

import scg
from scg import declare, dispatch
from scg.flow import edge_kind
from scg.operation import capture
from scg.pattern import likeness, pattern_key


class Forgetful(dict):
    def __setitem__(self, key, value):
        pass


@pytest.fixture
def tries(monkeypatch):
    """Count the calls that are tried on dummy rows."""
    counted, infer = [], dispatch.infer_call

    def counting(*args, **kwargs):
        counted.append(args[0].name)
        return infer(*args, **kwargs)

    monkeypatch.setattr(dispatch, "infer_call", counting)
    return counted


def leaves():
    graph = scg.Graph()
    x = graph.input("x", shape=(3,))
    return graph, x + graph.param("t", np.zeros(3)), graph.param("w", np.zeros(3))


def found(nodes):
    """List specs, and what gradient does on each edge."""
    return [
        (n.spec, [edge_kind(p, n, slot) for slot, p in enumerate(n.inputs)])
        for n in nodes
    ]


@pytest.fixture(scope="module")
def crowd():
    """Build all cases in one graph, where they could be taken for each other."""
    graph, h, w = leaves()
    members = {}
    for name, case in CASES.items():
        start = len(graph.store.nodes)
        case(np, h, w)
        members[name] = found(graph.store.nodes[start:])
    return members


@pytest.mark.parametrize("name", CASES)
def test_what_is_found_of_a_call_is_not_that_of_another_one(name, crowd):
    graph, h, w = leaves()
    graph.store.patterns = Forgetful()
    start = len(graph.store.nodes)
    CASES[name](np, h, w)
    assert found(graph.store.nodes[start:]) == crowd[name]


class Credulous(dict):
    """Take every call for the first one."""

    def __contains__(self, key):
        return len(self) > 0

    def __getitem__(self, key):
        return next(iter(self.values()))


def test_a_call_that_is_taken_for_another_one_is_noticed(crowd):
    graph, h, w = leaves()
    graph.store.patterns = Credulous()
    start = len(graph.store.nodes)
    CASES["stack"](np, h, w)
    assert found(graph.store.nodes[start:]) != crowd["stack"]


def test_a_long_chain_of_like_calls_is_tried_once_for_each_kind(tries):
    x = scg.Graph().input("x", shape=(2,))
    for i in range(50):
        x = np.tanh(0.1 * i * x + np.array([1.0, i]))[:, ::-1]
    assert sorted(tries) == ["add", "getitem", "multiply", "tanh"]


def test_functions_that_are_not_known_are_tried_each_time(tries):
    x = scg.Graph().input("x", shape=(2,))
    mine = scg.deterministic(lambda x: 2 * x)
    for _ in range(5):
        x = mine(x)
    assert len(tries) == 5


def test_a_like_call_of_inputs_that_do_not_fit_is_refused_by_its_own_names():
    graph = scg.Graph()
    x, y = graph.input("x", shape=(2,)), graph.input("y", shape=(3,))
    assert (x + x).shape == (x + np.ones(2)).shape
    with pytest.raises(scg.ShapeError, match="'y': "):
        x + y
    with pytest.raises(scg.ShapeError, match="'x': "):
        x + np.ones(3)


def test_a_call_that_failed_is_refused_again():
    x = scg.Graph().input("x", shape=(2,))
    for _ in range(2):
        with pytest.raises(scg.ShapeError, match="depends on other rows"):
            np.cumsum(x, axis=0)
    assert np.cumsum(x, axis=1).shape == x.shape


def key(function, *args, **kwargs):
    return pattern_key(capture(function, args, kwargs)[0], [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (key(np.sum, axis=0), key(np.sum, axis=1)),
        (key(np.sum, axis=1), key(np.sum, axis=True)),
        (key(np.sum, axis=1), key(np.mean, axis=1)),
        (key(np.add, 1.0), key(np.add, 1)),
        (key(np.power, -1), key(np.power, 2)),
        (key(np.add, np.ones(2)), key(np.add, np.ones(3))),
        (key(np.add, np.ones(2)), key(np.add, np.ones(2, np.float32))),
        (key(np.add, np.ones(2)), key(np.add, np.ones(2, int))),
        (key(np.take, np.array([1])), key(np.take, np.array([2]))),
        (key(np.round, 1.5), key(np.round, 2.5)),
        (key(np.reshape, (2, 3)), key(np.reshape, [2, 3])),
        (key(np.add, dtype=np.float32), key(np.add, casting="same_kind")),
        (key(np.add, dtype=np.dtype("f4")), key(np.add, dtype=np.dtype("f8"))),
        (key(np.add, np.int32(1)), key(np.add, np.int64(1))),
        (likeness(slice(1, 2)), likeness(slice(1, 3))),
        (likeness(...), likeness(None)),
    ],
)
def test_constants_that_may_matter_are_told_apart(one, other):
    assert one is not None
    assert other is not None
    assert one != other


def test_floats_are_alike_where_they_cannot_matter():
    assert key(np.add, 1.0) == key(np.add, 2.0)
    assert key(np.add, np.zeros(2)) == key(np.add, np.ones(2))


@pytest.mark.parametrize(
    "odd", [object(), np.zeros(1000, int), np.array([None]), (1, [len])]
)
def test_constants_that_cannot_be_compared_are_unlike_all(odd):
    assert likeness(odd) is None
    assert key(np.take, odd) is None


@pytest.fixture
def draws(monkeypatch):
    """Count the draws that are tried on dummy rows."""
    counted, infer = [], declare._draw_spec

    def counting(name, template, nodes):
        counted.append(name)
        return infer(name, template, nodes)

    monkeypatch.setattr(declare, "_draw_spec", counting)
    return counted


def test_draws_that_are_alike_are_tried_once(draws):
    graph = scg.Graph()
    x = graph.input("x")
    for i in range(9):
        x = graph.sample(f"x{i}", scg.Normal(mean=x, scale=1.0))
    assert draws == ["x0"]


def test_draws_that_differ_are_told_apart(draws):
    graph = scg.Graph()
    x, w = graph.input("x"), graph.param("w", np.zeros(3))
    made = [
        scg.Normal(mean=x, scale=1.0),
        scg.Normal(mean=x, log_scale=1.0),
        scg.Normal(mean=1.0, scale=x),
        scg.Normal(mean=x[:, None], scale=np.ones(2)),
        scg.Normal(mean=x[:, None], scale=np.ones(3)),
        scg.Normal(mean=w, scale=1.0),
        scg.Bernoulli(logits=w),
        scg.Categorical(logits=w),
        scg.Normal(mean=w, scale=np.ones(3)),
    ]
    samples = [graph.sample(f"s{i}", draw) for i, draw in enumerate(made)]
    assert len(draws) == len(made)
    shapes = [(), (), (), (2,), (3,), (3,), (3,), (), (3,)]
    assert [s.event_shape for s in samples] == shapes


def test_a_draw_whose_parameters_do_not_fit_is_refused_by_its_own_name():
    graph = scg.Graph()
    x = graph.input("x", shape=(2,))
    graph.sample("fits", scg.Normal(mean=x, scale=np.ones(2)))
    with pytest.raises(scg.ShapeError, match="'misfit'"):
        graph.sample("misfit", scg.Normal(mean=x, scale=np.ones(3)))
