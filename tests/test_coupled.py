"""Noise given the draw, where probabilities round to 0 or 1."""

import itertools

import numpy as np
import pytest
from autograd import make_vjp

import scg
from scg.estimators.coupled import given_draw, hard

LOGITS = [-120.0, -30.0, -2.0, 0.0, 3.0, 30.0, 120.0]
INFO = np.finfo(np.float32)
NOISE = [INFO.tiny, 1e-7, 0.3, 1 - INFO.epsneg]


def bits():
    """Return logits, noise and draws in all combinations, exact in float32."""
    grid = np.array(list(itertools.product(LOGITS, NOISE, [0.0, 1.0])))
    return grid.astype(np.float32).T


def by_definition(logits, v, b):
    """Return logit u + ℓ for u uniform on what leads to b, in high precision."""
    logits, v = logits.astype(np.longdouble), v.astype(np.longdouble)
    p, q = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits))
    u = np.where(b > 0, q + v * p, v * q)
    not_u = np.where(b > 0, (1 - v) * p, p + (1 - v) * q)
    return logits + np.log(u) - np.log(not_u)


def test_a_bits_noise_given_it_is_that_of_the_definition():
    logits, v, b = bits()
    z = given_draw(scg.Bernoulli(logits=logits), v, b)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, by_definition(logits, v, b), rtol=2e-6, atol=2e-6)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(z, by_definition(logits, v / 2, b), rtol=0.1)


def test_a_bits_noise_given_it_leads_to_it_again():
    logits, v, b = bits()
    p = scg.Bernoulli(logits=logits)
    z = given_draw(p, v, b)
    away = np.abs(z) > 0  # what rounds to the threshold itself belongs to both
    np.testing.assert_array_equal(hard(p, z)[away], b[away])
    assert away.mean() > 0.7


def slopes(make, logits, v, b):
    vjp, z = make_vjp(lambda x: given_draw(make(x), v, b))(logits)
    return z, vjp(np.ones_like(z))


def test_the_slope_of_a_bits_noise_is_finite_and_right():
    logits, v, b = bits()
    _, found = slopes(lambda x: scg.Bernoulli(logits=x), logits, v, b)
    step = 1e-4
    sides = [by_definition(logits + s * np.float64(step), v, b) for s in (1, -1)]
    wanted = ((sides[0] - sides[1]) / (2 * step)).astype(float)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_noise_of_categories_given_one_is_finite_and_leads_to_it():
    logits = np.array([[0.0, 1.0, -1.0], [120.0, 0.0, -120.0], [0.0, -200.0, 0.0]])
    logits = np.repeat(logits.astype(np.float32), 3, axis=0)
    b = np.tile(np.eye(3, dtype=np.float32), (3, 1))
    v = np.array([[INFO.tiny, 0.3, 1 - INFO.epsneg]], np.float32)
    for noise in itertools.permutations(v[0]):
        each = np.broadcast_to(np.array(noise, np.float32), b.shape)
        z, slope = slopes(lambda x: scg.OneHotCategorical(logits=x), logits, each, b)
        assert z.dtype == np.float32
        assert np.isfinite(z).all()
        assert np.isfinite(slope).all()
        e = -np.log(each.astype(np.longdouble))
        odds = logits.astype(np.longdouble)
        masses = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        first = (b * e).sum(axis=1, keepdims=True)
        wanted = -np.log(np.where(b > 0, first, e / masses + first))
        np.testing.assert_allclose(z, wanted.astype(float), rtol=1e-5, atol=2e-6)
        # Where noise and masses are at their ends, others may come as near as rounding.
        np.testing.assert_array_equal((z * b).sum(axis=1), z.max(axis=1))


@pytest.mark.parametrize("name", ["REBAR", "RELAX"])
@pytest.mark.parametrize("family", ["Bernoulli", "OneHotCategorical"])
def test_gradients_are_finite_where_draws_are_certain(name, family):
    start = np.array([-120.0, 18.0, 40.0, 0.2], np.float32)
    graph = scg.Graph(dtype=np.float32)
    theta = graph.param("theta", start)
    b = graph.sample("b", getattr(scg, family)(logits=theta))
    graph.cost("loss", (np.sum(b * np.arange(4.0), axis=-1) - 1) ** 2)
    estimate = scg.estimate_gradient(
        graph,
        {"theta": start},
        rng=np.random.default_rng(0),
        rows=2000,
        estimators={"b": getattr(scg, name)()},
    )
    assert np.isfinite(estimate.gradient["theta"]).all()
