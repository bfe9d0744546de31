"""Graphs to draw, and what must hold of a drawing, checked on its geometry and XML."""

import itertools
import xml.etree.ElementTree as ET

import numpy as np
from tiny_environment import tiny_environment

import scg
from scg.drawing.blocks import picture_of
from scg.drawing.curves import along

SVG = "{http://www.w3.org/2000/svg}"


def coin():
    graph = scg.Graph("coin")
    theta = graph.param("theta", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", (b - 0.45) ** 2)
    return graph


def bends():
    """Make a graph in which every kind of edge occurs, and a sample nobody needs."""
    graph = scg.Graph("bends")
    mu, w = graph.param("mu", 0.3), graph.param("w", np.ones((3, 3)))
    x = graph.input("x", shape=3)
    h = graph.rename("h", np.tanh(x @ w))
    z = graph.sample("z", scg.Normal(mean=h.sum(axis=-1) + mu, scale=1.0))
    graph.sample("idle", scg.Normal(mean=mu, scale=1.0))
    graph.value("baseline", scg.stop_gradient(h)[:, 0] * mu)
    graph.cost("steps", np.floor(z) * 2.0)
    graph.cost("smooth", h[:, 1] * z)
    service = scg.black_box(lambda z: z, (), name="service")
    graph.cost("served", service(z) + 1.0)
    return graph


def looped():
    graph = scg.Graph("looped")
    theta, v = graph.param("theta", 0.0), graph.param("v", 0.0)
    xs, offset = graph.input("xs", shape=(5, 2)), graph.input("offset")
    world = tiny_environment(action_dtype=np.int64)

    def step(carry, x):
        state, h = carry
        h = graph.rename("h", np.tanh(h * theta + x[:, 0]))
        action = graph.sample("action", scg.Bernoulli(logits=h * theta + state))
        state, reward, over = world(action)
        graph.value("value", v * state)
        graph.cost("points", offset - reward)
        graph.rename("over", over)
        return (state, h), h

    (_, last), every = graph.scan(step, (world.reset(), 0.0), xs=xs, name="game")
    graph.cost("end", last + np.sum(every, axis=-1))
    return graph


def chain(length):
    """Make a model of 5 × `length` nodes in which two params reach every step."""
    graph = scg.Graph("chain")
    w, b, h = graph.param("w", 0.5), graph.param("b", 0.5), graph.input("x")
    for i in range(length):
        h = graph.rename(f"h{i}", np.tanh(h * w + b))
        z = graph.sample(f"z{i}", scg.Normal(mean=h, scale=1.0))
        graph.cost(f"cost {i}", z * 1.0)
        h = z
    return graph


def picture(graph, estimators=None, *, collapse=True):
    return picture_of(graph.store, estimators or {}, collapse=collapse)


def boxes(picture, placement):
    """Give (left, top, right, bottom) of each block."""
    return [
        (x - b.width / 2, y - b.height / 2, x + b.width / 2, y + b.height / 2)
        for b, (x, y) in zip(picture.blocks, placement.centres, strict=True)
    ]


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def contains(outer, inner):
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )


def frame(box):
    return box.left, box.top, box.right, box.bottom


def assert_nothing_overlaps(picture, placement):
    for a, b in itertools.combinations(boxes(picture, placement), 2):
        assert not overlap(a, b)
    for a, b in itertools.combinations(map(frame, placement.frames), 2):
        assert not overlap(a, b)


def assert_frames_hold_their_own(picture, placement):
    for block, box in zip(picture.blocks, boxes(picture, placement), strict=True):
        for plate, edges in enumerate(map(frame, placement.frames)):
            if block.plate == plate:
                assert contains(edges, box), block.title
            else:
                assert not overlap(edges, box), block.title


def assert_all_is_on_the_paper(picture, placement):
    paper = (0.0, 0.0, placement.width, placement.height)
    for box in [*boxes(picture, placement), *map(frame, placement.frames)]:
        assert contains(paper, box)
    for wire in placement.wires:
        assert all(contains(paper, (x, y, x, y)) for x, y in wire.points)


def assert_wires_pass_between_blocks(picture, placement):
    """Check that a link meets no block but those it joins, and comes from above."""
    found = boxes(picture, placement)
    for link, wire in zip(picture.links, placement.wires, strict=True):
        points = list(along(wire.points, 24))
        for i, (left, top, right, bottom) in enumerate(found):
            if i not in {link.source, link.target}:
                hits = [left < x < right and top < y < bottom for x, y in points]
                assert not any(hits), (link, picture.blocks[i].title)
        if not link.loops_back:
            assert points[0][1] < points[-1][1]
        for (x, y), i in ((points[0], link.source), (points[-1], link.target)):
            left, top, right, bottom = found[i]
            assert left - 1e-6 <= x <= right + 1e-6
            assert top - 1e-6 <= y <= bottom + 1e-6


def parsed(svg):
    return ET.fromstring(svg)


def marked(root, word):
    """List the groups of a class."""
    groups = [*root.iter(f"{SVG}g"), *root.iter(f"{SVG}rect")]
    return [g for g in groups if word in g.get("class", "").split()]


def hint(group):
    return group.find(f"{SVG}title").text


def link_classes(svg):
    """Give the class of each link by the titles that its hint names."""
    return {
        hint(g).partition(": ")[0]: g.get("class").split()[1]
        for g in marked(parsed(svg), "link")
    }
