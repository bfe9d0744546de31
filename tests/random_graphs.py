"""Random graphs for property tests, and their reachability by enumeration of paths."""

from __future__ import annotations

import dataclasses
import itertools

import networkx as nx
import numpy as np
from hypothesis import strategies as st

import scg

LENGTH = 7


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One node: its kind and the names of its parents."""

    name: str
    kind: str
    parents: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class LoopRecipe:
    """A loop: its body, what each carry starts from and goes on with, a last cost."""

    body: tuple[Recipe, ...]
    starts: tuple[str, ...]
    following: tuple[str, ...]


@st.composite
def dags(draw, max_size=8):
    """Draw recipes in topological order, the last one a cost."""
    recipes: list[Recipe] = []
    for i in range(draw(st.integers(2, max_size))):
        kinds = ["param", "input", "deterministic", "stochastic", "cost"]
        kind = draw(st.sampled_from(kinds)) if i else "param"
        names = [r.name for r in recipes]
        parents = ()
        if kind not in {"param", "input"}:
            least = 0 if kind == "stochastic" else 1
            chosen = st.lists(st.sampled_from(names), min_size=least, max_size=3)
            parents = tuple(sorted(set(draw(chosen))))
        recipes.append(Recipe(f"{kind[0]}{i}", kind, parents))
    return recipes


@st.composite
def loops(draw):
    """Draw a loop over the outer nodes of `build_outer`."""
    carries = [f"h{i}" for i in range(draw(st.integers(1, 3)))]
    outer = ["theta", "x", "s", "m"]
    body: list[Recipe] = []
    for i in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["deterministic", "stochastic", "cost"]))
        inside = [*carries, "z_t", *(r.name for r in body)]
        chosen = set(draw(st.lists(st.sampled_from(inside + outer), max_size=3)))
        if kind == "deterministic" or not chosen:
            # What is computed from outer nodes alone is no part of the body.
            chosen.add(draw(st.sampled_from(inside)))
        body.append(Recipe(f"{kind[0]}{i}", kind, tuple(sorted(chosen))))
    after = st.sampled_from([*carries, "x", "s", *(r.name for r in body)])
    starts = tuple(draw(st.sampled_from(["x", "s", "zero"])) for _ in carries)
    return LoopRecipe(tuple(body), starts, tuple(draw(after) for _ in carries))


def build(recipes):
    """Build the recipes with the public API."""
    graph, nodes = scg.Graph("random"), {}
    for recipe in recipes:
        nodes[recipe.name] = add(graph, recipe, nodes)
    return graph


def add(graph, recipe, nodes, suffix=""):
    """Add one node."""
    name = recipe.name + suffix
    total = sum(nodes[p] for p in recipe.parents) if recipe.parents else 0.0
    if recipe.kind == "param":
        return graph.param(name, 0.5)
    if recipe.kind == "input":
        return graph.input(name)
    if recipe.kind == "stochastic":
        return graph.sample(name, scg.Normal(mean=total, scale=1.0))
    if recipe.kind == "cost":
        return graph.cost(name, total * 1.0)
    return graph.rename(name, np.tanh(total))


def build_outer(graph):
    """Add what a loop may start from, scan over and capture.

    `m` is a sample's mean over rows: it has no rows, as `theta` has none.
    """
    s = graph.sample("s", scg.Normal(mean=0.0, scale=1.0))
    mean = scg.deterministic(lambda s: s.mean(axis=0), rows=False)
    return {
        "theta": graph.param("theta", 0.5),
        "x": graph.input("x"),
        "s": s,
        "m": graph.rename("m", mean(s)),
        "z": graph.sample("z", scg.Normal(mean=np.zeros(LENGTH), scale=1.0)),
    }


def build_scan(recipe):
    """Build the loop with `Graph.scan`."""
    graph = scg.Graph("scan")
    outer = build_outer(graph)

    def step(carry, z_t):
        nodes = {**outer, "z_t": z_t, **{f"h{i}": h for i, h in enumerate(carry)}}
        for body in recipe.body:
            nodes[body.name] = add(graph, body, nodes)
        return tuple(nodes[name] for name in recipe.following)

    init = tuple(outer.get(name, 0.0) for name in recipe.starts)
    last, _ = graph.scan(step, init=init, xs=outer["z"])
    graph.cost("end", sum(last) + outer["x"])
    return graph


def build_unrolled(recipe):
    """Build the same model as a Python loop; node w of step t is called ``w@t``."""
    graph = scg.Graph("unrolled")
    outer = build_outer(graph)
    outer["zero"] = graph.input("zero")
    carry = tuple(outer[name] for name in recipe.starts)
    for t in range(LENGTH):
        nodes = {**outer, "z_t": outer["z"][:, t]}
        nodes |= {f"h{i}": h for i, h in enumerate(carry)}
        for body in recipe.body:
            nodes[body.name] = add(graph, body, nodes, f"@{t}")
        carry = tuple(nodes[name] for name in recipe.following)
    graph.cost("end", sum(carry) + outer["x"])
    return graph


def paths(recipes, v, w):
    """List every directed path from v to w, by plain recursion over the recipes."""
    by_name = {r.name: r for r in recipes}

    def up(name):
        if name == v:
            return [(v,)]
        return [
            (*path, name) for parent in by_name[name].parents for path in up(parent)
        ]

    return [path for path in up(w) if len(path) > 1]


def reachable(graph):
    """Return all pairs (v, w) with a path from v to w in a graph without loops."""
    closure = nx.transitive_closure(nx.DiGraph(graph.to_networkx()))
    return set(closure.edges())


def pairs(names):
    """List all ordered pairs."""
    return list(itertools.product(names, repeat=2))
