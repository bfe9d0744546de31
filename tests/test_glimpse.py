"""Glimpses see what a slow loop sees, and are trained by the gradient that they say."""

import signal
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from markdown_code import ROOT
from test_examples import load

import scg

SMALL = {"batch": 5, "copies": 3, "glimpses": 4}


@pytest.fixture(autouse=True)
def folders(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.syspath_prepend(ROOT / "examples")


@pytest.fixture
def glimpse(monkeypatch):
    return load("glimpse", monkeypatch)


@pytest.fixture
def retina():
    return import_module("glimpse_retina")


@pytest.fixture
def tasks():
    return import_module("glimpse_tasks")


def seen_slowly(image, at, patch, scales):
    """Look at every pixel by itself; float64."""
    size = len(image)
    across, down = (int(np.rint(np.float32(x + 1) * np.float32(size / 2))) for x in at)
    found = np.zeros((scales, patch, patch))
    for s in range(scales):
        zoom = 2**s
        for i in range(patch * zoom):
            for j in range(patch * zoom):
                y = down - patch * zoom // 2 + i
                x = across - patch * zoom // 2 + j
                if 0 <= y < size and 0 <= x < size:
                    found[s, i // zoom, j // zoom] += image[y, x] / 255 / zoom**2
    return found


@pytest.mark.parametrize(
    ("size", "patch", "scales"), [(28, 8, 1), (60, 12, 3), (9, 2, 2)]
)
def test_the_retina_sees_what_a_slow_loop_sees(retina, size, patch, scales):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, size, size), np.uint8, endpoint=False)
    at = rng.uniform(-1, 1, (9, 2)).astype(np.float32)
    at[:4] = [[-1, -1], [1, 1], [-1, 1], [0, 0]]
    seen = retina.make_retina(patch, scales)(retina.sums(images), at)
    slow = np.array(
        [
            seen_slowly(image, place, patch, scales)
            for image, place in zip(images, at, strict=True)
        ]
    )
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, slow, atol=1e-6)
    # Places are across, then down; a pixel elsewhere would be seen.
    assert np.abs(seen - np.swapaxes(slow, 2, 3)).max() > 0.1
    moved = retina.make_retina(patch, scales)(
        retina.sums(np.roll(images, 1, axis=2)), at
    )
    assert np.abs(moved - slow).max() > 0.1


def test_the_table_of_sums_is_exact(retina):
    images = np.full((2, 60, 60), 255, np.uint8)
    images[1] = np.random.default_rng(0).integers(0, 256, (60, 60))
    table = retina.sums(images)
    exact = images.astype(np.int64).cumsum(axis=1).cumsum(axis=2)
    assert table.dtype == np.float32
    assert np.array_equal(table[:, 1:, 1:], exact)
    assert not table[:, 0].any()
    assert not table[:, :, 0].any()


def test_a_translated_image_is_the_digit_somewhere(tasks):
    rng = np.random.default_rng(0)
    digits = rng.integers(1, 256, (4, 28, 28), np.uint8, endpoint=False)
    chosen = rng.integers(4, size=200)
    images = tasks.make_images("translated", digits, chosen, rng)
    corners = []
    for image, k in zip(images, chosen, strict=True):
        y, x = np.argwhere(image)[0]
        assert np.array_equal(image[y : y + 28, x : x + 28], digits[k])
        assert np.count_nonzero(image) == 28 * 28
        corners.append((y, x))
    assert np.min(corners) == 0
    assert np.max(corners) == 32
    assert len(set(corners)) > 150


