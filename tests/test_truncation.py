"""Where an episode is cut off, a value node stands for what would have followed."""

import numpy as np
import pytest
from episodes import Episodes, acting, gae_double_loop, last_observations

import scg
from scg.bootstrap import _cells
from scg.credit import assign
from scg.parts import run
from scg.program import Program

DISCOUNT = 0.9


def gae(lam=0.7, **options):
    return scg.ScoreFunction(discount=DISCOUNT, critic=scg.GAE("v", lam=lam), **options)


def value_of(observation):
    return np.sin(0.4 * (observation + 1))


def next_value(trace, ends):
    """Return the function that gives the value of an episode's next observation."""
    finals, last = last_observations(ends), trace["last"]

    def after(t, row):
        if (t, row) in finals:
            return value_of(finals[t, row])
        done = t + 1 == len(trace["v"])
        return value_of(last[row]) if done else trace["v"][t + 1, row]

    return after


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize("boundary", ["episode", "big"])
@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_gae_equals_a_double_loop(lam, boundary, truncate):
    estimator = gae(lam, boundary=boundary)
    trace, credit, ends = acting(estimator, truncate=truncate, length=25)
    assert ends.terminated.any()
    assert ends.truncated.any() == truncate
    expected = gae_double_loop(
        trace["loss"],
        trace["v"],
        next_value(trace, ends),
        ends,
        DISCOUNT,
        lam,
        cut=trace["big"] if boundary == "big" else None,
    )
    assert np.allclose(credit.advantage, expected, rtol=0, atol=1e-12)
    assert np.allclose(credit.target.target, expected + trace["v"])


def test_a_row_that_stops_where_it_is_cut_has_no_value_to_come():
    seen = np.zeros(3, bool)
    for seed in range(20):
        trace, credit, ends = acting(
            gae(), truncate=True, length=25, until="big", seed=seed
        )
        (still,) = trace.alive.values()
        big, after = trace["big"], next_value(trace, ends)
        expected = gae_double_loop(
            trace["loss"], trace["v"], after, ends, DISCOUNT, 0.7, cut=big
        )
        assert np.allclose(credit.advantage[still], expected[still], rtol=0, atol=1e-12)
        kinds = (still & big, still & ~big, ~still)
        seen |= [(ends.truncated & kind).any() for kind in kinds]
    assert seen.all()


def test_the_double_loop_tells_a_wrong_value_at_one_truncation():
    trace, credit, ends = acting(gae(), truncate=True)
    (t, row), *_ = np.argwhere(ends.truncated)
    right = next_value(trace, ends)

    def after(k, r):  # the value of the observation that starts the next episode
        return trace["v"][t + 1, row] if (k, r) == (t, row) else right(k, r)

    expected = gae_double_loop(
        trace["loss"], trace["v"], after, ends, DISCOUNT, lam=0.7
    )
    assert not np.allclose(credit.advantage, expected)


def test_with_lam_1_the_target_is_the_return_and_the_value_at_the_cut():
    trace, credit, ends = acting(gae(lam=1.0), truncate=True)
    finals = last_observations(ends)
    for t, row in np.argwhere(ends.truncated):
        expected = trace["loss"][t, row] + DISCOUNT * value_of(finals[t, row])
        assert credit.target.target[t, row] == pytest.approx(expected, abs=1e-12)
    for t, row in np.argwhere(ends.terminated):
        expected = trace["loss"][t, row]
        assert credit.target.target[t, row] == pytest.approx(expected, abs=1e-12)


def test_credit_that_no_episode_ends_looks_past_a_truncation():
    trace, credit, ends = acting(gae(boundary=None), truncate=True)
    v, last = trace["v"], value_of(trace["last"])
    delta = trace["loss"] + DISCOUNT * np.vstack([v[1:], last[None]]) - v
    expected = [
        sum((DISCOUNT * 0.7) ** k * delta[t + k] for k in range(len(v) - t))
        for t in range(len(v))
    ]
    assert ends.truncated.any()
    assert np.allclose(credit.advantage, expected)


def test_a_learned_baseline_is_fitted_to_the_costs_up_to_the_cut():
    estimator = scg.ScoreFunction(baseline=scg.LearnedBaseline("v"))
    trace, credit, ends = acting(estimator, truncate=True)
    assert np.allclose(credit.target.target, credit.cost)
    assert np.allclose(credit.advantage, credit.cost - trace["v"])
    cut = ends.truncated
    assert np.allclose(credit.cost[cut], trace["loss"][cut])


