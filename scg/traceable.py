"""Operations as autograd can trace them: with boxes in place of arrays.

NumPy's own functions do not take autograd's boxes, and some of autograd's rules
overflow, are wrong where shapes broadcast, or are missing. What is returned here can be
differentiated any number of times.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive
from autograd.tracer import trace_primitives_map

from scg.composed import COMPOSED
from scg.functions import Function
from scg.operation import Operation

__all__ = ["traceable"]


def traceable(operation: Operation) -> Callable[..., Any]:
    """Return the function of an operation that takes autograd's boxes.

    Parameters
    ----------
    operation : Operation
        Not a black box.

    Returns
    -------
    callable

    Examples
    --------
    >>> from autograd import grad
    >>> from scg.operation import capture
    >>> operation, _ = capture(np.tanh, (0.5,), {})
    >>> tanh = traceable(operation)
    >>> bool(np.isclose(grad(grad(tanh))(0.5), -2 * np.tanh(0.5) / np.cosh(0.5) ** 2))
    True
    """
    function = operation.function
    if operation.kind == "deterministic" or isinstance(function, Function):
        return function
    if function in _OURS:
        return _OURS[function]
    if function in COMPOSED:
        return COMPOSED[function]
    by_name = getattr(anp, operation.name, None)
    if callable(by_name) and not hasattr(by_name, "_is_autograd_primitive"):
        return by_name
    return trace_primitives_map.get(function, function)


def _plain_tanh(x: Any) -> Any:
    return np.tanh(x)


def _plain_sparse_matmul(a: Any, b: Any) -> Any:
    return np.asarray(a @ b)


# Of functions of our own: autograd finds a primitive by the function it was made of.
_tanh: Callable[..., Any] = primitive(_plain_tanh)
_sparse_matmul: Callable[..., Any] = primitive(_plain_sparse_matmul)

# autograd's own, g / cosh², overflows float32 beyond |x| = 89.
defvjp(_tanh, lambda ans, x: lambda g: g * (1 - ans * ans))
defvjp(_sparse_matmul, None, lambda ans, a, b: lambda g: _sparse_matmul(a.T, g))


def _matmul(a: Any, b: Any) -> Any:
    """Multiply matrices, the left of which may be sparse; that one is a constant."""
    if hasattr(a, "tocsr"):
        return _sparse_matmul(a, b)
    return anp.matmul(a, b)


_OURS: Mapping[Any, Callable[..., Any]] = {
    operator.matmul: _matmul,
    np.tanh: _tanh,
}
