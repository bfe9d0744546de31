import itertools

import autograd
import numpy as np
import pytest
from oracles import finite_difference

import scg

LENGTH = 5
RNG = np.random.default_rng


def countdown(length=LENGTH, param="theta"):
    """Stop with a chance of σ(θ) at each step; a step costs 1 + θ²."""
    graph = scg.Graph()
    theta = graph.param(param, 0.3)

    def step(state):
        b = graph.sample("b", scg.Bernoulli(logits=theta + 0 * state))
        graph.rename("over", b == 1)
        graph.cost("steps", 1.0 + theta**2 + 0 * state)
        return state

    graph.scan(step, init=graph.input("x"), length=length, until="over")
    return graph


def expected_cost(params):
    theta = float(params["theta"])
    goes_on = 1 - 1 / (1 + np.exp(-theta))
    return (1 + theta**2) * sum(goes_on**t for t in range(LENGTH))


@pytest.mark.parametrize("baseline", [scg.NoBaseline(), scg.MovingAverage()])
def test_stopping_is_credited_exactly_over_all_outcomes(baseline):
    model = scg.compile(countdown(), {"b": scg.ScoreFunction(baseline=baseline)})
    params, total, cost = {"theta": np.array(0.3)}, 0.0, 0.0
    state = {"b/mean": np.array(1.7), "b/weight": np.array(1.0)}
    p = 1 / (1 + np.exp(-0.3))
    for outcome in itertools.product([0.0, 1.0], repeat=LENGTH):
        given = {"b": np.array(outcome)[:, None]}
        x = {"x": np.zeros(1)}
        estimate = model(params, x, rng=RNG(0), given=given, state=state)
        weight = np.prod([p if b else 1 - p for b in outcome])
        total += weight * estimate.gradient["theta"]
        cost += weight * estimate.cost
    assert cost == pytest.approx(expected_cost(params), abs=1e-12)
    exact = finite_difference(expected_cost, params)["theta"]
    assert total == pytest.approx(exact, abs=1e-8)


def test_the_loop_ends_when_every_row_has_stopped():
    model = scg.compile(countdown(length=1000))
    trace = model.forward({"theta": 0.0}, {"x": np.zeros(4)}, rng=RNG(0))
    steps = trace.steps["scan"]
    stops = trace["b"].argmax(axis=0)
    assert steps == stops.max() + 1 < 1000
    assert trace["steps"].shape == trace["b"].shape == (steps, 4)
    np.testing.assert_array_equal((trace["steps"] != 0).sum(axis=0), stops + 1)


