"""Optimisers whose update treats each number of a param by itself.

A rule is written once, for flat chunks of arrays, in place. `elementwise` makes it an
`Optimizer`: it checks the gradient, decides which arrays may be overwritten and walks
over them chunk by chunk. Both ways to call it, with `donate` and without, run the same
instructions on the same chunks, so they give the same bits. Rules that mix numbers of
different params (a global norm, a natural gradient) are not written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scg.errors import InputError, NonFiniteError

__all__ = ["Arrays", "Kernel", "Optimizer", "Update", "check_finite", "elementwise"]

Arrays: TypeAlias = dict[str, NDArray[Any]]
Array: TypeAlias = NDArray[Any]

# kernel(gradient, param, slots, scratch): flat chunks of one length. It overwrites
# param, slots and scratch, never the gradient.
Kernel: TypeAlias = Callable[[Array, Array, Sequence[Array], Array], None]

# Gradient, param, two slots and two scratch chunks of float32 fit into a cache of
# 768 kB, and the Python cost of a chunk is below a tenth of its arithmetic.
CHUNK = 32_768


class Update(Protocol):
    """Take one step: ``params, state = update(gradient, state, params)``.

    Parameters
    ----------
    gradient, state, params : mapping of str to array
        The gradient has the names and shapes of `params`; the state comes from `init`
        or from the last update.
    donate : bool
        Allow `params` and `state` to be overwritten. The numbers are the same.
    scale : float
        Factor on the gradient, applied chunk by chunk.

    Returns
    -------
    params, state : dict of str to array
        With `donate`, arrays that were passed in, where they could be overwritten.
    """

    def __call__(
        self,
        gradient: Mapping[str, Array],
        state: Mapping[str, Array],
        params: Mapping[str, Array],
        *,
        donate: bool = False,
        scale: float = 1.0,
    ) -> tuple[Arrays, Arrays]:
        """Return the params and the state after the step."""
        ...


@dataclass(frozen=True, slots=True)
class Optimizer:
    """Hold an optimiser: how its state begins, and how it takes a step.

    Parameters
    ----------
    init : callable
        ``state = init(params)``: a flat dict of arrays.
    update : Update
        ``params, state = update(gradient, state, params)``.

    Examples
    --------
    >>> from scg.optimizers import sgd
    >>> optimizer = sgd(0.1)
    >>> params = {"theta": np.array([1.0, 2.0])}
    >>> state = optimizer.init(params)
    >>> params, state = optimizer.update(
    ...     {"theta": np.array([5.0, 0.0])}, state, params
    ... )
    >>> params["theta"].tolist()
    [0.5, 2.0]
    """

    init: Callable[[Mapping[str, Array]], Arrays]
    update: Update


def elementwise(slots: Sequence[str], rule: Callable[[int], Kernel]) -> Optimizer:
    """Make an optimiser of a rule for single numbers.

    Parameters
    ----------
    slots : sequence of str
        What the rule remembers of each number: ``("mean", "square")``. The state has
        an array of zeros ``"mean/W"`` for param ``"W"``, and the count ``"step"``.
    rule : callable
        From the number of updates made so far to a `Kernel`.

    Returns
    -------
    Optimizer
        Its update raises `InputError` if names, shapes or kinds do not fit, and
        `NonFiniteError` for a NaN or an infinity in the gradient, before it writes.

    Examples
    --------
    >>> def sign_descent(step):
    ...     def kernel(gradient, param, slots, scratch):
    ...         np.sign(gradient, out=scratch)
    ...         param -= scratch
    ...     return kernel
    >>> optimizer = elementwise((), sign_descent)
    >>> params = {"theta": np.array([0.5, 0.5])}
    >>> params, state = optimizer.update(
    ...     {"theta": np.array([3.0, -0.1])}, optimizer.init(params), params
    ... )
    >>> params["theta"].tolist(), int(state["step"])
    ([-0.5, 1.5], 1)
    """

    def init(params: Mapping[str, Array]) -> Arrays:
        state = {"step": np.zeros((), np.int64)}
        for slot in slots:
            for name, value in params.items():
                _check_float(name, np.asarray(value))
                state[f"{slot}/{name}"] = np.zeros_like(value, order="C")
        return state

    def update(
        gradient: Mapping[str, Array],
        state: Mapping[str, Array],
        params: Mapping[str, Array],
        *,
        donate: bool = False,
        scale: float = 1.0,
    ) -> tuple[Arrays, Arrays]:
        grads = _checked_gradient(gradient, params)
        _check_state(state, params, slots)
        new_params = {name: _owned(value, donate) for name, value in params.items()}
        new_state = {key: _owned(value, donate) for key, value in state.items()}
        kernel = rule(int(new_state["step"]))
        for name, param in new_params.items():
            own = [new_state[f"{slot}/{name}"] for slot in slots]
            _run(kernel, grads[name], param, own, scale)
        new_state["step"] += 1
        return new_params, new_state

    return Optimizer(init, update)


def check_finite(what: str, value: Array) -> None:
    """Raise if an array holds a NaN or an infinity.

    Parameters
    ----------
    what : str
        What the array is, for the message: ``"gradient of param 'W'"``.
    value : array
        Any shape.

    Raises
    ------
    NonFiniteError
        Naming the first such entry and how many there are.

    Examples
    --------
    >>> check_finite("cost", np.array([1.0, 2.0]))
    >>> try:
    ...     check_finite("gradient of param 'W'", np.array([[1.0, np.nan]]))
    ... except NonFiniteError as error:
    ...     print(error)
    gradient of param 'W': expected finite numbers, got nan at (0, 1), in 1 of 2 \
