import threading
import time

import numpy as np
import pytest
from oracles import finite_difference
from replay_graphs import BUILDERS, LENGTH, compiled, feed_forward, timeless

import scg
from scg.clipped import _Batch, log_prob
from scg.replay import Replay

CLIP, ENTROPY = 0.1, 0.3


def batch_of(build):
    model, params, moved, inputs = compiled(build)
    estimate = model(params, inputs, rng=np.random.default_rng(0))
    return (
        model,
        params,
        moved,
        estimate,
        _Batch(model.program, estimate.trace, params, {}),
    )


@pytest.mark.parametrize("build", BUILDERS)
def test_the_first_step_follows_the_score_function_gradient(build):
    _, params, _, estimate, batch = batch_of(build)
    gradient, figures = batch.gradient(params, np.arange(batch.replay.count), CLIP, 0.0)
    steps = LENGTH if batch.replay.folds else 1
    for name, expected in estimate.gradient.items():
        np.testing.assert_allclose(gradient[name] * steps, expected, rtol=1e-10)
    assert figures["kl"] == figures["clipped"] == 0


def surrogate(build, clip, entropy):
    """Return the clipped surrogate as a plain function of the params."""
    model, params, _, estimate, batch = batch_of(build)
    program, replay = model.program, Replay(model.program, estimate.trace)
    then = replay(params)
    steps = LENGTH if replay.folds else 1

    def per_row(value):
        return value.sum(axis=0) if value.ndim == 2 else value

    def loss(at):
        now = replay(at)
        total = 0.0
        for cost in program.costs:
            if cost.index in program.flow.carrying:
                total = total + per_row(now[cost.name])
        for i, credit in batch.credits.items():
            node = program.nodes[i]
            ratio = np.exp(log_prob(now, node) - log_prob(then, node))
            A = credit.advantage
            clipped = np.clip(ratio, 1 - clip, 1 + clip)
            total = total + per_row(np.maximum(ratio * A, clipped * A))
            distribution = now.distribution(node.name)
            zeros = 0 * distribution.log_prob(now[node.name])
            h = distribution.entropy() + zeros
            total = total - entropy * per_row(h)
            if credit.target is not None:
                error = now.values[credit.target.value] - credit.target.target
                total = total + per_row(0.5 * credit.target.weight * error**2)
        return float(np.mean(total)) / steps

    return batch, loss


