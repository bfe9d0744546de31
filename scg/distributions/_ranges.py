"""Ranges of parameters, checked where they have values."""

from __future__ import annotations

from typing import Any

import numpy as np

from scg.distributions import _parameters as p
from scg.errors import DistributionError

__all__: list[str] = []


def require_positive(name: str, distribution: Any, *parameters: str) -> None:
    """Raise unless the parameters are positive and finite."""
    for parameter, value in _concrete(distribution, parameters):
        by_log = f"log_{parameter}"
        has_log = by_log in distribution.__dataclass_fields__
        form = f"{by_log}=, or " if has_log else ""
        p.require_all(
            name,
            (value > 0) & (value < np.inf),
            value,
            expected=f"a positive, finite {parameter} of {_family(distribution)}",
            way_out=f"Pass {form}{parameter}=scg.softplus(...).",
        )


def require_finite(name: str, distribution: Any, *parameters: str) -> None:
    """Raise unless the parameters are finite."""
    for parameter, value in _concrete(distribution, parameters):
        p.require_all(
            name,
            np.isfinite(value),
            value,
            expected=f"a finite {parameter} of {_family(distribution)}",
            way_out="Bound what computes it.",
        )


def require_probability(name: str, distribution: Any, *, positive: bool) -> None:
    """Raise unless `probs` is in [0, 1], or in (0, 1] where it must be positive."""
    for _, value in _concrete(distribution, ("probs",)):
        above = value > 0 if positive else value >= 0
        p.require_all(
            name,
            above & (value <= 1),
            value,
            expected=f"probs of {_family(distribution)} in "
            f"{'(' if positive else '['}0, 1]",
            way_out="Pass logits= for numbers of any size.",
        )


def require_event_axis(distribution: Any, *parameters: str) -> None:
    """Raise where a draw would have no axis of components, or rows for one."""
    shapes = {k: p.shape_of(v) for k, v in _given(distribution, parameters)}
    for parameter, shape in shapes.items():
        # The length of a node's axis of rows is not known yet: it reads -1.
        if shape and shape[-1] < 0:
            raise _no_event_axis(distribution, f"{parameter} with one number a row")
    if not any(shapes.values()):
        raise _no_event_axis(distribution, "scalars")


def _no_event_axis(distribution: Any, got: str) -> DistributionError:
    return DistributionError(
        f"{_family(distribution)}: expected parameters of shape (..., K), got {got}. "
        "The last axis is that of one draw's components."
    )


def _given(distribution: Any, names: tuple[str, ...]) -> list[tuple[str, Any]]:
    values = [(name, getattr(distribution, name)) for name in names]
    return [(name, value) for name, value in values if value is not None]


def _concrete(distribution: Any, names: tuple[str, ...]) -> list[tuple[str, Any]]:
    given = _given(distribution, names)
    return [(name, value) for name, value in given if p.concrete(value)]


def _family(distribution: Any) -> str:
    return type(distribution).__name__
