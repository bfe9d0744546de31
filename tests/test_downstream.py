"""Bits of targets are what the definition says, by enumeration of paths."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import (
    build,
    build_scan,
    build_unrolled,
    dags,
    loops,
    pairs,
    paths,
    reachable,
)

import scg
from scg.downstream import Downstream, groups
from scg.influence import influence_of

many = settings(max_examples=200, deadline=None, derandomize=True)


@st.composite
def digraphs(draw, size=9):
    """Draw where the edges of each node lead, with cycles."""
    below = st.lists(st.integers(0, size - 1), max_size=3)
    return draw(st.lists(below, min_size=size, max_size=size))


def downstream_of(graph, targets, **options):
    indices = [graph[name].index for name in targets]
    return Downstream(influence_of(graph.store), indices, **options)


def expanded(increments):
    """Put what each source influences together again, in the order given."""
    found = {None: frozenset()}
    for each in increments:
        assert not found[each.base] & set(each.extra)
        found[each.source] = found[each.base] | set(each.extra)
    return found


@many
@given(dags(), st.data())
def test_bits_are_the_ends_of_paths(recipes, data):
    graph = build(recipes)
    names = [r.name for r in recipes]
    targets = data.draw(st.lists(st.sampled_from(names), unique=True))
    downstream = downstream_of(graph, targets)
    expected = [[bool(paths(recipes, v, w)) for w in targets] for v in names]
    matrix = downstream.matrix([graph[v].index for v in names])
    assert matrix.shape == (len(names), len(targets))
    assert matrix.tolist() == expected
    for v, row in zip(names, expected, strict=True):
        ends = [w for w, reached in zip(targets, row, strict=True) if reached]
        i = graph[v].index
        assert downstream.of(i) == tuple(graph[w].index for w in ends)
        assert [downstream.reaches(i, graph[w].index) for w in targets] == row


@many
@given(dags(), st.data())
def test_increments_put_together_are_the_ends_of_paths(recipes, data):
    graph = build(recipes)
    names = [r.name for r in recipes]
    sources = data.draw(st.lists(st.sampled_from(names), unique=True))
    costs = [r.name for r in recipes if r.kind == "cost"]
    increments = downstream_of(graph, costs).increments(graph[v].index for v in sources)
    found = expanded(increments)
    for v in sources:
        expected = {graph[w].index for w in costs if paths(recipes, v, w)}
        assert found[graph[v].index] == expected, v
    for each in increments:
        v = graph.nodes[each.source].name
        assert each.base is None or graph.influences(v, graph.nodes[each.base])


@many
@given(loops())
def test_bits_in_a_loop_are_influence_at_any_step(recipe):
    graph = build_scan(recipe)
    influence = influence_of(graph.store)
    everything = [n.index for n in graph.nodes]
    downstream = Downstream(influence, everything)
    found = expanded(downstream.increments(everything))
    for i in everything:
        assert set(downstream.of(i)) == influence.descendants(i), i
        assert found[i] == influence.descendants(i), i


@many
@given(loops())
def test_bits_of_the_same_step_are_a_step_of_the_unrolled_loop(recipe):
    graph, unrolled = build_scan(recipe), reachable(build_unrolled(recipe))
    names = [r.name for r in recipe.body]
    downstream = downstream_of(graph, names, same_step=True)
    for v, w in pairs(names):
        expected = (f"{v}@0", f"{w}@0") in unrolled
        assert downstream.reaches(graph[v].index, graph[w].index) == expected, (v, w)


@many
@given(digraphs())
def test_groups_are_the_nodes_that_lead_to_each_other(children):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(children)))
    graph.add_edges_from((i, c) for i, below in enumerate(children) for c in below)
    found = groups(children)
    expected = {frozenset(g) for g in nx.strongly_connected_components(graph)}
    assert {frozenset(g) for g in found} == expected
    place = {i: k for k, group in enumerate(found) for i in group}
    assert all(place[c] <= place[i] for i, c in graph.edges)


def test_a_chain_of_samples_has_one_more_target_at_each():
    graph = scg.Graph()
    z = graph.input("x")
    samples, costs = [], []
    for i in range(40):
        z = graph.sample(f"z{i}", scg.Normal(mean=z, scale=1.0))
        samples.append(z.index)
        costs.append(graph.cost(f"c{i}", z).index)
    downstream = Downstream(influence_of(graph.store), costs)
    np.testing.assert_array_equal(
        downstream.matrix(samples), np.triu(np.ones((40, 40), bool))
    )
    increments = {each.source: each for each in downstream.increments(samples)}
    bases = [*samples[1:], None]
    for sample, base, cost in zip(samples, bases, costs, strict=True):
        assert (increments[sample].base, increments[sample].extra) == (base, (cost,))


def test_the_costs_of_a_program_and_of_its_samples():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    a = graph.sample("a", scg.Bernoulli(logits=theta))
    cost = graph.cost("first", a)
    free = graph.cost("second", theta)
    program = scg.compile(graph).program
    assert program.downstream.targets == (cost.index, free.index)
    assert program.downstream.of(a.index) == (cost.index,)
    assert not program.downstream.reaches(a.index, free.index)


def test_what_is_no_target_is_not_asked_for():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    downstream = Downstream(influence_of(graph.store), [])
    assert downstream.matrix([theta.index]).shape == (1, 0)
    with pytest.raises(KeyError):
        downstream.reaches(theta.index, theta.index)


def in_total(program, trace):
    """Sum the costs of each scored sample on its plates, one by one."""
    found = {}
    for i in program.scored:
        here = program.plates[i]
        found[i] = np.zeros(trace.layout.count(here))
        for c in program.downstream.of(i):
            value, plates = trace.values[c], program.plates[c]
            found[i] = found[i] + trace.layout.reduce(value, plates, here)
    return found


def by_increments(program, trace):
    """Sum them starting from what the next sample down is credited with."""
    reduce, found = trace.layout.reduce, {}
    for each in program.downstream.increments(program.scored):
        here = program.plates[each.source]
        total = np.zeros(trace.layout.count(here))
        if each.base is not None:
            total = reduce(found[each.base], program.plates[each.base], here)
        for c in each.extra:
            total = total + reduce(trace.values[c], program.plates[c], here)
        found[each.source] = total
    return found


@pytest.mark.parametrize("first", [scg.Enumeration(), scg.ScoreFunction(samples=3)])
@pytest.mark.parametrize("second", [scg.Enumeration(), scg.ScoreFunction(samples=2)])
def test_sums_by_increments_are_the_sums_on_the_plates_of_branches(first, second):
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    a = graph.sample("a", scg.Bernoulli(logits=theta))
    graph.cost("of a", (a - theta) ** 2)
    b = graph.sample("b", scg.Bernoulli(logits=a - theta))
    c = graph.sample("c", scg.Bernoulli(logits=2 * a + theta))
    graph.cost("of b", b + 0.5 * theta)
    d = graph.sample("d", scg.Bernoulli(logits=b * c + theta))
    graph.cost("of c", c * 1.5)
    graph.cost("of d", d * b - a)
    estimators = {"a": first, "b": second, "c": first, "d": second}
    rng = np.random.default_rng(0)
    trace = scg.forward(
        graph, {"theta": 0.3}, rng=rng, rows=5, samples=2, estimators=estimators
    )
    program = scg.compile(graph, estimators).program
    expected, found = in_total(program, trace), by_increments(program, trace)
    assert any(e.base for e in program.downstream.increments(program.scored))
    for i, total in expected.items():
        np.testing.assert_allclose(found[i], total, rtol=1e-12)
