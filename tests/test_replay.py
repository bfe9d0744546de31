import numpy as np
import pytest
from replay_graphs import BUILDERS, LENGTH, compiled, feed_forward, recurrent

import scg
from scg.replay import Replay


def run(build):
    model, params, moved, inputs = compiled(build)
    trace = model.forward(params, inputs, rng=np.random.default_rng(0))
    return model, trace, params, moved, inputs


def recorded(model, trace):
    names = [n.name for n in model.program.nodes if trace.values[n.index] is not None]
    return [n for n in names if isinstance(trace[n], np.ndarray)]


@pytest.mark.parametrize("build", BUILDERS)
def test_a_replay_under_the_same_params_is_the_run(build):
    model, trace, params, _, _ = run(build)
    again = Replay(model.program, trace)(params)
    for name in recorded(model, trace):
        np.testing.assert_array_equal(again[name], trace[name], err_msg=name)


@pytest.mark.parametrize("build", [recurrent, BUILDERS[2]])
def test_a_replay_is_a_run_under_the_new_params_with_the_samples_given(build):
    model, trace, _, moved, inputs = run(build)
    samples = {k: trace[k] for k in ("k", "m") if k in trace.names}
    expected = model.forward(moved, inputs, rng=np.random.default_rng(0), given=samples)
    again = Replay(model.program, trace)(moved)
    names = recorded(model, trace)
    for name in names:
        np.testing.assert_allclose(again[name], expected[name], rtol=1e-13)
    assert any(np.any(again[name] != trace[name]) for name in names)


def test_a_pathwise_sample_moves_with_its_params_on_the_same_noise():
    model, trace, _, moved, _ = run(feed_forward)
    again = Replay(model.program, trace)(moved)
    noise = np.stack(trace.noise[model.program.names["z"]])
    now = again.distribution("z")
    np.testing.assert_allclose(
        again["z"], now.mean + np.exp(now.log_scale) * noise, rtol=1e-13
    )
    assert np.abs(again["z"] - trace["z"]).max() > 0.01


def test_folded_cells_are_the_cells_of_the_whole_replay():
    model, trace, _, moved, _ = run(feed_forward)
    replay = Replay(model.program, trace)
    assert replay.folds
    assert replay.count == LENGTH * 5
    cells = np.array([7, 0, 19, 7])
    whole, some = replay(moved), replay(moved, cells)
    for name in ("k", "z", "v", "near"):
        expected = whole[name].reshape(20)[cells]
        np.testing.assert_allclose(some[name][0], expected, rtol=1e-13)
        np.testing.assert_array_equal(
            replay.pick(model.program.node(name), whole[name], cells), some[name]
        )


@pytest.mark.parametrize("build", [recurrent, BUILDERS[2]])
def test_rows_are_the_rows_of_the_whole_replay(build):
    model, trace, _, moved, _ = run(build)
    replay = Replay(model.program, trace)
    assert not replay.folds
    assert replay.count == 5
    rows = np.array([4, 1])
    whole, some = replay(moved), replay(moved, rows)
    for name in ("k", "v", "far"):
        node = model.program.node(name)
        expected = replay.pick(node, whole[name], rows)
        np.testing.assert_allclose(some[name], expected, rtol=1e-13)
    assert some.rows == 2


def test_a_replay_of_branches_is_refused():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    graph.cost("loss", graph.sample("b", scg.Bernoulli(logits=theta)) * 1.0)
    rng = np.random.default_rng(0)
    model = scg.compile(graph, {"b": scg.ScoreFunction(samples=2)})
    with pytest.raises(scg.EstimatorError, match=r"branches of \['b'\]"):
        Replay(model.program, model.forward({"theta": 0.0}, rng=rng))
    model = scg.compile(graph)
    trace = model.forward({"theta": 0.0}, rng=rng, samples=3)
    with pytest.raises(scg.EstimatorError, match="samples > 1"):
        Replay(model.program, trace)


def test_a_replay_of_rows_that_are_mixed_is_refused():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    x = graph.input("x")
    centred = scg.deterministic(lambda x: x - x.mean(axis=0), rows=False)
    b = graph.sample("b", scg.Bernoulli(logits=centred(x * theta)))
    graph.cost("loss", b * 1.0)
    model = scg.compile(graph)
    trace = model.forward(
        {"theta": 1.0}, {"x": np.arange(3.0)}, rng=np.random.default_rng(0)
    )
    with pytest.raises(scg.EstimatorError, match="got nodes that mix rows"):
        Replay(model.program, trace)


def test_the_distribution_of_a_trace_is_that_of_its_params():
    _, trace, params, _, inputs = run(BUILDERS[2])
    expected = inputs["x"] @ params["w"]
    np.testing.assert_allclose(trace.distribution("k").logits, expected)
    with pytest.raises(scg.GraphError, match="expected a stochastic node, got cost"):
        trace.distribution("far")
    with pytest.raises(scg.UnknownNameError, match="'k'"):
        trace.distribution("kk")
