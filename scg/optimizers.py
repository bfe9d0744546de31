"""Optimisers: how a gradient changes the params.

An optimiser is a pair of functions, ``state = init(params)`` and
``params, state = update(gradient, state, params)``, over flat dicts of arrays. Neither
changes its arguments unless ``donate=True`` allows it. float32 stays float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scg.elementwise import Array, Kernel, Optimizer, elementwise
from scg.errors import InputError
from scg.schedules import Schedule, as_schedule

__all__ = ["adam", "rmsprop", "sgd"]


def sgd(
    learning_rate: float | Schedule, momentum: float = 0.0, nesterov: bool = False
) -> Optimizer:
    r"""Descend along the gradient, with momentum if wanted.

    .. math::

        v_t &= \mu v_{t-1} + g_t \\
        \theta_{t+1} &= \theta_t - \eta_t v_t
        \quad\text{or, with Nesterov's momentum,}\quad
        \theta_t - \eta_t (g_t + \mu v_t)

    Parameters
    ----------
    learning_rate : float or Schedule
        :math:`\eta_t`, the same for all steps or a callable from the step.
    momentum : float
        :math:`\mu`, from 0 to below 1.
    nesterov : bool
        Look ahead; needs momentum.

    Returns
    -------
    Optimizer
        State ``"step"``, and ``"velocity/NAME"`` where there is momentum.

    Raises
    ------
    InputError
        If a number is outside its range.

    References
    ----------
    Sutskever et al., "On the importance of initialization and momentum in deep
    learning", 2013, with the learning rate outside the velocity.

    Examples
    --------
    >>> optimizer = sgd(0.5, momentum=0.9)
    >>> params = {"theta": np.array(1.0)}
    >>> state = optimizer.init(params)
    >>> for _ in range(2):
    ...     gradient = {"theta": params["theta"]}  # of theta^2 / 2
    ...     params, state = optimizer.update(gradient, state, params)
    >>> round(float(params["theta"]), 3)
    -0.2
    """
    rate = as_schedule(learning_rate)
    _check_fraction("momentum", momentum)
    if nesterov and not momentum:
        msg = "nesterov: expected momentum above 0 with it, got momentum=0."
        raise InputError(msg)

    def plain(step: int) -> Kernel:
        eta = rate(step)

        def kernel(g: Array, p: Array, slots: Sequence[Array], scratch: Array) -> None:
            np.multiply(g, eta, out=scratch)
            p -= scratch

        return kernel

    def heavy(step: int) -> Kernel:
        eta = rate(step)

        def kernel(g: Array, p: Array, slots: Sequence[Array], scratch: Array) -> None:
            (v,) = slots
            v *= momentum
            v += g
            if nesterov:
                np.multiply(v, momentum, out=scratch)
                scratch += g
                scratch *= eta
            else:
                np.multiply(v, eta, out=scratch)
            p -= scratch

        return kernel

    return elementwise(("velocity",), heavy) if momentum else elementwise((), plain)


def rmsprop(
    learning_rate: float | Schedule, decay: float = 0.99, epsilon: float = 1e-5
) -> Optimizer:
    r"""Divide the gradient by a running root mean square of itself.

    .. math::

        s_t &= \rho s_{t-1} + (1 - \rho) g_t^2 \\
        \theta_{t+1} &= \theta_t - \eta_t \, g_t / (\sqrt{s_t} + \epsilon)

    Parameters
    ----------
    learning_rate : float or Schedule
        :math:`\eta_t`, the same for all steps or a callable from the step.
    decay : float
        :math:`\rho`, from 0 to below 1.
    epsilon : float
        :math:`\epsilon`, above 0, in the gradient's unit.

    Returns
    -------
    Optimizer
        State ``"step"`` and ``"square/NAME"``.

    Raises
    ------
    InputError
        If a number is outside its range.

    References
    ----------
    Tieleman and Hinton, "Lecture 6.5: rmsprop", 2012.

    Examples
    --------
    >>> optimizer = rmsprop(0.01)
    >>> params = {"theta": np.array([1.0, 1.0])}
    >>> params, state = optimizer.update(
    ...     {"theta": np.array([100.0, -0.1])}, optimizer.init(params), params
    ... )
    >>> params["theta"].round(3).tolist()
    [0.9, 1.1]
    """
    rate = as_schedule(learning_rate)
    _check_fraction("decay", decay)
    _check_positive("epsilon", epsilon)

    def rule(step: int) -> Kernel:
        eta = rate(step)

        def kernel(g: Array, p: Array, slots: Sequence[Array], scratch: Array) -> None:
            (square,) = slots
            _average_square(square, g, decay, scratch)
            np.sqrt(square, out=scratch)
            scratch += epsilon
            np.divide(g, scratch, out=scratch)
            scratch *= eta
            p -= scratch

        return kernel

    return elementwise(("square",), rule)


def adam(
    learning_rate: float | Schedule,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> Optimizer:
    r"""Divide a running mean of the gradient by its running root mean square.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        s_t = \beta_2 s_{t-1} + (1 - \beta_2) g_t^2 \\
        \theta_{t+1} &= \theta_t - \eta_t \,
        \frac{m_t / (1 - \beta_1^t)}{\sqrt{s_t / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    learning_rate : float or Schedule
        :math:`\eta_t`, the same for all steps or a callable from the step.
    beta1, beta2 : float
        Decay of the mean and of the mean square, from 0 to below 1.
    epsilon : float
        :math:`\epsilon`, above 0, in the gradient's unit.

    Returns
    -------
    Optimizer
        State ``"step"``, ``"mean/NAME"`` and ``"square/NAME"``.

    Raises
    ------
    InputError
        If a number is outside its range.

    References
    ----------
    Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1.

    Examples
    --------
    >>> optimizer = adam(0.01)
    >>> params = {"theta": np.array([1.0, 1.0])}
    >>> params, state = optimizer.update(
    ...     {"theta": np.array([100.0, -0.1])}, optimizer.init(params), params
    ... )
    >>> params["theta"].round(3).tolist()
    [0.99, 1.01]
    """
    rate = as_schedule(learning_rate)
    _check_fraction("beta1", beta1)
    _check_fraction("beta2", beta2)
    _check_positive("epsilon", epsilon)

    def rule(step: int) -> Kernel:
        eta = rate(step) / (1.0 - beta1 ** (step + 1))
        root = 1.0 / math.sqrt(1.0 - beta2 ** (step + 1))

        def kernel(g: Array, p: Array, slots: Sequence[Array], scratch: Array) -> None:
            mean, square = slots
            mean *= beta1
            np.multiply(g, 1.0 - beta1, out=scratch)
            mean += scratch
            _average_square(square, g, beta2, scratch)
            np.sqrt(square, out=scratch)
            scratch *= root
            scratch += epsilon
            np.divide(mean, scratch, out=scratch)
            scratch *= eta
            p -= scratch

        return kernel

    return elementwise(("mean", "square"), rule)


def _average_square(square: Array, g: Array, decay: float, scratch: Array) -> None:
    square *= decay
    np.multiply(g, g, out=scratch)
    scratch *= 1.0 - decay
    square += scratch


def _check_fraction(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        msg = f"{name}: expected a number from 0 to below 1, got {value!r}."
        raise InputError(msg)


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        msg = f"{name}: expected a finite number above 0, got {value!r}."
        raise InputError(msg)
