"""NumPy functions written out in those that autograd differentiates rightly.

autograd has no rule for some functions (``take``, ``flip``, ``positive``), has one for
part of the arguments (``sort``, ``diagonal``), or has one that is wrong for some of
them (``where`` that broadcasts, ``repeat`` along a negative axis, ``tile`` with fewer
repeats than axes). Each function here returns what NumPy's own returns and is made of
functions whose rules are right, so it can be differentiated any number of times.
`scg.autodiff` decides when they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

__all__ = ["COMPOSED"]


def _where(condition: Any, x: Any, y: Any) -> Any:
    """Broadcast first: autograd's rule for ``where`` leaves that out."""
    shape = np.broadcast_shapes(np.shape(condition), np.shape(x), np.shape(y))
    zeros = np.zeros(shape, np.result_type(getval(x), getval(y)))
    return anp.where(condition, x + zeros, y + zeros)


def _select(
    condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0
) -> Any:
    result = default
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        result = _where(condition, choice, result)
    return result


def _broadcast_to(array: Any, shape: Any) -> Any:
    return array + np.zeros(shape, np.result_type(getval(array)))


def _take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    if mode != "raise":
        msg = f"np.take with mode={mode!r} has no derivative; use mode='raise'."
        raise NotImplementedError(msg)
    if axis is None:
        return anp.ravel(a)[indices]
    return a[_at(a, axis, indices)]


def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    if axis is None:
        return anp.ravel(arr)[indices]
    axis = axis % arr.ndim
    others = list(np.broadcast_shapes(_but(arr, axis), _but(indices, axis)))
    others.insert(axis, 1)
    grid: list[Any] = list(np.ogrid[tuple(slice(n) for n in others)])
    # An axis of length 1 is broadcast: its one entry is meant throughout.
    grid = [np.minimum(at, n - 1) for at, n in zip(grid, arr.shape, strict=True)]
    grid[axis] = indices
    return arr[tuple(grid)]


def _sort(a: Any, axis: int | None = -1) -> Any:
    flat, along = _flat(a, axis)
    return _take_along_axis(flat, np.argsort(getval(flat), axis=along), along)


def _partition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    flat, along = _flat(a, axis)
    order = np.argpartition(getval(flat), kth, axis=along)
    return _take_along_axis(flat, order, along)


def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    flat, along = _flat(a, axis)
    where = np.repeat(np.arange(flat.shape[along]), repeats)
    return flat[_at(flat, along, where)]


def _tile(A: Any, reps: Any) -> Any:
    reps = tuple(np.atleast_1d(reps))
    d = max(len(reps), anp.ndim(A))
    tiled = anp.reshape(A, (1,) * (d - anp.ndim(A)) + anp.shape(A))
    for axis, n in enumerate((1,) * (d - len(reps)) + reps):
        tiled = _repeat_block(tiled, int(n), axis)
    return tiled


def _repeat_block(array: Any, n: int, axis: int) -> Any:
    return array if n == 1 else anp.concatenate([array] * n, axis=axis)


def _flip(m: Any, axis: Any = None) -> Any:
    axes = range(m.ndim) if axis is None else np.atleast_1d(axis)
    for i in axes:
        m = m[_at(m, int(i), slice(None, None, -1))]
    return m


def _rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    k %= 4
    if k in {1, 2}:
        m = _flip(m, axes[1])
    if k in {2, 3}:
        m = _flip(m, axes[0])
    return m if k in {0, 2} else anp.swapaxes(m, *axes)


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    last = anp.moveaxis(a, (axis1, axis2), (-2, -1))
    n, m = last.shape[-2:]
    i = np.arange(max(0, -offset), max(0, -offset, min(n, m - offset)))
    return last[..., i, i + offset]


def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return anp.sum(_diagonal(a, offset, axis1, axis2), axis=-1)


def _gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    if edge_order != 1 or len(spacing) > 1 or any(np.ndim(h) for h in spacing):
        msg = "np.gradient has a derivative for one even spacing and edge_order=1."
        raise NotImplementedError(msg)
    axes = range(f.ndim) if axis is None else np.atleast_1d(axis)
    h = spacing[0] if spacing else 1.0
    slopes = [_slope(f, int(i)) / h for i in axes]
    return slopes if len(slopes) > 1 else slopes[0]


def _slope(f: Any, axis: int) -> Any:
    def at(*bounds: int | None) -> Any:
        return f[_at(f, axis, slice(*bounds))]

    ends = at(1, 2) - at(0, 1), at(-1, None) - at(-2, -1)
    return anp.concatenate([ends[0], (at(2, None) - at(0, -2)) / 2, ends[1]], axis=axis)


def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    if compute_uv and full_matrices and a.shape[-1] != a.shape[-2]:
        msg = "np.linalg.svd has a derivative with full_matrices=False."
        raise NotImplementedError(msg)
    return anp.linalg.svd(a, full_matrices=False, compute_uv=compute_uv)


def _at(array: Any, axis: int, index: Any) -> tuple[Any, ...]:
    return (slice(None),) * (axis % array.ndim) + (index,)


def _but(array: Any, axis: int) -> tuple[int, ...]:
    shape = np.shape(array)
    return (*shape[:axis], *shape[axis + 1 :])


def _flat(a: Any, axis: int | None) -> tuple[Any, int]:
    return (anp.ravel(a), 0) if axis is None else (a, axis)


COMPOSED: Mapping[Any, Callable[..., Any]] = {
    np.broadcast_to: _broadcast_to,
    np.diagonal: _diagonal,
    np.flip: _flip,
    np.gradient: _gradient,
    np.linalg.svd: _svd,
    np.partition: _partition,
    np.positive: lambda x: x,
    np.repeat: _repeat,
    np.rot90: _rot90,
    np.select: _select,
    np.sort: _sort,
    np.take: _take,
    np.take_along_axis: _take_along_axis,
    np.tile: _tile,
    np.trace: _trace,
    np.where: _where,
}
