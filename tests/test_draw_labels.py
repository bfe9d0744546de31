"""What is drawn as one block, what it is called, and the formula it stands for."""

import numpy as np
import pytest
from drawings import bends, looped, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import build, build_scan, dags, loops

import scg
from scg.drawing.formulas import formula_of, summary_of
from scg.drawing.text import cut, text_size, wrapped


def block(graph, title, **options):
    return next(b for b in picture(graph, **options).blocks if b.title == title)


def written(expression):
    """Give the formula of a cost that an expression of nodes makes."""
    graph = scg.Graph()
    x, y = graph.input("x", shape=3), graph.input("y", shape=3)
    graph.cost("cost", expression(x, y))
    return dict(block(graph, "cost").facts)["computed as"]


@pytest.mark.parametrize(
    ("expression", "formula"),
    [
        (lambda x, y: (x[:, 0] - 0.45) ** 2, "(x[:, 0] − 0.45)²"),
        (lambda x, y: np.sum(x - (y - x), axis=-1), "sum(x − (y − x), axis=−1)"),
        (lambda x, y: np.sum(x + (y + x), -1), "sum(x + y + x, −1)"),
        (lambda x, y: np.tanh(2 * (x + y))[:, 1], "tanh(2·(x + y))[:, 1]"),
        (lambda x, y: -(x**3)[..., -1], "−(x³)[…, −1]"),
        (lambda x, y: (x / (y * 2))[:, 0], "(x/(y·2))[:, 0]"),
        (lambda x, y: x[:, ::2] @ np.ones(2), "x[:, ::2] @ array[2]"),
        (lambda x, y: np.where(x > y, 1.0, -1.0)[:, 0], "where(x > y, 1, −1)[:, 0]"),
        (
            lambda x, y: np.concatenate([x, y], axis=-1)[:, 0],
            "concatenate([x, y], axis=−1)[:, 0]",
        ),
        (lambda x, y: x[:, 0] ** -0.5, "x[:, 0]⁻⁰·⁵"),
        (lambda x, y: np.square(x + y)[:, 0], "((x + y)²)[:, 0]"),
        (lambda x, y: scg.softplus(x)[:, [0, 2]][:, 0], "softplus(x)[:, [0, 2]][:, 0]"),
        (lambda x, y: np.split(x, 3, axis=1)[1][:, 0], "split(x, 3, axis=1)[1][:, 0]"),
        (lambda x, y: 1.0 * ((x > y) > x)[:, 0], "1·((x > y) > x)[:, 0]"),
        (
            lambda x, y: np.sum(x, axis=-1, keepdims=True)[:, 0],
            "sum(x, axis=−1, keepdims=True)[:, 0]",
        ),
        (lambda x, y: x[:, None, 0][:, 0], "x[:, None, 0][:, 0]"),
        (
            lambda x, y: np.reshape(x, (x.shape[0], 3))[:, 0],
            "reshape(x, (rows, 3))[:, 0]",
        ),
        (lambda x, y: x[:, 0] + np.array(2), "x[:, 0] + 2"),
        (
            lambda x, y: x[:, 0].astype(np.float64) - 1e-9,
            "astype(x[:, 0], float64) − 1e-09",
        ),
        (lambda x, y: scg.deterministic(lambda x: x[:, 0])(x), "λ(x)"),
    ],
)
def test_a_formula_is_what_was_written(expression, formula):
    assert written(expression) == formula


def test_a_constant_is_written_where_it_is_short():
    graph = scg.Graph()
    starts = (0.5, np.ones((2, 3)), np.arange(3.0), np.True_, np.zeros((0,)))

    def step(carry):
        total = carry[0] + np.sum(carry[1], axis=(1, 2)) + np.sum(carry[2], axis=1)
        graph.cost("cost", np.where(carry[3], total, np.sum(carry[4], axis=1)))
        return carry

    graph.scan(step, starts, length=2)
    notes = [b.notes for b in picture(graph).blocks if b.kind == "constant"]
    assert [note for (note,) in notes] == [
        "0.5",
        "1 (2 × 3)",
        "constant (3)",
        "1",
        "constant (0)",
    ]


def test_wide_characters_get_wide_blocks():
    narrow, wide, marked = (text_size(t, ())[0] for t in ("il", "観測", "i\u0301l"))
    assert narrow < wide
    assert marked == narrow


def test_brackets_are_where_the_formula_needs_them():
    """Evaluate formulas again as Python: their brackets must mean the same."""
    rng = np.random.default_rng(0)
    operators = [np.add, np.subtract, np.multiply, np.divide, np.greater, np.negative]
    signs = {"−": "-", "·": "*"}
    for _ in range(300):
        graph = scg.Graph()
        nodes = [graph.input(n) for n in "abc"]
        values = {"a": 1.3, "b": 0.7, "c": 2.1}
        texts = [(n, 9) for n in "abc"]
        numbers = list(values.values())
        for _ in range(4):
            operator = operators[rng.integers(len(operators))]
            at = rng.integers(len(nodes), size=operator.nin)
            node = operator(*(nodes[i] for i in at)) * 1.0
            inner = node.inputs[0]
            texts.append(
                formula_of(inner.role.operation, [texts[i] for i in at]),
            )
            nodes.append(node)
            with np.errstate(all="ignore"):
                numbers.append(operator(*(np.float64(numbers[i]) for i in at)) * 1.0)
        python = texts[-1][0].translate(str.maketrans(signs))
        if np.isfinite(numbers).all():  # else Python's division raises
            assert eval(python, {}, values) == pytest.approx(numbers[-1]), python


