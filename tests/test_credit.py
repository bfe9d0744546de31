"""Credit across rows that are mixed, and across loops that share an environment."""

import itertools
from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest

import scg
from scg.credit import assign
from scg.parts import run
from scg.program import Program
from scg.reach import entry_mask, exit_mask, lag_mask

LOGIT = 0.3
mean = scg.deterministic(anp.mean, rows=False)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def coins(count):
    return [np.array(o) for o in itertools.product([0.0, 1.0], repeat=count)]


def weight(outcome, logit):
    p = sigmoid(logit)
    return np.prod(np.where(outcome == 1, p, 1 - p))


def exact_slope(cost, count):
    """Differentiate the expectation of `cost(outcome)`, by central differences."""

    def expected(logit):
        return sum(weight(o, logit) * cost(o) for o in coins(count))

    return (expected(LOGIT + 1e-5) - expected(LOGIT - 1e-5)) / 2e-5


def expected_gradient(graph, count, **options):
    return sum(
        weight(o, LOGIT)
        * scg.estimate_gradient(
            graph,
            {"theta": LOGIT},
            rng=np.random.default_rng(0),
            given={"b": o},
            **options,
        ).gradient["theta"]
        for o in coins(count)
    )


def coin_graph():
    graph = scg.Graph()
    theta = graph.param("theta", LOGIT)
    return graph, graph.sample("b", scg.Bernoulli(logits=theta))


@pytest.mark.parametrize("samples", [1, 2])
def test_branches_below_mixed_rows_are_averaged(samples):
    graph, b = coin_graph()
    m = mean(b)
    u = graph.sample("u", scg.Bernoulli(logits=2 * m))
    graph.cost("loss", u * (1 + m))
    found = expected_gradient(
        graph,
        2 * samples,
        rows=2,
        samples=samples,
        estimators={"u": scg.Enumeration()},
    )
    slope = exact_slope(lambda o: sigmoid(2 * o.mean()) * (1 + o.mean()), 2 * samples)
    assert found == pytest.approx(slope, abs=1e-9)


def test_a_cost_of_mixed_samples_and_a_row_without_samples_is_credited_to_all():
    graph, b = coin_graph()
    graph.cost("loss", mean(b) ** 2 * graph.input("x"))
    inputs = {"x": np.array([1.0, 2.0])}
    found = expected_gradient(graph, 4, inputs=inputs, samples=2)
    slope = exact_slope(lambda o: 1.5 * o.mean() ** 2, 4)
    assert found == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize("baseline", [scg.BatchMean(), scg.LeaveOneOut()])
def test_other_rows_are_no_baseline_where_rows_are_mixed(baseline):
    graph, b = coin_graph()
    graph.cost("loss", mean(b) ** 2 * b)
    with pytest.raises(scg.BaselineError, match="mixes rows"):
        scg.estimate_gradient(
            graph,
            {"theta": LOGIT},
            rng=np.random.default_rng(0),
            rows=2,
            samples=2,
            estimators={"b": scg.ScoreFunction(baseline=baseline)},
        )


def test_a_value_inside_a_loop_has_rows():
    graph = scg.Graph()
    xs = graph.input("xs", shape=(3,))
    with pytest.raises(scg.ShapeError, match="inside the scan 'scan'"):
        graph.scan(lambda h, x: h + mean(x), 0.0, xs=xs)


class Counter:
    """Two rows whose reward is the sum of all actions so far."""

    num_envs = 2

    def __init__(self):
        self.metadata = {"autoreset_mode": "SameStep"}
        self.single_observation_space = SimpleNamespace(shape=(), dtype=np.float64)
        self.single_action_space = SimpleNamespace(shape=(), dtype=np.int64)

    def reset(self, seed=None):
        self.count = np.zeros(2)
        return self.count, {}

    def step(self, action):
        self.count = self.count + action
        never = np.zeros(2, bool)
        return self.count, self.count.copy(), never, never, {}


