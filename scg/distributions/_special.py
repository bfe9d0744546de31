"""Special functions of SciPy, with derivatives of every order.

SciPy is an optional dependency: it is imported when one of them is first computed. Each
takes arrays, autograd boxes and graph nodes; a Python scalar stays one, and therefore
weak.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp
from autograd.numpy.numpy_vjps import unbroadcast_f

from scg.distributions import _parameters as p
from scg.extras import require
from scg.protocol import Function

__all__: list[str] = []


@cache
def scipy_special() -> Any:
    """Import ``scipy.special``, or raise `MissingExtraError` naming the extra."""
    return require("scipy.special", extra="distributions")


@Function
def log_gamma(x: Any, /) -> Any:
    """Compute log Γ(x) for positive x."""
    return p.weakly(scipy_special().gammaln, x)


@Function
def log_beta(a: Any, b: Any, /) -> Any:
    """Compute log Γ(a) + log Γ(b) - log Γ(a + b), where that would cancel too."""
    return scipy_special().betaln(a, b)


@Function
def polygamma(x: Any, /, order: int = 0) -> Any:
    """Compute the derivative of log Γ of order `order` + 1."""
    special = scipy_special()
    if order == 0:
        return p.weakly(special.psi, x)
    # SciPy's own gives float64 for float32.
    return p.weakly(
        lambda x: np.asarray(special.polygamma(order, x), np.result_type(x))[()], x
    )


@Function
def xlogy(x: Any, y: Any, /) -> Any:
    """Compute x log y, which is 0 where x is."""
    return scipy_special().xlogy(x, y)


@Function
def xlog1py(x: Any, y: Any, /) -> Any:
    """Compute x log(1 + y), which is 0 where x is."""
    return scipy_special().xlog1py(x, y)


def _ratio(x: Any, y: Any) -> Any:
    """Divide, with 0 / 0 = 0: where x is 0 so are x log y and its derivative."""
    return x / (y + anp.equal(x, 0))


defvjp(log_gamma.primitive, lambda ans, x: lambda g: g * polygamma(x))
defvjp(
    log_beta.primitive,
    lambda ans, a, b: unbroadcast_f(a, lambda g: g * (polygamma(a) - polygamma(a + b))),
    lambda ans, a, b: unbroadcast_f(b, lambda g: g * (polygamma(b) - polygamma(a + b))),
)
defvjp(
    polygamma.primitive,
    lambda ans, x, order=0: lambda g: g * polygamma(x, order=order + 1),
)
defvjp(
    xlogy.primitive,
    lambda ans, x, y: unbroadcast_f(x, lambda g: g * p.log_or_minus_infinity(y)),
    lambda ans, x, y: unbroadcast_f(y, lambda g: g * _ratio(x, y)),
)
defvjp(
    xlog1py.primitive,
    lambda ans, x, y: unbroadcast_f(x, lambda g: g * p.log_or_minus_infinity(1 + y)),
    lambda ans, x, y: unbroadcast_f(y, lambda g: g * _ratio(x, 1 + y)),
)
