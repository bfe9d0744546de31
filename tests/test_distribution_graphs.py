"""Every family as a stochastic node: shapes, and gradients by each estimator."""

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, make_vjp
from distribution_cases import CASES, Case, cast, every_case
from oracles import finite_difference

import scg
import scg.distributions as d

ROWS = 30
PATHWISE = [case for case in CASES if case.distribution.reparameterised]
SCORED = [case for case in CASES if case.family.fixed_support]
# A score in probabilities that need not sum to 1 has a mean, which the cost weighs.
NORMALISED = [case for case in SCORED if not case.score_mean]


def ids(case: Case) -> str:
    return case.name


def total(x: Any) -> Any:
    """Sum up a draw of each row, so that no two elements come in alike."""
    x = anp.tanh(0.3 * x)
    flat = anp.reshape(x, (x.shape[0], -1))
    return anp.sum(flat * np.arange(1.0, 1 + flat.shape[1]), axis=-1)


def model(case: Case, *, dtype: Any = None, loop: bool = False) -> Any:
    """Make a graph whose params are those of a case, and one draw of it."""
    distribution = (
        case.distribution if dtype is None else cast(case.distribution, dtype)
    )
    graph = scg.Graph(case.name)
    learnt = {k: distribution.parameters[k] for k in case.learnt}
    params = {k: graph.param(k, v) for k, v in learnt.items()}
    made = distribution.replace(**params)
    spread = scg.deterministic(total)
    if not loop:
        x = graph.sample("x", made)
        assert x.event_shape == case.distribution.shape
        assert x.dtype == distribution.dtype
        graph.cost("c", spread(1.0 * x))
        return graph, learnt
    start = graph.input("start")

    def step(state: Any) -> Any:
        x = graph.sample("x", made)
        graph.cost("c", spread(1.0 * x) * state)
        return 0.9 * state + 0.1

    graph.scan(step, init=start, length=3)
    return graph, learnt


def estimate(graph: Any, params: Any, estimator: Any, **options: Any) -> Any:
    return scg.estimate_gradient(
        graph,
        params,
        estimators={"x": estimator},
        rng=np.random.default_rng(0),
        **options,
    )