def remembering(after_step, value, *, length=12, calls=None):
    """Act with two carries, of which one mixes the observation into what was before."""
    graph = scg.Graph()
    theta, phi = graph.param("theta", 0.2), graph.param("phi", 0.7)
    bias = graph.input("bias")
    world = scg.Environment(Episodes(truncate=True), seed=3)

    def step(carry):
        count, memory = carry
        graph.value("v", value(count, memory, phi, bias))
        a = graph.sample("a", scg.Bernoulli(logits=theta * (1 + count)))
        count, reward, _ = world(a.astype(np.int64))
        graph.cost("loss", -reward)
        memory = after_step(graph, count, memory, a)
        graph.rename("count", count)
        graph.rename("memory", memory)
        return count, memory

    graph.scan(step, (world.reset(), bias * 0.5), length=length)
    program = Program(graph.store, {"a": gae()})
    inputs = {"bias": np.array([0.3, -0.2, 1.0])}
    params = {"theta": 0.2, "phi": 0.7}
    trace = run(program, params, inputs, rng=np.random.default_rng(0))
    if calls is not None:
        calls.clear()
    (credit,) = assign(program, trace, {}).values()
    (ends,) = trace.ends.values()
    return trace, credit, ends, inputs["bias"]


def leaky(graph, count, memory, a):
    return 0.5 * memory + np.tanh(count) * (1 + a)


def of_all(count, memory, phi, bias):
    return phi * count + np.cos(memory) + bias


def test_other_carries_are_carried_on_from_the_step_that_was_cut():
    trace, credit, ends, bias = remembering(leaky, of_all)
    finals = last_observations(ends)
    before = np.vstack([0.5 * bias[None], trace["memory"][:-1]])

    def after(t, row):
        if (t, row) not in finals:
            count, memory = trace["count"][t, row], trace["memory"][t, row]
        else:
            count = finals[t, row]
            memory = 0.5 * before[t, row]
            memory += np.tanh(count) * (1 + trace["a"][t, row])
        return 0.7 * count + np.cos(memory) + bias[row]

    assert ends.truncated.sum() > 2
    expected = gae_double_loop(trace["loss"], trace["v"], after, ends, DISCOUNT, 0.7)
    assert np.allclose(credit.advantage, expected, rtol=0, atol=1e-12)


def test_all_truncated_episodes_are_evaluated_in_one_batch():
    calls = []

    def counted(x):
        calls.append(len(x))
        return np.sin(x)

    look = scg.black_box(counted, (), float)
    value = lambda count, memory, phi, bias: phi + look(count)  # noqa: E731
    _, _, ends, _ = remembering(leaky, value, calls=calls)
    assert calls == [3, ends.truncated.sum()]  # the end of the loop, and the cuts


def test_a_value_may_not_need_a_sample_drawn_after_the_last_observation():
    def noisy(graph, count, memory, a):
        return graph.sample("noise", scg.Normal(mean=count, scale=1.0)) * 1.0

    with pytest.raises(scg.EstimatorError, match="stochastic node 'noise'"):
        remembering(noisy, of_all)
    only_count = lambda count, memory, phi, bias: phi * count + bias  # noqa: E731
    _, credit, ends, _ = remembering(noisy, only_count)
    assert ends.truncated.any()
    assert np.isfinite(credit.advantage).all()


def test_a_value_of_a_sample_of_its_step_cannot_be_evaluated_after_the_last_one():
    graph = scg.Graph()
    theta = graph.param("theta", 0.1)

    def step(h):
        other = graph.sample("other", scg.Normal(mean=h, scale=1.0))
        graph.value("v", other * theta)
        b = graph.sample("b", scg.Bernoulli(logits=h * theta))
        graph.cost("loss", b)
        return h + b

    graph.scan(step, graph.input("start"), length=3)
    with pytest.raises(scg.EstimatorError, match="stochastic node 'other'"):
        scg.estimate_gradient(
            graph,
            {"theta": 0.1},
            {"start": np.ones(2)},
            estimators={"b": scg.ScoreFunction(critic=scg.GAE("v"))},
            rng=np.random.default_rng(0),
        )


def test_steps_of_sparse_and_paired_values_are_picked_like_dense_ones():
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.random.default_rng(0).integers(3, size=(4, 3, 5))
    steps, rows = np.array([0, 2, 3]), np.array([1, 1, 0])
    picked = _cells([sparse.csr_matrix(x) for x in dense], steps, rows)
    assert (picked.toarray() == dense[steps, rows]).all()
    first, second = _cells((dense, -dense), steps, rows)
    assert (first == -second).all()
