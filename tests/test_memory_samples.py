"""Sampled indices train a memory's readers and writers as the dense form does."""

from unittest import mock

import numpy as np
import pytest
from memory_models import (
    CELLS,
    RNG,
    ROWS,
    WIDTH,
    Dense,
    Hard,
    assert_same,
    beginnings,
    loop,
)
from oracles import finite_difference
from tiny_environment import tiny_environment

import scg
from scg import cell_slots

# Sampled indices


def addressed(kind, *, steps=2):
    """Write where a sample says, read where another says; nothing is known of both."""
    graph = scg.Graph()
    logits = graph.param("logits", np.zeros((2, CELLS)))
    w = graph.param("w", np.zeros((CELLS, WIDTH)))
    x = graph.input("x")
    ops = kind(graph)
    memory = ops.begin(w, x)
    for t in range(steps):
        i = graph.sample(f"i{t}", scg.Categorical(logits=logits[t] * x[:, None]))
        memory = ops.write(memory, i, np.tanh(x[:, None] + w[t]))
    j = graph.sample("j", scg.Categorical(logits=ops.read(memory, i) @ w.T))
    graph.cost("loss", np.sin(ops.read(memory, j)).sum(axis=1))
    graph.cost("rest", (ops.whole(memory) ** 2).sum(axis=(1, 2)))
    return graph


def drawn(choice):
    return {
        "score": dict.fromkeys(("i0", "i1", "j"), scg.ScoreFunction()),
        "enumeration": dict.fromkeys(("i0", "i1", "j"), scg.Enumeration()),
        "branches": dict.fromkeys(
            ("i0", "i1", "j"),
            scg.ScoreFunction(samples=3, baseline=scg.LeaveOneOut()),
        ),
        "mixed": {
            "i0": scg.ScoreFunction(samples=3, baseline=scg.LeaveOneOut()),
            "i1": scg.Enumeration(),
        },
    }[choice]


@pytest.mark.parametrize("choice", ["score", "enumeration", "branches", "mixed"])
@pytest.mark.parametrize("samples", [1, 2])
def test_sampled_indices_train_as_in_the_dense_form(choice, samples):
    hard, dense = addressed(Hard), addressed(Dense)
    rng = RNG(0)
    params = {n.name: rng.normal(size=n.shape) for n in hard.params}
    inputs = {"x": rng.normal(size=ROWS)}
    estimators = drawn(choice)
    options = {"estimators": estimators, "samples": samples, "rng": RNG(1)}
    expected = scg.estimate_gradient(dense, params, inputs, **options)
    given = {
        k: expected.trace[k]
        for k in ("i0", "i1", "j")
        if not isinstance(estimators.get(k), scg.Enumeration)
    }
    found = scg.estimate_gradient(hard, params, inputs, given=given, **options)
    assert found.cost == pytest.approx(expected.cost, rel=1e-12)
    assert_same(found.gradient, expected.gradient)


def branching(kind, which):
    """Branch between writes, from each kind of beginning."""
    graph = scg.Graph()
    logits = graph.param("logits", np.zeros((2, CELLS)))
    graph.param("start", np.zeros((CELLS, WIDTH)))
    x = graph.input("x")
    ops = kind(graph)
    graph.cost("penalty", 0.1 * (graph["start"] ** 2).sum())
    memory = ops.begin(beginnings(graph, x)[which], x)
    for t in range(2):
        i = graph.sample(f"i{t}", scg.Categorical(logits=logits[t]))
        memory = ops.write(memory, i, np.tanh(x[:, None] + logits[t, :WIDTH]))
    graph.cost("loss", (np.sin(ops.whole(memory)) ** 2).sum(axis=(1, 2)))
    return graph


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("cells", [CELLS, 0], ids=["table", "hash"])
def test_every_beginning_is_repeated_for_every_branch(which, cells):
    hard, dense = branching(Hard, which), branching(Dense, which)
    rng = RNG(0)
    params = {n.name: rng.normal(size=n.shape) for n in hard.params}
    inputs = {"x": rng.normal(size=ROWS)}
    score = scg.ScoreFunction(samples=2, baseline=scg.LeaveOneOut())
    options = {"estimators": {"i0": score, "i1": score}, "samples": 2}
    expected = scg.estimate_gradient(dense, params, inputs, rng=RNG(1), **options)
    drawn = {k: expected.trace[k] for k in ("i0", "i1")}
    with mock.patch.object(cell_slots, "_MANY", cells):
        found = scg.estimate_gradient(
            hard, params, inputs, rng=RNG(1), given=drawn, **options
        )
    assert found.cost == pytest.approx(expected.cost, rel=1e-12)
    assert_same(found.gradient, expected.gradient)


def test_enumerated_indices_give_the_derivative_of_the_expected_cost():
    graph = addressed(Hard)
    params = {n.name: RNG(2).normal(size=n.shape) for n in graph.params}
    inputs = {"x": RNG(3).normal(size=ROWS)}
    step = scg.compile(graph, drawn("enumeration"))
    expected = finite_difference(lambda p: step(p, inputs, rng=RNG(0)).cost, params)
    assert_same(step(params, inputs, rng=RNG(0)).gradient, expected, rtol=1e-6)


