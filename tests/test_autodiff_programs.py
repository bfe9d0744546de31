"""Programs made of many functions, and functions at the points where they kink."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scg

# Each step takes two values of shape (rows, 3) and params w (3,) and W (3, 3) to one
# value of shape (rows, 3). It is run on nodes, and on autograd's arrays.


def _softmax(np, a):
    weights = np.exp(a - np.max(a, axis=-1, keepdims=True))
    return weights / np.sum(weights, axis=-1, keepdims=True)


def _attention(np, a, b, W):
    scores = np.einsum("rj,ij,rk->rjk", a, W, b)
    return np.einsum("rjk,rk->rj", _softmax(np, scores), b)


CONSTANT = np.array([0.3, -1.2, 0.8])

STEPS = {
    "matmul": lambda np, a, b, w, W: np.tanh(a @ W),
    "matmul of pairs": lambda np, a, b, w, W: (a[:, None, :] @ (W * b[:, None]))[:, 0],
    "einsum": lambda np, a, b, w, W: np.einsum("ri,ij,rj->rj", a, W, b),
    "einsum to one": lambda np, a, b, w, W: np.einsum("ri,ri->r", a, b)[:, None] * w,
    "concatenate": lambda np, a, b, w, W: np.concatenate([a[:, :1], b[:, 1:]], -1),
    "stack": lambda np, a, b, w, W: np.sum(np.stack([a, b * w], axis=1), axis=1),
    "where": lambda np, a, b, w, W: np.where(a > b, a * w, b),
    "index": lambda np, a, b, w, W: a[:, [2, 0, 0]] * b[..., ::-1],
    "maximum": lambda np, a, b, w, W: np.maximum(a, b) + np.minimum(a, 0.1),
    "softmax": lambda np, a, b, w, W: _softmax(np, a * w) * b,
    "attention": lambda np, a, b, w, W: _attention(np, a, b, W),
    "reshape": lambda np, a, b, w, W: np.sum(
        np.reshape(a, (-1, 3, 1)) * np.reshape(b, (-1, 1, 3)), axis=1
    ),
    "broadcast": lambda np, a, b, w, W: a * CONSTANT + w - 0.5,
    "broadcast a column": lambda np, a, b, w, W: a[:, :1] * w + b[:, 2:],
    "standardise": lambda np, a, b, w, W: (
        (a - np.mean(a, axis=-1, keepdims=True))
        / (np.std(b, axis=-1, keepdims=True) + 1.0)
    ),
    "log": lambda np, a, b, w, W: np.log(1 + np.exp(a)) / (1 + b**2),
    "cumsum": lambda np, a, b, w, W: np.cumsum(a * w, axis=1),
    "max": lambda np, a, b, w, W: b - np.max(a, axis=1, keepdims=True),
    "param alone": lambda np, a, b, w, W: a + np.tanh(W @ w) @ W,
    "transpose": lambda np, a, b, w, W: (
        np.einsum("rij->rj", np.swapaxes(np.stack([a, b], axis=1), 1, 2) * W[0, 0])[
            :, :1
        ]
        * b
    ),
}


def program(np, steps, x, w, W):
    values = [x, x * w]
    for name, i, j in steps:
        a, b = values[i % len(values)], values[j % len(values)]
        values.append(STEPS[name](np, a, b, w, W))
    return np.sum(values[-1] * values[len(values) // 2], axis=-1) + np.sum(w) + W[0, 0]


programs = st.lists(
    st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=6,
)


def by_graph(steps, x, w, W):
    graph = scg.Graph(dtype=w.dtype)
    nodes = (
        graph.input("x", shape=(3,)),
        graph.param("w", np.zeros(3)),
        graph.param("W", np.zeros((3, 3))),
    )
    graph.cost("loss", program(np, steps, *nodes))
    return scg.estimate_gradient(
        graph, {"w": w, "W": W}, {"x": x}, rng=np.random.default_rng(0)
    )


def numbers(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = [(5, 3), (3,), (3, 3)]
    return [rng.normal(scale=0.7, size=shape).astype(dtype) for shape in shapes]


@settings(max_examples=120, deadline=None)
@given(programs, st.integers(0, 99))
def test_any_mix_of_functions_has_the_gradient_that_autograd_gives(steps, seed):
    x, w, W = numbers(seed)
    estimate = by_graph(steps, x, w, W)

    def loss(w, W):
        return anp.mean(program(anp, steps, x, w, W))

    assert estimate.cost == pytest.approx(loss(w, W), rel=1e-12)
    for name, argnum in (("w", 0), ("W", 1)):
        expected = autograd.grad(loss, argnum)(w, W)
        scale = 1 + np.abs(expected).max()
        np.testing.assert_allclose(
            estimate.gradient[name] / scale, expected / scale, atol=1e-11
        )


@settings(max_examples=30, deadline=None)
@given(programs, st.integers(0, 99))
def test_any_mix_of_functions_in_float32_stays_float32(steps, seed):
    estimate = by_graph(steps, *numbers(seed, np.float32))
    assert {g.dtype for g in estimate.gradient.values()} == {np.dtype(np.float32)}
    floats = [v for v in estimate.trace.values if getattr(v, "dtype", 0) == np.float64]
    assert not floats


def test_a_program_with_another_step_has_another_gradient():
    x, w, W = numbers(0)
    one, other = (by_graph([(n, 0, 1)], x, w, W) for n in ("maximum", "where"))
    assert not np.allclose(one.gradient["w"], other.gradient["w"])


# Where a function kinks, its derivative is the one that autograd takes

KINKS = {
    "maximum of equals": (lambda np, w: np.maximum(w, w[::-1] * 1.0), [1.0, 1.0]),
    "maximum with its bound": (lambda np, w: np.maximum(w, 0.0), [0.0, -0.0]),
    "minimum of equals": (lambda np, w: np.minimum(w, 1.0), [1.0, 1.0]),
    "max of equals": (lambda np, w: np.max(w) * w, [2.0, 2.0]),
    "min of equals": (lambda np, w: np.min(w) * w, [2.0, 2.0]),
    "abs of zero": (lambda np, w: np.abs(w), [0.0, 1.0]),
    "fabs of zero": (lambda np, w: np.fabs(w), [0.0, 1.0]),
    "clip at its bounds": (lambda np, w: np.clip(w, 0.0, 1.0), [0.0, 1.0]),
    "where on the border": (lambda np, w: np.where(w > 0, w, 2 * w), [0.0, 1.0]),
    "square of zero": (lambda np, w: w**2, [0.0, 1.0]),
    "zeroth power": (lambda np, w: w**0, [0.0, 1.0]),
    "first power of zero": (lambda np, w: w**1, [0.0, 1.0]),
    "tanh of zero": (lambda np, w: np.tanh(w), [0.0, -0.0]),
    "hypot beside zero": (lambda np, w: np.hypot(w, 1.0), [0.0, 1.0]),
    "logaddexp of equals": (lambda np, w: np.logaddexp(w, w), [0.0, 700.0]),
    "log1p of zero": (lambda np, w: np.log1p(w), [0.0, 1e-300]),
    "arctan2 on an axis": (lambda np, w: np.arctan2(w, 1.0), [0.0, 1.0]),
}


def at_point(function, point):
    graph = scg.Graph()
    graph.cost("loss", np.sum(function(np, graph.param("w", np.ones(2)))))
    return scg.estimate_gradient(graph, {"w": point}, rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", KINKS)
def test_the_derivative_at_a_kink_is_autograds(name):
    function, point = KINKS[name]
    point = np.array(point)
    got = at_point(function, point).gradient["w"]
    expected = autograd.grad(lambda w: anp.sum(function(anp, w)))(point)
    np.testing.assert_array_equal(got, expected)


SHARED = {
    "half to each of two equals": (lambda w: np.maximum(w[0], w[1]), [0.5, 0.5]),
    "equal parts of a maximum": (np.max, [0.5, 0.5]),
    "nothing for the bound": (lambda w: np.sum(np.maximum(w, 1.0)), [0.5, 0.5]),
    "nothing at the point of abs": (lambda w: np.sum(np.abs(w - 1.0)), [0.0, 0.0]),
}


@pytest.mark.parametrize("name", SHARED)
def test_a_tie_shares_the_derivative(name):
    function, expected = SHARED[name]
    got = at_point(lambda np, w: function(w), np.ones(2)).gradient["w"]
    assert got.tolist() == expected


# The last two have a derivative in mathematics, which autograd's rules do not find.
INFINITE = {
    "sqrt": np.sqrt,
    "norm": np.linalg.norm,
    "power below one": lambda w: w**0.5,
    "std of equals": lambda w: np.std(w * np.array([1.0, 2.0])),
    "prod of zeros": np.prod,
    "sinc": np.sinc,
}


@pytest.mark.parametrize("name", INFINITE)
def test_a_derivative_that_is_infinite_or_none_names_the_param(name):
    with pytest.raises(scg.NonFiniteError, match="param 'w'"):
        at_point(lambda np, w: INFINITE[name](w), np.zeros(2))
    assert np.isfinite(
        at_point(lambda np, w: INFINITE[name](w), np.ones(2)).gradient["w"]
    ).all()


def test_tanh_has_a_derivative_where_its_cosh_overflows():
    graph = scg.Graph(dtype=np.float32)
    graph.cost("loss", np.sum(np.tanh(graph.param("w", np.ones(2)))))
    w = np.array([100.0, -1e30], np.float32)
    found = scg.estimate_gradient(graph, {"w": w}, rng=np.random.default_rng(0))
    assert found.gradient["w"].tolist() == [0.0, 0.0]
