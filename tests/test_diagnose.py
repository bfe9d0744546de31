"""What is found during a run, and that looking for it changes nothing."""

import logging

import numpy as np
import pytest
from fit_runs import assert_same_bits, noisy_fit

import scg
from scg.findings import Findings
from scg.fit import fit
from scg.gradient_noise import GradientNoise
from scg.watch import GRADIENT_EVERY, NODES_EVERY, Watch


def toy(logit=0.0, cost=lambda b: (b - 0.45) ** 2):
    graph = scg.Graph()
    theta = graph.param("theta", logit)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", cost(b))
    return graph


def trained(graph, estimators=None, *, num_steps=600, seed=1, rate=0.0, **options):
    model = scg.compile(graph, estimators)
    chosen = {"rows": 8, "diagnose": True, "progress": False, **options}
    return fit(
        model,
        graph.init(np.random.default_rng(0)),
        optimizer=scg.sgd(rate),
        rng=np.random.default_rng(seed),
        num_steps=num_steps,
        **chosen,
    )


def layered():
    """Return a model with a layer, a learned baseline and a coin in it."""
    graph = scg.Graph(dtype=np.float32)
    x = graph.input("x", shape=(3,))
    w = graph.param("w", lambda rng: rng.normal(size=(3, 5)).astype(np.float32))
    u = graph.param("u", np.zeros(5, np.float32))
    v = graph.param("v", np.zeros(3, np.float32))
    h = graph.rename("h", np.maximum(x @ w, 0))
    graph.value("value", x @ v)
    b = graph.sample("b", scg.Bernoulli(logits=h @ u))
    graph.cost("loss", (b - 0.45) ** 2 + x[:, 0])
    return graph


def data(rng, step):
    return {"x": rng.normal(size=(16, 3)).astype(np.float32)}


LEARNED = {"b": scg.ScoreFunction(baseline=scg.LearnedBaseline("value"))}


@pytest.mark.parametrize("optimizer", [scg.adam(0.01), scg.sgd(0.1)])
@pytest.mark.parametrize(
    "estimators", [LEARNED, {"b": scg.ScoreFunction(baseline=scg.MovingAverage())}]
)
def test_a_run_that_is_watched_is_the_same_bit_for_bit(optimizer, estimators):
    graph = layered() if estimators is LEARNED else toy()
    inputs = {"data": data} if estimators is LEARNED else {"rows": 7}
    results = [
        fit(
            scg.compile(graph, estimators),
            graph.init(np.random.default_rng(0)),
            optimizer=optimizer,
            rng=np.random.default_rng(3),
            num_steps=2 * NODES_EVERY + 3,
            diagnose=diagnose,
            progress=False,
            **inputs,
        )
        for diagnose in (False, True)
    ]
    without, watched = results
    assert_same_bits(without.params, watched.params)
    assert_same_bits(without.optimizer_state, watched.optimizer_state)
    assert_same_bits(without.state or {}, watched.state or {})
    for one, other in zip(without.history, watched.history, strict=True):
        assert one["cost"] == other["cost"]
        assert "entropy" in other
        assert "entropy" not in one


def test_a_function_that_is_no_graph_may_be_watched():
    plain = noisy_fit(None, 30)
    watched = noisy_fit(None, 30, diagnose=True)
    assert_same_bits(plain.params, watched.params)
    assert "signal_to_noise" in watched.history[-1]
    assert plain.findings == watched.findings == ()


def test_a_resumed_run_that_is_watched_ends_with_the_same_bits(tmp_path):
    noisy_fit(tmp_path, 20, diagnose=True)
    resumed = noisy_fit(tmp_path, 40, diagnose=True)
    assert_same_bits(resumed.params, noisy_fit(None, 40).params)


def test_the_entropy_is_the_closed_form():
    history = trained(toy(0.7), num_steps=2).history
    p = 1 / (1 + np.exp(-0.7))
    exact = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert [record["entropy"] for record in history] == pytest.approx([exact] * 2)


def test_a_healthy_run_has_no_findings(caplog):
    result = trained(
        toy(cost=lambda b: b),
        {"b": scg.ScoreFunction(baseline=scg.BatchMean())},
        rows=100,
    )
    assert result.findings == ()
    assert not caplog.records


def test_an_entropy_that_collapsed_is_found(caplog):
    with caplog.at_level(logging.WARNING, "scg.findings"):
        result = trained(toy(8.0), {"b": scg.Enumeration()})
    (sentence,) = result.findings
    assert sentence.startswith("node 'b': for 500 steps its entropy has been below 1%")
    assert [r.getMessage() for r in caplog.records] == [sentence]


def test_an_entropy_that_collapsed_only_lately_is_not():
    steps = 4 * NODES_EVERY  # four looks, and five are needed
    assert trained(toy(8.0), {"b": scg.Enumeration()}, num_steps=steps).findings == ()


def test_a_sample_without_credit_and_a_param_without_gradient_are_found():
    same = trained(
        toy(cost=lambda b: 0 * b + 1),
        {"b": scg.ScoreFunction(baseline=scg.BatchMean())},
    )
    kinds = [sentence.split(":")[0] for sentence in same.findings]
    assert sorted(kinds) == ["node 'b'", "param 'theta'"]
    assert any("made no difference" in sentence for sentence in same.findings)
    assert any("exactly 0 for 300 steps" in sentence for sentence in same.findings)


