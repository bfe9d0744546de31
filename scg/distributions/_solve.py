"""Linear equations for one vector each, with the matrix shared or not.

autograd's rule for ``solve`` leaves out that a shared matrix is broadcast.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp
from autograd.numpy.numpy_vjps import unbroadcast_f

from scg.protocol import Function

__all__: list[str] = []


@Function
def solve_vector(A: Any, y: Any, /) -> Any:
    """Solve A x = y; shapes (*batch, K, K) and (*batch, K), each broadcast."""
    if A.ndim == 2:
        columns = y.reshape(-1, y.shape[-1]).T
        return np.linalg.solve(A, columns).T.reshape(y.shape)
    return np.linalg.solve(A, y[..., np.newaxis])[..., 0]


def _transposed(A: Any) -> Any:
    return anp.swapaxes(A, -1, -2)


def _outer(x: Any, y: Any) -> Any:
    return anp.expand_dims(x, -1) * anp.expand_dims(y, -2)


defvjp(
    solve_vector.primitive,
    lambda ans, A, y: unbroadcast_f(
        A, lambda g: -_outer(solve_vector(_transposed(A), g), ans)
    ),
    lambda ans, A, y: unbroadcast_f(y, lambda g: solve_vector(_transposed(A), g)),
)
