"""No block stands on another, frames hold what is theirs, links pass between blocks."""

import dataclasses
import itertools
import os
import shutil

import numpy as np
import pytest
from drawings import (
    SVG,
    assert_all_is_on_the_paper,
    assert_frames_hold_their_own,
    assert_nothing_overlaps,
    assert_wires_pass_between_blocks,
    bends,
    chain,
    coin,
    looped,
    marked,
    parsed,
    picture,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import build, build_scan, dags, loops

import scg
from scg.drawing.graphviz import by_dot
from scg.drawing.grid import grid_of
from scg.drawing.layered import layered
from scg.drawing.layers import layers_of
from scg.drawing.ordering import crossings, order
from scg.drawing.picture import Box
from scg.drawing.spacing import spaced
from scg.drawing.text import text_size

DOT = shutil.which("dot")
needs_dot = pytest.mark.skipif(DOT is None, reason="needs Graphviz")
GRAPHS = [coin, bends, looped, lambda: chain(12)]


def assert_good(drawn):
    placement = layered(drawn)
    assert_nothing_overlaps(drawn, placement)
    assert_frames_hold_their_own(drawn, placement)
    assert_all_is_on_the_paper(drawn, placement)
    assert_wires_pass_between_blocks(drawn, placement)


def two_loops():
    """Make two loops side by side, and one that reads both."""
    graph = scg.Graph("loops")
    theta = graph.param("theta", 0.1)
    ends = []
    for name in ("left", "right"):

        def step(h, name=name):
            z = graph.sample(f"{name} z", scg.Normal(mean=theta * h, scale=1.0))
            graph.cost(f"{name} cost", z**2)
            return np.tanh(h + z)

        ends.append(graph.scan(step, 0.0, length=3, name=name)[0])
    total = graph.rename("total", ends[0] + ends[1])

    def last(h):
        graph.cost("last cost", h * total + theta)
        return h + 1.0

    graph.scan(last, 0.0, length=2, name="last")
    return graph


@pytest.mark.parametrize("collapse", [True, False])
@pytest.mark.parametrize("make", [*GRAPHS, two_loops])
def test_what_is_drawn_has_room(make, collapse):
    assert_good(picture(make(), collapse=collapse))


@settings(max_examples=60, deadline=None)
@given(dags(max_size=14), st.booleans())
def test_random_graphs_have_room(recipes, collapse):
    assert_good(picture(build(recipes), collapse=collapse))


@settings(max_examples=60, deadline=None)
@given(loops(), st.booleans())
def test_random_loops_have_room(recipe, collapse):
    assert_good(picture(build_scan(recipe), collapse=collapse))


@pytest.mark.parametrize("layout", ["layered", "dot"])
def test_a_frame_is_as_wide_as_its_title(tmp_path, layout):
    if layout == "dot" and DOT is None:
        pytest.skip("needs Graphviz")
    graph = scg.Graph()

    def step(h):
        graph.cost("c", h * 1.0)
        return h

    name = "a loop whose name says at length what it is that it repeats"
    graph.scan(step, 0.0, length=2, name=name)
    graph.draw(tmp_path / "graph.svg", layout=layout)
    root = parsed((tmp_path / "graph.svg").read_text())
    (plate,) = marked(root, "plate")
    (title,) = (t for t in root.iter(f"{SVG}text") if t.text.startswith(name))
    left, width = float(plate.get("x")), float(plate.get("width"))
    assert left < float(title.get("x"))
    assert float(title.get("x")) + text_size("", [title.text])[0] < left + width


def deep_loop():
    """Make a loop that a long way leads through, beside values from outside."""
    graph = scg.Graph("deep")
    v = graph.param("v", 0.1)

    def step(h):
        early = graph.rename("early", h * v)
        late = graph.sample("late", scg.Normal(mean=h, scale=1.0))
        for i in range(3):
            late = graph.rename(f"late {i}", late * v)
        graph.cost("both", early + late)
        return h

    graph.scan(step, 0.0, length=2)
    return graph


def test_links_without_bends_leave_the_blocks_their_room(monkeypatch):
    monkeypatch.setattr("scg.drawing.grid.MOST_BENDS", 0)
    for graph in (chain(12), looped(), deep_loop()):
        drawn = picture(graph)
        placement = layered(drawn)
        assert_nothing_overlaps(drawn, placement)
        assert_frames_hold_their_own(drawn, placement)
        assert_all_is_on_the_paper(drawn, placement)


def test_what_a_loop_reads_from_far_away_stands_above_it():
    graph = scg.Graph()
    far = graph.param("far", 0.0)
    for i in range(6):
        far = graph.rename(f"far {i}", np.tanh(far))

    def step(h):
        graph.cost("late", h * far)
        graph.cost("early", h * 1.0)
        return h

    graph.scan(step, 0.0, length=2)
    drawn = picture(graph)
    assert_good(drawn)
    frame, places = layered(drawn).frames[0], layered(drawn).centres
    outside = [i for i, b in enumerate(drawn.blocks) if b.plate is None]
    assert all(places[i][1] < frame.top for i in outside)


def wrong(which):
    """Lay a loop out, and spoil it."""
    drawn = picture(looped())
    good = layered(drawn)
    inside = next(i for i, b in enumerate(drawn.blocks) if b.plate is not None)
    centres, frames = list(good.centres), good.frames
    if which == "two blocks in one place":
        centres[1] = centres[0]
    elif which == "a block outside of its frame":
        centres[inside] = (-500.0, centres[inside][1])
    elif which == "a strange block in a frame":
        frames = (Box(0.0, 0.0, good.width, good.height),)
    else:
        link = next(k for k in drawn.links if not k.loops_back)
        other = next(
            i for i in range(len(centres)) if i not in {link.source, link.target}
        )
        wires = list(good.wires)
        points = [*good.wires[0].points[:1], *[centres[other]] * 3]
        wires[drawn.links.index(link)] = dataclasses.replace(
            good.wires[0], points=tuple(points)
        )
        return drawn, dataclasses.replace(good, wires=tuple(wires))
    return drawn, dataclasses.replace(good, centres=tuple(centres), frames=frames)


@pytest.mark.parametrize(
    ("which", "check"),
    [
        ("two blocks in one place", assert_nothing_overlaps),
        ("a block outside of its frame", assert_frames_hold_their_own),
        ("a strange block in a frame", assert_frames_hold_their_own),
        ("a block outside of its frame", assert_all_is_on_the_paper),
        ("a link through a block", assert_wires_pass_between_blocks),
    ],
)
def test_the_checks_fail_on_a_bad_drawing(which, check):
    with pytest.raises(AssertionError):
        check(*wrong(which))


@pytest.mark.parametrize("make", GRAPHS)
def test_a_label_fits_into_its_block(make):
    for block in picture(make()).blocks:
        width, height = text_size(block.title, block.notes)
        if block.kind == "stochastic":
            corner = (width / block.width) ** 2 + (height / block.height) ** 2
            assert corner <= 1.2  # the corners of a text's box are mostly empty
        assert width <= block.width
        assert height <= block.height


@settings(deadline=None)
@given(dags(max_size=14))
def test_every_link_leads_to_a_lower_layer(recipes):
    drawn = picture(build(recipes))
    layer = layers_of(drawn)
    assert all(layer[k.source] < layer[k.target] for k in drawn.links)


def test_a_param_stands_just_above_what_reads_it_first():
    drawn = picture(chain(4))
    layer = layers_of(drawn)
    for i, block in enumerate(drawn.blocks):
        if block.kind == "parameter":
            readers = [layer[k.target] for k in drawn.links if k.source == i]
            assert layer[i] == min(readers) - 1


@settings(deadline=None)
@given(dags(max_size=10))
def test_crossings_are_counted(recipes):
    grid = grid_of(picture(build(recipes)))
    order(grid)
    rank = {item: i for row in grid.rows for i, item in enumerate(row)}
    pairs = [(a, b) for a in range(len(grid.layer)) for b in grid.down[a]]
    crossing = sum(
        grid.layer[a] == grid.layer[c] and (rank[a] - rank[c]) * (rank[b] - rank[d]) < 0
        for (a, b), (c, d) in itertools.combinations(pairs, 2)
    )
    assert crossings(grid) == crossing


def test_ordering_undoes_a_crossing():
    graph = scg.Graph()
    a, b = graph.param("a", 0.0), graph.param("b", 0.0)
    graph.cost("of b", b * 1.0)
    graph.cost("of a", a * 1.0)
    grid = grid_of(picture(graph))
    before = crossings(grid)
    order(grid)
    assert (before, crossings(grid)) == (1, 0)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(-50, 50), st.floats(0, 9), st.floats(0.5, 3)]), min_size=1
    )
)
def test_places_keep_their_distance(items):
    wanted, apart, weights = (list(column) for column in zip(*items, strict=True))
    x = spaced(wanted, apart[1:], weights)
    assert all(
        b - a >= gap - 1e-9
        for (a, b), gap in zip(itertools.pairwise(x), apart[1:], strict=True)
    )