def test_a_learned_baseline_that_is_no_better_than_the_mean_is_found():
    graph = layered()
    params = graph.init(np.random.default_rng(0)) | {"v": np.float32([-1, 0, 0])}
    model = scg.compile(graph, LEARNED)
    options = {"optimizer": scg.sgd(0.0), "num_steps": 500, "progress": False}
    options |= {"data": data, "diagnose": True, "rng": np.random.default_rng(0)}
    bad = fit(model, params, **options)
    # The cost is x plus a coin of variance σ², the value is -x, or x.
    noise = 0.25 * 0.1**2
    assert bad.history[-1]["explained_variance"] == pytest.approx(-3, abs=0.2)
    assert any("no better than the mean cost" in s for s in bad.findings)
    good = fit(model, params | {"v": np.float32([1, 0, 0])}, **options)
    exact = 1 - noise / (1 + noise)
    assert good.history[-1]["explained_variance"] == pytest.approx(exact, abs=0.01)
    assert not any("no better" in s for s in good.findings)


def test_dead_units_are_found():
    graph = layered()
    params = graph.init(np.random.default_rng(0))
    params["w"][:] = 0
    params["w"][0, 0] = 1
    params["u"][:] = 1
    result = fit(
        scg.compile(graph, LEARNED),
        params,
        optimizer=scg.sgd(0.0),
        rng=np.random.default_rng(0),
        num_steps=500,
        data=data,
        diagnose=True,
        progress=False,
    )
    assert result.history[-1]["dead_units"] == pytest.approx(0.8)
    assert any("'h': 80% of its units" in s for s in result.findings)


def test_units_that_are_silent_in_single_rows_are_not_dead():
    graph = layered()
    result = fit(
        scg.compile(graph, LEARNED),
        graph.init(np.random.default_rng(0)),
        optimizer=scg.sgd(0.0),
        rng=np.random.default_rng(0),
        num_steps=10 * NODES_EVERY,
        data=lambda rng, step: {"x": rng.normal(size=(1, 3)).astype(np.float32)},
        diagnose=True,
        progress=False,
    )
    assert result.history[0]["dead_units"] > 0
    assert not any("of its units" in s for s in result.findings)


@pytest.mark.statistical
def test_signal_to_noise_is_found_from_the_gradients_at_hand():
    rng, noise = np.random.default_rng(0), GradientNoise()
    for _ in range(2000):
        noise.add({"a": rng.normal(0.5, 1, 40), "b": rng.normal(0.5, 1, (20, 3))})
    # ‖μ‖ / √T = 0.5; the last 100 estimates or so of 100 entries count.
    assert abs(noise.ratio - 0.5) < 5 / np.sqrt(100 * 100)


@pytest.mark.statistical
def test_noise_without_a_signal_is_found_and_a_signal_is_not():
    rng, watches = np.random.default_rng(0), [Watch(), Watch()]
    for _ in range(80):
        noise = rng.normal(size=400)
        watches[0]._look_at_gradient({"w": noise})
        watches[1]._look_at_gradient({"w": noise + 0.5})
    assert any("noise has been over 20 times" in s for s in watches[0].findings.said)
    assert watches[1].findings.said == []


def test_a_gradient_without_noise_has_an_infinite_ratio():
    noise = GradientNoise()
    for k in range(6):
        assert np.isnan(noise.ratio), k
        noise.add({"x": np.array(2.0)})
        if k == 4:
            break
    assert noise.ratio == np.inf


def test_a_streak_that_breaks_begins_again_and_a_sentence_comes_once():
    findings = Findings()
    for holds in [True, True, False, True, True]:
        findings.note("no gradient", "w", holds, looks=3, every=1)
    assert findings.said == []
    for _ in range(5):
        findings.note("no gradient", "w", True, looks=3, every=1)
    assert len(findings.said) == 1


def test_what_a_method_says_is_seen():
    watch = Watch()
    for _ in range(50):
        watch.see({"clipped": 0.7, "kl": 0.2, "explained_variance": -0.1})
    assert len(watch.findings.said) == 3
    calm = Watch()
    for _ in range(50):
        calm.see({"clipped": 0.2, "kl": 0.01, "explained_variance": 0.5})
    assert calm.findings.said == []


def test_a_clipped_run_is_watched_without_a_change():
    graph = toy()
    estimators = {"b": scg.ScoreFunction(baseline=scg.BatchMean())}
    results = []
    for diagnose in (False, True):
        method = scg.Clipped(
            scg.compile(graph, estimators), scg.adam(0.05), batch_size=10, rows=20
        )
        results.append(
            fit(
                method,
                graph.init(np.random.default_rng(0)),
                rng=np.random.default_rng(0),
                num_steps=5,
                progress=False,
                diagnose=diagnose,
            )
        )
    assert_same_bits(results[0].params, results[1].params)


def test_looks_are_at_steps_that_do_not_depend_on_the_clock():
    history = trained(toy(), num_steps=NODES_EVERY + 1, rate=1.0).history
    entropies = [record["entropy"] for record in history]
    assert len(set(entropies[:NODES_EVERY])) == 1
    assert entropies[NODES_EVERY] != entropies[0]
    assert GRADIENT_EVERY < NODES_EVERY


def test_what_has_been_said_is_not_said_again_after_a_pause():
    findings = Findings()
    for holds in [True] * 2 + [False] + [True] * 4:
        findings.note("no gradient", "w", holds, looks=2, every=10)
    findings.note("no gradient", "u", True, looks=1, every=10)
    assert [said[:9] for said in findings.said] == ["param 'w'", "param 'u'"]
