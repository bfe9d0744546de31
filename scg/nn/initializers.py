"""How params begin: functions from a shape to ``(rng) -> array``.

What they return is what `scg.Graph.param` takes. The last axis of a shape counts
outputs, those before it inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from scg.errors import GraphError

__all__ = [
    "Initial",
    "Initializer",
    "glorot",
    "he",
    "lecun",
    "normal",
    "orthogonal",
    "uniform",
    "zeros",
]

Initial: TypeAlias = Callable[[np.random.Generator], Any]
Initializer: TypeAlias = Callable[[tuple[int, ...]], Initial]


def zeros(shape: tuple[int, ...]) -> Initial:
    """Begin at 0.

    Parameters
    ----------
    shape : tuple of int

    Returns
    -------
    Initial
        ``(rng) -> array``.

    Examples
    --------
    >>> zeros((2,))(np.random.default_rng(0)).tolist()
    [0.0, 0.0]
    """
    shape = _checked(shape)
    return lambda rng: np.zeros(shape)


def normal(shape: tuple[int, ...], std: float = 1.0) -> Initial:
    r"""Draw each number from :math:`N(0, \mathrm{std}^2)`.

    Parameters
    ----------
    shape : tuple of int
    std : float
        The standard deviation, not negative.

    Returns
    -------
    Initial
        ``(rng) -> array``.

    Raises
    ------
    GraphError
        When a number is out of range.

    Examples
    --------
    >>> normal((3, 2), std=0.1)(np.random.default_rng(0)).shape
    (3, 2)
    """
    shape, std = _checked(shape), _not_negative("std", std)
    return lambda rng: std * rng.normal(size=shape)


def uniform(shape: tuple[int, ...], bound: float = 1.0) -> Initial:
    r"""Draw each number evenly from :math:`[-\mathrm{bound}, \mathrm{bound})`.

    Parameters
    ----------
    shape : tuple of int
    bound : float
        Not negative.

    Returns
    -------
    Initial
        ``(rng) -> array``.

    Raises
    ------
    GraphError
        When a number is out of range.

    Examples
    --------
    >>> drawn = uniform((1000,), bound=0.1)(np.random.default_rng(0))
    >>> bool(np.abs(drawn).max() <= 0.1)
    True
    """
    shape, bound = _checked(shape), _not_negative("bound", bound)
    return lambda rng: rng.uniform(-bound, bound, size=shape)


def glorot(shape: tuple[int, ...], gain: float = 1.0) -> Initial:
    r"""Keep the scale of values and of gradients through a linear or tanh layer.

    .. math:: U\!\left(-g\sqrt{\tfrac{6}{n_{in}+n_{out}}},\
              g\sqrt{\tfrac{6}{n_{in}+n_{out}}}\right)

    Parameters
    ----------
    shape : tuple of int
        At least two axes.
    gain : float
        :math:`g`; a small one makes the first outputs nearly 0.

    Returns
    -------
    Initial
        ``(rng) -> array``.

    Raises
    ------
    GraphError
        When the shape has one axis, or a number is out of range.

    References
    ----------
    Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward
    neural networks".

    Examples
    --------
    >>> drawn = glorot((3, 3))(np.random.default_rng(0))
    >>> bool(np.abs(drawn).max() <= 1)
    True
    """
    inputs, outputs = _fans(shape)
    return uniform(
        shape, _not_negative("gain", gain) * math.sqrt(6 / (inputs + outputs))
    )


def lecun(shape: tuple[int, ...], gain: float = 1.0) -> Initial:
    r"""Keep the scale of values through a linear layer: :math:`N(0, g^2 / n_{in})`.

    Parameters
    ----------
    shape : tuple of int
        At least two axes.
    gain : float
        :math:`g`.

    Returns
    -------
    Initial
        ``(rng) -> array``.

    Raises
    ------
    GraphError
        When the shape has one axis, or a number is out of range.

    References
    ----------
    LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp".

    Examples
    --------
    >>> lecun((400, 2))(np.random.default_rng(0)).shape
    (400, 2)
    """
    inputs, _ = _fans(shape)
    return normal(shape, _not_negative("gain", gain) / math.sqrt(inputs))


def he(shape: tuple[int, ...], gain: float = 1.0) -> Initial:
    r"""Keep the scale of values through a ReLU layer: :math:`N(0, 2 g^2 / n_{in})`.

    Parameters
    ----------
    shape : tuple of int
        At least two axes.
    gain : float
        :math:`g`.

    Returns
    -------
    Initial
        ``(rng) -> array``.

    Raises
    ------
    GraphError
        When the shape has one axis, or a number is out of range.

    References
    ----------
    He, Zhang, Ren & Sun 2015, "Delving deep into rectifiers".

    Examples
    --------
    >>> he((400, 2))(np.random.default_rng(0)).shape
    (400, 2)
    """
    return lecun(shape, gain * math.sqrt(2))


def orthogonal(shape: tuple[int, ...], gain: float = 1.0) -> Initial:
    r"""Draw evenly from the matrices with :math:`W^T W = g^2 I` (or :math:`W W^T`).

    A shape of more than two axes is drawn as a matrix with the axes before the last
    made one.

    Parameters
    ----------
    shape : tuple of int
        At least two axes.
    gain : float
        :math:`g`.

    Returns
    -------
    Initial
        ``(rng) -> array``.

    Raises
    ------
    GraphError
        When the shape has one axis, or a number is out of range.

    References
    ----------
    Saxe, McClelland & Ganguli 2014, "Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks".

    Examples
    --------
    >>> W = orthogonal((3, 2))(np.random.default_rng(0))
    >>> bool(np.allclose(W.T @ W, np.eye(2)))
    True
    """
    inputs, outputs = _fans(shape)
    gain = _not_negative("gain", gain)

    def make(rng: np.random.Generator) -> Any:
        tall = rng.normal(size=(max(inputs, outputs), min(inputs, outputs)))
        q, r = np.linalg.qr(tall)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # or it would not be even
        return gain * np.reshape(q if inputs >= outputs else q.T, shape)

    return make


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Count inputs and outputs."""
    shape = _checked(shape)
    if len(shape) < 2:
        msg = (
            f"initializer: expected a shape of inputs and outputs, got {shape}. Use "
            "zeros, normal or uniform for vectors."
        )
        raise GraphError(msg)
    return math.prod(shape[:-1]), shape[-1]


def _checked(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(
        isinstance(n, int | np.integer) and n >= 1 for n in shape
    ):
        msg = (
            "initializer: expected a shape as a tuple of whole numbers of at least 1, "
            f"got {shape!r}."
        )
        raise GraphError(msg)
    return shape


def _not_negative(name: str, value: float) -> float:
    real = isinstance(value, int | float | np.number)
    if not (real and math.isfinite(value) and value >= 0):
        msg = f"initializer: expected {name} >= 0 and finite, got {value!r}."
        raise GraphError(msg)
    return value