def test_a_row_gives_the_gradient_that_it_gives_alone():
    model = scg.compile(countdown())
    params = {"theta": 0.3}
    draws = np.array([[0.0, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
    alone = [
        model(
            params, {"x": np.zeros(1)}, rng=RNG(0), given={"b": draws[:, [row]]}
        ).gradient["theta"]
        for row in range(3)
    ]
    together = model(params, {"x": np.zeros(3)}, rng=RNG(0), given={"b": draws})
    assert together.gradient["theta"] == pytest.approx(np.mean(alone), abs=1e-12)
    assert np.ptp(alone) > 0.1


def test_standardised_credit_looks_at_steps_that_count_alone():
    draws = np.array([[0.0, 1], [1, 0], [1, 1], [0, 1], [1, 0]])
    policy = scg.ScoreFunction(standardise=True, boundary=None)
    gradient = scg.compile(countdown(), {"b": policy})(
        {"theta": 0.0}, {"x": np.zeros(2)}, rng=RNG(0), given={"b": draws}
    ).gradient["theta"]
    Q = np.array([2.0, 1.0, 1.0])  # row 0 makes two steps, row 1 one
    advantage = (Q - Q.mean()) / (Q.std() + 1e-8)
    score = np.array([0.0, 1.0, 1.0]) - 0.5
    assert gradient == pytest.approx(np.sum(score * advantage) / 2, abs=1e-9)


@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_gae_expects_nothing_after_a_stop(lam):
    graph = scg.Graph()
    theta, v = graph.param("theta", 0.3), graph.param("v", 0.7)

    def step(state):
        graph.value("value", v + 0 * state)
        b = graph.sample("b", scg.Bernoulli(logits=theta + 0 * state))
        graph.rename("over", b == 1)
        graph.cost("steps", 1.0 + 0 * state)
        return state

    graph.scan(step, init=graph.input("x"), length=LENGTH, until="over")
    critic = scg.GAE("value", lam=lam)
    model = scg.compile(graph, {"b": scg.ScoreFunction(critic=critic)})
    given = {"b": np.array([[0.0], [0], [1], [0], [0]])}
    estimate = model(
        {"theta": 0.3, "v": 0.7}, {"x": np.zeros(1)}, rng=RNG(0), given=given
    )
    delta = [1.0, 1.0, 1.0 - 0.7]
    A = [sum(lam**k * d for k, d in enumerate(delta[t:])) for t in range(3)]
    p = 1 / (1 + np.exp(-0.3))
    expected = sum(a * (b - p) for a, b in zip(A, [0, 0, 1], strict=True))
    assert estimate.gradient["theta"] == pytest.approx(expected, abs=1e-12)


def test_until_must_be_one_boolean_a_row_of_the_step():
    graph = scg.Graph()
    x = graph.input("x")
    graph.rename("outside", x > 0)

    def step(state):
        graph.rename("number", state + 1)
        return state

    with pytest.raises(scg.GraphError, match="one boolean a row of the step"):
        graph.scan(step, init=x, length=3, until="outside")
    graph = scg.Graph()
    with pytest.raises(scg.GraphError, match="one boolean a row of the step"):
        graph.scan(step, init=graph.input("x"), length=3, until="number")


def test_until_has_no_outputs_and_its_name_must_exist():
    graph = scg.Graph()

    def step(state):
        graph.rename("over", state > 1)
        return state + 1, state

    with pytest.raises(scg.GraphError, match="and no outputs"):
        graph.scan(step, init=graph.input("x"), length=3, until="over")
    graph = scg.Graph()
    with pytest.raises(scg.UnknownNameError, match="over"):
        graph.scan(step, init=graph.input("x"), length=3, until="overr")


@pytest.mark.parametrize("every", [None, 2])
def test_numbers_drawn_ahead_of_a_loop_that_stops_are_taken_back(every):
    graph = scg.Graph()
    theta, x = graph.param("theta", 0.7), graph.input("x")

    def step(h):
        e = graph.sample("e", scg.Normal(mean=theta * x, scale=1.0))
        b = graph.sample("b", scg.Bernoulli(logits=0.0 * h))
        graph.rename("over", b == 1)
        graph.cost("loss", np.sin(e) + theta * h)
        return 0.5 * h

    graph.scan(step, x, length=50, until="over", keep_every=every)
    model = scg.compile(graph, {"e": scg.Pathwise()})
    inputs = {"x": np.array([0.3, 0.8])}
    estimate = model({"theta": 0.7}, inputs, rng=RNG(0))
    assert 2 < estimate.trace.steps["scan"] < 50

    def cost(params):
        return model(params, inputs, rng=RNG(0)).cost

    exact = finite_difference(cost, {"theta": np.array(0.7)})["theta"]
    assert estimate.gradient["theta"] == pytest.approx(exact, abs=1e-8)


FAMILIES = {
    "bits": (lambda h: scg.Bernoulli(logits=h), None),
    "categories": (lambda h: scg.Categorical(logits=h), None),
    "probabilities": (lambda h: scg.Bernoulli(probs=scg.sigmoid(h)), None),
    "pathwise": (lambda h: scg.Normal(mean=h, scale=1.0), scg.Pathwise()),
}


def told(name, *, in_core):
    """Draw at each step, before the loop or within, and stop after three of six."""
    family, estimator = FAMILIES[name]
    graph = scg.Graph()
    w, xs = graph.param("w", np.ones(2)), graph.input("xs", shape=(6, 2))

    def step(carry, x):
        logits = x * w + (0.0 * carry[:, None] if in_core else 0.0)
        z = graph.sample("z", family(logits))
        graph.cost("loss", (z if z.ndim == 1 else z.sum(axis=-1)) * carry)
        after = carry + 1.0 + 0.0 * scg.stop_gradient(logits).sum(axis=-1)
        graph.rename("over", after > 2.5)
        return after

    graph.scan(step, 0.0, xs=xs, until="over")
    model = scg.compile(graph, {"z": estimator} if estimator else None)
    inputs = {"xs": RNG(0).normal(size=(3, 6, 2))}

    def run(**given):
        params = {"w": np.array([0.3, -0.4])}
        return model(params, inputs, rng=RNG(1), given=given)

    return run, graph


@pytest.mark.parametrize("in_core", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_what_was_drawn_for_steps_that_never_came_is_left_out(name, in_core):
    run, graph = told(name, in_core=in_core)
    found = run()
    assert len(found.trace["z"]) == 3
    estimators = {"z": FAMILIES[name][1] or scg.ScoreFunction()}
    loss = scg.surrogate_loss(graph, found.trace, estimators)
    exact = autograd.grad(loss)({"w": np.array([0.3, -0.4])})
    np.testing.assert_allclose(found.gradient["w"], exact["w"], atol=1e-12)


@pytest.mark.parametrize("in_core", [False, True])
@pytest.mark.parametrize("name", ["bits", "categories", "probabilities"])
def test_a_loop_may_be_given_the_steps_up_to_where_it_stops(name, in_core):
    run, _ = told(name, in_core=in_core)
    found = run()
    drawn = found.trace["z"]
    longer = np.concatenate([drawn, 1 - drawn])
    for given in (drawn, longer):
        again = run(z=given)
        np.testing.assert_array_equal(again.trace["z"], drawn)
        np.testing.assert_allclose(again.gradient["w"], found.gradient["w"])
    for short in (drawn[:2], drawn[:0], np.float64(1.0)):
        with pytest.raises(scg.InputError, match="expected values of node 'z'"):
            run(z=short)


def test_rows_by_the_ten_thousand_stop_each_for_itself():
    # So many that the boolean is large: what reads it last may not take its array.
    graph = scg.Graph()

    def step(left):
        over = graph.rename("over", left < 1)
        left = left - np.where(over, 0, 1)
        graph.cost("steps", 1.0 + 0 * left)
        return left

    graph.scan(step, graph.input("left"), length=9, until="over")
    left = np.arange(70_000) % 4.0
    trace = scg.forward(graph, {}, {"left": left}, rng=np.random.default_rng(0))
    assert np.array_equal(trace["steps"].sum(axis=0), left + 1)
