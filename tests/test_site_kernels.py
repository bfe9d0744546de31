"""The kernels of samples draw and score as their distributions do."""

import itertools

import numpy as np
import pytest

import scg
from scg.bit_log_prob import bernoulli_log_prob
from scg.buffers import Buffers
from scg.distributions import Bernoulli, Categorical
from scg.inference import Spec
from scg.site_kernels import AbstractSiteKernel, site_kernel

DTYPES = [np.float64, np.float32]
ROWS = 6
# (family, shape of one row of logits, whether they have rows)
SITES = [
    *itertools.product([Bernoulli], [(), (3,), (2, 3)], [True, False]),
    *itertools.product(
        [Categorical], [(1,), (3,), (16,), (17,), (2, 4)], [True, False]
    ),
]
LABELS = [f"{f.__name__} {s} {'rows' if r else 'params'}" for f, s, r in SITES]


def kernel_of(family, shape, dtype, *, rows=True):
    spec = Spec(shape, np.dtype(dtype), has_rows=rows)
    return site_kernel(family(logits=np.zeros(shape, dtype)), ("logits",), [spec])


def case(site, dtype, seed=0, scale=2.0):
    """Return a kernel, frozen logits, and the shape of a value."""
    family, shape, rows = site
    full = (ROWS, *shape) if rows else shape
    numbers = np.random.default_rng(seed).normal(size=full)
    logits = np.asarray(scale * numbers, dtype)
    logits.flags.writeable = False
    event = shape if family is Bernoulli else shape[:-1]
    return kernel_of(family, shape, dtype, rows=rows), logits, (ROWS, *event)


def drawn(site, dtype, seed=0, scale=2.0):
    kernel, logits, shape = case(site, dtype, seed, scale)
    noise = np.random.default_rng(seed).random(shape, dtype)
    noise.flags.writeable = False
    value, shared = kernel.draw(logits, noise, Buffers())
    return kernel, logits, value, shared