def test_clutter_is_pieces_of_digits_around_the_same_digit(tasks):
    digits = np.arange(1, 5, dtype=np.uint8)[:, None, None] * np.ones(
        (28, 28), np.uint8
    )
    chosen = np.zeros(300, int)  # the darkest: it hides no piece
    plain = tasks.make_images("translated", digits, chosen, np.random.default_rng(0))
    images = tasks.make_images("cluttered", digits, chosen, np.random.default_rng(0))
    added = np.where(images == plain, 0, images)
    assert np.all(images >= plain)
    assert set(np.unique(added)) == {0, 1, 2, 3, 4}
    areas = np.count_nonzero(added, axis=(1, 2))
    assert areas.max() == 4 * 64
    assert areas.min() < 4 * 64  # where pieces fall on each other


def run_small(glimpse, **options):
    """Return a small model with params of its own, a run, and its estimate."""
    speed = import_module("glimpse_speed")
    config = glimpse.Config(**{**SMALL, **options})
    model, params, inputs = speed.model_and_inputs(config)
    rng = np.random.default_rng(1)
    params = {
        k: v + rng.normal(size=v.shape).astype(np.float32) * np.float32(0.05)
        for k, v in params.items()
    }
    params["locator.bias"] = np.array([1.6, -0.3], np.float32)  # near the border
    return speed, config, model, params, inputs


def estimate_of(model, params, inputs, config, given=None):
    return model(
        params, inputs, rng=np.random.default_rng(2), samples=config.copies, given=given
    )


def test_the_gradient_is_that_of_numpy_by_hand(glimpse):
    speed, config, model, params, inputs = run_small(glimpse)
    estimate = estimate_of(model, params, inputs, config)
    by_hand = speed.ByHand(config)
    location = estimate.trace["location"]
    gradient = by_hand(params, inputs, rng=None, location=location)
    assert gradient.keys() == estimate.gradient.keys()
    for name, g in gradient.items():
        assert estimate.gradient[name].dtype == g.dtype == np.float32
        most = np.abs(g).max()
        np.testing.assert_allclose(
            estimate.gradient[name], g, atol=2e-5 * most, err_msg=name
        )
    # Not by being blind: what was drawn and cut off is another location's score.
    cut = by_hand(params, inputs, rng=None, location=np.clip(location, -1, 1))
    assert np.abs(location).max() > 1
    difference = cut["locator.bias"] - gradient["locator.bias"]
    assert np.abs(difference).max() > 0.01 * np.abs(gradient["locator.bias"]).max()


def plainly(params, trace, inputs, copies, config):
    """Return costs, the locations' means and h, in float64, for given locations."""
    p = {k: np.asarray(v, np.float64) for k, v in params.items()}

    def layer(name, x):
        return x @ p[f"{name}.weights"] + p[f"{name}.bias"]

    start = np.repeat(inputs["start"], copies, axis=0)
    at = [start, *np.clip(trace["location"][:-1], -1, 1)]
    h, means = np.zeros((len(start), 256)), []
    for t in range(config.glimpses):
        seen = trace["seen"][t].reshape(len(start), -1)
        h_g = np.maximum(layer("what", seen), 0)
        h_l = np.maximum(layer("where", np.asarray(at[t], float)), 0)
        g = np.maximum(layer("from what", h_g) + layer("from where", h_l), 0)
        h = np.maximum(layer("from past", h) + layer("from glimpse", g), 0)
        means.append(np.tanh(layer("locator", h)))
    logits = layer("decision", h)
    label = np.repeat(inputs["label"], copies)
    peak = logits.max(axis=1)
    norm = peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1))
    every = np.arange(len(label))
    return (
        norm - logits[every, label],
        1.0 * (logits.argmax(axis=1) != label),
        np.array(means),
    )


