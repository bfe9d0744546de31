"""Critic sets and baseline sets are those of networkx, and of the loop unrolled."""

import itertools

import networkx as nx
import numpy as np
import pytest
import random_graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import LENGTH, build, build_scan, build_unrolled, dags, loops
from tiny_environment import tiny_environment

import scg
from scg import separation
from scg.influence import influence_of

many = settings(max_examples=80, deadline=None, derandomize=True)
some = settings(max_examples=30, deadline=None, derandomize=True)
RANDOM = {"stochastic", "input", "environment"}


class Oracle:
    """The graph in networkx, without params, with a node for a sample's score."""

    def __init__(self, graph, *, fixed=()):
        self.graph = nx.DiGraph(graph.to_networkx())
        self.kinds = dict(self.graph.nodes(data="kind"))
        params = [n for n in self.graph if self.kinds[n] == "parameter"]
        self.graph.remove_nodes_from([*params, *fixed])

    def closure(self, known):
        """Add what is computed from what is known, until there is no more."""
        known, before = set(known) & set(self.graph), None
        while known != before:
            before = set(known)
            known |= {
                n
                for n in self.graph
                if self.kinds[n] not in RANDOM
                and set(self.graph.predecessors(n)) <= known
            }
            for n in before:
                above = list(self.graph.predecessors(n))
                if self.kinds[n] == "cost" and len(above) == 1:
                    known.update(above)  # the same number by another name
        return known

    def separated(self, sources, targets, known):
        known = self.closure(known)
        sources, targets = set(sources) - known, set(targets) - known
        return not (sources and targets) or nx.is_d_separator(
            self.graph, sources, targets, known
        )

    def is_critic_set(self, w, known):
        self.graph.add_edges_from((p, "score") for p in self.graph.predecessors(w))
        self.graph.add_edge(w, "score")
        self.kinds["score"] = "deterministic"
        costs = [
            n for n in nx.descendants(self.graph, w) if self.kinds.get(n) == "cost"
        ]
        answer = self.separated(["score"], costs, known)
        self.graph.remove_node("score")
        return answer


def named(recipes, *kinds):
    return [r.name for r in recipes if r.kind in kinds]


@many
@given(dags(), st.data())
def test_critic_sets_are_those_that_networkx_finds_separating(recipes, data):
    graph = build(recipes)
    oracle = Oracle(graph)
    names = [r.name for r in recipes]
    for w in named(recipes, "stochastic"):
        for _ in range(4):
            known = data.draw(st.sets(st.sampled_from(names)))
            expected = oracle.is_critic_set(w, known)
            assert graph.is_critic_set(w, known) == expected, (w, known)


@many
@given(dags())
def test_the_critic_set_is_one_and_nothing_in_it_can_be_left_out(recipes):
    graph = build(recipes)
    oracle = Oracle(graph)
    for w in named(recipes, "stochastic"):
        found = graph.critic_set(w)
        assert w in found or not graph.downstream_costs(w)
        assert oracle.is_critic_set(w, found)
        for size in range(len(found)):
            for fewer in itertools.combinations(found, size):
                if w in fewer:
                    assert not oracle.is_critic_set(w, fewer), (w, found, fewer)


@many
@given(dags())
def test_the_baseline_set_knows_what_all_others_know(recipes):
    graph = build(recipes)
    oracle = Oracle(graph)
    for w in named(recipes, "stochastic"):
        found = graph.baseline_set(w)
        legal = graph.non_influenced(w) & set(oracle.graph)
        costs = graph.downstream_costs(w)
        assert found <= legal
        assert oracle.separated(legal - found, costs, found)
        for b in found:
            assert not oracle.separated([b], costs, found - {b}), (w, found, b)


def head_in_unrolled(recipe, i, t):
    """Name the node that carry number i is at step t of the loop written in Python."""
    name = recipe.starts[i] if t == 0 else recipe.following[i]
    if t and name.startswith("h") and name[1:].isdigit():
        return head_in_unrolled(recipe, int(name[1:]), t - 1)
    return name if t == 0 or name in {"x", "s"} else f"{name}@{t - 1}"


def in_unrolled(recipe, name, t):
    if name.startswith("scan.carry"):
        i = int(name.removeprefix("scan.carry").split(":")[0])
        return head_in_unrolled(recipe, i, t)
    return f"{name}@{t}" if name in {r.name for r in recipe.body} else name


@some
@given(loops(), st.data())
def test_critic_sets_in_a_loop_are_those_of_the_loop_written_out(recipe, data):
    graph, oracle = build_scan(recipe), Oracle(build_unrolled(recipe), fixed=["zero"])
    heads = [n.name for n in graph.nodes if n.name.startswith("scan.carry")]
    heads = [n for n in heads if graph[n].loop is not None]
    names = [*(r.name for r in recipe.body), "x", "s", "z", *heads]
    for w in named(recipe.body, "stochastic"):
        for _ in range(3):
            known = data.draw(st.sets(st.sampled_from(names)))
            expected = all(
                oracle.is_critic_set(
                    f"{w}@{t}", {in_unrolled(recipe, n, t) for n in known} - {"zero"}
                )
                for t in range(LENGTH)
            )
            assert graph.is_critic_set(w, known) == expected, (w, known)
    known = data.draw(st.sets(st.sampled_from(names)))
    steps = [in_unrolled(recipe, n, t) for n in known for t in range(LENGTH)]
    expected = oracle.is_critic_set("s", set(steps) - {"zero"})
    assert graph.is_critic_set("s", known) == expected, known


