"""The schedule of a graph is made once for each choice of estimators."""

import numpy as np
import pytest
from test_surrogate import random_model

import scg


def test_a_graph_keeps_its_schedule_for_equal_estimators():
    graph, _, names = random_model(0)
    enumerated = dict.fromkeys(names, scg.Enumeration())
    program = scg.compile(graph, enumerated).program
    again = scg.compile(graph, dict.fromkeys(names, scg.Enumeration()))
    assert again.program is program
    assert scg.compile(graph).program is not program
    assert scg.compile(graph, enumerated).program is program


def test_a_schedule_is_made_anew_where_a_node_is_added_or_renamed():
    graph = scg.Graph()
    theta = graph.param("theta", 0.5)
    rng, params = np.random.default_rng(0), {"theta": 0.5}
    double = 2 * theta
    graph.cost("first", double)
    assert scg.estimate_gradient(graph, params, rng=rng).cost == 1.0
    graph.rename("double", double)
    graph.cost("second", theta)
    estimate = scg.estimate_gradient(graph, params, rng=rng)
    assert estimate.cost == 1.5
    assert estimate.trace["double"] == 1.0


def test_a_schedule_is_made_anew_after_a_scan_that_failed():
    graph = scg.Graph()
    theta = graph.param("theta", 0.5)
    graph.cost("loss", theta)
    before = scg.compile(graph).program

    def step(h):
        h = h + 1
        raise KeyError

    with pytest.raises(KeyError):
        graph.scan(step, 0.0, length=2)
    program = scg.compile(graph).program
    assert program is not before
    assert program.nodes == tuple(graph.nodes)