@pytest.mark.parametrize("credit", ["both", "wrong"])
def test_the_gradient_is_that_of_finite_differences(glimpse, credit):
    _, config, _, params, inputs = run_small(glimpse, deviation=0.5, batch=12)
    model, _ = glimpse.compiled(replace(config, credit=credit))
    estimate = estimate_of(model, params, inputs, config)
    # What the first of three copies says is right, what another may say is not.
    says = estimate.trace["logits"].argmax(axis=1)
    inputs["label"] = says[:: config.copies]
    estimate = estimate_of(model, params, inputs, config)
    trace, rng = estimate.trace, np.random.default_rng(3)
    entropy, wrong, _ = plainly(params, trace, inputs, config.copies, config)
    np.testing.assert_allclose(trace["cross-entropy"], entropy, rtol=1e-4, atol=1e-6)
    assert np.array_equal(trace["wrong"], wrong)
    assert 0 < wrong.mean() < 1
    cost = (wrong + entropy if credit == "both" else wrong).reshape(-1, config.copies)
    others = (cost.sum(axis=1, keepdims=True) - cost) / (config.copies - 1)
    advantage = (cost - others).reshape(-1)
    assert np.abs(advantage).max() > 0.1

    def surrogate(name, moved):
        entropy, _, means = plainly(
            {**params, name: moved}, trace, inputs, config.copies, config
        )
        if not name.startswith("locator"):
            return entropy.mean()  # whatever else reads h does not train it
        z = (trace["location"] - means)[:-1] / config.deviation
        return (advantage * (-0.5 * z**2).sum(axis=(0, 2))).mean()

    for name, value in params.items():
        direction = rng.normal(size=value.shape)
        step = 1e-6 * direction
        rise = surrogate(name, value + step) - surrogate(name, value - step)
        expected = rise / 2e-6
        got = np.sum(estimate.gradient[name] * direction)
        most = np.linalg.norm(estimate.gradient[name]) * 1e-3
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=most, err_msg=name)


def test_the_last_location_influences_no_cost(glimpse):
    _, config, model, params, inputs = run_small(glimpse)
    location = estimate_of(model, params, inputs, config).trace["location"]

    def gradient(t):
        moved = location.copy()
        moved[t] += np.float32(0.5)
        found = estimate_of(model, params, inputs, config, {"location": moved})
        return found.gradient

    last, before = gradient(-1), gradient(-2)
    same = gradient(slice(0, 0))
    assert all(np.array_equal(last[k], same[k]) for k in same)
    assert not np.allclose(before["locator.bias"], same["locator.bias"], rtol=1e-2)
    assert not np.allclose(before["decision.bias"], same["decision.bias"], rtol=1e-3)


def alike(location, copies):
    """Let all copies of an image look at the same places."""
    first = location.reshape(len(location), -1, copies, 2)[:, :, :1]
    return np.repeat(first, copies, axis=2).reshape(location.shape)


def test_the_locator_gets_no_gradient_from_cross_entropy(glimpse, monkeypatch):
    _, config, model, params, inputs = run_small(glimpse)
    location = estimate_of(model, params, inputs, config).trace["location"]
    given = {"location": alike(location, config.copies)}
    gradient = estimate_of(model, params, inputs, config, given).gradient
    # Equal copies have no advantage, so that there is no score; what is left is 0.
    assert np.abs(gradient["locator.weights"]).max() < 2e-5  # rounding, over σ²
    assert np.abs(gradient["where.weights"]).max() > 1e-3

    with pytest.raises(scg.NotDifferentiableError, match="'seen' is a black box"):
        glimpse.build(config).check({"location": scg.Pathwise()})

    # A location that is not cut: past the retina, it comes back through "where".
    box = scg.black_box

    def cut_box(*args, **kwargs):
        call = box(*args, **kwargs)
        return lambda *nodes: call(*map(scg.stop_gradient, nodes))

    monkeypatch.setattr(scg, "black_box", cut_box)
    leaking = scg.compile(glimpse.build(config), {"location": scg.Pathwise()})
    leaked = estimate_of(leaking, params, inputs, config).gradient
    assert np.abs(leaked["locator.weights"]).max() > 1e-3


def test_the_model_has_as_many_numbers_as_the_published_one(glimpse):
    graph = glimpse.build(glimpse.Config(copies=1))
    params = graph.init(np.random.default_rng(0))
    assert sum(v.size for v in params.values()) == 209_677
    assert {v.dtype for v in params.values()} == {np.dtype(np.float32)}


