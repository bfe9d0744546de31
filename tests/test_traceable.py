"""What autograd gets in place of NumPy's functions has derivatives of every order."""

import operator

import numpy as np
import pytest
from autograd import elementwise_grad, grad

from scg.operation import capture
from scg.traceable import traceable

sparse = pytest.importorskip("scipy.sparse")
X = np.array([[0.3, -1.2, 0.8], [2.0, 0.1, -0.5]])
W = np.array([[0.2, -0.4, 1.0], [0.5, 0.3, -0.7], [1.1, 0.6, 0.1]])


def function_of(function, *args):
    """Return what autograd traces for a call of `function`."""
    return traceable(capture(function, args, {})[0])


CALLS = {
    "tanh": (np.tanh, lambda f, x: f(x)),
    "matmul": (operator.matmul, lambda f, x: f(x, x.T)),
    "where": (np.where, lambda f, x: f(X > 0, x**2, x[:, :1])),
    "take": (np.take, lambda f, x: f(x, [2, 0, 2], 1)),
    "take along axis": (
        np.take_along_axis,
        lambda f, x: f(x, np.array([[0, 2], [1, 1]]), 1),
    ),
    "sort": (np.sort, lambda f, x: f(x, 1)),
    "index": (operator.getitem, lambda f, x: f(x, (slice(None), [0, 0, 2]))),
    "stack": (np.stack, lambda f, x: f([x, x**3], 1)),
    "einsum": (np.einsum, lambda f, x: f("ij,jk,ik->i", x, W, x)),
    "cumsum": (np.cumsum, lambda f, x: f(x, 1)),
    "std": (np.std, lambda f, x: f(x, 1)),
    "softmax by hand": (np.exp, lambda f, x: f(x) / f(x).sum(axis=1)[:, None]),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_second_derivative_is_that_of_the_first(name):
    function, call = CALLS[name]
    traced = function_of(function, X, W)

    def total(x):
        return np.sum(call(traced, x) ** 3)

    direction = np.random.default_rng(0).normal(size=X.shape)

    def slope(x):
        return (grad(total)(x) * direction).sum()

    step = 1e-5 * direction
    twice = (grad(slope)(X) * direction).sum()
    difference = (slope(X + step) - slope(X - step)) / 2e-5
    assert twice == pytest.approx(difference, rel=1e-6, abs=1e-8)
    assert np.array_equal(call(traced, X), call(function, X))


def test_a_sparse_factor_is_a_constant():
    matmul = function_of(operator.matmul, X, W)
    rows = sparse.csr_array(np.where(X > 0, X, 0.0))

    def total(multiply, x):
        return lambda w: np.sum(np.tanh(multiply(x, w)) ** 3)

    def squared_slope(f):
        return lambda w: np.sum(grad(f)(w) ** 2)

    one, other = total(matmul, rows), total(operator.matmul, rows.toarray())
    for _ in range(2):
        one, other = squared_slope(one), squared_slope(other)
        assert one(W) == pytest.approx(other(W), rel=1e-12)


def test_tanh_keeps_float32_where_its_rule_in_autograd_overflows():
    tanh = function_of(np.tanh, X)
    far = np.array([100.0, -100.0, 0.5], np.float32)
    for order in range(3):
        function = tanh
        for _ in range(order):
            function = elementwise_grad(function)
        value = function(far)
        assert value.dtype == np.float32
        assert np.isfinite(value).all()
