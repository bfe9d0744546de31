"""Critics are tagged as biased; an audit and a picture tell of them."""

import contextlib
import io

import numpy as np
import pytest
from markdown_code import ROOT, python_blocks

import scg
from scg.drawing.gradients import Gradients
from scg.exact_gradient import exact_gradient
from scg.routes import Routes


def two_decisions(off=0.0):
    """Write two decisions with a table of values, right but for what it is `off`."""
    p = 1 / (1 + np.exp(-np.array([0.2, -0.7])))
    values = np.array([p[0] * 1.0, 1.0 + p[1] * -2.5]) + np.array([off, 0.0])
    graph = scg.Graph()
    theta = graph.param("theta", np.array([0.4, 0.2, -0.7]))
    graph.value("v", graph.param("start", 0.9))
    a = graph.sample("a", scg.Categorical(logits=np.array([0.0, 1.0]) * theta[0]))
    graph.cost("ca", 0.3 * a)
    table = graph.param("table", values)
    graph.value("u", table[a])
    chosen = theta[1:]
    b = graph.sample("b", scg.Bernoulli(logits=chosen[a]))
    graph.cost("cb", np.where(a == 0, b, 1.0 - 2.5 * b))
    return graph


CRITICS = {
    "one step": lambda v: scg.KStep(v, 1),
    "gae": lambda v: scg.GAE(v, lam=0.5),
    "vtrace": lambda v: scg.VTrace(v, lam=0.5),
}


@pytest.mark.statistical
def test_right_tables_have_no_bias_and_wrong_ones_have():
    found = {}
    for off in (0.0, 0.8):
        graph = two_decisions(off)
        choices = {
            name: {
                n: scg.ScoreFunction(critic=make(v))
                for n, v in zip("ab", "vu", strict=True)
            }
            for name, make in CRITICS.items()
        }
        found[off] = scg.audit(
            graph,
            graph.init(np.random.default_rng(0)),
            estimators=choices,
            rng=np.random.default_rng(1),
            rows=20,
            repeats=400,
        )
    for name in CRITICS:
        right, wrong = found[0.0][name], found[0.8][name]
        assert right.params["theta"].max_z < 4
        assert wrong.params["theta"].max_z > 8
        assert right.nodes["a"].biases == ("bootstrapped from a critic",)
        assert (right.bias, wrong.bias) == ("declared", "declared and found")


@pytest.mark.statistical
def test_the_derivative_of_a_right_value_node_has_no_bias_and_of_a_wrong_one_has():
    found = []
    for slope in (1.0, 1.3):
        graph = scg.Graph()
        mu = graph.param("mu", 0.4)
        z = graph.sample("z", scg.Normal(mean=mu, scale=0.7))
        box = scg.black_box(lambda z: z**2, (), float)
        graph.cost("loss", box(z))
        graph.value("q", graph.param("k", slope) * z**2)
        found.append(
            scg.audit(
                graph,
                graph.init(np.random.default_rng(0)),
                estimators={"slope": {"z": scg.ValueGradient("q")}},
                rng=np.random.default_rng(1),
                rows=20,
                repeats=400,
            )
        )
    assert found[0].exact["mu"] == pytest.approx(0.8, abs=1e-9)
    assert found[0]["slope"].params["mu"].max_z < 4
    assert found[1]["slope"].params["mu"].max_z > 8
    assert [f["slope"].bias for f in found] == ["declared", "declared and found"]


def test_the_exact_gradient_knows_value_nodes_below_their_samples():
    graph = scg.Graph()
    t = graph.param("t", 0.4)
    b = graph.sample("b", scg.Bernoulli(logits=t))
    graph.cost("loss", 3.0 * b)
    graph.value("q", graph.param("k", 1.0) * b)
    exact = exact_gradient(
        graph.store, graph.init(np.random.default_rng(0)), None, reading={"b": ("q",)}
    )
    p = 1 / (1 + np.exp(-0.4))
    assert exact["t"] == pytest.approx(3 * p * (1 - p))
    assert exact["k"] == 0


def test_in_a_loop_too_and_without_a_finite_support_there_is_none():
    def loop(family):
        graph = scg.Graph()
        t, k = graph.param("t", 0.4), graph.param("k", 1.0)

        def step(h):
            a = graph.sample("a", family(t * h))
            graph.cost("c", a * h)
            graph.value("q", k * a * h)
            return 0.5 * h + a

        graph.scan(step, 1.0, length=2)
        return graph

    found = []
    for reading in ({"a": ("q",)}, None):
        graph = loop(lambda z: scg.Bernoulli(logits=z))
        if reading is None:  # without what is fitted, its param is unreachable
            graph.cost("k too", 0.0 * graph["k"])
        params = graph.init(np.random.default_rng(0))
        found.append(exact_gradient(graph.store, params, None, reading=reading))
    assert found[0]["t"] == pytest.approx(found[1]["t"], abs=1e-12)
    graph = loop(lambda z: scg.Normal(mean=z, scale=1.0))
    params = graph.init(np.random.default_rng(0))
    assert exact_gradient(graph.store, params, None, reading={"a": ("q",)}) is None


def test_a_picture_names_critics_and_shows_where_their_slope_goes(tmp_path):
    graph = scg.Graph()
    mu, x = graph.param("mu", 0.4), graph.input("x")
    z = graph.sample("z", scg.Normal(mean=mu * x, scale=1.0))
    graph.cost("loss", scg.black_box(lambda z: z, (), float)(z))
    graph.value("q", graph.param("k", 1.0) * z * x)
    pictures, found = {}, []
    for name, estimator in [
        ("slope", scg.ValueGradient("q")),
        ("score", scg.ScoreFunction()),
    ]:
        graph.draw(tmp_path / f"{name}.svg", {"z": estimator})
        pictures[name] = (tmp_path / f"{name}.svg").read_text()
        gradients = Gradients(Routes(graph.store, {"z": estimator}))
        ways = [e for e in gradients.routes.influence.edges if e.source == z.index]
        found.append({gradients.on(e) for e in ways})
    assert found == [{"backprop", "blocked"}, {"none", "blocked"}]
    assert "critic of z" in pictures["slope"]
    assert "critic of z" not in pictures["score"]


def test_a_page_says_whose_costs_a_value_node_stands_for(tmp_path):
    graph = two_decisions()
    critic = {"b": scg.ScoreFunction(critic=scg.GAE("u"))}
    graph.draw(tmp_path / "page.html", critic)
    assert "b: cb" in (tmp_path / "page.html").read_text()


def test_the_table_says_what_is_biased():
    page = (ROOT / "docs" / "how-to" / "choose-an-estimator.md").read_text()
    (line,) = [row for row in page.splitlines() if row.startswith("| `ValueGradient`")]
    assert line.split("|")[5].strip() == "no"


def test_the_picture_of_the_page_is_what_its_code_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "explanation" / "critics.md"
    blocks = [b.code for b in python_blocks(page)]
    end = next(i for i, code in enumerate(blocks) if "critics.svg" in code)
    namespace = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for code in blocks[: end + 1]:
            exec(code, namespace)
    drawn = (tmp_path / "critics.svg").read_bytes()
    assert drawn == (page.parent / "images" / "critics.svg").read_bytes()
