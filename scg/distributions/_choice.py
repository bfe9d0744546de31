"""A parameter in one of two forms: itself or its logarithm, probabilities or log-odds.

The form that was not given is ``None``.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp

from scg.distributions import _parameters as p

__all__: list[str] = []


def settle_one_of(distribution: Any, *names: str) -> None:
    """Raise unless exactly one was given; turn it into an array if it is a list."""
    if sum(getattr(distribution, name) is not None for name in names) != 1:
        raise p.choice_error(distribution, *names)
    p.settle(distribution, *names)


def given(distribution: Any, *names: str) -> dict[str, Any]:
    """Return the parameters that were given, by name."""
    values = ((name, getattr(distribution, name)) for name in names)
    return {name: value for name, value in values if value is not None}


def plain(value: Any, log_value: Any) -> Any:
    """Return a positive parameter that was given by itself or by its logarithm."""
    return value if log_value is None else p.weakly(anp.exp, log_value)


def logarithm(value: Any, log_value: Any) -> Any:
    """Return the logarithm of a positive parameter given in either form."""
    return p.weakly(anp.log, value) if log_value is None else log_value
