"""The discrete VAE: its bound and gradient by enumeration, and small runs of it."""

import itertools

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from markdown_code import ROOT
from test_examples import load

import scg

MEAN = np.random.default_rng(0).uniform(0.1, 0.9, size=784)
UNITS = 3


@pytest.fixture
def vae(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return load("discrete_vae", monkeypatch)


@pytest.fixture
def compare(vae, monkeypatch):
    return load("discrete_vae_compare", monkeypatch)


@pytest.fixture
def stripes(tmp_path):
    """Write images of four kinds, black and white, as if they were digits."""
    rng, images = np.random.default_rng(0), np.zeros((4, 28, 28), np.uint8)
    for kind in range(4):
        images[kind, 7 * kind : 7 * kind + 7] = 255
        images[kind, :, 5 * kind : 5 * kind + 5] = 255
    labels = rng.integers(4, size=300)
    x = images[labels]
    path = tmp_path / "stripes.npz"
    arrays = {"x_train": x[:200], "x_test": x[200:]}
    arrays |= {"y_train": labels[:200], "y_test": labels[200:]}
    np.savez(path, **arrays)
    return path


def by_enumeration(layers, params, x):
    """Return the bound, summed over all codes: an average over images."""

    def bits(name, h):
        return h @ params[f"{name}.weights"] + params[f"{name}.bias"]

    def log_p(logits, h):
        return anp.sum(h * logits - anp.logaddexp(0, logits), axis=-1)

    codes = [np.array(c, float) for c in itertools.product([0, 1], repeat=UNITS)]
    total = 0.0
    for h in itertools.product(codes, repeat=layers):
        log_q, log_joint, seen = 0.0, log_p(params["prior"], h[-1]), x - MEAN
        for i, code in enumerate(h, 1):
            log_q = log_q + log_p(bits(f"encode{i}", seen), code)
            seen = 2 * code - 1
            below = x if i == 1 else h[i - 2]
            log_joint = log_joint + log_p(bits(f"decode{i}", seen), below)
        total = total + anp.exp(log_q) * (log_q - log_joint)
    return anp.mean(total)


def tiny(vae, layers, **options):
    config = vae.Config(layers=layers, units=UNITS, **options)
    graph = vae.build(config, MEAN)
    rng = np.random.default_rng(1)
    params = graph.init(rng)
    params["prior"] = params["prior"] + np.float32([0.3, -0.5, 0.1])
    x = (rng.random((4, 784)) < MEAN).astype(np.float32)
    return config, graph, params, x


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("drawn", [False, True])
def test_the_model_is_the_bound_summed_over_all_codes(vae, layers, drawn):
    _, graph, params, x = tiny(vae, layers, drawn=drawn)
    found = scg.estimate_gradient(
        graph,
        params,
        {"x": x},
        estimators={f"h{i}": scg.Enumeration() for i in range(1, layers + 1)},
        rng=np.random.default_rng(0),
    )
    wide = {k: v.astype(float) for k, v in params.items()}
    bound = by_enumeration(layers, wide, x)
    assert found.cost == pytest.approx(bound, rel=1e-5)
    wanted = grad(lambda p: by_enumeration(layers, p, x))(wide)
    assert wanted.keys() == found.gradient.keys()
    for name, g in wanted.items():
        np.testing.assert_allclose(found.gradient[name], g, rtol=1e-3, atol=2e-4)
    assert np.abs(wanted["encode1.weights"]).max() > 0.01


def test_closed_forms_leave_only_what_was_drawn_to_be_credited(vae):
    one, two = (tiny(vae, layers)[1] for layers in (1, 2))
    drawn = tiny(vae, 2, drawn=True)[1]
    assert one.downstream_costs("h1") == ("pixels",)
    assert one.non_influenced("h1") >= {"divergence1"}
    assert set(two.downstream_costs("h1")) == {"bits1", "divergence2", "pixels"}
    assert two.downstream_costs("h2") == ("bits1",)
    assert set(drawn.downstream_costs("h2")) == {"bits1", "bits2", "entropy2"}


@pytest.mark.statistical
@pytest.mark.parametrize("layers", [1, 2])
def test_every_method_estimates_the_gradient(vae, layers):
    _, _, params, x = tiny(vae, layers)
    wide = {k: v.astype(float) for k, v in params.items()}
    wanted = grad(lambda p: by_enumeration(layers, p, x))(wide)["encode1.bias"]
    largest = {}
    for name in vae.METHODS:
        config, graph, params, _ = tiny(vae, layers, estimator=name)
        step, rng = vae.stepper(config, graph), np.random.default_rng(2)
        params, state, found = params | wide, None, []
        for _ in range(60):
            times = 60 if name == "straight-through" else 12  # its bias is to be seen
            some = {"x": np.repeat(x, times, axis=0)}
            estimate = step(params, some, rng=rng, state=state)
            state = estimate.state
            found.append(estimate.gradient["encode1.bias"])
        found = np.array(found, float)
        z = np.abs(found.mean(axis=0) - wanted) / (found.std(axis=0) / np.sqrt(60))
        largest[name] = z.max()
    assert largest.pop("straight-through") > 5
    del largest["gumbel-softmax"]  # whose bias is small
    del largest["vimco"]  # of another bound
    assert max(largest.values()) < 5, largest
    assert len(largest) == 9


@pytest.mark.parametrize("layers", [1, 2])
def test_every_method_learns(vae, stripes, layers):
    common = {"data": str(stripes), "units": 8, "rows": 30, "learning_rate": 0.02}
    for name in vae.METHODS if layers == 1 else ["disarm", "nvil", "relax"]:
        config = vae.Config(estimator=name, layers=layers, num_steps=80, **common)
        # Not knowing which of the four kinds an image is of costs 289 nats.
        assert 1.38 < vae.main(config) < 230, name


def test_a_run_is_the_same_again_and_another_with_another_seed(vae, stripes):
    small = {"data": str(stripes), "units": 8, "rows": 10, "num_steps": 5}
    one, again, other = (vae.main(vae.Config(seed=seed, **small)) for seed in (0, 0, 1))
    assert one == again != other


def test_noise_and_distance_of_estimates_are_those_of_all_of_them(compare):
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(2, 500))
    found = [compare.Estimates() for _ in mean]
    draws = mean[:, None] + 9 * rng.normal(size=(2, 40, 500))
    for each, rows in zip(found, draws, strict=True):
        for g in rows:
            gradient = {
                "encode1.weights": g.reshape(5, 100),
                "decode1.weights": 100 * g,
            }
            each.add(scg.Estimate(gradient, 0.0, None, {}, {}))
    assert found[0].noise == pytest.approx(draws[0].var(axis=0, ddof=1).sum())
    apart = np.linalg.norm(mean[0] - mean[1])
    assert compare.distance(*found) == pytest.approx(apart, rel=0.25)
    assert np.linalg.norm(found[0].mean - found[1].mean) > 1.5 * apart


