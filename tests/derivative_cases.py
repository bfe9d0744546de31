"""Every function that autograd has a rule for, as it is written in a model.

A case is a function of (np, h, w): h has rows and shape (3,), w is a param of shape
(3,), both with numbers in (0.2, 0.8). The same function runs on nodes, with NumPy, and
on autograd's arrays, with ``autograd.numpy``. Names are those of autograd's registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import scg
from scg.bit_log_prob import bernoulli_log_prob
from scg.functions import pick

__all__ = ["CASES", "EXCLUDED", "WRONG_IN_AUTOGRAD"]

Case = Callable[[Any, Any, Any], Any]


def unary(name: str, scale: float = 1.0, shift: float = 0.0) -> dict[str, Case]:
    """Call an elementwise function of what has rows, and of a param."""
    return {
        name: lambda np, h, w: getattr(np, name)(scale * h + shift),
        f"{name}, of a param": lambda np, h, w: (
            h * getattr(np, name)(scale * w + shift)
        ),
    }


def binary(name: str) -> dict[str, Case]:
    """Call a function of two arguments in every way that broadcasts."""
    table = [0.31, 0.52, 0.77]

    def f(np: Any, *args: Any) -> Any:
        return getattr(np, name)(*args)

    return {
        name: f,
        f"{name}, param first": lambda np, h, w: f(np, w, h),
        f"{name}, twice the same": lambda np, h, w: f(np, h, h) + 0 * h,
        f"{name}, number": lambda np, h, w: f(np, h, 0.45),
        f"{name}, number first": lambda np, h, w: f(np, 0.45, h),
        f"{name}, array": lambda np, h, w: f(np, h, np.array(table)),
        f"{name}, column": lambda np, h, w: f(np, h[:, :1], w),
        f"{name}, one param": lambda np, h, w: f(np, h, w[0]),
        f"{name}, outer axes": lambda np, h, w: f(np, h[:, :, None], w),
        f"{name}, column of params": lambda np, h, w: f(np, h[:, None, :], w[:, None]),
        f"{name}, params alone": lambda np, h, w: h * f(np, w, w[::-1]),
    }


def square(np: Any, h: Any) -> Any:
    """Make a well-conditioned matrix for each row."""
    return h[:, :, None] * h[:, None, :] + np.diag(np.array([2.0, 3.0, 4.5]))


def stacked(np: Any, h: Any) -> Any:
    """Make shape (rows, 2, 3)."""
    return np.stack([h, h**2], axis=1)


UNARY = {
    **unary("absolute", shift=-0.5),
    **unary("fabs", shift=-0.5),
    **unary("arccosh", shift=1.5),
    **unary("sinc", shift=0.1),
    **{
        key: case
        for name in [
            "arccos",
            "arcsin",
            "arcsinh",
            "arctan",
            "arctanh",
            "cos",
            "cosh",
            "deg2rad",
            "degrees",
            "exp",
            "exp2",
            "expm1",
            "log",
            "log10",
            "log1p",
            "log2",
            "nan_to_num",
            "negative",
            "rad2deg",
            "radians",
            "real",
            "conjugate",
            "real_if_close",
            "reciprocal",
            "sin",
            "sinh",
            "sqrt",
            "square",
            "tan",
            "tanh",
        ]
        for key, case in unary(name).items()
    },
}

BINARY = {
    key: case
    for name in [
        "add",
        "subtract",
        "multiply",
        "divide",
        "power",
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "arctan2",
        "hypot",
        "logaddexp",
        "logaddexp2",
        "remainder",
    ]
    for key, case in binary(name).items()
}

REDUCTIONS: Mapping[str, Case] = {
    key: case
    for name in ["sum", "mean", "prod", "max", "min", "amax", "amin", "std", "var"]
    for key, case in {
        name: lambda np, h, w, f=name: getattr(np, f)(h, axis=-1),
        f"{name}, axis 1": lambda np, h, w, f=name: getattr(np, f)(h, axis=1),
        f"{name}, kept": lambda np, h, w, f=name: (
            getattr(np, f)(h, axis=-1, keepdims=True) * w
        ),
        f"{name}, two axes": lambda np, h, w, f=name: getattr(np, f)(
            stacked(np, h), axis=(1, 2)
        ),
        f"{name}, of a param": lambda np, h, w, f=name: h * getattr(np, f)(w),
    }.items()
}

PRODUCTS: Mapping[str, Case] = {
    "matmul": lambda np, h, w: h @ square(np, w[None])[0],
    "matmul, a vector": lambda np, h, w: h @ w,
    "matmul, matrices of each row": lambda np, h, w: square(np, h) @ square(np, h),
    "matmul, matrix of each row and param": lambda np, h, w: square(np, h) @ w,
    "matmul, param first": lambda np, h, w: square(np, w[None]) @ square(np, h),
    "matmul, batch of params": lambda np, h, w: (
        h[:, None, None, :] @ square(np, np.stack([w, w**2]))
    ),
    "dot": lambda np, h, w: np.dot(h, w),
    "dot, a matrix": lambda np, h, w: np.dot(h, square(np, w[None])[0]),
    "dot, three axes": lambda np, h, w: np.dot(stacked(np, h), w),
    "inner": lambda np, h, w: np.inner(h, w),
    "inner, a matrix": lambda np, h, w: np.inner(h, square(np, w[None])[0]),
    "outer": lambda np, h, w: h[:, :, None] * np.outer(w, w**2),
    "kron": lambda np, h, w: h @ np.kron(w[:, None], w**2).reshape(3, 3),
    "cross": lambda np, h, w: np.cross(h, w * np.ones((1, 3))),
    "cross, of rows": lambda np, h, w: np.cross(h**2, h),
    "tensordot": lambda np, h, w: np.tensordot(h, square(np, w[None])[0], axes=1),
    "tensordot, named axes": lambda np, h, w: np.tensordot(
        stacked(np, h), w, axes=([2], [0])
    ),
    "einsum": lambda np, h, w: np.einsum("ri,i->r", h, w),
    "einsum, of rows": lambda np, h, w: np.einsum("ri,rj->rij", h, h),
    "einsum, three": lambda np, h, w: np.einsum("ri,i,ri->ri", h, w, h),
    "einsum, ellipsis": lambda np, h, w: np.einsum("...i,i->...", stacked(np, h), w),
    "einsum, a constant": lambda np, h, w: np.einsum("ri,ij->rj", h, np.eye(3)),
}

SHAPES: Mapping[str, Case] = {
    "reshape": lambda np, h, w: np.reshape(stacked(np, h), (-1, 6)),
    "reshape, with rows": lambda np, h, w: np.reshape(h, (h.shape[0], 3, 1)),
    "reshape, method": lambda np, h, w: stacked(np, h).reshape(-1, 3, 2),
    "ravel": lambda np, h, w: h[:, :, None] * np.ravel(np.outer(w, w)),
    "squeeze": lambda np, h, w: np.squeeze(h[:, None, :], axis=1),
    "expand_dims": lambda np, h, w: np.expand_dims(h, 1) * w,
    "transpose": lambda np, h, w: np.transpose(stacked(np, h), (0, 2, 1)),
    "swapaxes": lambda np, h, w: np.swapaxes(stacked(np, h), 1, 2),
    "moveaxis": lambda np, h, w: np.moveaxis(stacked(np, h), -1, 1),
    "rollaxis": lambda np, h, w: np.rollaxis(stacked(np, h), 2, 1),
    "roll": lambda np, h, w: np.roll(h, 1, axis=-1) * h,
    "fliplr": lambda np, h, w: np.fliplr(h) * w,
    "flipud": lambda np, h, w: np.flipud(w) * h,
    "rot90": lambda np, h, w: np.rot90(stacked(np, h), axes=(1, 2)),
    "repeat": lambda np, h, w: np.repeat(h, 2, axis=-1),
    "tile": lambda np, h, w: np.tile(h, (1, 2)),
    "tile, of a param": lambda np, h, w: h * np.tile(w, (1, 1)),
    "tile, last axis": lambda np, h, w: np.tile(h**2, 2),
    "trace, of rows": lambda np, h, w: np.trace(square(np, h), axis1=1, axis2=2),
    "broadcast_to": lambda np, h, w: h[:, None] * np.broadcast_to(w, (2, 3)),
    "broadcast_to, with rows": lambda np, h, w: h * np.broadcast_to(w, (1, 3)),
    "atleast_1d": lambda np, h, w: np.atleast_1d(h) * np.atleast_1d(w[0]),
    "atleast_2d": lambda np, h, w: np.atleast_2d(h) * np.atleast_2d(w),
    "atleast_3d": lambda np, h, w: np.atleast_3d(h) * w,
    "concatenate_args": lambda np, h, w: np.concatenate([h, h**2, h * w], axis=-1),
    "concatenate_args, negative": lambda np, h, w: np.concatenate([h, h**2], axis=1),
    "concatenate_args, params": lambda np, h, w: h @ np.concatenate([w, w**2, w])[:3],
    "array_from_args": lambda np, h, w: np.stack([h, h * w], axis=-1),
    "split": lambda np, h, w: np.split(h, 3, axis=1)[1] * w,
    "array_split": lambda np, h, w: np.array_split(h, 2, axis=1)[0] * w[:2],
    "hsplit": lambda np, h, w: np.hsplit(h, 3)[2] * np.hsplit(h, 3)[0],
    "vsplit": lambda np, h, w: h * np.vsplit(np.outer(w, w), 3)[0],
    "dsplit": lambda np, h, w: np.dsplit(h[:, None, :], 3)[0] * w,
    "pad": lambda np, h, w: np.pad(h, ((0, 0), (1, 2)), mode="constant"),
    "__getitem__": lambda np, h, w: h[:, 1:] * w[0],
    "__getitem__, one": lambda np, h, w: h[:, 0] * w[-1],
    "__getitem__, list": lambda np, h, w: h[:, [0, 0, 2]] * w[[1, 1, 0]],
    "__getitem__, mask": lambda np, h, w: h[:, np.array([True, False, True])],
    "__getitem__, ellipsis": lambda np, h, w: h[..., 0, None] * w[::-1],
    "diag": lambda np, h, w: h @ np.diag(w),
    "diagonal": lambda np, h, w: np.diagonal(square(np, h), axis1=1, axis2=2),
    "make_diagonal": lambda np, h, w: square(np, h) * np.diag(w),
    "trace": lambda np, h, w: h * np.trace(np.outer(w, w)),
    "tril": lambda np, h, w: np.tril(square(np, h)),
    "triu": lambda np, h, w: np.triu(square(np, h), 1),
}

ORDER: Mapping[str, Case] = {
    "sort": lambda np, h, w: np.sort(h, axis=-1) * w,
    "sort, of a param": lambda np, h, w: h * np.sort(w),
    "partition": lambda np, h, w: np.partition(h, 1, axis=-1)[:, 1],
    "partition, of a param": lambda np, h, w: h * np.partition(w, 1),
    "cumsum": lambda np, h, w: np.cumsum(h, axis=-1) * w,
    "cumsum, of a param": lambda np, h, w: h * np.cumsum(w),
    "diff": lambda np, h, w: np.diff(h, axis=-1),
    "diff, second": lambda np, h, w: np.diff(h, 2, axis=-1),
    "gradient": lambda np, h, w: np.gradient(h, axis=-1),
    "linspace": lambda np, h, w: h * np.linspace(w[0], w[1], 3),
    "clip": lambda np, h, w: np.clip(h, 0.35, 0.6),
    "where": lambda np, h, w: np.where(h > 0.5, h, w),
    "where, one side": lambda np, h, w: np.where(h > 0.5, h**2, 0.0),
    "where, longer condition": lambda np, h, w: np.where(h > 0.5, w[0], h[:, :1]),
    "where, condition of data": lambda np, h, w: np.where(
        np.array([True, False, True]), h, w
    ),
    "astype": lambda np, h, w: h.astype(h.dtype) * w,
}

LINALG: Mapping[str, Case] = {
    "inv": lambda np, h, w: np.linalg.inv(square(np, h)),
    "inv, of params": lambda np, h, w: h @ np.linalg.inv(square(np, w[None])[0]),
    "det": lambda np, h, w: np.linalg.det(square(np, h)),
    "slogdet": lambda np, h, w: np.linalg.slogdet(square(np, h))[1],
    "solve": lambda np, h, w: np.linalg.solve(square(np, h), h[:, :, None]),
    "solve, of params": lambda np, h, w: h @ np.linalg.solve(square(np, w[None])[0], w),
    "cholesky": lambda np, h, w: np.linalg.cholesky(square(np, h)),
    "pinv": lambda np, h, w: np.linalg.pinv(square(np, h)),
    "norm": lambda np, h, w: np.linalg.norm(h, axis=-1),
    "norm, ord 3": lambda np, h, w: np.linalg.norm(h, 3, axis=-1),
    "norm, of a param": lambda np, h, w: h * np.linalg.norm(w),
    "eigh": lambda np, h, w: np.linalg.eigh(square(np, h))[0],
    "svd": lambda np, h, w: np.linalg.svd(square(np, h))[1],
    "svd, values alone": lambda np, h, w: np.linalg.svd(
        square(np, h), compute_uv=False
    ),
}

FOURIER: Mapping[str, Case] = {
    "fftshift": lambda np, h, w: np.fft.fftshift(h, axes=1) * w,
    "ifftshift": lambda np, h, w: np.fft.ifftshift(h, axes=1) * w,
    "fft": lambda np, h, w: np.real(np.fft.fft(h)) * w,
    "fft, power": lambda np, h, w: np.abs(np.fft.fft(h)) ** 2,
    "ifft": lambda np, h, w: np.imag(np.fft.ifft(np.fft.fft(h) * (1 + 2j))),
    "fft2": lambda np, h, w: np.real(np.fft.fft2(square(np, h))),
    "ifft2": lambda np, h, w: np.real(np.fft.ifft2(square(np, h))),
    "fftn": lambda np, h, w: np.real(np.fft.fftn(square(np, h), axes=(1, 2))),
    "ifftn": lambda np, h, w: np.real(np.fft.ifftn(square(np, h), axes=(1, 2))),
    "rfft": lambda np, h, w: np.abs(np.fft.rfft(stacked(np, h), axis=1)) ** 2,
    "irfft": lambda np, h, w: np.fft.irfft(np.fft.rfft(np.tile(h, (1, 2))) ** 2),
    "rfft2": lambda np, h, w: np.real(np.fft.rfft2(square(np, h)[:, :2, :2])),
    "irfft2": lambda np, h, w: np.fft.irfft2(np.fft.rfft2(square(np, h)[:, :2, :2])),
    "rfftn": lambda np, h, w: np.real(
        np.fft.rfftn(square(np, h)[:, :2, :2], axes=(1, 2))
    ),
    "irfftn": lambda np, h, w: np.fft.irfftn(
        np.fft.rfftn(square(np, h)[:, :2, :2], axes=(1, 2)), axes=(1, 2)
    ),
    "imag": lambda np, h, w: np.imag(h * (1 + 2j)) * w,
    "angle": lambda np, h, w: np.angle(h + 1j * w),
}

COMPOSED: Mapping[str, Case] = {
    "stack": lambda np, h, w: np.stack([h, h * w], axis=1),
    "hstack": lambda np, h, w: np.hstack([h, h * w]),
    "vstack": lambda np, h, w: h[:, None] * np.vstack([w, w**2]),
    "column_stack": lambda np, h, w: np.column_stack([h, h * w]),
    "append": lambda np, h, w: np.append(h, h * w, axis=1),
    "select": lambda np, h, w: np.select([h > 0.6, h > 0.4], [h, h * w], 0.0),
    "take": lambda np, h, w: np.take(h, [2, 0, 0], axis=1) * w,
    "take, of a param": lambda np, h, w: h * np.take(w, [2, 0, 0]),
    "take_along_axis": lambda np, h, w: np.take_along_axis(
        h, np.array([[2, 0, 0]]), axis=-1
    ),
    "flip": lambda np, h, w: np.flip(h, axis=-1) * w,
    "true_divide": lambda np, h, w: np.true_divide(h, w),
    "abs": lambda np, h, w: np.abs(h - 0.5),
    "mod": lambda np, h, w: np.mod(h, w),
    "ptp": lambda np, h, w: np.max(h, axis=-1) - np.min(h, axis=-1),
    "softmax by hand": lambda np, h, w: (
        np.exp(h - np.max(h, axis=-1, keepdims=True))
        / np.sum(np.exp(h - np.max(h, axis=-1, keepdims=True)), axis=-1, keepdims=True)
    ),
}

_SMOOTH = (
    scg.sigmoid,
    scg.softplus,
    scg.log_sigmoid,
    scg.softmax,
    scg.log_softmax,
)

OWN: Mapping[str, Case] = {
    **{f.__name__: lambda np, h, w, f=f: f(h * w) + f(w) for f in _SMOOTH},
    "logsumexp": lambda np, h, w: scg.logsumexp(h) * scg.logsumexp(w),
    "stop_gradient": lambda np, h, w: h * scg.stop_gradient(1.0) * w,
    "bernoulli_log_prob": lambda np, h, w: (
        bernoulli_log_prob(h, np.array([0.0, 1.0, 1.0])) * bernoulli_log_prob(w, 1.0)
    ),
    "pick": lambda np, h, w: pick(h, np.array([1])) * pick(w, np.array(2)),
}

CASES: Mapping[str, Case] = {
    **OWN,
    **UNARY,
    **BINARY,
    **REDUCTIONS,
    **PRODUCTS,
    **SHAPES,
    **ORDER,
    **LINALG,
    **FOURIER,
    **COMPOSED,
}

_INNER = "autograd's own helper; no model calls it"
EXCLUDED: Mapping[str, str] = {
    **dict.fromkeys(
        ["_plain_sparse_matmul", "_plain_tanh"],
        "what scg.traceable gives autograd; tested there",
    ),
    **dict.fromkeys(
        [
            "covector",
            "inner_prod",
            "mut_add",
            "scalar_mul",
            "sparse_add",
            "_make_dict",
            "container_take",
            "container_untake",
            "make_sequence",
            "sequence_extend_left",
            "sequence_extend_right",
            "dot_adjoint_0",
            "dot_adjoint_1",
            "tensordot_adjoint_0",
            "tensordot_adjoint_1",
            "untake",
            "_array_from_scalar_or_array",
            "truncate_pad",
        ],
        _INNER,
    ),
    "full": "NumPy hands it no node: write w + np.zeros(shape)",
    "keep": "the library's own helper",
    "eig": "real or complex, according to the numbers; use eigh",
}

_NO_RULE = "no rule"
_PART = "a rule for part of the arguments"
_WRONG = "a rule that is wrong here"
WRONG_IN_AUTOGRAD: Mapping[str, str] = {
    "broadcast_to": _PART,
    "broadcast_to, with rows": _PART,
    "diagonal": _PART,
    "flip": _NO_RULE,
    "gradient": _WRONG,
    "partition": _PART,
    "repeat": _WRONG,
    "rot90": _PART,
    "sort": _PART,
    "svd": _PART,
    "take": _NO_RULE,
    "take, of a param": _NO_RULE,
    "take_along_axis": _NO_RULE,
    "tile, last axis": _WRONG,
    "trace, of rows": _PART,
    "where": _WRONG,
    "where, condition of data": _WRONG,
    "where, longer condition": _WRONG,
}