def test_an_environment_takes_credit_from_one_loop_into_the_next():
    graph = scg.Graph()
    theta = graph.param("theta", LOGIT)
    world = scg.Environment(Counter())

    def acting(which):
        def step(_):
            a = graph.sample(f"a{which}", scg.Bernoulli(logits=theta))
            observation, reward, _ = world(a.astype(np.int64))
            graph.cost(f"loss{which}", -reward)
            return observation

        graph.scan(step, world.reset(), length=3, name=f"loop{which}")

    acting(1)
    acting(2)
    program = Program(graph.store, None)
    trace = run(program, {"theta": LOGIT}, None, rng=np.random.default_rng(0))
    credit = assign(program, trace, {})[graph["a1"].index].cost
    expected = np.cumsum(trace["loss1"][::-1], axis=0)[::-1] + trace["loss2"].sum(0)
    assert np.allclose(credit, expected)


def test_masks_say_which_step_reaches_which():
    graph = scg.Graph()
    theta = graph.param("theta", LOGIT)
    first = graph.sample("first", scg.Normal(mean=theta, scale=1.0))

    def step(held):
        z = graph.sample("z", scg.Normal(mean=theta, scale=1.0))
        graph.cost("loss", held)
        return z

    last, _ = graph.scan(step, first, length=3)
    graph.cost("last", last)
    program = Program(graph.store, None)
    node = graph.__getitem__
    assert lag_mask(program, node("z"), node("loss"), 3).astype(int).tolist() == [
        [0, 0, 0],
        [1, 0, 0],
        [0, 1, 0],
    ]
    assert entry_mask(program, node("first"), node("loss"), 3).tolist() == [True, 0, 0]
    assert exit_mask(program, node("z"), node("last"), 3).tolist() == [0, 0, True]


def test_credit_through_rows_that_are_mixed_inside_a_loop_is_refused():
    graph = scg.Graph()
    theta = graph.param("theta", LOGIT)
    centre = scg.deterministic(lambda v: v - anp.mean(v), rows=False)

    def step(total):
        b = graph.sample("b", scg.Bernoulli(logits=theta))
        graph.cost("loss", centre(b) ** 2)
        return total + b

    graph.scan(step, 0.0, length=2)
    rng = np.random.default_rng(0)
    with pytest.raises(scg.EstimatorError, match="mixes rows"):
        scg.estimate_gradient(graph, {"theta": LOGIT}, rng=rng, rows=2)


def test_a_value_without_rows_is_fitted_to_the_mean():
    graph = scg.Graph()
    theta, v = graph.param("theta", 0.3), graph.param("v", 0.2)
    graph.value("value", v * 1.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", 3.0 * b)
    method = scg.ScoreFunction(baseline=scg.LearnedBaseline("value"))
    estimate = scg.estimate_gradient(
        graph,
        {"theta": 0.3, "v": 0.2},
        estimators={"b": method},
        rng=np.random.default_rng(0),
        rows=50,
    )
    weight = scg.LearnedBaseline("value").weight
    exact = weight * (0.2 - estimate.trace["loss"].mean())
    np.testing.assert_allclose(estimate.gradient["v"], exact, rtol=1e-12)


def test_a_large_run_can_be_asked_for_the_distribution_of_its_branches():
    graph = scg.Graph()
    x, theta = graph.input("x"), graph.param("theta", 0.3)
    z = graph.sample("z", scg.Normal(mean=2 * (theta * x), scale=1.0))
    graph.cost("loss", z**2)
    pair = scg.ScoreFunction(baseline=scg.LeaveOneOut(), samples=2)
    rows = np.linspace(-1, 1, 20_000)
    estimate = scg.estimate_gradient(
        graph,
        {"theta": 0.3},
        {"x": rows},
        estimators={"z": pair},
        rng=np.random.default_rng(0),
    )
    mean = estimate.trace.distribution("z").mean
    np.testing.assert_allclose(mean, np.repeat(0.6 * rows, 2))
