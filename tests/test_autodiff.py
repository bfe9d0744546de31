"""Derivatives on nodes equal finite differences and autograd's own, in any dtype."""

from functools import cached_property

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from autograd.core import primitive_vjps
from derivative_cases import CASES, EXCLUDED, WRONG_IN_AUTOGRAD

import scg

ROWS = 4
DTYPES = [np.float64, np.float32]


class Fixture:
    """A case as a graph and as a Python function, on the same numbers."""

    def __init__(self, case, dtype=np.float64, seed=1):
        rng = np.random.default_rng(seed)
        self.case, self.dtype, self.rng = case, dtype, rng
        self.graph = graph = scg.Graph("case", dtype=dtype)
        x = graph.input("x", shape=(3,))
        t, w = graph.param("t", np.zeros(3)), graph.param("w", np.zeros(3))
        self.node = y = graph.rename("y", case(np, x + t, w))
        weights = graph.input("weights", shape=y.event_shape)
        size = int(np.prod(y.event_shape))
        graph.cost("all", np.sum(t) + np.sum(w))  # so that each param is reached
        graph.cost("loss", np.sum((y * weights).reshape(-1, size), axis=-1))
        self.x = rng.uniform(0.1, 0.4, (ROWS, 3)).astype(dtype)
        self.t = rng.uniform(0.1, 0.4, 3).astype(dtype)
        self.w = rng.uniform(0.2, 0.8, 3).astype(dtype)
        self.weights = rng.normal(size=(ROWS, *y.event_shape)).astype(dtype)

    @cached_property
    def estimate(self):
        return scg.estimate_gradient(
            self.graph,
            {"t": self.t, "w": self.w},
            {"x": self.x, "weights": self.weights},
            rng=self.rng,
        )

    def gradient(self):
        found = self.estimate.gradient
        return np.concatenate([found["t"], found["w"]])

    def loss(self, numpy, t, w):
        value = self.case(numpy, self.x + t, w)
        extra = numpy.sum(t) + numpy.sum(w)
        return numpy.sum(value * self.weights) / ROWS + extra

    def differences(self, step=1e-6):
        at = np.concatenate([self.t, self.w]).astype(np.float64)
        slopes = []
        for shift in step * np.eye(6):
            up, down = at + shift, at - shift
            rise = self.loss(np, up[:3], up[3:]) - self.loss(np, down[:3], down[3:])
            slopes.append(rise / (2 * step))
        return np.array(slopes)

    def by_autograd(self):
        slopes = autograd.grad(lambda p: self.loss(anp, p[:3], p[3:]))
        return slopes(np.concatenate([self.t, self.w]))