@pytest.mark.parametrize("entropy", [0.0, ENTROPY])
@pytest.mark.parametrize("build", BUILDERS)
def test_the_gradient_is_the_derivative_of_the_clipped_surrogate(build, entropy):
    batch, loss = surrogate(build, CLIP, entropy)
    _, _, moved, _ = compiled(build)
    cells = np.arange(batch.replay.count)
    gradient, figures = batch.gradient(moved, cells, CLIP, entropy)
    assert 0 < figures["clipped"] < 1
    expected = finite_difference(loss, moved)
    for name, value in expected.items():
        np.testing.assert_allclose(gradient[name], value, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("build", BUILDERS)
def test_the_figures_are_those_of_their_definitions(build):
    batch, _ = surrogate(build, CLIP, 0.0)
    model, params, moved, _ = compiled(build)
    _, figures = batch.gradient(moved, np.arange(batch.replay.count), CLIP, 0.0)
    replay = batch.replay
    then, now = replay(params), replay(moved)
    changes = []
    for i in batch.credits:
        node = model.program.nodes[i]
        changes.append(log_prob(now, node) - log_prob(then, node))
    # The mean of r - 1 - log r over draws of the old policy estimates KL(old, new).
    kl = [np.mean(np.expm1(c) - c) for c in changes]
    assert figures["kl"] == pytest.approx(np.mean(kl), rel=1e-10)
    assert figures["kl"] > 0
    fitted = [c for c in batch.credits.values() if c.target is not None]
    shares = [
        1
        - np.var(c.target.target - then.values[c.target.value])
        / np.var(c.target.target)
        for c in fitted
    ]
    found = batch.explained_variance()
    assert found == (
        {"explained_variance": pytest.approx(np.mean(shares))} if fitted else {}
    )


def test_the_oracle_tells_another_clip_and_another_entropy():
    batch, loss = surrogate(feed_forward, CLIP, ENTROPY)
    _, _, moved, _ = compiled(feed_forward)
    cells = np.arange(batch.replay.count)
    expected = finite_difference(loss, moved)
    for clip, entropy in ((10.0, ENTROPY), (CLIP, 0.0)):
        gradient, _ = batch.gradient(moved, cells, clip, entropy)
        assert np.abs(gradient["c"] - expected["c"]).max() > 1e-3


@pytest.mark.parametrize("build", BUILDERS)
def test_minibatches_of_one_size_average_to_the_whole(build):
    _, _, moved, _, batch = batch_of(build)
    count = batch.replay.count
    whole, _ = batch.gradient(moved, np.arange(count), CLIP, ENTROPY)
    order = np.random.default_rng(2).permutation(count)
    parts = [batch.gradient(moved, p, CLIP, ENTROPY)[0] for p in order.reshape(5, -1)]
    for name, expected in whole.items():
        mean = np.mean([p[name] for p in parts], axis=0)
        np.testing.assert_allclose(mean, expected, rtol=1e-10, atol=1e-14)


def train(ahead, num_steps=6, **options):
    model, params, _, inputs = compiled(timeless)
    rows = {"x": np.repeat(inputs["x"], 8, axis=0)}
    method = scg.Clipped(
        model, scg.adam(0.05), batch_size=10, ahead=ahead,
        data=lambda rng, step: rows, **options,
    )  # fmt: skip
    rng = np.random.default_rng(3)
    return scg.fit(method, params, rng=rng, num_steps=num_steps, progress=False)


@pytest.mark.parametrize("ahead", [False, True])
def test_training_lowers_the_cost_and_repeats_bit_for_bit(ahead):
    first, second = train(ahead, num_steps=30), train(ahead, num_steps=30)
    for name, value in first.params.items():
        np.testing.assert_array_equal(value, second.params[name])
    costs = [record["cost"] for record in first.history]
    assert np.mean(costs[-5:]) < np.mean(costs[:5]) - 0.1
    assert {"kl", "clipped", "gradient_norm", "explained_variance"} <= set(
        first.history[0]
    )


def test_acting_ahead_is_one_update_behind():
    acting = []
    model, params, _, inputs = compiled(timeless)

    class Spy:
        program = model.program

        def forward(self, params, *args, **kwargs):
            if threading.current_thread() is not threading.main_thread():
                time.sleep(0.1)  # until learning has overwritten its params
            acting.append((threading.current_thread(), params["w"].copy()))
            return model.forward(params, *args, **kwargs)

    method = scg.Clipped(Spy(), scg.sgd(0.1), ahead=True, data=lambda rng, step: inputs)
    rng = np.random.default_rng(0)
    seen = []
    scg.fit(
        method, params, rng=rng, num_steps=3, progress=False,
        callbacks=[lambda now: seen.append(now.params["w"].copy())],
    )  # fmt: skip
    method.settle()
    starts = [params["w"], params["w"], seen[0], seen[1]]
    for (_, got), expected in zip(acting, starts, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert threading.main_thread() not in {thread for thread, _ in acting[1:]}


def test_an_error_while_acting_ahead_is_raised():
    model, params, _, inputs = compiled(timeless)
    broken = dict(inputs)

    def data(rng, step):
        return broken if step == 2 else inputs

    broken["x"] = np.full((5, 2), np.nan)
    method = scg.Clipped(model, scg.sgd(0.1), ahead=True, data=data)
    with pytest.raises(scg.InputError, match="'x': expected finite numbers"):
        scg.fit(
            method, params, rng=np.random.default_rng(0), num_steps=5, progress=False
        )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"clip": 0.0}, "clip: expected a number above 0, got 0.0"),
        ({"entropy": -1.0}, "expected .* got -1.0"),
    ],
)
def test_numbers_out_of_range_are_refused(options, says):
    model, _, _, _ = compiled(timeless)
    with pytest.raises(scg.InputError, match=says):
        scg.Clipped(model, scg.sgd(0.1), **options)


@pytest.mark.parametrize("estimator", [scg.Enumeration(), scg.ScoreFunction(samples=2)])
def test_estimators_with_branches_are_refused(estimator):
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    graph.cost("loss", graph.sample("b", scg.Bernoulli(logits=theta)) * 1.0)
    model = scg.compile(graph, {"b": estimator})
    with pytest.raises(scg.EstimatorError, match="node 'b': expected ScoreFunction"):
        scg.Clipped(model, scg.sgd(0.1))


def test_a_schedule_of_the_entropy_goes_by_steps():
    seen = []

    def weight(step):
        seen.append(step)
        return 0.1 / (1 + step)

    scheduled = train(ahead=False, num_steps=3, entropy=weight)
    constant = train(ahead=False, num_steps=3, entropy=0.1)
    assert seen == [0, 1, 2]
    assert scheduled.history[0] == {
        **constant.history[0],
        "seconds": pytest.approx(scheduled.history[0]["seconds"]),
    }
    assert scheduled.history[2]["cost"] != constant.history[2]["cost"]