@pytest.mark.parametrize("case", SCORED, ids=ids)
def test_the_score_function_weighs_each_rows_score(case: Case) -> None:
    graph, params = model(case)
    found = estimate(graph, params, scg.ScoreFunction(), rows=ROWS)
    x, cost = found.trace["x"], found.trace["c"]
    for name, score in case.distribution.score(x).items():
        each = score * cost.reshape(-1, *(1,) * (score.ndim - 1))
        np.testing.assert_allclose(found.gradient[name], each.mean(axis=0), atol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("case", NORMALISED, ids=ids)
def test_the_score_function_is_unbiased(case: Case) -> None:
    graph, params = model(case)
    found = estimate(graph, params, scg.ScoreFunction(), rows=40_000)
    x, cost = found.trace["x"], found.trace["c"]
    points, _ = case.grid
    for name, score in case.distribution.score(x).items():
        each = score * cost.reshape(-1, *(1,) * (score.ndim - 1))
        error = each.std(axis=0, ddof=1) / np.sqrt(len(each))
        # Of each element's own part of the cost: the others have mean 0.
        scores = case.distribution.score(points)[name]
        own = own_part(case, points)
        exact = case.mean(lambda _, s=scores, f=own: s * match(f, s))
        z = np.abs(found.gradient[name] - exact) / np.maximum(error, 1e-12)
        assert np.all(z < 5)


def own_part(case: Case, points: Any) -> Any:
    """Give what each of the four elements adds to the cost."""
    x = np.tanh(0.3 * points).reshape(*points.shape[:2], -1)
    weights = np.arange(1.0, 1 + 4 * x.shape[-1]).reshape(4, -1)
    return (x * weights).sum(axis=-1)


def match(factor: Any, array: Any) -> Any:
    return factor.reshape(*factor.shape, *(1,) * (array.ndim - factor.ndim))


@pytest.mark.parametrize("case", PATHWISE, ids=ids)
def test_the_pathwise_gradient_is_that_through_the_draw(case: Case) -> None:
    graph, params = model(case)
    found = estimate(graph, params, scg.Pathwise(), rows=ROWS)
    noise = found.trace.noise[graph["x"].index]
    assert len(noise) == ROWS
    for name, value in params.items():

        def mean(v: Any, name: str = name) -> Any:
            here = case.distribution.replace(**{name: v})
            return anp.mean(total(here.reparameterise(noise)))

        exact = make_vjp(mean)(value)[0](1.0)
        np.testing.assert_allclose(found.gradient[name], exact, rtol=1e-9, atol=1e-12)


@every_case
@pytest.mark.parametrize("loop", [False, True])
def test_both_engines_agree_at_first_order(case: Case, loop: bool) -> None:
    graph, params = model(case, loop=loop)
    estimator = scg.ScoreFunction() if case in SCORED else scg.Pathwise()
    choices = [estimator, scg.Pathwise()] if case in PATHWISE else [estimator]
    how = {"inputs": {"start": np.linspace(0.5, 1.0, 5)}} if loop else {"rows": 5}
    for choice in choices:
        found = estimate(graph, params, choice, **how)
        surrogate = scg.surrogate_loss(graph, found.trace, {"x": choice})
        other = grad(surrogate)(params)
        for name, gradient in found.gradient.items():
            np.testing.assert_allclose(gradient, other[name], rtol=1e-9, atol=1e-11)


FINITE = [
    d.OneHotCategorical(np.array([0.3, -1.0, 2.0])),
    d.OneHotCategorical(np.array([[0.3, -1.0], [1.0, 0.5]])),
    d.Binomial(3, np.array([0.3, -1.0])),
    d.Binomial(np.array([1, 3]), probs=np.array([0.3, 0.6])),
]


@pytest.mark.parametrize("distribution", FINITE, ids=str)
def test_enumeration_is_exact(distribution: Any) -> None:
    name, value = list(distribution.parameters.items())[-1]
    graph = scg.Graph()
    x = graph.sample("x", distribution.replace(**{name: graph.param(name, value)}))
    graph.cost("c", scg.deterministic(total)(1.0 * x))
    found = estimate(graph, {name: value}, scg.Enumeration(), rows=1)

    def mean(params: Any) -> float:
        made = scg.forward(
            graph,
            params,
            estimators={"x": scg.Enumeration()},
            rng=np.random.default_rng(0),
            rows=1,
        )
        log_p = distribution.replace(**params).log_prob(made["x"])
        masses = np.exp(log_p.reshape(len(log_p), -1).sum(axis=-1))
        assert masses.sum() == pytest.approx(1.0, rel=1e-12)
        return float(masses @ made["c"])

    exact = finite_difference(mean, {name: value})
    np.testing.assert_allclose(found.gradient[name], exact[name], atol=1e-8)


def test_a_support_of_vectors_is_enumerated_vector_by_vector() -> None:
    enumeration = scg.Enumeration()
    vectors = d.OneHotCategorical(np.zeros((2, 3)))
    assert enumeration.branches(vectors, (2, 3)) == 3**2
    assert enumeration.branches(d.Bernoulli(np.zeros((2, 3))), (2, 3)) == 2**6
    with pytest.raises(scg.EstimatorError, match="at most 8 values, got 9 for"):
        scg.Enumeration(limit=8).branches(vectors, (2, 3))


@every_case
def test_float32_models_stay_float32(case: Case) -> None:
    graph, params = model(case, dtype=np.float32)
    for cases, estimator in ((SCORED, scg.ScoreFunction()), (PATHWISE, scg.Pathwise())):
        if case in cases:
            found = estimate(graph, params, estimator, rows=3)
            assert {g.dtype for g in found.gradient.values()} == {np.dtype(np.float32)}
            drawn = cast(case.distribution, np.float32).dtype
            assert found.trace["x"].dtype == graph["x"].dtype == drawn


@pytest.mark.statistical
def test_the_second_derivative_through_an_implicit_draw_is_right() -> None:
    graph, params = scg.Graph(), {"a": np.array(1.5)}
    a = graph.param("a", 1.5)
    x = graph.sample("x", scg.Gamma(a, 2.0))
    graph.cost("c", x**2)
    found = estimate(graph, params, scg.Pathwise(), rows=20_000)
    surrogate = scg.surrogate_loss(graph, found.trace, {"x": scg.Pathwise()})
    first = grad(lambda a: surrogate({"a": a}))
    # E x² = a (a + 1) / 4.
    assert first(1.5) == pytest.approx(1.0, abs=0.05)
    assert grad(first)(1.5) == pytest.approx(0.5, abs=0.02)


def test_rows_of_parameters_are_rows_of_draws() -> None:
    graph = scg.Graph()
    w = graph.param("w", np.array([[0.3, -0.2], [0.1, 0.4]]))
    h = graph.input("h", shape=(2,)) @ w
    nodes = [
        graph.sample("a", scg.MultivariateNormal(h, 1.0)),
        graph.sample("b", scg.MultivariateNormal(h, scale_tril=np.eye(2))),
        graph.sample("c", scg.Dirichlet(np.exp(h))),
        graph.sample("d", scg.OneHotCategorical(logits=h)),
    ]
    for node in nodes:
        assert node.event_shape == (2,)
    with pytest.raises(scg.DistributionError, match="with one number a row"):
        graph.sample("e", scg.Dirichlet(np.exp(h[:, 0])))


def test_trials_may_be_data() -> None:
    graph, p = scg.Graph(), np.array(0.3)
    n = graph.input("n", dtype=int)
    heads = graph.sample("x", scg.Binomial(n, logits=graph.param("logits", p)))
    graph.cost("c", heads**2)
    inputs = {"n": np.array([1, 5, 9])}
    found = estimate(graph, {"logits": p}, scg.ScoreFunction(), inputs=inputs)
    score = d.Binomial(inputs["n"], p).score(found.trace["x"])["logits"]
    exact = np.mean(score * found.trace["c"])
    assert found.gradient["logits"] == pytest.approx(exact, rel=1e-12)
    with pytest.raises(scg.EstimatorError, match="finite support, got Binomial"):
        graph.check({"x": scg.Enumeration()})


def test_divergences_of_nodes_are_costs() -> None:
    graph = scg.Graph()
    h = graph.input("h", shape=(2,)) * graph.param("w", 0.7)
    q = scg.MultivariateNormal(h, scale_tril=np.eye(2))
    graph.cost("kl", q.kl(scg.MultivariateNormal(np.zeros(2), 2.0)))
    gamma = scg.Gamma(np.exp(h), 2.0)
    graph.cost("gamma", np.sum(gamma.kl(scg.Gamma(1.0, 1.0)), axis=-1))
    inputs = {"h": np.array([[0.3, -0.5], [1.0, 2.0], [0.1, 0.2]])}

    def cost(params: Any) -> float:
        run = scg.forward(graph, params, inputs, rng=np.random.default_rng(0))
        return float(np.mean(run["kl"] + run["gamma"]))

    params = {"w": np.array(0.7)}
    rng = np.random.default_rng(0)
    found = scg.estimate_gradient(graph, params, inputs, rng=rng).gradient["w"]
    exact = finite_difference(cost, params)["w"]
    assert found == pytest.approx(exact, rel=1e-8)
