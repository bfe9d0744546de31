"""Stable functions: values and derivatives of every order, edges, dtypes, nodes."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad, jacobian
from autograd.core import primitive_vjps
from autograd.extend import defvjp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import scg.functions as f
from scg.protocol import AbstractNode, Function

EDGES = [0.0, 1e-3, 1.0, 15.3, 40.0, 100.0, 1e4]
POINTS = [sign * x for x in EDGES for sign in (1.0, -1.0)]
DTYPES = [np.float32, np.float64]
PUBLIC = [getattr(f, name) for name in f.__all__ if name != "Function"]


def s(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# Each reference is the textbook formula in 80-bit floats, whose range holds e^1e4.
REFERENCES: dict[str, list[Callable[[Any], Any]]] = {
    "sigmoid": [
        s,
        lambda x: s(x) * s(-x),
        lambda x: s(x) * s(-x) * (s(-x) - s(x)),
        lambda x: s(x) * s(-x) * (1 - 6 * s(x) * s(-x)),
    ],
    "softplus": [
        lambda x: np.log1p(np.exp(x)),
        s,
        lambda x: s(x) * s(-x),
        lambda x: s(x) * s(-x) * (s(-x) - s(x)),
    ],
    "log_sigmoid": [
        lambda x: -np.log1p(np.exp(-x)),
        lambda x: s(-x),
        lambda x: -s(x) * s(-x),
        lambda x: -s(x) * s(-x) * (s(-x) - s(x)),
    ],
}


def assert_elementwise(function: Any, reference: Any, order: int, dtype: Any) -> None:
    x = np.array(POINTS, dtype)
    for _ in range(order):
        function = elementwise_grad(function)
    exact = x.astype(np.longdouble)
    got, expected = function(x), reference(exact)
    assert got.dtype == dtype
    # Relative even in the tails, where everything is of the size of s(x) s(-x).
    size = np.abs(expected) + s(exact) * s(-exact)
    allowed = 16 * np.finfo(dtype).eps * size + np.finfo(dtype).tiny
    assert np.all(np.abs(got - expected) <= allowed), (got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("name", REFERENCES)
def test_an_elementwise_function_is_exact_at_the_edges_at_every_order(
    name: str, order: int, dtype: Any
) -> None:
    assert_elementwise(getattr(f, name), REFERENCES[name][order], order, dtype)


def test_the_check_at_the_edges_fails_on_a_derivative_that_cancels() -> None:
    careless = Function(f.sigmoid.compute)
    defvjp(careless.primitive, lambda ans, x: lambda g: g * ans * (1 - ans))
    with pytest.raises(AssertionError):
        assert_elementwise(careless, REFERENCES["sigmoid"][1], 1, np.float64)


ROWS = [
    [0.0, 0.0, 0.0],
    [0.3, -0.2, 1.0],
    [40.0, -40.0, 0.0],
    [100.0, 100.0, -100.0],
    [1e4, -1e4, 0.0],
    [0.5, -np.inf, 1.0],
]


@dataclass(frozen=True)
class Rows:
    """The softmax family in 80-bit floats."""

    x: Any

    @property
    def p(self) -> Any:
        e = np.exp(self.x.astype(np.longdouble))
        return e / e.sum()

    @property
    def jacobian(self) -> Any:
        return np.diag(self.p) - np.outer(self.p, self.p)

    @property
    def hessian(self) -> Any:
        d = np.eye(3) - self.p
        return np.einsum("i,ij,ik->ijk", self.p, d, d) - np.einsum(
            "i,jk->ijk", self.p, self.jacobian
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_softmax_family_is_exact_at_the_edges_at_every_order(
    row: list[float], dtype: Any
) -> None:
    x, exact = np.array(row, dtype), Rows(np.array(row, dtype))
    log_mass = np.log(np.sum(np.exp(exact.x.astype(np.longdouble))))
    cases = [
        (f.softmax(x), exact.p),
        (jacobian(f.softmax)(x), exact.jacobian),
        (jacobian(jacobian(f.softmax))(x), exact.hessian),
        (f.logsumexp(x), log_mass),
        (grad(f.logsumexp)(x), exact.p),
        (jacobian(grad(f.logsumexp))(x), exact.jacobian),
        (jacobian(jacobian(grad(f.logsumexp)))(x), exact.hessian),
        (f.log_softmax(x), x - log_mass),
        (jacobian(f.log_softmax)(x), np.eye(3) - exact.p),
        (jacobian(jacobian(f.log_softmax))(x), np.tile(-exact.jacobian, (3, 1, 1))),
    ]
    for got, expected in cases:
        assert got.dtype == dtype
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(got, expected.astype(dtype), rtol=8 * eps, atol=eps)


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("name", ["logsumexp", "log_softmax", "softmax"])
def test_an_axis_means_what_it_means_for_the_transpose(name: str, axis: int) -> None:
    function = getattr(f, name)
    x = np.random.default_rng(0).normal(size=(2, 3))
    weights = np.random.default_rng(1).normal(size=function(x, axis=axis).shape)

    def loss(x: Any, transposed: bool) -> Any:
        moved = anp.moveaxis(x, axis, -1) if transposed else x
        value = function(moved) if transposed else function(x, axis=axis)
        if transposed and value.ndim == 2:
            value = anp.moveaxis(value, -1, axis)
        return anp.sum(weights * value)

    assert loss(x, transposed=False) == pytest.approx(loss(x, transposed=True))
    np.testing.assert_allclose(grad(loss)(x, False), grad(loss)(x, True), atol=1e-15)


def test_logsumexp_of_infinities_is_their_limit() -> None:
    x = np.array([[-np.inf, -np.inf], [np.inf, 0.0], [np.inf, -np.inf]])
    assert f.logsumexp(x).tolist() == [-np.inf, np.inf, np.inf]
    assert np.isnan(f.logsumexp(np.array([np.nan, 0.0])))


def test_stop_gradient_is_the_identity_with_derivative_zero() -> None:
    x = np.array([1.0, 2.0])
    assert f.stop_gradient(x) is x
    assert grad(lambda x: anp.sum(x * f.stop_gradient(x)))(x).tolist() == [1.0, 2.0]
    assert grad(lambda x: anp.sum(f.stop_gradient(x) ** 2))(x).tolist() == [0.0, 0.0]
    square = grad(lambda x: anp.sum(x * x * f.stop_gradient(x)))
    assert jacobian(square)(x).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert f.stop_gradient(np.arange(2)).dtype == np.int64


@st.composite
def picks(draw: st.DrawFn) -> tuple[Any, Any]:
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3))
    size = draw(st.integers(1, 4))
    x_shape, index_shape = shapes.input_shapes
    index = draw(hnp.arrays(np.int64, index_shape, elements=st.integers(-2, size + 1)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return rng.normal(size=(*x_shape, size)), index


@settings(max_examples=60, deadline=None)
@given(picks())
def test_pick_is_a_masked_sum_over_the_last_axis(case: tuple[Any, Any]) -> None:
    x, index = case
    one_hot = index[..., None] == np.arange(x.shape[-1])

    def slow(x: Any) -> Any:
        return anp.sum(anp.sum(x * one_hot, axis=-1) ** 3)

    def fast(x: Any) -> Any:
        return anp.sum(f.pick(x, index) ** 3)

    np.testing.assert_array_equal(f.pick(x, index), np.sum(x * one_hot, axis=-1))
    np.testing.assert_allclose(grad(fast)(x), grad(slow)(x), atol=1e-14)
    v = np.ones_like(x)
    second = [grad(lambda x, h=h: anp.sum(grad(h)(x) * v))(x) for h in (fast, slow)]
    np.testing.assert_allclose(*second, atol=1e-14)


def test_pick_outside_the_range_gives_what_it_was_told_and_no_gradient() -> None:
    x, index = np.array([[1.0, 2.0]] * 3, np.float32), np.array([-1, 1, 2])
    assert f.pick(x, index, outside=-np.inf).tolist() == [-np.inf, 2.0, -np.inf]
    g = grad(lambda x: anp.sum(f.pick(x, index)))(x)
    assert g.tolist() == [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    assert g.dtype == np.float32


@pytest.mark.parametrize("index", [np.array([0.0]), np.array([True])])
def test_pick_takes_only_an_integer_index(index: Any) -> None:
    with pytest.raises(IndexError, match="integer"):
        f.pick(np.ones(2), index)


def test_keep_stops_infinities_in_value_and_gradient() -> None:
    x = np.array([2.0, 0.0], np.float32)

    def loss(x: Any) -> Any:
        with np.errstate(divide="ignore"):
            return anp.sum(x * f.keep(anp.log(x + 1), x > 0) ** 2)

    g = grad(loss)(x)
    assert g.dtype == np.float32
    assert g[1] == 0.0
    assert f.keep(np.array([np.nan, np.inf]), np.array([False, False])).sum() == 0.0
    scalar = grad(lambda x: anp.sum(f.keep(x * np.ones(2), np.array([True, False]))))
    assert scalar(3.0) == 1.0


@pytest.mark.parametrize("function", PUBLIC[1:], ids=lambda g: g.__name__)
def test_every_function_has_a_rule_in_autograds_registry(function: Any) -> None:
    assert isinstance(function, Function)
    assert function.primitive in primitive_vjps


@pytest.mark.parametrize("function", PUBLIC, ids=lambda g: g.__name__)
def test_a_copied_or_pickled_function_is_the_function(function: Any) -> None:
    assert copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(function)) is function
    assert repr(function) == f"<function scg.{function.__name__}>"


class Echo(AbstractNode):
    """A node that returns the call it was handed."""

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return func, tuple(types), args, kwargs


@pytest.mark.parametrize("function", PUBLIC, ids=lambda g: g.__name__)
def test_a_node_is_handed_the_call_unchanged(function: Any) -> None:
    node = Echo()
    assert function(node) == (function, (Echo,), (node,), {})


def test_a_node_in_a_later_place_is_found_too() -> None:
    x, node = np.ones(2), Echo()
    assert f.pick(x, node, outside=1.0) == (f.pick, (Echo,), (x, node), {"outside": 1})
    assert f.logsumexp(node, axis=0) == (f.logsumexp, (Echo,), (node,), {"axis": 0})


@pytest.mark.parametrize("name", [*REFERENCES, "logsumexp", "log_softmax", "softmax"])
def test_integers_bools_and_scalars_are_numbers(name: str) -> None:
    function = getattr(f, name)
    np.testing.assert_array_equal(
        function(np.array([True, False])), function(np.array([1.0, 0.0]))
    )
    np.testing.assert_array_equal(function(np.arange(3)), function(np.arange(3.0)))
    if name in REFERENCES:
        assert function(1) == function(np.array([1.0]))[0]


@pytest.mark.parametrize("name", [*REFERENCES, "log_softmax", "softmax"])
def test_the_argument_is_left_as_it_was(name: str) -> None:
    x = np.array([1.0, 2.0])
    getattr(f, name)(x)
    assert x.tolist() == [1.0, 2.0]