def test_a_comparison_goes_on_where_it_was_stopped(
    compare, stripes, tmp_path, monkeypatch
):
    pytest.importorskip("matplotlib")
    for name, value in {"REPEATS": 2, "LONG": 4, "WARM_UP": 2, "LEARN": 2}.items():
        monkeypatch.setattr(compare, name, value)
    small = {"units": 8, "rows": 10, "num_steps": 4, "test_every": 2}
    config = compare.Config(data=str(stripes), **small)
    study = compare.Study(config, tmp_path / "study")
    table = compare.main(study)
    assert table.count("\n") == 1 + len(compare.METHODS) + len(compare.DRAWN)
    assert all(f"| {name} |" in table for name in study.entrants)
    picture = study.folder / "estimators.png"
    assert picture.stat().st_size > 50_000
    picture.unlink()
    study.path("run", "nvil").unlink()
    made, run = [], compare.run
    monkeypatch.setattr(
        compare, "run", lambda study, name: made.append(name) or run(study, name)
    )
    assert compare.main(study).splitlines()[2:]
    assert made == ["nvil"]
    assert picture.exists()


def test_moments_are_the_same_whatever_the_number_of_steps(compare, tmp_path):
    short, long = (
        compare.Study(compare.Config(num_steps=n), tmp_path).moments
        for n in (1000, 10_000)
    )
    assert long[: len(short)] == short == [100, 166, 278, 464, 774]
    assert long[-1] == 10_000