def test_a_formula_that_would_grow_without_end_is_cut():
    graph = scg.Graph()
    x = graph.input("x")
    for _ in range(40):
        x = x * x
    graph.cost("cost", x)
    made = block(graph, "cost")
    assert made.notes == ("40 functions:", "· ×40")
    assert len(dict(made.facts)["computed as"]) <= 400


def test_many_functions_are_counted():
    assert summary_of(["matmul", "tanh", "matmul"]) == "@ ×2, tanh"


def test_nameless_nodes_are_drawn_where_they_are_read():
    graph = bends()
    titles = [b.title for b in picture(graph).blocks]
    assert " ".join(titles) == (
        "mu w x h mean z idle baseline steps smooth service served"
    )
    assert block(graph, "h").notes == ("tanh(x @ w)",)
    assert block(graph, "mean").name is None
    assert block(graph, "served").notes == ("service + 1",)


def test_a_nameless_value_that_two_read_is_drawn_by_itself():
    graph = scg.Graph()
    x = graph.input("x")
    shared = np.tanh(x)
    graph.cost("a", shared + 1.0)
    graph.cost("b", shared + 2.0)
    drawn = picture(graph)
    assert [(b.title, b.notes) for b in drawn.blocks] == [
        ("x", ()),
        ("", ("tanh(x)",)),
        ("a", ("… + 1",)),
        ("b", ("… + 2",)),
    ]


def test_a_nameless_black_box_is_called_as_its_function():
    def lookup(x):
        return x

    graph = scg.Graph()
    found = scg.black_box(lookup)(graph.input("x"))
    graph.cost("cost", found + 1.0)
    made = block(graph, "lookup")
    assert (made.kind, made.notes) == ("black box", ("black box",))
    assert block(graph, "cost").notes == ("lookup + 1",)


def test_one_function_that_is_long_to_write_is_named():
    graph = scg.Graph()
    parts = [graph.input(f"a rather long name {i}", shape=1) for i in range(9)]
    h = graph.rename("h", np.concatenate(parts, axis=-1))
    graph.cost("cost", h[:, 0])
    assert block(graph, "h").notes == ("concatenate",)


def test_every_node_is_drawn_without_collapsing():
    graph = looped()
    drawn = picture(graph, collapse=False)
    nodes = [n for n in graph.nodes if n.name in graph.to_networkx()]
    assert [b.head for b in drawn.blocks] == [n.index for n in nodes]
    assert all(b.members == (b.head,) for b in drawn.blocks)


@settings(deadline=None)
@given(st.one_of(dags().map(build), loops().map(build_scan)))
def test_every_named_node_is_drawn_once(graph):
    for collapse in (True, False):
        drawn = picture(graph, collapse=collapse)
        names = [b.name for b in drawn.blocks if b.name is not None]
        scans = {b.loop.name for b in graph.nodes if b.loop is not None}
        named = [n.name for n in graph.nodes if n.is_named and n.name not in scans]
        assert sorted(names) == sorted(named)
        members = [i for b in drawn.blocks for i in b.members]
        assert len(members) == len(set(members))


def test_a_loop_says_what_it_hands_on():
    drawn = picture(looped())
    back = {k.label for k in drawn.links if k.loops_back}
    assert back == {"observation", "h", "state"}
    notes = {b.notes[0] for b in drawn.blocks if b.kind == "port"}
    assert notes == {"xs[t]", "previous observation", "previous h", "last h", "every h"}
    assert [p.title for p in drawn.plates] == ["game: 5 steps"]


def test_a_carry_that_nothing_reads_is_left_out():
    graph = scg.Graph()

    def step(h):
        z = graph.sample("z", scg.Normal(mean=0.0, scale=1.0))
        graph.cost("cost", z * 1.0)
        return h

    graph.scan(step, 0.0, length=3)
    assert [b.title for b in picture(graph).blocks] == ["z", "cost"]


def test_a_loop_that_ends_by_itself_says_when():
    graph = scg.Graph()

    def step(n):
        z = graph.sample("z", scg.Normal(mean=0.0, scale=1.0))
        n = n + z
        graph.rename("far", n > 3)
        graph.cost("cost", z * 1.0)
        return n

    graph.scan(step, 0.0, length=1000, until="far", name="walk")
    drawn = picture(graph)
    assert drawn.plates[0].title == "walk: at most 1,000 steps, until far"
    assert {k.label for k in drawn.links if k.loops_back} == {"carry 0"}


def test_a_renamed_carry_keeps_its_name():
    graph = scg.Graph()

    def step(h):
        graph.rename("memory", h)
        graph.cost("cost", h * 1.0)
        return h + 1.0

    graph.scan(step, 0.0, length=2)
    made = block(graph, "memory")
    assert (made.kind, made.name) == ("port", "memory")
    assert block(graph, "next memory").notes == ("memory + 1",)


def test_a_sample_that_influences_no_cost_looks_pruned():
    pruned = [b.title for b in picture(bends()).blocks if b.is_pruned]
    assert pruned == ["idle"]


def test_long_text_is_cut_and_broken():
    assert cut("a\n b", 9) == "a b"
    assert cut("abcdef", 4) == "abc…"
    assert wrapped("f(a + b) + g(c)", 8) == ["f(a + b)", "+ g(c)"]


def test_a_long_name_is_cut_in_the_picture_and_whole_in_the_facts():
    graph = scg.Graph()
    name = "a name that goes on and on and will not end before the line does"
    graph.cost(name, graph.param("theta", 0.0) * 1.0)
    made = picture(graph).blocks[-1]
    assert made.title == f"{name[:31]}…"
    assert dict(made.facts)["name"] == name