@settings(deadline=None)
@given(
    st.lists(st.floats(-50, 50), min_size=3, max_size=3),
    st.lists(st.floats(-40, 40), min_size=3, max_size=3),
)
def test_no_other_places_are_nearer_to_those_wanted(wanted, other):
    gaps, weights = [2.0, 3.0], [1.0, 2.0, 0.5]

    def distance(x):
        return sum(w * (a - b) ** 2 for w, a, b in zip(weights, x, wanted, strict=True))

    if all(
        b - a >= g for (a, b), g in zip(itertools.pairwise(other), gaps, strict=True)
    ):
        assert distance(spaced(wanted, gaps, weights)) <= distance(other) + 1e-6


def test_places_stay_between_their_bounds():
    assert spaced([9.0, 9.0], [2.0], [1.0, 1.0], 0.0, 5.0) == [3.0, 5.0]
    assert spaced([-9.0], [], [1.0], 0.0, 5.0) == [0.0]


@needs_dot
@pytest.mark.parametrize("collapse", [True, False])
@pytest.mark.parametrize("make", [*GRAPHS, two_loops])
def test_dot_gives_places_without_overlaps(make, collapse):
    drawn = picture(make(), collapse=collapse)
    placement = by_dot(drawn, DOT)
    assert_nothing_overlaps(drawn, placement)
    assert_frames_hold_their_own(drawn, placement)
    assert_all_is_on_the_paper(drawn, placement)


def program(folder, script):
    path = folder / "dot"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo out of memory >&2; exit 1", "out of memory"),
        ("cat > /dev/null; echo '{'", "Expecting property name"),
        ("cat > /dev/null; echo '{}'", "n0"),
        ("exec sleep 5", "timed out"),
    ],
)
def test_a_program_that_fails_is_told_about(tmp_path, script, said):
    with pytest.raises(scg.PictureError, match=said) as caught:
        by_dot(picture(coin()), program(tmp_path, script), seconds=0.2)
    assert "layout='layered'" in str(caught.value)


def test_without_the_program_dot_cannot_be_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(scg.PictureError, match="dot was not found"):
        coin().draw(tmp_path / "coin.svg", layout="dot")
    coin().draw(tmp_path / "coin.svg")
    assert os.path.getsize(tmp_path / "coin.svg") > 1000


@needs_dot
def test_dot_is_used_where_it_is_asked_for(tmp_path):
    for layout in ("dot", "layered"):
        bends().draw(tmp_path / f"{layout}.svg", layout=layout)
    texts = [(tmp_path / f"{n}.svg").read_text() for n in ("dot", "layered")]
    assert texts[0] != texts[1]