def test_only_what_is_looked_at_is_cut_off(glimpse):
    _, config, model, params, inputs = run_small(glimpse)
    trace = estimate_of(model, params, inputs, config).trace
    assert np.abs(trace["location"]).max() > 1
    assert np.array_equal(trace["next"], np.clip(trace["location"], -1, 1))


@pytest.fixture
def blots(tmp_path):
    """Write ten blots, as noisy images with labels: digits that are quickly learnt."""
    rng = np.random.default_rng(0)
    shapes = np.kron(rng.random((10, 7, 7)) < 0.4, np.ones((4, 4)))
    arrays = {}
    for part, n in (("train", 1200), ("test", 300)):
        y = rng.integers(0, 10, n)
        x = 200 * shapes[y] + rng.integers(0, 56, (n, 28, 28))
        arrays |= {f"x_{part}": x.astype(np.uint8), f"y_{part}": y}
    np.savez(tmp_path / "blots.npz", **arrays)
    return str(tmp_path / "blots.npz")


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 4])
def test_glimpses_learn_blots(glimpse, blots, tmp_path, copies):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "run"
    config = glimpse.Config(
        data=blots, glimpses=3, copies=copies, epochs=12, folder=str(folder)
    )
    errors = glimpse.main(config)
    # Chance is 90 %.
    assert errors["sampled"] < 10
    assert errors["mean"] < 10
    assert errors["random"] > 2 * errors["sampled"]
    for name in ("errors.json", "errors.png", "glimpses.png"):
        assert (folder / name).stat().st_size > 0


def test_a_run_that_was_stopped_ends_with_the_same_bits(
    glimpse, blots, tmp_path, monkeypatch
):
    pytest.importorskip("matplotlib")
    whole = glimpse.Config(
        data=blots,
        epochs=2,
        copies=2,
        glimpses=2,
        held_out=900,
        folder=str(tmp_path / "whole"),
    )
    parts = replace(whole, folder=str(tmp_path / "parts"))
    expected = glimpse.main(whole)
    glimpse.main(replace(whole, seed=1, folder=str(tmp_path / "other")))
    note = glimpse.Clock.note

    def stop(clock, epoch, *args):
        note(clock, epoch, *args)
        if epoch == 1:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(glimpse.Clock, "note", stop)
    assert glimpse.main(parts) == {}
    found = glimpse.main(parts)
    assert {k: found[k] for k in ("sampled", "mean", "random")} == {
        k: expected[k] for k in ("sampled", "mean", "random")
    }
    one, two = (
        scg.load_params(tmp_path / name / "checkpoints") for name in ("whole", "parts")
    )
    assert all(np.array_equal(one[k], two[k]) for k in one)
    three = scg.load_params(tmp_path / "other" / "checkpoints")
    assert not all(np.array_equal(one[k], three[k]) for k in one)


def test_what_is_not_known_is_an_error_that_says_what_is(glimpse, tmp_path):
    with pytest.raises(
        scg.InputError, match=r"task: expected one of .*'cluttered'.*'x'"
    ):
        glimpse.Config(task="x")
    with pytest.raises(scg.InputError, match=r"credit: expected one of .*got 'reward'"):
        glimpse.Config(credit="reward")
    missing = glimpse.Config(data=str(tmp_path / "none.npz"))
    with pytest.raises(scg.ScgError, match="expected an npz file"):
        glimpse.main(missing)


def test_patches_of_one_glimpse_lie_over_each_other():
    whole = import_module("glimpse_pictures").whole
    patches = np.arange(8.0).reshape(2, 2, 2)
    assert whole(patches).tolist() == [
        [4, 4, 5, 5],
        [4, 0, 1, 5],
        [6, 2, 3, 7],
        [6, 6, 7, 7],
    ]