@pytest.mark.parametrize("scale", [2.0, 90.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("site", SITES, ids=LABELS)
def test_a_kernel_draws_what_the_distribution_draws(site, dtype, scale):
    for seed in range(20):
        _, logits, value, _ = drawn(site, dtype, seed, scale)
        rng = np.random.default_rng(seed)
        expected = site[0](logits=logits).sample(rng, value.shape)
        np.testing.assert_array_equal(value, expected)
        assert value.dtype == expected.dtype


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("site", SITES, ids=LABELS)
def test_a_kernel_scores_as_the_distribution_does(site, dtype, shares):
    kernel, logits, value, shared = drawn(site, dtype)
    factor = np.linspace(-1, 2, ROWS).astype(dtype)
    for array in (value, factor, *([] if shared is None else [shared])):
        array.flags.writeable = False
    found = kernel.score(logits, value, shared if shares else None, factor, Buffers())
    score = site[0](logits=logits).score(value)["logits"]
    expected = score * factor.reshape(-1, *(1,) * (score.ndim - 1))
    assert found.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found, expected, rtol=8 * eps, atol=4 * eps)


def test_the_check_fails_on_the_score_of_another_value():
    kernel, logits, value, _ = drawn((Categorical, (3,), True), np.float64)
    found = kernel.score(logits, (value + 1) % 3, None, np.ones(ROWS), Buffers())
    assert not np.allclose(found, Categorical(logits=logits).score(value)["logits"])


def test_every_kernel_has_a_case():
    used = {type(kernel_of(family, shape, float)) for family, shape, _ in SITES}
    assert used == set(AbstractSiteKernel.__subclasses__())
    assert site_kernel(scg.Normal(mean=0.0, scale=1.0), ("mean",), []) is None
    assert site_kernel(Bernoulli(probs=0.5), ("probs",), []) is None


# Logits of any size


def exact_score(logits, bits):
    sign = np.longdouble(2) * bits - 1
    with np.errstate(over="ignore"):
        return sign / (1 + np.exp(sign * logits.astype(np.longdouble)))


@pytest.mark.parametrize("bit", [0.0, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_score_of_a_bit_is_right_to_the_last_digits_at_any_size(dtype, bit):
    edge = 80.0 if dtype == np.float32 else 700.0
    logits = np.linspace(-edge, edge, 1001).astype(dtype)
    bits = np.full(len(logits), bit, dtype)
    eps = np.finfo(dtype).eps
    kernel, ones = kernel_of(Bernoulli, (), dtype), np.ones(len(logits), dtype)
    expected = exact_score(logits, bits).astype(dtype)
    found = kernel.score(logits, bits, None, ones, Buffers())
    np.testing.assert_allclose(found, expected, rtol=6 * eps)
    log_p = bernoulli_log_prob(logits, bits)
    wide = logits.astype(np.longdouble)
    exact = -np.log1p(np.exp((1 - 2 * np.longdouble(bit)) * wide))
    np.testing.assert_allclose(log_p, exact.astype(dtype), rtol=6 * eps)
    if bit:  # the textbook formula cancels
        naive = bits - 1 / (1 + np.exp(-logits))
        assert not np.allclose(naive, expected, rtol=6 * eps, atol=0)


@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize("dtype", DTYPES)
def test_saturated_logits_draw_and_score_without_a_warning(dtype, size):
    logits = np.array([-size, size, size], dtype)
    kernel, shape = kernel_of(Bernoulli, (), dtype), (3,)
    noise = np.array([0.0, np.nextafter(1, 0, dtype=dtype), 0.5], dtype)
    with np.errstate(over="ignore"):  # as a run does
        bits, _ = kernel.draw(logits, noise, Buffers())
    assert bits.tolist() == [0.0, 1.0, 1.0]
    ones = np.ones(shape, dtype)
    with np.errstate(over="ignore"):
        own = kernel.score(logits, bits, None, ones, Buffers())
        other = kernel.score(logits, 1 - bits, None, ones, Buffers())
    assert own.tolist() == [0, 0, 0]
    assert other.tolist() == [1.0, -1.0, -1.0]
    kernel = kernel_of(Categorical, (3,), dtype)
    for noise in (0.0, 0.5, np.nextafter(1, 0, dtype=dtype)):
        with np.errstate(over="ignore"):
            value, shared = kernel.draw(logits, np.array([noise], dtype), Buffers())
        assert value.tolist() == [1 if noise < 0.5 else 2]
        assert shared.tolist() == [0.0, 0.5, 0.5]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_with_saturated_logits_has_a_gradient(dtype):
    graph = scg.Graph(dtype=dtype)
    graph.cost("loss", graph.sample("b", Bernoulli(logits=graph.param("t", 0.0))) * 2.0)
    params = {"t": np.array(1e4, dtype)}
    found = scg.estimate_gradient(graph, params, rng=np.random.default_rng(0), rows=3)
    assert (found.cost, found.gradient["t"].tolist()) == (2.0, 0.0)


@pytest.mark.parametrize("count", [3, 16, 17, 40])
@pytest.mark.parametrize("rows", [1, 2, 5, 64])
def test_a_masked_category_is_never_drawn(count, rows):
    rng = np.random.default_rng(count)
    kernel = kernel_of(Categorical, (count,), float)
    for _ in range(50):
        logits = rng.normal(size=(rows, count))
        logits[:, 1:][rng.uniform(size=(rows, count - 1)) < 0.6] = -np.inf
        masses = np.exp(logits - logits.max(axis=-1, keepdims=True))
        edges = np.cumsum(masses, axis=-1) / masses.sum(axis=-1, keepdims=True)
        for noise in (0.0, np.nextafter(1, 0), *edges[0][edges[0] < 1][:5]):
            value, _ = kernel.draw(logits, np.full(rows, noise), Buffers())
            assert np.isfinite(logits[np.arange(rows), value]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("family", [Bernoulli, Categorical])
def test_logits_that_are_out_of_range_are_refused(family, bad):
    shape = (3,) if family is Categorical else ()
    logits = np.zeros((2, *shape))
    logits[1] = bad
    with np.errstate(invalid="ignore"):
        found = kernel_of(family, shape, float).draw(logits, np.full(2, 0.5), Buffers())
    assert found is None
    graph = scg.Graph()
    node = graph.input("x", shape=shape) / graph.param("t", np.ones(shape))
    graph.cost("loss", graph.sample("b", family(logits=node)) * 1.0)
    x = {np.inf: 1.0, -np.inf: -1.0}.get(bad, 0.0)
    with pytest.raises(scg.DistributionError, match="'b'"):
        scg.estimate_gradient(
            graph,
            {"t": np.zeros(shape)},
            {"x": np.full((2, *shape), x)},
            rng=np.random.default_rng(0),
        )
