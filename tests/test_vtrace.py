"""V-trace is what plain loops by the definition give."""

import numpy as np
import pytest
from critic_chains import DISCOUNT, chain

import scg
from scg import lookahead
from scg.credit import assign
from scg.ratios import density_ratio, log_prob
from scg.replay import Replay


def vtrace_double_loop(cost, v, last, ratio, discount, lam, rho, c):
    """Give targets and advantages by the sums of their definitions."""
    steps, rows = cost.shape
    v = np.concatenate([v, last[None]])
    r, s = np.minimum(ratio, rho), lam * np.minimum(ratio, c)
    target, advantage = v.copy(), np.zeros_like(cost)
    for i in range(rows):
        for t in range(steps):
            for k in range(t, steps):
                delta = cost[k, i] + discount * v[k + 1, i] - v[k, i]
                weight = np.prod([discount * s[j, i] for j in range(t, k)])
                target[t, i] += weight * r[k, i] * delta
        for t in range(steps):
            ahead = (1 - lam) * v[t + 1, i] + lam * target[t + 1, i]
            advantage[t, i] = r[t, i] * (cost[t, i] + discount * ahead - v[t, i])
    return advantage, target[:-1]


@pytest.mark.parametrize(("rho", "c"), [(1.0, 1.0), (0.7, 0.5), (2.0, 1.3), (9e9, 9e9)])
@pytest.mark.parametrize("lam", [1.0, 0.6])
def test_vtrace_on_a_replayed_run_equals_a_double_loop(lam, rho, c):
    critic = scg.VTrace("v", lam=lam, rho=rho, c=c)
    graph, estimators = chain(
        7, lambda v: scg.ScoreFunction(discount=DISCOUNT, critic=critic), loop=True
    )
    model = scg.compile(graph, estimators)
    rng = np.random.default_rng(1)
    x = rng.normal(size=5)
    then = {"theta": np.array(0.4), "w": np.array(0.7)}
    now = {"theta": np.array(-0.9), "w": np.array(0.2)}
    trace = model.forward(then, {"x": x}, rng=rng)
    again = model.again(trace, now)
    ratio = np.exp(
        log_prob(Replay(model.program, trace)(now), graph["a"])
        - log_prob(trace, graph["a"])
    )
    assert ratio.min() < 0.6
    assert ratio.max() > 1.2
    seen = again.trace
    last = trace.last_carries["scan"][0]
    after = 0.2 * last + 0.3 * last**2
    advantage, target = vtrace_double_loop(
        seen["c"], seen["v"], after, ratio, DISCOUNT, lam, rho, c
    )
    (credit,) = assign(model.program, seen, {}).values()
    assert np.allclose(credit.advantage, advantage, rtol=0, atol=1e-12)
    assert np.allclose(credit.target.target, target, rtol=0, atol=1e-12)


def test_vtrace_written_out_equals_the_loop_on_a_replayed_run():
    def estimator(v):
        return scg.ScoreFunction(critic=scg.VTrace(v, lam=0.9, rho=1.2, c=0.8))

    length, rng = 5, np.random.default_rng(0)
    x = rng.normal(size=4)
    drawn = rng.integers(2, size=(length, 4)).astype(float)
    z = {"z": np.array([1.0, 0.0, 0.0, 1.0])}
    then = {"theta": np.array(0.4), "w": np.array(0.7)}
    now = {"theta": np.array(-0.9), "w": np.array(0.2)}
    gradients = []
    for loop in (True, False):
        graph, estimators = chain(length, estimator, loop=loop, end=1.5)
        given = {"a": drawn} if loop else {f"a{t}": drawn[t] for t in range(length)}
        given |= z
        model = scg.compile(graph, estimators)
        trace = model.forward(then, {"x": x}, rng=rng, given=given)
        gradients.append(model.again(trace, now).gradient)
    for name in now:
        assert np.allclose(gradients[0][name], gradients[1][name], rtol=0, atol=1e-12)


def test_a_run_of_ones_own_params_has_no_ratios():
    graph, estimators = chain(
        5, lambda v: scg.ScoreFunction(critic=scg.VTrace(v, lam=0.7)), loop=True
    )
    plain = {"a": scg.ScoreFunction(critic=scg.GAE("v", lam=0.7))}
    params = {"theta": np.array(0.4), "w": np.array(0.7)}
    inputs = {"x": np.arange(3.0)}
    model = scg.compile(graph, estimators)
    estimate = model(params, inputs, rng=np.random.default_rng(0))
    other = scg.compile(graph, plain)(params, inputs, rng=np.random.default_rng(0))
    again = model.again(estimate.trace, params)
    for name in params:
        assert estimate.gradient[name] == pytest.approx(other.gradient[name], abs=1e-14)
        assert again.gradient[name] == pytest.approx(other.gradient[name], abs=1e-14)


def test_other_params_need_vtrace():
    graph, estimators = chain(
        3, lambda v: scg.ScoreFunction(critic=scg.GAE(v)), loop=True
    )
    model = scg.compile(graph, estimators)
    params = {"theta": np.array(0.4), "w": np.array(0.7)}
    trace = model.forward(params, {"x": np.ones(2)}, rng=np.random.default_rng(0))
    with pytest.raises(scg.EstimatorError, match="expected a VTrace critic"):
        model.again(trace, params)


def test_a_sample_without_vtrace_that_has_a_part_in_the_costs_is_refused():
    graph = scg.Graph()
    theta = graph.param("theta", 0.1)
    values = [graph.value(f"v{i}", graph.param(f"w{i}", 0.1)) for i in range(2)]
    a = graph.sample("a", scg.Bernoulli(logits=theta))
    b = graph.sample("b", scg.Bernoulli(logits=2 * theta))
    graph.cost("loss", (a - b) ** 2)
    assert len(values) == 2
    model = scg.compile(
        graph,
        {n: scg.ScoreFunction(critic=scg.VTrace(f"v{i}")) for i, n in enumerate("ab")},
    )
    params = graph.init(np.random.default_rng(0))
    trace = model.forward(params, rng=np.random.default_rng(0), rows=3)
    with pytest.raises(scg.EstimatorError, match="which has a part in the costs"):
        model.again(trace, params)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_clipped_update_that_acts_ahead_is_corrected_by_vtrace(ahead, monkeypatch):
    graph, estimators = chain(
        4, lambda v: scg.ScoreFunction(critic=scg.VTrace(v)), loop=True
    )
    seen = []

    def ratio(trace, node):
        seen.append(density_ratio(trace, node))
        return seen[-1]

    monkeypatch.setattr(lookahead, "density_ratio", ratio)
    method = scg.Clipped(
        scg.compile(graph, estimators),
        scg.sgd(0.5),
        epochs=1,
        batch_size=8,
        ahead=ahead,
        data=lambda rng, step: {"x": rng.normal(size=8)},
    )
    params = {"theta": np.array(0.4), "w": np.array(0.7)}
    rng = np.random.default_rng(0)
    scg.fit(method, params, rng=rng, num_steps=3, progress=False)
    off = [np.abs(r - 1).max() for r in seen]
    assert len(seen) == 3
    assert off[0] < 1e-12
    assert (max(off) > 1e-3) == ahead
