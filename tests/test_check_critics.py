"""Value nodes that read too little are refused, with the path that says why."""

import pytest

import scg
from scg.program import Program


def test_a_value_that_reads_too_little_is_refused_with_the_open_path():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    x = graph.input("x")
    graph.value("v0", x)
    a = graph.sample("a", scg.Bernoulli(logits=theta * x))
    graph.value("v1", 2.0 * x)
    b = graph.sample("b", scg.Bernoulli(logits=theta + a))
    graph.cost("loss", b * x)

    def estimators(**options):
        return {
            "a": scg.ScoreFunction(critic=scg.KStep("v0", 1, **options)),
            "b": scg.ScoreFunction(critic=scg.KStep("v1", 1)),
        }

    with pytest.raises(scg.CriticError, match=r"'v1' to read .* open path a → .* → b"):
        graph.check(estimators())
    graph.check(estimators(partial=True))


def test_in_a_loop_the_next_steps_value_must_read_enough():
    def build(read):
        graph = scg.Graph()
        theta = graph.param("theta", 0.3)

        def step(carry):
            h, g = carry
            graph.value("v", h + (g if read else 0.0))
            a = graph.sample("a", scg.Bernoulli(logits=theta * h))
            graph.cost("c", g * a)
            return (h + 1.0, g + a)

        graph.scan(step, (graph.input("x"), graph.input("y")), length=5)
        return graph

    critic = {"a": scg.ScoreFunction(critic=scg.KStep("v", 2))}
    build(read=True).check(critic)
    with pytest.raises(scg.CriticError, match="'v' of the next step"):
        build(read=False).check(critic)


def test_that_a_row_goes_on_is_known_to_the_next_steps_value():
    def build(read):
        graph = scg.Graph()
        theta = graph.param("theta", 0.3)

        def step(carry):
            h, g = carry
            graph.value("v", h + (g if read else 0.0))
            a = graph.sample("a", scg.Bernoulli(logits=theta * h * g))
            graph.cost("c", (h + g) * a)
            graph.rename("over", h + g * a > 2.0)
            return h + 1.0, g + 0.0

        start = graph.input("x"), graph.input("y")
        graph.scan(step, start, length=5, until="over")
        return graph

    critic = {"a": scg.ScoreFunction(critic=scg.KStep("v", 1))}
    build(read=True).check(critic)
    with pytest.raises(scg.CriticError, match="'v' of the next step"):
        build(read=False).check(critic)


def test_values_that_are_only_subtracted_may_read_anything():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    a = graph.sample("a", scg.Normal(mean=theta, scale=1.0))
    graph.value("qa", a * graph.param("k", 1.0))
    b = graph.sample("b", scg.Normal(mean=theta * a, scale=1.0))
    graph.value("qb", b * 2.0)
    graph.cost("loss", a * b)

    def check(**options):
        blind = scg.ValueGradient("qb", partial=True)
        graph.check({"a": scg.ValueGradient("qa", **options), "b": blind})

    check()
    check(steps=1, partial=True)
    for options in ({"steps": 1}, {"lam": 0.5}):
        with pytest.raises(scg.CriticError, match="expected the value node 'qb'"):
            check(**options)


def test_samples_of_the_same_loop_do_not_come_after_it():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)

    def step(h):
        graph.value("v", 1.0 * h)
        a = graph.sample("a", scg.Bernoulli(logits=theta + h))
        graph.value("u", h + a)
        b = graph.sample("b", scg.Bernoulli(logits=theta - a))
        return 0.5 * h + b

    last, _ = graph.scan(step, graph.input("x"), length=3)
    graph.cost("end", last**2)
    estimators = {
        n: scg.ScoreFunction(critic=scg.GAE(v, lam=0.5))
        for n, v in zip("ab", "vu", strict=True)
    }
    program = Program(graph.store, estimators)
    found = [program.followers[graph[n].index] for n in "ab"]
    assert [f.samples for f in found] == [(), ()]
    assert [f.costs for f in found] == [(graph["end"].index,)] * 2


def test_from_before_a_loop_the_value_of_its_first_step_must_read_enough():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    graph.value("v", graph.param("w", 0.2))
    a = graph.sample("a", scg.Bernoulli(logits=theta))

    def step(carry):
        h, g = carry
        graph.value("v_t", h)
        b = graph.sample("b", scg.Bernoulli(logits=theta + g))
        graph.cost("c", h * b)
        return g, g

    graph.scan(step, (0.0, a), length=4)
    with pytest.raises(
        scg.CriticError, match="node 'a': expected the value node 'v_t'"
    ):
        graph.check(
            {
                "a": scg.ScoreFunction(critic=scg.KStep("v", 1)),
                "b": scg.ScoreFunction(critic=scg.GAE("v_t")),
            }
        )


def test_a_critic_of_a_loop_needs_a_value_of_each_step():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    x = graph.input("x")
    graph.value("v", x)

    def step(h):
        a = graph.sample("a", scg.Bernoulli(logits=theta * h))
        graph.cost("c", h * a)
        return h + a

    graph.scan(step, x, length=3)
    with pytest.raises(scg.EstimatorError, match="a value node of each step"):
        graph.check({"a": scg.ScoreFunction(critic=scg.GAE("v"))})
