"""The files: what gradient does on each link, what is told of a node, errors."""

import json
import re
import subprocess
import sys
import time

import networkx as nx
import numpy as np
import pytest
from drawings import (
    SVG,
    bends,
    chain,
    coin,
    hint,
    link_classes,
    looped,
    marked,
    parsed,
    picture,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_code import ROOT, run_page
from random_graphs import build, build_scan, dags, loops

import scg
from scg.drawing.marks import number
from scg.roles import Cost
from scg.routes import Routes

PATHWISE = {"z": scg.Pathwise()}


def svg(graph, tmp_path, estimators=None, **options):
    graph.draw(tmp_path / "graph.svg", estimators, **options)
    return (tmp_path / "graph.svg").read_text(encoding="utf-8")


def test_the_toy_is_scored(tmp_path):
    assert link_classes(svg(coin(), tmp_path)) == {
        "theta → b": "score",
        "b → loss": "none",
    }


def test_links_say_what_gradient_does(tmp_path):
    assert link_classes(svg(bends(), tmp_path)) == {
        "x → h": "none",
        "w → h": "backprop",
        "h → mean": "backprop",
        "mu → mean": "backprop",
        "mean → z": "score",
        "mu → idle": "none",
        "h → baseline": "none",
        "mu → baseline": "none",
        "z → steps": "blocked",
        "z → smooth": "none",
        "h → smooth": "backprop",
        "z → service": "blocked",
        "service → served": "none",
    }


def test_another_estimator_changes_the_links(tmp_path):
    classes = link_classes(svg(bends(), tmp_path, PATHWISE))
    changed = {k: v for k, v in classes.items() if k.startswith(("mean", "z"))}
    assert changed == {
        "mean → z": "backprop",
        "z → steps": "missing",
        "z → smooth": "backprop",
        "z → service": "missing",
    }


def test_a_value_that_is_fitted_gets_gradient(tmp_path):
    fitted = scg.ScoreFunction(baseline=scg.LearnedBaseline("baseline"))
    classes = link_classes(svg(bends(), tmp_path, {"z": fitted}))
    assert classes["mu → baseline"] == "backprop"
    assert classes["h → baseline"] == "none"


def test_gradient_that_a_block_stops_further_on_is_shown_as_stopped(tmp_path):
    graph = scg.Graph()
    theta = graph.param("theta", 0.5)
    graph.cost("cost", np.floor(theta * 2.0) + graph.input("x"))
    assert link_classes(svg(graph, tmp_path))["theta → cost"] == "missing"


def expected(graph, estimators):
    """Say what gradient does on each edge, by the definition, with networkx."""
    routes = Routes(graph.store, estimators)
    flow, nodes = routes.flow, routes.nodes
    edges = routes.influence.edges
    passing = nx.DiGraph()
    passing.add_nodes_from(range(len(nodes)))
    passing.add_edges_from((e.source, e.target) for e in edges if flow.passes(e))
    params = [p.index for p in routes.params]
    behind = set(params).union(*(nx.descendants(passing, p) for p in params))

    def is_score(e):
        scored = e.target in routes.choices and e.target not in flow.pathwise
        live = scored and graph.downstream_costs(nodes[e.target])
        return bool(live) and e.source in behind and flow.kind(e) == "smooth"

    seeds = {n.index for n in nodes if isinstance(n.role, Cost)}
    seeds |= set(routes.readers) | {e.source for e in edges if is_score(e)}
    needed = set(routes.blocked())
    found = {}
    for e in edges:
        ahead = {e.target, *nx.descendants(passing, e.target)} & seeds
        if e in needed:
            kind = "missing"
        elif is_score(e):
            kind = "score"
        elif flow.passes(e) and e.source in behind:
            kind = "backprop" if ahead else "none"
        else:
            kind = "blocked" if flow.kind(e) == "blocked" else "none"
        found.setdefault((e.source, e.target, e.lag > 0), set()).add(kind)
    return found


@settings(deadline=None)
@given(st.one_of(dags().map(build), loops().map(build_scan)), st.booleans())
def test_every_edge_is_drawn_as_gradient_flows(graph, pathwise):
    stochastic = [n.name for n in graph.nodes if n.kind == "stochastic"]
    estimators = {n: scg.Pathwise() for n in stochastic[::2] if pathwise}
    drawn = picture(graph, estimators, collapse=False)
    wanted = expected(graph, estimators)
    got = {
        (drawn.blocks[k.source].head, drawn.blocks[k.target].head, k.loops_back): {
            k.gradient
        }
        for k in drawn.links
    }
    strength = ["backprop", "score", "missing", "blocked", "none"]
    assert got == {k: {min(v, key=strength.index)} for k, v in wanted.items()}


@settings(deadline=None)
@given(dags().map(build))
def test_collapsing_keeps_the_links_between_what_is_left(graph):
    drawn = picture(graph)
    owner = {i: number for number, b in enumerate(drawn.blocks) for i in b.members}
    edges = Routes(graph.store, {}).influence.edges
    between = {(owner[e.source], owner[e.target]) for e in edges}
    links = {(k.source, k.target) for k in drawn.links}
    assert links == {(a, b) for a, b in between if a != b}


@pytest.mark.parametrize("make", [coin, bends, looped])
def test_every_named_node_is_in_the_file_once(make, tmp_path):
    graph = make()
    root = parsed(svg(graph, tmp_path))
    names = [g.get("data-name") for g in marked(root, "node") if g.get("data-name")]
    named = [n.name for n in graph.nodes if n.is_named and n.name != "game"]
    assert sorted(names) == sorted(named)
    words = {"".join(t.itertext()) for t in root.iter(f"{SVG}text")}
    assert set(named) <= words


def test_kinds_are_told_apart(tmp_path):
    root = parsed(svg(looped(), tmp_path))
    shapes = {
        kind: [child.tag.removeprefix(SVG) for child in marked(root, kind)[0]][1]
        for kind in ("stochastic", "deterministic", "environment", "cost", "parameter")
    }
    assert shapes == {
        "stochastic": "ellipse",
        "deterministic": "rect",
        "environment": "polygon",
        "cost": "polygon",
        "parameter": "text",
    }
    assert len(marked(parsed(svg(bends(), tmp_path)), "black-box")) == 1
    assert len(marked(parsed(svg(bends(), tmp_path)), "pruned")) == 1


def test_a_frame_is_drawn_for_each_loop(tmp_path):
    root = parsed(svg(looped(), tmp_path))
    assert [p.get("data-name") for p in marked(root, "plate")] == ["game"]
    back = [hint(g) for g in marked(root, "back")]
    assert "h → previous h, at the next step: gradient is back-propagated" in back


def test_the_legend_has_what_is_seen_and_no_more(tmp_path):
    legend = marked(parsed(svg(coin(), tmp_path)), "legend")[0]
    words = ["".join(t.itertext()) for t in legend.iter(f"{SVG}text")]
    assert words == [
        "gradient of the log-density, times credit",
        "no gradient flows here",
        "θ",
        "parameter",
        "stochastic",
        "cost",
    ]


def test_a_hint_says_what_a_sample_is_credited_with(tmp_path):
    root = parsed(svg(bends(), tmp_path))
    (z,) = (g for g in marked(root, "node") if g.get("data-name") == "z")
    assert hint(z).splitlines() == [
        "name: z",
        "kind: stochastic",
        "shape: rows",
        "dtype: float64",
        "distribution: Normal",
        "estimator: score function",
        "needs: log_prob",
        "credit: credited with steps, smooth, served",
    ]


AWKWARD = "</script><script>&\"'<\x00\ud800→"


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_names_are_escaped(tmp_path, suffix):
    graph = scg.Graph(AWKWARD)
    theta = graph.param(f"a {AWKWARD}", 0.0)
    graph.cost(f"b {AWKWARD}", theta * 1.0)
    path = tmp_path / f"graph.{suffix}"
    graph.draw(path)
    text = path.read_text(encoding="utf-8")
    root = parsed(re.search(r"<svg.*</svg>", text, re.DOTALL)[0])
    names = [g.get("data-name") for g in marked(root, "node")]
    assert names == [
        f"{c} </script><script>&\"'<\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}→"
        for c in "ab"
    ]
    assert text.count("<script") == (3 if suffix == "html" else 0)


def data_of(page, name):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', page, re.DOTALL)[1])


def facts_of(page):
    return {facts[0][1]: facts[1:] for facts in data_of(page, "facts")}


def test_the_page_tells_the_facts(tmp_path):
    fitted = scg.ScoreFunction(baseline=scg.LearnedBaseline("value"))
    looped().draw(tmp_path / "new" / "graph.html", {"action": fitted})
    page = (tmp_path / "new" / "graph.html").read_text(encoding="utf-8")
    told = facts_of(page)
    action = dict(told["action"])
    assert action["estimator"] == "score function"
    assert action["credit"] == (
        "credited with points (same step, later steps); reads value"
    )
    assert action["repeated"] == "at each of 5 steps of game"
    assert ["gradient", "← action (score function) ← points"] in told["theta"]
    assert dict(told["points"])["credited to"] == "action"
    assert dict(told["end"])["credited to"] == "no sample"
    assert dict(told["xs"])["shape"] == "rows × 5 × 2"
    assert dict(told["h"])["computed as"] == "tanh(previous h·theta + xs[t][:, 0])"
    parsed(re.search(r"<svg.*</svg>", page, re.DOTALL)[0])
    names = [facts[0][1] for facts in data_of(page, "facts")]
    credits = data_of(page, "credits")
    assert [(names[i], names[j]) for i, j in credits] == [("action", "points")]


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_a_file_refers_to_nothing_outside_of_it(tmp_path, suffix):
    looped().draw(tmp_path / f"graph.{suffix}")
    text = (tmp_path / f"graph.{suffix}").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"href|url\(|@import|src=", text)