def assert_near_differences(gradient, fixture):
    loose = fixture.dtype == np.float32
    np.testing.assert_allclose(
        gradient, fixture.differences(), rtol=1e-3, atol=1e-3 if loose else 1e-7
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_of_a_function_are_right(name, dtype):
    fixture = Fixture(CASES[name], dtype)
    y = fixture.estimate.trace["y"]
    exact = dtype == np.float64
    rtol, atol = (1e-10, 1e-12) if exact else (1e-3, 1e-4)
    t, w = fixture.t, fixture.w
    value = fixture.case(np, fixture.x + t, w)
    np.testing.assert_allclose(y, value, rtol=rtol, atol=atol)
    assert y.shape == (ROWS, *fixture.node.event_shape)

    gradient = fixture.gradient()
    assert {y.dtype, fixture.node.dtype, gradient.dtype} == {np.dtype(dtype)}
    assert_near_differences(gradient, fixture)
    if name not in WRONG_IN_AUTOGRAD:
        np.testing.assert_allclose(
            gradient, fixture.by_autograd(), rtol=rtol, atol=atol
        )


@pytest.mark.parametrize("name", WRONG_IN_AUTOGRAD)
def test_where_autograd_is_not_the_reference_it_fails_or_is_wrong(name):
    fixture = Fixture(CASES[name])
    with pytest.raises((AssertionError, NotImplementedError, TypeError, ValueError)):
        assert_near_differences(fixture.by_autograd(), fixture)


def test_the_check_fails_on_a_gradient_that_is_off_by_a_percent():
    fixture = Fixture(CASES["tanh"])
    with pytest.raises(AssertionError):
        assert_near_differences(1.01 * fixture.gradient(), fixture)


def test_every_function_with_a_rule_is_tested_or_excluded_with_a_reason():
    # What is private to a family of distributions is tested with the family, what is
    # private to estimators with them.
    private = ("scg.distributions", "scg.estimators")
    rules = [f for f in primitive_vjps if not f.fun.__module__.startswith(private)]
    registry = {primitive.__name__ for primitive in rules}
    tested = {name.split(",")[0] for name in CASES}
    assert registry - tested == set(EXCLUDED)
    assert all(EXCLUDED.values())


# Functions as they are called less often

VARIANTS = {
    "flip of all axes": lambda np, h, w: h * np.flip(w),
    "rot90 twice": lambda np, h, w: np.rot90(np.stack([h, h * w], 1), 2, axes=(1, 2)),
    "rot90 back": lambda np, h, w: np.rot90(np.stack([h, h * w], 1), -1, axes=(2, 1)),
    "repeat by counts": lambda np, h, w: np.repeat(h * w, [2, 0, 1], axis=1),
    "repeat flattened": lambda np, h, w: h[:, :2] @ np.repeat(w, 2).reshape(2, 3),
    "tile to more axes": lambda np, h, w: h[:, None] * np.tile(w, (2, 1)),
    "diagonal above": lambda np, h, w: np.diagonal(
        h[:, :, None] * h[:, None] * w, 1, axis1=1, axis2=2
    ),
    "diagonal below": lambda np, h, w: np.diagonal(
        h[:, :, None] * h[:, None] * w, offset=-1, axis1=-2, axis2=-1
    ),
    "sort flattened": lambda np, h, w: h * np.sort(np.outer(w, w), axis=None)[2:5],
    "partition at two": lambda np, h, w: np.partition(h * w, (0, 1), axis=1),
    "take flattened": lambda np, h, w: h * np.take(np.outer(w, w), [0, 4, 4]),
    "take one": lambda np, h, w: np.take(h * w, 1, axis=-1),
    "take a table of indices": lambda np, h, w: np.take(h, [[0, 1], [2, 2]], axis=1),
    "take_along_axis of each row": lambda np, h, w: np.take_along_axis(
        h * w, np.argsort(scg.stop_gradient(h * 1.0), axis=-1), axis=-1
    ),
    "gradient with spacing": lambda np, h, w: np.gradient(h * w, 0.5, axis=1),
    "gradient of a param": lambda np, h, w: h * np.gradient(w),
    "svd of a wide matrix": lambda np, h, w: np.linalg.svd(
        np.stack([h, h**2 * w], axis=1), full_matrices=False
    )[1],
    "select of three": lambda np, h, w: np.select(
        [h > 0.6, h > 0.4], [h**2, w * h], default=np.exp(h)
    ),
    "split by places": lambda np, h, w: np.split(h * w, [1], axis=1)[1],
    "both parts of a split": lambda np, h, w: (
        np.split(h * w, 3, axis=1)[0] * np.split(h, 3, axis=1)[2]
    ),
    "unpacked parts": lambda np, h, w: sum(np.split(h * w, 3, axis=1)),
    "parts joined again": lambda np, h, w: np.concatenate(
        [np.split(h, 3, axis=1)[2], np.split(w * h, 3, axis=1)[0]], axis=1
    ),
    "keyword arguments": lambda np, h, w: np.where(h > 0.4, h * w, np.sum(a=w)),
    "linalg.norm of matrices": lambda np, h, w: np.linalg.norm(
        h[:, :, None] * w, axis=(1, 2)
    ),
    "cumsum backwards": lambda np, h, w: np.cumsum(h[:, ::-1] * w, axis=1)[:, ::-1],
    "prod of two axes": lambda np, h, w: np.prod(np.stack([h, h * w], 1), axis=(1, 2)),
    "var with ddof": lambda np, h, w: np.var(h * w, axis=-1, ddof=1),
    "power of an integer": lambda np, h, w: h**3 * w**-1,
    "an empty part": lambda np, h, w: np.concatenate([h[:, :0], h * w], axis=1),
    "a sum of nothing": lambda np, h, w: h + np.sum((h * w)[:, :0], axis=1)[:, None],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VARIANTS)
def test_the_gradient_is_right_for_rarer_arguments_too(name, dtype):
    fixture = Fixture(VARIANTS[name], dtype)
    gradient = fixture.gradient()
    assert gradient.dtype == dtype
    assert_near_differences(gradient, fixture)
    value = fixture.case(np, fixture.x + fixture.t, fixture.w)
    np.testing.assert_allclose(fixture.estimate.trace["y"], value, rtol=1e-5)


NONE = {
    "take that wraps": lambda h: np.take(h, [0, 4], axis=1, mode="wrap"),
    "gradient at uneven places": lambda h: np.gradient(h, [0.0, 1.0, 3.0], axis=1),
    "vectors of a wide svd": lambda h: np.linalg.svd(h[:, None, :])[2],
}


@pytest.mark.parametrize("name", NONE)
def test_what_has_no_derivative_is_refused_by_the_check(name):
    graph = scg.Graph()
    h = graph.input("x", shape=(3,)) * graph.param("w", np.ones(3))
    y = NONE[name](h)
    graph.cost("loss", np.sum(y, axis=tuple(range(1, y.ndim))))
    with pytest.raises(scg.NotDifferentiableError):
        graph.check()
