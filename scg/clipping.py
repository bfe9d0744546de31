"""Gradients made smaller by their norm, before an optimiser sees them.

The norm runs over all params at once, so it cannot be part of an elementwise rule; it
becomes one factor, which the optimiser applies while it goes over the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scg.elementwise import CHUNK, Arrays, Optimizer, check_finite
from scg.errors import InputError, NonFiniteError

__all__ = ["GradientScaling", "chain", "clip_by_global_norm", "global_norm"]


@dataclass(frozen=True, slots=True)
class GradientScaling:
    """Multiply a gradient by a number that depends on its global norm.

    Parameters
    ----------
    factor : callable
        From the norm to the factor.

    Examples
    --------
    >>> normalise = GradientScaling(lambda norm: 1.0 / norm)
    >>> normalise.factor(4.0)
    0.25
    """

    factor: Callable[[float], float]


def clip_by_global_norm(max_norm: float) -> GradientScaling:
    r"""Shrink a gradient that is longer than `max_norm` to that length.

    .. math:: g \leftarrow g \cdot \min(1, c / \lVert g \rVert_2)

    The norm is taken over all params together, so the direction stays.

    Parameters
    ----------
    max_norm : float
        :math:`c`, above 0, in the gradient's unit.

    Returns
    -------
    GradientScaling
        To be put before an optimiser with `chain`.

    Raises
    ------
    InputError
        If `max_norm` is not above 0.

    References
    ----------
    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
    networks", 2013, algorithm 1.

    Examples
    --------
    >>> clip = clip_by_global_norm(2.0)
    >>> clip.factor(1.0), clip.factor(8.0)
    (1.0, 0.25)
    """
    if not max_norm > 0.0:
        msg = f"max_norm: expected a number above 0, got {max_norm!r}."
        raise InputError(msg)
    return GradientScaling(lambda norm: max_norm / norm if norm > max_norm else 1.0)


def chain(*parts: GradientScaling | Optimizer) -> Optimizer:
    """Put scalings of the gradient before an optimiser.

    Parameters
    ----------
    *parts : GradientScaling, then one Optimizer
        Applied from left to right; the norm a scaling sees is that of the gradient
        as scaled so far.

    Returns
    -------
    Optimizer
        Its state is that of the optimiser.

    Raises
    ------
    InputError
        If the last part is not an optimiser, or another one is.

    Examples
    --------
    >>> from scg.optimizers import sgd
    >>> optimizer = chain(clip_by_global_norm(1.0), sgd(1.0))
    >>> params = {"a": np.array(0.0), "b": np.array(0.0)}
    >>> gradient = {"a": np.array(3.0), "b": np.array(-4.0)}
    >>> params, state = optimizer.update(gradient, optimizer.init(params), params)
    >>> {name: round(float(value), 3) for name, value in params.items()}
    {'a': -0.6, 'b': 0.8}
    """
    scalings = [part for part in parts if isinstance(part, GradientScaling)]
    if len(scalings) != len(parts) - 1 or not isinstance(parts[-1], Optimizer):
        kinds = [type(part).__name__ for part in parts]
        msg = f"chain: expected gradient scalings, then one Optimizer, got {kinds}."
        raise InputError(msg)
    optimizer = parts[-1]

    def update(
        gradient: Mapping[str, NDArray[Any]],
        state: Mapping[str, NDArray[Any]],
        params: Mapping[str, NDArray[Any]],
        *,
        donate: bool = False,
        scale: float = 1.0,
    ) -> tuple[Arrays, Arrays]:
        norm = _finite_norm(gradient)
        for scaling in scalings:
            scale *= scaling.factor(scale * norm)
        return optimizer.update(gradient, state, params, donate=donate, scale=scale)

    return Optimizer(optimizer.init, update)


def global_norm(arrays: Mapping[str, NDArray[Any]]) -> float:
    r"""Take the Euclidean norm of all numbers of all arrays.

    .. math:: \lVert g \rVert_2 = \sqrt{\sum_i \sum_j g_{ij}^2}

    The sum is made in float64 and does not depend on the order of the names or on the
    number of threads.

    Parameters
    ----------
    arrays : mapping of str to array
        Any shapes.

    Returns
    -------
    float
        Infinite if a square is: for entries beyond 1e154.

    Examples
    --------
    >>> global_norm({"a": np.array(3.0), "b": np.array([0.0, 4.0])})
    5.0
    """
    # Sorted: a run that reads its params from a file has them in another order.
    return math.sqrt(sum(sorted(map(_sum_of_squares, arrays.values()))))


def _sum_of_squares(value: NDArray[Any]) -> float:
    # A BLAS dot product would be faster, and depend on its number of threads.
    flat = np.asarray(value).reshape(-1)
    scratch = np.empty(min(CHUNK, flat.size))
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, flat.size, CHUNK):
            part = flat[start : start + CHUNK]
            square = scratch[: part.size]
            square[...] = part
            np.multiply(square, square, out=square)
            total += float(np.add.reduce(square))
    return total


def _finite_norm(gradient: Mapping[str, NDArray[Any]]) -> float:
    norm = global_norm(gradient)
    if math.isfinite(norm):
        return norm
    for name, value in gradient.items():
        check_finite(f"gradient of param {name!r}", np.asarray(value))
    msg = "gradient: expected a norm that float64 can hold, got entries beyond 1e154."
    raise NonFiniteError(msg)
