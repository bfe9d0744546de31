"""Influence is what the definitions say, by enumeration of paths and by unrolling."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from random_graphs import (
    LENGTH,
    build,
    build_scan,
    build_unrolled,
    dags,
    loops,
    pairs,
    paths,
    reachable,
)
from tiny_environment import tiny_environment

import scg
from scg.influence import Influence

many = settings(max_examples=200, deadline=None, derandomize=True)


def kinds_between(recipes, path):
    kinds = {r.name: r.kind for r in recipes}
    return {kinds[name] for name in path[1:-1]}


def deterministic_paths(recipes, v, w):
    return [
        path
        for path in paths(recipes, v, w)
        if "stochastic" not in kinds_between(recipes, path)
    ]


@many
@given(dags())
def test_v_influences_w_where_a_path_leads_from_v_to_w(recipes):
    graph = build(recipes)
    for v, w in pairs([r.name for r in recipes]):
        assert graph.influences(v, w) == bool(paths(recipes, v, w)), (v, w)


@many
@given(dags())
def test_deterministic_influence_has_no_sample_between(recipes):
    graph = build(recipes)
    for v, w in pairs([r.name for r in recipes]):
        expected = bool(deterministic_paths(recipes, v, w))
        assert graph.deterministically_influences(v, w) == expected, (v, w)


@many
@given(dags())
def test_deps_are_the_params_and_samples_that_influence_deterministically(recipes):
    graph = build(recipes)
    sources = [r.name for r in recipes if r.kind in {"param", "stochastic"}]
    for w in recipes:
        expected = {v for v in sources if deterministic_paths(recipes, v, w.name)}
        assert graph.deps(w.name) == expected, w.name


@many
@given(dags())
def test_downstream_costs_are_those_at_the_end_of_a_path(recipes):
    graph = build(recipes)
    costs = [r.name for r in recipes if r.kind == "cost"]
    for w in recipes:
        expected = tuple(c for c in costs if paths(recipes, w.name, c))
        assert graph.downstream_costs(w.name) == expected, w.name


@many
@given(dags())
def test_non_influenced_are_all_others_without_a_path_to_them(recipes):
    graph = build(recipes)
    names = {r.name for r in recipes}
    for w in names:
        expected = {v for v in names - {w} if not paths(recipes, w, v)}
        assert graph.non_influenced(w) & names == expected, w


@many
@given(dags())
def test_networkx_sees_the_same_influence(recipes):
    graph = build(recipes)
    seen = reachable(graph)
    for v, w in pairs([r.name for r in recipes]):
        assert ((v, w) in seen) == graph.influences(v, w), (v, w)


@many
@given(dags())
def test_a_path_that_is_shown_exists_and_is_shortest(recipes):
    graph = build(recipes)
    influence, seen = Influence(graph.store), graph.to_networkx()
    for v, w in pairs([r.name for r in recipes]):
        path = influence.path(graph[v].index, graph[w].index)
        if not graph.influences(v, w):
            assert path == []
        else:
            assert nx.is_path(seen, path)
            assert len(path) == nx.shortest_path_length(seen, v, w) + 1


def bodies(recipe):
    return [r.name for r in recipe.body]


@many
@given(loops())
def test_lag_sets_are_the_reachability_of_the_unrolled_loop(recipe):
    scan, unrolled = build_scan(recipe), reachable(build_unrolled(recipe))
    influence = Influence(scan.store)
    for v, w in pairs(bodies(recipe)):
        sets = influence.lag_sets(scan[v])
        for start in (0, 2):
            for lag in range(LENGTH - start):
                expected = (f"{v}@{start}", f"{w}@{start + lag}") in unrolled
                got = scan[w].index in sets.at(lag)
                assert got == expected, (v, w, start, lag)


@many
@given(loops())
def test_entry_sets_are_the_reachability_of_the_unrolled_loop(recipe):
    scan, unrolled = build_scan(recipe), reachable(build_unrolled(recipe))
    influence = Influence(scan.store)
    (loop,) = {n.loop for n in scan.nodes if n.loop is not None}
    for v in ("theta", "x", "s", "m", "z"):
        sets = influence.entry_sets(scan[v], loop)
        for w in bodies(recipe):
            for t in range(LENGTH):
                expected = (v, f"{w}@{t}") in unrolled
                assert (scan[w].index in sets.at(t)) == expected, (v, w, t)


@many
@given(loops())
def test_influence_in_a_loop_is_influence_at_any_step_of_the_unrolled_loop(recipe):
    scan, unrolled = build_scan(recipe), reachable(build_unrolled(recipe))
    steps = range(LENGTH)
    for v, w in pairs(bodies(recipe)):
        expected = any((f"{v}@0", f"{w}@{t}") in unrolled for t in steps)
        assert scan.influences(v, w) == expected, (v, w)
    for v in bodies(recipe):
        expected = any((f"{v}@{t}", "end") in unrolled for t in steps)
        assert scan.influences(v, "end") == expected, v


@many
@given(loops())
def test_what_a_baseline_may_read_is_what_the_same_step_leaves_alone(recipe):
    scan, unrolled = build_scan(recipe), reachable(build_unrolled(recipe))
    for v in bodies(recipe):
        allowed = scan.non_influenced(v)
        for w in bodies(recipe):
            expected = v != w and (f"{v}@0", f"{w}@0") not in unrolled
            assert (w in allowed) == expected, (v, w)


def test_the_state_before_an_action_may_be_read_and_the_state_after_may_not():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)

    def step(state):
        graph.value("before", state * 1.0)
        action = graph.sample("action", scg.Bernoulli(logits=theta * state))
        new = graph.rename("new", np.tanh(state + action))
        graph.value("after", new)
        graph.cost("loss", new)
        return new

    last, _ = graph.scan(step, init=1.0, length=3)
    graph.value("outside", last)
    allowed = graph.non_influenced("action")
    assert graph.influences("action", "before")
    assert "before" in allowed
    assert not {"after", "outside", "new", "loss", "action"} & allowed


def test_a_cycle_of_carries_gives_a_period():
    graph = scg.Graph()

    def step(carry):
        a, b = carry
        u = graph.sample("u", scg.Normal(mean=0.0 * a, scale=1.0))
        graph.cost("loss", a)
        return b, a + u

    graph.scan(step, init=(0.0, 0.0), length=9)
    influence = Influence(graph.store)
    sets = influence.lag_sets(graph["u"])
    hits = [graph["loss"].index in sets.at(k) for k in range(9)]
    assert hits == [k >= 2 and k % 2 == 0 for k in range(9)]


def test_an_environment_remembers_what_was_done_to_it():
    graph = scg.Graph()
    world = tiny_environment()
    for t in range(2):
        action = graph.sample(f"a{t}", scg.Bernoulli(logits=0.0))
        graph.cost(f"c{t}", world(action)[1])
    assert graph.downstream_costs("a0") == ("c0", "c1")
    assert graph.downstream_costs("a1") == ("c1",)


def test_an_environment_in_a_loop_leads_from_step_to_step():
    graph = scg.Graph()
    world = tiny_environment()

    def step(state):
        action = graph.sample("a", scg.Bernoulli(logits=0.0))
        _, reward, _ = world(action)
        graph.cost("c", reward)
        return state

    graph.scan(step, init=0.0, length=4)
    sets = Influence(graph.store).lag_sets(graph["a"])
    assert all(graph["c"].index in sets.at(k) for k in range(4))


def test_a_name_nobody_has_is_an_error_that_lists_near_names():
    graph = scg.Graph()
    graph.param("theta", 0.0)
    with pytest.raises(scg.UnknownNameError, match="'thet'; did you mean 'theta'"):
        graph.influences("thet", "theta")
