"""What happens before the first run takes operations in proportion to the nodes."""

import sys

import numpy as np
import pytest
from markdown_code import ROOT

import scg
from scg.influence import influence_of

sys.path.insert(0, str(ROOT / "benchmarks"))

from scale import SHAPES, calls, samples

sys.path.pop(0)

SMALL, LARGE = 240, 480


def operations(function, *args):
    """Count the bytecodes that a call of a function takes."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*args)
    finally:
        sys.settrace(before)
    return count


def growth(function, build, *more):
    """Return how many times more operations twice the nodes take."""
    few, many = (operations(function, build(count), *more) for count in (SMALL, LARGE))
    return many / few


def schedule(graph, *estimators):
    scg.compile(graph, *(make(graph) for make in estimators))


def params(count):
    """Build a chain in which each link has a param of its own."""
    graph = scg.Graph()
    x = graph.input("x")
    for i in range(count // 3):
        x = np.tanh(x * graph.param(f"theta {i}", 0.5))
    graph.cost("loss", x)
    return graph


def baselines(count):
    """Build a chain of samples, with a value node to read for each."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    z = graph.input("x")
    for i in range(count // 6):
        graph.value(f"v {i}", theta * z)
        z = graph.sample(f"z {i}", scg.Normal(mean=theta * z, scale=1.0))
        graph.cost(f"c {i}", z)
    return graph


def readers(graph):
    return {
        f"z {n.name[2:]}": scg.ScoreFunction(baseline=scg.LearnedBaseline(n.name))
        for n in graph.nodes
        if n.name.startswith("v ")
    }


def dead_ends(count):
    """Build many edges without a derivative into one tail that ends in no cost."""
    graph = scg.Graph()
    tail = graph.input("x")
    for i in range(count // 5):
        theta = graph.param(f"theta {i}", 0.5)
        graph.cost(f"c {i}", theta)
        tail = tail + 1.0 * (theta > 0)
    return graph


def carries(count):
    """Build a loop that stops row by row, whose last carries end in no cost."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.5)

    def step(several):
        total = graph.rename("total", sum(several))
        graph.rename("over", total > 1)
        graph.cost("loss", total * theta)
        return several

    last, _ = graph.scan(step, (0.0,) * (count // 5), length=3, until="over")
    sum(last)
    return graph


@pytest.mark.parametrize("title", SHAPES)
def test_twice_the_nodes_take_twice_the_operations_to_build(title):
    few, many = (operations(SHAPES[title], count) for count in (SMALL, LARGE))
    assert many < 2.1 * few


@pytest.mark.parametrize("build", [*SHAPES.values(), params, dead_ends, carries])
def test_twice_the_nodes_take_twice_the_operations_to_schedule(build):
    assert growth(schedule, build) < 2.1


def test_baselines_that_read_take_twice_the_operations_too():
    assert growth(schedule, baselines, readers) < 2.1


def increments(graph):
    program = scg.compile(graph).program
    program.downstream.increments(program.scored)


@pytest.mark.parametrize("build", SHAPES.values())
def test_what_samples_influence_takes_twice_the_operations(build):
    assert growth(increments, build) < 2.1


def walk_from_each_sample(graph):
    influence = influence_of(graph.store)
    for i in scg.compile(graph).program.scored:
        influence.descendants(i)


def test_a_walk_from_each_sample_would_be_noticed():
    assert growth(walk_from_each_sample, samples) > 3


@pytest.mark.slow
def test_a_chain_of_a_hundred_thousand_calls_needs_no_recursion():
    graph = calls(100_000)
    program = scg.compile(graph).program
    assert len(program.nodes) > 100_000
    assert graph.influences("theta", "loss")
    assert program.downstream.of(graph["theta"].index) == (graph["loss"].index,)


@pytest.mark.slow
def test_a_chain_of_fifty_thousand_samples_needs_no_recursion():
    graph = samples(100_000)
    program = scg.compile(graph).program
    first, last = program.scored[0], program.scored[-1]
    assert len(program.scored) == 50_000
    np.testing.assert_array_equal(
        program.downstream.matrix([first, last]).sum(axis=1), [50_000, 1]
    )