DETERMINISTIC = """
import sys, scg
from drawings import bends, looped
for make in (bends, looped):
    for suffix in ("svg", "html"):
        make().draw(f"{sys.argv[1]}.{make.__name__}.{suffix}")
"""


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    contents = []
    for seed in "012":
        subprocess.run(
            [sys.executable, "-c", DETERMINISTIC, str(tmp_path / seed)],
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        )
        files = sorted(tmp_path.glob(f"{seed}.*"))
        contents.append([path.read_bytes() for path in files])
    assert len(contents[0]) == 4
    assert contents[0] == contents[1] == contents[2]


PAGE = ROOT / "docs" / "how-to" / "draw-a-graph.md"


@pytest.mark.parametrize("name", ["glimpse", "policy"])
def test_the_pictures_of_the_documentation_are_what_its_code_draws(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run_page(PAGE)
    drawn = (tmp_path / f"{name}.svg").read_bytes()
    assert drawn == (PAGE.parent / "images" / f"{name}.svg").read_bytes()


def test_a_length_is_written_alike_where_its_last_bits_differ():
    assert number(70.145 - 1e-13) == number(70.145) == number(70.145 + 1e-13)
    assert number(70.144) != number(70.146)
    assert number(-0.0) == "0"


def test_a_notebook_shows_the_graph():
    root = parsed(looped()._repr_svg_())
    assert root.tag == f"{SVG}svg"
    assert len(marked(root, "node")) > 10


def test_an_empty_graph_is_drawn(tmp_path):
    root = parsed(svg(scg.Graph("nothing"), tmp_path))
    assert marked(root, "node") == []


def test_a_thousand_nodes_are_drawn_in_seconds(tmp_path):
    graph = chain(250)
    assert len(graph.nodes) >= 1000
    for collapse in (True, False):
        start = time.process_time()
        svg(graph, tmp_path, collapse=collapse)
        # Measuring coverage makes it several times slower.
        assert time.process_time() - start < (60 if sys.gettrace() else 10)


@pytest.mark.parametrize("name", ["graph.png", "graph", "svg"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(scg.InputError, match=r"ends in \.svg or \.html, got '.*'"):
        coin().draw(tmp_path / name)


def test_another_layout_is_refused(tmp_path):
    with pytest.raises(scg.InputError, match=r"among .*, got 'neato'"):
        coin().draw(tmp_path / "graph.svg", layout="neato")


def test_estimators_are_checked_as_elsewhere(tmp_path):
    with pytest.raises(scg.UnknownNameError, match="there are 'b'"):
        coin().draw(tmp_path / "graph.svg", {"a": scg.Pathwise()})
    with pytest.raises(scg.EstimatorError, match="expected a stochastic node"):
        coin().draw(tmp_path / "graph.svg", {"theta": scg.Pathwise()})
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_told_about(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(scg.PictureError, match=r"graph\.svg', got .*Choose another"):
        coin().draw(tmp_path / "file" / "graph.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(scg.PictureError, match="Is a directory"):
        coin().draw(tmp_path / "folder.svg")