entries. Lower the learning rate, clip the gradient, or look for a logarithm or a \
division at zero.
    """
    # A sum with a NaN or an infinity in it is never finite, and takes no temporary.
    # A sum of finite numbers may overflow: then every entry is looked at.
    with np.errstate(all="ignore"):
        if np.isfinite(np.add.reduce(value, axis=None)):
            return
    bad = ~np.isfinite(value)
    if not bad.any():
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    place = f" at {first}, in {bad.sum()} of {bad.size} entries" if first else ""
    msg = (
        f"{what}: expected finite numbers, got {value[first]}{place}. Lower the "
        "learning rate, clip the gradient, or look for a logarithm or a division "
        "at zero."
    )
    raise NonFiniteError(msg)


def _checked_gradient(
    gradient: Mapping[str, Array], params: Mapping[str, Array]
) -> Arrays:
    if gradient.keys() != params.keys():
        missing = sorted(params.keys() - gradient.keys())
        unknown = sorted(gradient.keys() - params.keys())
        msg = (
            f"gradient: expected one entry for each param, {sorted(params)}; "
            f"missing are {missing}, unknown are {unknown}."
        )
        raise InputError(msg)
    grads = {name: np.asarray(gradient[name]) for name in params}
    for name, grad in grads.items():
        _check_float(name, np.asarray(params[name]))
        if grad.shape != np.shape(params[name]) or grad.dtype.kind not in "fiu":
            msg = (
                f"gradient of param {name!r}: expected real numbers of shape "
                f"{np.shape(params[name])}, got {grad.dtype} of shape {grad.shape}."
            )
            raise InputError(msg)
        check_finite(f"gradient of param {name!r}", grad)
    return grads


def _check_float(name: str, value: Array) -> None:
    if value.dtype.kind != "f":
        msg = (
            f"param {name!r}: expected floating-point numbers, got {value.dtype}; "
            "convert it with .astype(float), or make it an input."
        )
        raise InputError(msg)


def _check_state(
    state: Mapping[str, Array], params: Mapping[str, Array], slots: Sequence[str]
) -> None:
    shapes = {
        f"{slot}/{name}": np.shape(params[name]) for slot in slots for name in params
    }
    shapes["step"] = ()
    if {key: np.shape(value) for key, value in state.items()} != shapes:
        got = {key: np.shape(value) for key, value in sorted(state.items())}
        msg = (
            f"optimiser state: expected {dict(sorted(shapes.items()))}, got {got}. "
            "Start with state = optimizer.init(params) of this optimiser."
        )
        raise InputError(msg)


def _owned(value: Array, donate: bool) -> Array:
    # Flat chunks of another memory layout would be copies, and writes to them lost.
    array = np.asarray(value)
    if donate and array.flags.c_contiguous and array.flags.writeable:
        return array
    return np.array(array, order="C")


def _run(
    kernel: Kernel, grad: Array, param: Array, slots: Sequence[Array], scale: float
) -> None:
    length = min(CHUNK, param.size)
    scratch = np.empty(length, param.dtype)
    scaled = None if _usable(grad, param, scale) else np.empty(length, param.dtype)
    grad, param = grad.reshape(-1), param.reshape(-1)
    slots = [slot.reshape(-1) for slot in slots]
    for start in range(0, param.size, CHUNK):
        part = slice(start, start + CHUNK)
        g, p = grad[part], param[part]
        if scaled is not None:
            g = np.multiply(g, scale, out=scaled[: p.size], casting="same_kind")
        kernel(g, p, [slot[part] for slot in slots], scratch[: p.size])


def _usable(grad: Array, param: Array, scale: float) -> bool:
    return scale == 1.0 and grad.dtype == param.dtype
