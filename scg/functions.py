"""Numerically stable functions for writing models, differentiable any number of times.

Each is exact in value and derivative where the textbook formula overflows or cancels.
Each takes arrays, autograd boxes and graph nodes, as NumPy's own functions do on
their objects: with a node among its arguments a call builds graph. Every derivative
rule is written with these same functions, so it can itself be differentiated. float32
stays float32. Layers and losses are not here: they are ordinary NumPy.

References
----------
M. Mächler, "Accurately computing log(1 - exp(-|a|))" (2012), for ``softplus``;
P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and
softmax functions", IMA Journal of Numerical Analysis 41 (2021).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp
from autograd.numpy.numpy_vjps import unbroadcast_f

from scg.arrays import largest, total
from scg.protocol import Function

__all__ = [
    "Function",
    "keep",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "pick",
    "sigmoid",
    "softmax",
    "softplus",
    "stop_gradient",
]


@Function
def sigmoid(x: Any, /, out: Any = None) -> Any:
    r"""Squash to the unit interval.

    .. math:: \sigma(x) = \frac{1}{1 + e^{-x}}, \qquad
              \sigma'(x) = \sigma(x)\,\sigma(-x)

    The derivative keeps its relative precision where :math:`1 - \sigma(x)` is 0.

    Parameters
    ----------
    x : array, any shape
        Log-odds.
    out : array, shape and dtype of `x`, optional
        Where the result goes; may be `x` itself.

    Returns
    -------
    array, shape of `x`
        0 below -709 (float64) or -88 (float32), where the result is subnormal.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1e4, 0.0, 1e4])).tolist()
    [0.0, 0.5, 1.0]
    """
    x = as_float(x)
    out = np.negative(x, out=np.empty_like(x) if out is None else out)
    # exp overflows to inf on purpose: 1 / (1 + inf) is the right 0.
    with np.errstate(over="ignore"):
        np.exp(out, out=out)
    np.add(out, 1, out=out)
    return np.divide(1, out, out=out)[()]


@Function
def softplus(x: Any, /) -> Any:
    r"""Compute a smooth maximum of `x` and 0.

    .. math:: \log(1 + e^x) = \max(x, 0) + \log(1 + e^{-|x|})

    Parameters
    ----------
    x : array, any shape

    Returns
    -------
    array, shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> softplus(np.array([-1e4, 1e4])).tolist()
    [0.0, 10000.0]
    """
    x = as_float(x)
    out = log1p_exp_minus_abs(x)
    return np.add(out, np.maximum(x, 0), out=out)[()]


@Function
def log_sigmoid(x: Any, /) -> Any:
    r"""Compute the logarithm of the sigmoid.

    .. math:: \log \sigma(x) = \min(x, 0) - \log(1 + e^{-|x|})

    Parameters
    ----------
    x : array, any shape
        Log-odds.

    Returns
    -------
    array, shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> log_sigmoid(np.array([-1e4, 1e4])).tolist()
    [-10000.0, 0.0]
    """
    x = as_float(x)
    out = log1p_exp_minus_abs(x)
    return np.subtract(np.minimum(x, 0), out, out=out)[()]


@Function
def logsumexp(x: Any, /, axis: int = -1) -> Any:
    r"""Compute a smooth maximum along an axis.

    .. math:: \log \sum_k e^{x_k} = m + \log \sum_k e^{x_k - m}, \quad m = \max_k x_k

    Parameters
    ----------
    x : array, shape (*batch, K)
        May hold :math:`-\infty` (a masked entry).
    axis : int
        The axis summed over.

    Returns
    -------
    array, shape (*batch,)
        :math:`-\infty` where all entries are, with no derivative there.

    Examples
    --------
    >>> import numpy as np
    >>> float(logsumexp(np.array([1e4, 1e4 - 800.0])))
    10000.0
    """
    x = as_float(x)
    peak, mass = _peak_and_mass(x, axis)
    with np.errstate(divide="ignore"):
        log_mass = np.log(mass)
    return np.squeeze(peak + log_mass, axis)[()]


@Function
def log_softmax(x: Any, /, axis: int = -1) -> Any:
    r"""Normalise log-weights along an axis.

    .. math:: x_k - \log \sum_j e^{x_j}

    Parameters
    ----------
    x : array, shape (*batch, K)
        May hold :math:`-\infty` (a masked entry), but not only.
    axis : int
        The axis that is normalised.

    Returns
    -------
    array, shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([1e4, 0.0, -np.inf])).tolist()
    [0.0, -10000.0, -inf]
    """
    x = as_float(x)
    peak, mass = _peak_and_mass(x, axis)
    out = x - peak
    return np.subtract(out, np.log(mass), out=out)


@Function
def softmax(x: Any, /, axis: int = -1) -> Any:
    r"""Normalise exponentiated weights along an axis.

    .. math:: s_k = \frac{e^{x_k}}{\sum_j e^{x_j}}, \qquad
              \frac{\partial s_k}{\partial x_j} = s_k ([k = j] - s_j)

    Derivatives are right to machine precision relative to the largest incoming
    gradient of a row.

    Parameters
    ----------
    x : array, shape (*batch, K)
        May hold :math:`-\infty` (a masked entry), but not only.
    axis : int
        The axis that is normalised.

    Returns
    -------
    array, shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([1e4, 1e4, -np.inf])).tolist()
    [0.5, 0.5, 0.0]
    """
    x = as_float(x)
    out = x - finite_max(x, axis)
    np.exp(out, out=out)
    return np.divide(out, total(out, axis), out=out)


@Function
def stop_gradient(x: Any, /) -> Any:
    r"""Return `x`, as a constant to every derivative.

    Parameters
    ----------
    x : array, any shape and dtype

    Returns
    -------
    array
        `x` itself.

    Examples
    --------
    >>> from autograd import grad
    >>> float(grad(lambda x: x * stop_gradient(x))(3.0))
    3.0
    """
    return x


@Function
def pick(x: Any, index: Any, /, outside: float = 0.0) -> Any:
    r"""Pick one entry of the last axis for each index.

    Equivalent to ``x[..., index[...]]`` with the leading axes broadcast.

    Parameters
    ----------
    x : array, shape (*batch, K)
    index : integer array, shape (*batch,)
        Broadcast against the leading axes of `x`.
    outside : float
        What an index outside 0, ..., K - 1 picks; its derivative is 0.

    Returns
    -------
    array, shape (*batch,)

    Raises
    ------
    IndexError
        If `index` is not an integer array.

    Examples
    --------
    >>> import numpy as np
    >>> pick(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 0])).tolist()
    [2.0, 3.0]
    >>> pick(np.array([1.0, 2.0]), np.array([0, 0, 1, 2]), outside=-1.0).tolist()
    [1.0, 1.0, 2.0, -1.0]
    """
    x, index = np.asarray(x), np.asarray(index)
    if index.dtype.kind not in "iu":
        msg = f"expected an integer index, got dtype {index.dtype}"
        raise IndexError(msg)
    size = x.shape[-1]
    inside = (index >= 0) & (index < size)
    if inside.all():
        return _gather(x, index)
    picked = _gather(x, np.where(inside, index, 0))
    return np.where(inside, picked, x.dtype.type(outside))[()]


@Function
def keep(x: Any, mask: Any, /) -> Any:
    r"""Keep `x` where the mask holds and put 0 elsewhere, also for a NaN or infinity.

    Equivalent to ``np.where(mask, x, 0)``, whose rule in autograd makes a float64
    gradient of a float32 one.

    Parameters
    ----------
    x : array, any shape
    mask : bool array, any shape that broadcasts to that of `x`

    Returns
    -------
    array, shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> keep(np.array([1.0, -np.inf]), np.array([True, False])).tolist()
    [1.0, 0.0]
    """
    x = as_float(x)
    return np.where(mask, x, x.dtype.type(0))[()]


def as_float(x: Any) -> Any:
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def log1p_exp_minus_abs(x: Any, out: Any = None) -> Any:
    # In place: a fresh array of more than 80 kB costs more in page faults than exp.
    out = np.abs(x, out=np.empty_like(x) if out is None else out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    return np.log1p(out, out=out)


def finite_max(x: Any, axis: int) -> Any:
    # An infinite maximum would make inf - inf of the entries that attain it.
    peak = largest(x, axis)
    if np.isfinite(peak).all():
        return peak
    return np.where(np.isinf(peak), x.dtype.type(0), peak)


def _peak_and_mass(x: Any, axis: int) -> tuple[Any, Any]:
    peak = finite_max(x, axis)
    mass = np.subtract(x, peak)
    np.exp(mass, out=mass)
    return peak, total(mass, axis)


def _gather(x: Any, index: Any) -> Any:
    if x.ndim == 1:
        return x[index]
    if x.ndim == 2 and index.ndim == 1 and len(index) == len(x):
        return x[np.arange(len(x)), index]
    shape = np.broadcast_shapes(x.shape[:-1], index.shape)
    x = np.broadcast_to(x, (*shape, x.shape[-1]))
    index = np.broadcast_to(index, shape)[..., np.newaxis]
    return np.take_along_axis(x, index, axis=-1)[..., 0]


def _spread(index: Any, like: Any) -> Callable[[Any], Any]:
    """Put a gradient at the index in a row of zeros: the adjoint of `pick`."""
    choices = np.arange(anp.shape(like)[-1])
    one_hot = anp.equal(anp.expand_dims(index, -1), choices)
    spread: Callable[[Any], Any] = unbroadcast_f(
        like, lambda g: anp.expand_dims(g, -1) * one_hot
    )
    return spread


def _sum_along(x: Any, axis: int) -> Any:
    return anp.sum(x, axis=axis, keepdims=True)


defvjp(sigmoid.primitive, lambda ans, x: lambda g: g * ans * sigmoid(-x))
defvjp(softplus.primitive, lambda ans, x: lambda g: g * sigmoid(x))
defvjp(log_sigmoid.primitive, lambda ans, x: lambda g: g * sigmoid(-x))
defvjp(
    logsumexp.primitive,
    lambda ans, x, axis=-1: lambda g: anp.expand_dims(g, axis) * softmax(x, axis=axis),
)
defvjp(
    log_softmax.primitive,
    lambda ans, x, axis=-1: lambda g: g - anp.exp(ans) * _sum_along(g, axis),
)
defvjp(
    softmax.primitive,
    lambda ans, x, axis=-1: lambda g: ans * (g - _sum_along(g * ans, axis)),
)
defvjp(stop_gradient.primitive, None)
defvjp(
    pick.primitive,
    lambda ans, x, index, outside=0.0: _spread(index, x),
    None,
)
defvjp(
    keep.primitive,
    lambda ans, x, mask: unbroadcast_f(x, lambda g: keep(g, mask)),
    None,
)