@pytest.mark.statistical
def test_scores_of_indices_in_a_loop_are_unbiased():
    graph = scg.Graph()
    logits = graph.param("logits", np.array([0.5, -0.5, 0.2]))
    w = graph.param("w", np.array([1.0, -2.0]))

    def step(memory):
        i = graph.sample("i", scg.Categorical(logits=logits))
        memory = scg.memory.write(memory, i, w)
        j = graph.sample("j", scg.Categorical(logits=logits))
        graph.cost("loss", (scg.memory.read(memory, j) ** 3).sum(axis=1))
        return memory

    graph.scan(step, scg.memory.begin(graph, 3, 2), length=2)

    def expected_cost(p):
        q = np.exp(p["logits"]) / np.exp(p["logits"]).sum()
        written = (q**2).sum() + (q * (1 - (1 - q) ** 2)).sum()
        return written * (p["w"] ** 3).sum()

    params = graph.init(RNG(0))
    step = scg.compile(graph)
    found = np.array(
        [
            np.concatenate([*step(params, rng=RNG(k), rows=1000).gradient.values()])
            for k in range(200)
        ]
    )
    exact = finite_difference(expected_cost, params)
    expected = np.concatenate([exact["logits"], exact["w"]])
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - expected) < 5 * error)
    # A gradient without the score of what was written before is told apart.
    wrong = expected + np.array([0.2, 0, 0, 0, 0])
    assert not np.all(np.abs(found.mean(axis=0) - wrong) < 5 * error)


def valued(kind, estimator, environment=None):
    """Act on what a value node sees too: what was noted before."""
    graph = scg.Graph()
    logits = graph.param("logits", np.zeros((WIDTH, CELLS)))
    weights = graph.param("weights", np.zeros(WIDTH))
    x = graph.input("x")
    ops = kind(graph)

    def step(carry):
        memory, at = carry
        noted = ops.read(memory, at)
        graph.value("v", noted @ weights)
        i = graph.sample("i", scg.Categorical(logits=noted @ logits))
        memory = ops.write(memory, i, np.tanh(noted + 0.1 * i[:, None]))
        graph.cost("loss", np.sin(ops.read(memory, 0 * i)).sum(axis=1))
        if environment is not None:
            graph.cost("reward", -environment(i * 1.0)[1])
        return memory, i

    begun = ops.begin(np.ones((CELLS, WIDTH)), x)
    graph.scan(step, (begun, np.zeros((), int)), length=4)
    return graph, {"i": estimator}


@pytest.mark.parametrize(
    "estimator",
    [
        scg.ScoreFunction(baseline=scg.LearnedBaseline("v")),
        scg.ScoreFunction(discount=0.9, critic=scg.GAE("v", lam=0.7)),
    ],
    ids=["baseline", "critic"],
)
def test_a_value_node_may_read_a_memory(estimator):
    (hard, chosen), (dense, _) = (valued(kind, estimator) for kind in (Hard, Dense))
    params = {n.name: RNG(0).normal(size=n.shape) for n in hard.params}
    inputs = {"x": np.zeros(ROWS)}
    expected = scg.estimate_gradient(
        dense, params, inputs, estimators=chosen, rng=RNG(1)
    )
    found = scg.estimate_gradient(
        hard,
        params,
        inputs,
        estimators=chosen,
        rng=RNG(1),
        given={"i": expected.trace["i"]},
    )
    assert_same(found.gradient, expected.gradient)


def test_a_critic_that_reads_a_memory_is_refused_in_an_environment():
    world = tiny_environment()
    critic = scg.ScoreFunction(discount=0.9, critic=scg.GAE("v", lam=0.7))
    graph, chosen = valued(Hard, critic, world)
    params = {n.name: RNG(0).normal(size=n.shape) for n in graph.params}
    with pytest.raises(scg.EstimatorError, match=r"'i'.*'v'.*memory.*LearnedBaseline"):
        scg.estimate_gradient(
            graph, params, {"x": np.zeros(2)}, estimators=chosen, rng=RNG(1)
        )


def test_influence_passes_through_what_is_written_and_where():
    graph = addressed(Hard)
    assert graph.influences("i0", "loss")
    assert graph.deterministically_influences("w", "loss")
    assert graph.deps("j") == {"logits", "w", "i0", "i1"} - {"logits"}
    assert graph.downstream_costs("j") == ("loss",)


def test_an_index_that_params_reach_is_refused_naming_it():
    graph = scg.Graph()
    w = graph.param("w", np.zeros(3))
    x = graph.input("x")
    at = graph.rename("at", np.argmax(x[:, None] * w, axis=-1))
    memory = scg.memory.begin(graph, 3, 2, np.ones((3, 2)))
    graph.cost("loss", scg.memory.read(memory, at).sum(axis=1) + w.sum())
    with pytest.raises(scg.NotDifferentiableError, match=r"'at' is int64.*Categorical"):
        graph.check()


def test_the_slots_of_a_read_hold_the_memory_constant():
    # Else what is written would have to be differentiated in where it is found.
    graph = loop(0, Hard)
    graph.check()