@some
@given(loops(), st.data())
def test_a_long_loop_needs_no_more_steps_than_some(recipe, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_graphs, "LENGTH", 40 + data.draw(st.integers(0, 1)))
        graph, long = build_scan(recipe), build_scan(recipe)
        loop = next(n.loop for n in graph.nodes if n.loop is not None)
        assert separation.enough_steps(influence_of(graph.store), loop) < 40
        patch.setattr(separation, "enough_steps", lambda _, loop: loop.length)
        separation.unrolled_of(influence_of(long.store))
    heads = [n.name for n in graph.nodes if n.name.startswith("scan.carry")]
    heads = [n for n in heads if graph[n].loop is not None]
    names = [*(r.name for r in recipe.body), "x", "s", *heads]
    for w in [*named(recipe.body, "stochastic"), "s"]:
        assert graph.critic_set(w) == long.critic_set(w)
        for _ in range(3):
            known = data.draw(st.sets(st.sampled_from(names)))
            expected = long.is_critic_set(w, known)
            assert graph.is_critic_set(w, known) == expected, (w, known)


def test_the_open_path_is_named_with_its_arrows():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    x = graph.input("x")
    a = graph.sample("a", scg.Bernoulli(logits=theta * x))
    h = graph.rename("h", np.tanh(a + x))
    graph.cost("loss", h**2)
    assert graph.open_path("a", ["a", "x"]) == ""
    assert graph.open_path("a", ["h"]) == ""
    assert not graph.is_critic_set("a", ["a"])
    path = graph.open_path("a", ["a"])
    assert path.startswith("a ← multiply:")
    assert " ← x → " in path
    assert path.endswith("h → power:8 → loss") or " → loss" in path
    assert graph.open_path("a", "h") == ""


def test_a_path_through_a_common_effect_names_no_node_twice():
    graph = scg.Graph()
    a = graph.sample("a", scg.Normal(mean=graph.param("m", 0.0), scale=1.0))
    e = graph.sample("e", scg.Normal(mean=np.zeros(()), scale=1.0))
    both = graph.rename("both", a + e)
    graph.sample("d", scg.Normal(mean=both, scale=1.0))
    b = graph.sample("b", scg.Normal(mean=a, scale=1.0))
    graph.rename("product", b * e)
    graph.cost("loss", graph["product"])
    assert graph.is_critic_set("a", ["b"])
    found = graph.open_path("a", ["b", "d"])
    assert found == "a → both ← e → product → loss"


def test_what_params_alone_make_is_known_to_all():
    graph = scg.Graph()
    s, x = graph.param("s", 0.1), graph.input("x")
    width = np.exp(s) + 0.1
    a = graph.sample("a", scg.Normal(mean=x, scale=width))
    graph.rename("wide", a * width)
    graph.cost("loss", graph["wide"] * width)
    assert graph.is_critic_set("a", ["a"])
    assert graph.is_critic_set("a", ["wide"])
    assert graph.critic_set("a") == {"a"}


def test_steps_are_named_where_they_differ():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)

    def step(h):
        graph.rename("h", h)
        a = graph.sample("a", scg.Normal(mean=theta * h, scale=1.0))
        graph.cost("loss", (h - a) ** 2)
        return graph.rename("after", h + a)

    graph.scan(step, graph.input("x"), length=50)
    assert graph.critic_set("a") == {"a", "h"}
    assert graph.is_critic_set("a", ["a", ("h", 1), "h"])
    assert graph.is_critic_set("a", ["loss", "after"])
    assert graph.is_critic_set("a", ["loss", ("h", 1)])
    # What is known of the next state does not tell this step's cost.
    assert graph.open_path("a", ["after"]).endswith(" → loss")
    assert "(1 later)" in graph.open_path("a", ["loss"])


def test_an_environment_has_a_state_that_nobody_sees():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    world = tiny_environment()

    def step(seen):
        graph.rename("seen", seen)
        a = graph.sample("a", scg.Bernoulli(logits=theta * seen))
        seen, reward, _ = world(a.astype(np.int64))
        graph.cost("loss", -reward)
        return seen

    graph.scan(step, world.reset(), length=6)
    assert graph.is_critic_set("a", ["a", "seen"])
    assert not graph.is_critic_set("a", ["loss", ("seen", 1)])
    assert "state of" in graph.open_path("a", ["loss", ("seen", 1)])
    shown = next(n.name for n in graph.nodes if n.loop and n.kind == "environment")
    assert not graph.is_critic_set("a", ["loss", shown, ("seen", 1), "seen"])
    assert graph.is_critic_set("a", ["loss", ("seen", 1), "seen"], observed=True)


def test_what_comes_late_in_a_long_loop_is_seen():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)

    def step(carry):
        a = graph.sample("a", scg.Normal(mean=theta, scale=1.0))
        graph.cost("loss", carry[-1] * 2.0)
        return (a, *carry[:-1])

    graph.scan(step, (graph.input("x"),) * 5, length=1000)
    assert not graph.is_critic_set("a", [])
    assert graph.is_critic_set("a", ["a"])


def test_only_samples_have_critic_sets():
    graph = scg.Graph()
    x = graph.input("x")
    graph.cost("loss", x)
    with pytest.raises(scg.GraphError, match="'x': expected a stochastic node"):
        graph.critic_set("x")
    with pytest.raises(scg.UnknownNameError):
        graph.is_critic_set("y", [])


def test_lags_are_for_the_samples_own_loop():
    graph = scg.Graph()
    x = graph.input("x")
    graph.sample("a", scg.Normal(mean=x, scale=1.0))
    with pytest.raises(scg.GraphError, match="got 'x' with 1"):
        graph.is_critic_set("a", [("x", 1)])
