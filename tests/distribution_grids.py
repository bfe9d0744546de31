"""Points and weights with which a mean over a family is a sum."""

import itertools

import numpy as np

# Four elements, as in the matrix of cases.
SIZE = 4


def line(centre, scale, *, reach=14.0, points=561):
    """Give points of the real line; the trapezoidal rule is exact to rounding there."""
    t = np.linspace(-reach, reach, points)[:, None]
    return centre + scale * t, np.broadcast_to(scale * (t[1] - t[0]), (points, SIZE))


def kinked(kinks, reach):
    """Give the Gauss-Legendre rules between kinks, and to both sides of them."""
    ends = [kinks[0] - reach, *kinks, kinks[-1] + reach]
    panels = [interval(*pair) for pair in itertools.pairwise(ends)]
    points, weights = zip(*panels, strict=True)
    return np.concatenate(points), np.concatenate(weights)


def half_line(*, reach=(-60.0, 7.0), points=1201):
    """Give points of the positive half-line, evenly spaced in their logarithm."""
    t, step = np.linspace(*reach, points, retstep=True)
    x = np.broadcast_to(np.exp(t)[:, None], (points, SIZE))
    return x, x * step


def unit(*, reach=36.0, points=1201):
    """Give points of (0, 1), evenly spaced in their log-odds."""
    t, step = np.linspace(-reach, reach, points, retstep=True)
    x = np.broadcast_to(1 / (1 + np.exp(-t))[:, None], (points, SIZE))
    return x, x * (1 / (1 + np.exp(t)))[:, None] * step


def interval(low, high, points=96):
    """Give the Gauss-Legendre rule of an interval for each element."""
    t, weights = np.polynomial.legendre.leggauss(points)
    half = (high - low) / 2
    return (low + high) / 2 + half * t[:, None], np.abs(half) * weights[:, None]


def squashed(points=4001, reach=18.0):
    """Give points of (-1, 1), evenly spaced in their artanh."""
    t, step = np.linspace(-reach, reach, points, retstep=True)
    y = np.broadcast_to(np.tanh(t)[:, None], (points, SIZE))
    return y, np.broadcast_to(step / np.cosh(t)[:, None] ** 2, y.shape)


def counts(largest, dtype=float):
    """Give 0, ..., the largest, each with weight 1."""
    k = np.arange(largest + 1, dtype=dtype)
    return np.tile(k[:, None], (1, SIZE)), np.ones((largest + 1, SIZE))


def one_hot(size):
    """Give the one-hot vectors, each with weight 1."""
    return np.tile(np.eye(size)[:, None], (1, SIZE, 1)), np.ones((size, SIZE))


def plane(mean, factor, *, reach=9.0, points=61):
    """Give points of the plane along the axes of a Cholesky factor."""
    t, step = np.linspace(-reach, reach, points, retstep=True)
    z = np.array(list(itertools.product(t, t)))
    x = mean + np.einsum("eij,mj->mei", factor, z)
    weights = np.prod(np.diagonal(factor, axis1=-2, axis2=-1), axis=-1) * step**2
    return x, np.broadcast_to(weights, x.shape[:2])


def simplex(*, reach=30.0, points=301):
    """Give points of the triangle of three probabilities, by breaking a stick twice."""
    t, step = np.linspace(-reach, reach, points, retstep=True)
    up, down = 1 / (1 + np.exp(-t)), 1 / (1 + np.exp(t))
    first, rest = np.repeat(up, points), np.repeat(down, points)
    second, third = np.tile(up, points), np.tile(down, points)
    x = np.stack([first, rest * second, rest * third], axis=-1)
    weights = first * rest**2 * second * third * step**2
    shape = (len(x), SIZE)
    return (
        np.broadcast_to(x[:, None], (*shape, 3)),
        np.broadcast_to(weights[:, None], shape),
    )
