"""The table of kernels: what a function's adjoint is, written into a given array.

Each elementwise function has one rule for each argument, ``rule(out, g, y, *args)``: it
writes the argument's adjoint, of the shape of the value `y`, into `out`. `PASSED` is
for an adjoint that goes through unchanged. Functions that move, sum or multiply arrays
have a maker of their own in `scg.linear_kernels`. Whatever is in no table goes by
autograd's rule (`scg.autodiff`), to which each of these is equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scg.arrays import all_finite
from scg.functions import keep, log_sigmoid, sigmoid, softplus

__all__ = ["ELEMENTWISE", "PASSED", "READS", "Rule"]

Rule = Callable[..., Any]


def PASSED(out: Any, g: Any, y: Any, *args: Any) -> None:  # noqa: N802 - a constant
    """Stand for an adjoint that is that of the value itself."""


def _negated(out: Any, g: Any, y: Any, *args: Any) -> None:
    np.negative(g, out)


def _times_second(out: Any, g: Any, y: Any, a: Any, b: Any) -> None:
    np.multiply(g, b, out)


def _times_first(out: Any, g: Any, y: Any, a: Any, b: Any) -> None:
    np.multiply(g, a, out)


def _over_second(out: Any, g: Any, y: Any, a: Any, b: Any) -> None:
    np.divide(g, b, out)


def _divisor(out: Any, g: Any, y: Any, a: Any, b: Any) -> None:
    # -g a / b², as autograd has it: y / b would be 0/0 where b is 0.
    np.multiply(g, a, out)
    np.divide(out, np.multiply(b, -b), out)


def _base(out: Any, g: Any, y: Any, a: Any, b: Any) -> None:
    if isinstance(b, int | float) and b == 2:
        np.add(a, a, out)
    else:
        np.power(a, np.where(np.equal(b, 0), 1, np.subtract(b, 1)), out)
        np.multiply(out, b, out)
    np.multiply(out, g, out)


def _times_value(out: Any, g: Any, y: Any, x: Any) -> None:
    np.multiply(g, y, out)


def _over_argument(out: Any, g: Any, y: Any, x: Any) -> None:
    np.divide(g, x, out)


def _tanh(out: Any, g: Any, y: Any, x: Any) -> None:
    np.multiply(y, y, out)
    np.subtract(1, out, out)
    np.multiply(out, g, out)


def _square(out: Any, g: Any, y: Any, x: Any) -> None:
    np.add(x, x, out)
    np.multiply(out, g, out)


def _sqrt(out: Any, g: Any, y: Any, x: Any) -> None:
    np.divide(g, y, out)
    np.multiply(out, 0.5, out)


def _log1p(out: Any, g: Any, y: Any, x: Any) -> None:
    np.add(x, 1, out)
    np.divide(g, out, out)


def _expm1(out: Any, g: Any, y: Any, x: Any) -> None:
    np.add(y, 1, out)
    np.multiply(out, g, out)


def _sin(out: Any, g: Any, y: Any, x: Any) -> None:
    np.cos(x, out)
    np.multiply(out, g, out)


def _cos(out: Any, g: Any, y: Any, x: Any) -> None:
    np.sin(x, out)
    np.negative(out, out)
    np.multiply(out, g, out)


def _absolute(out: Any, g: Any, y: Any, x: Any) -> None:
    np.sign(x, out)
    np.multiply(out, g, out)


def _chosen(first_is_chosen: Any, here: int) -> Rule:
    """Make the rule of a maximum or minimum; where both are equal, each gets half."""

    def rule(out: Any, g: Any, y: Any, a: Any, b: Any) -> None:
        mine, other = (a, b) if here == 0 else (b, a)
        np.multiply(g, first_is_chosen(mine, other), out)
        tied = np.equal(a, b)
        if tied.any():
            np.add(out, g * (tied * out.dtype.type(0.5)), out)

    return rule


def _where_true(out: Any, g: Any, y: Any, condition: Any, *_: Any) -> None:
    _kept(out, g, np.asarray(condition, bool))


def _where_false(out: Any, g: Any, y: Any, condition: Any, *_: Any) -> None:
    _kept(out, g, np.logical_not(condition))


def _sigmoid(out: Any, g: Any, y: Any, x: Any) -> None:
    sigmoid.compute(np.negative(x, out), out=out)
    np.multiply(out, y, out)
    np.multiply(out, g, out)


def _softplus(out: Any, g: Any, y: Any, x: Any) -> None:
    sigmoid.compute(x, out=out)
    np.multiply(out, g, out)


def _log_sigmoid(out: Any, g: Any, y: Any, x: Any) -> None:
    sigmoid.compute(np.negative(x, out), out=out)
    np.multiply(out, g, out)


def _keep(out: Any, g: Any, y: Any, x: Any, mask: Any) -> None:
    _kept(out, g, mask)


def _kept(out: Any, g: Any, mask: Any) -> None:
    if all_finite(g):
        np.multiply(g, mask, out)
    else:  # the product would be NaN where an infinite adjoint is not kept
        out.fill(0)
        np.copyto(out, g, where=mask)


# What a rule reads besides g: -1 for y, else the number of an argument. A value that no
# rule reads need not be kept.
READS: Mapping[Rule, tuple[int, ...]] = {
    PASSED: (),
    _negated: (),
    _times_second: (1,),
    _times_first: (0,),
    _over_second: (1,),
    _times_value: (-1,),
    _over_argument: (0,),
    _tanh: (-1,),
    _square: (0,),
    _sqrt: (-1,),
    _log1p: (0,),
    _expm1: (-1,),
    _sin: (0,),
    _cos: (0,),
    _absolute: (0,),
    _where_true: (0,),
    _where_false: (0,),
    _sigmoid: (-1, 0),
    _softplus: (0,),
    _log_sigmoid: (0,),
    _keep: (1,),
}

ELEMENTWISE: Mapping[Any, tuple[Rule | None, ...]] = {
    np.add: (PASSED, PASSED),
    np.subtract: (PASSED, _negated),
    np.multiply: (_times_second, _times_first),
    np.divide: (_over_second, _divisor),
    np.power: (_base, None),
    np.negative: (_negated,),
    np.positive: (PASSED,),
    np.exp: (_times_value,),
    np.log: (_over_argument,),
    np.log1p: (_log1p,),
    np.expm1: (_expm1,),
    np.tanh: (_tanh,),
    np.square: (_square,),
    np.sqrt: (_sqrt,),
    np.sin: (_sin,),
    np.cos: (_cos,),
    np.absolute: (_absolute,),
    np.maximum: (_chosen(np.greater, 0), _chosen(np.greater, 1)),
    np.minimum: (_chosen(np.less, 0), _chosen(np.less, 1)),
    np.where: (None, _where_true, _where_false),
    sigmoid: (_sigmoid,),
    softplus: (_softplus,),
    log_sigmoid: (_log_sigmoid,),
    keep: (_keep, None),
}
