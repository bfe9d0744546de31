"""Learning rates that change with the step.

A schedule is any callable from the step (0 for the first update) to a number; an
optimiser takes one wherever it takes a learning rate. A schedule holds no state, so a
resumed run continues it from the step alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from scg.errors import InputError

__all__ = ["Schedule", "as_schedule", "constant", "cosine", "exponential", "linear"]

Schedule: TypeAlias = Callable[[int], float]


def constant(value: float) -> Schedule:
    """Give the same value at every step.

    Parameters
    ----------
    value : float
        The value; finite and not negative.

    Returns
    -------
    Schedule
        Callable from a step to the value.

    Raises
    ------
    InputError
        If the value is negative or not finite.

    Examples
    --------
    >>> constant(0.1)(1000)
    0.1
    """
    _check_value("value", value)
    return lambda step: value


def linear(start: float, end: float, num_steps: int) -> Schedule:
    r"""Go from `start` to `end` in a straight line, then stay.

    .. math:: \eta_t = a + (b - a) \min(t / N, 1)

    Parameters
    ----------
    start, end : float
        First and last value, :math:`a` and :math:`b`.
    num_steps : int
        Steps from `start` to `end`, :math:`N`.

    Returns
    -------
    Schedule
        Callable from a step to the value.

    Raises
    ------
    InputError
        If a value is negative or not finite, or `num_steps` is below 1.

    Examples
    --------
    >>> rate = linear(1.0, 0.0, num_steps=4)
    >>> [rate(step) for step in (0, 1, 4, 9)]
    [1.0, 0.75, 0.0, 0.0]
    """
    _check_value("start", start)
    _check_value("end", end)
    _check_num_steps(num_steps)
    return lambda step: start + (end - start) * min(step / num_steps, 1.0)


def exponential(start: float, decay: float, num_steps: int) -> Schedule:
    r"""Multiply by `decay` every `num_steps` steps, smoothly.

    .. math:: \eta_t = a \, d^{t / N}

    Parameters
    ----------
    start : float
        First value, :math:`a`.
    decay : float
        Factor per `num_steps` steps, :math:`d`.
    num_steps : int
        Steps in which the value is multiplied by `decay` once, :math:`N`.

    Returns
    -------
    Schedule
        Callable from a step to the value.

    Raises
    ------
    InputError
        If a value is negative or not finite, or `num_steps` is below 1.

    Examples
    --------
    >>> rate = exponential(1.0, 0.25, num_steps=2)
    >>> [rate(step) for step in (0, 1, 2)]
    [1.0, 0.5, 0.25]
    """
    _check_value("start", start)
    _check_value("decay", decay)
    _check_num_steps(num_steps)
    return lambda step: float(start * decay ** (step / num_steps))


def cosine(start: float, end: float, num_steps: int) -> Schedule:
    r"""Go from `start` to `end` along half a cosine, then stay.

    .. math:: \eta_t = b + \tfrac{1}{2} (a - b) (1 + \cos(\pi \min(t / N, 1)))

    Parameters
    ----------
    start, end : float
        First and last value, :math:`a` and :math:`b`.
    num_steps : int
        Steps from `start` to `end`, :math:`N`.

    Returns
    -------
    Schedule
        Callable from a step to the value.

    Raises
    ------
    InputError
        If a value is negative or not finite, or `num_steps` is below 1.

    References
    ----------
    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
    2017, equation 5.

    Examples
    --------
    >>> rate = cosine(1.0, 0.0, num_steps=4)
    >>> [round(rate(step), 3) for step in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """
    _check_value("start", start)
    _check_value("end", end)
    _check_num_steps(num_steps)

    def rate(step: int) -> float:
        angle = math.pi * min(step / num_steps, 1.0)
        return end + 0.5 * (start - end) * (1.0 + math.cos(angle))

    return rate


def as_schedule(learning_rate: float | Schedule) -> Schedule:
    """Take a number or a schedule; give a schedule whose values are checked.

    Parameters
    ----------
    learning_rate : float or Schedule
        A number for all steps, or a callable from the step to a number.

    Returns
    -------
    Schedule
        Callable that gives a Python float; it raises `InputError` at the first step
        whose value is negative or not finite.

    Raises
    ------
    InputError
        If the number is negative or not finite.

    Examples
    --------
    >>> as_schedule(0.5)(3), as_schedule(lambda step: 1 / (1 + step))(3)
    (0.5, 0.25)
    """
    if not callable(learning_rate):
        return constant(float(learning_rate))
    schedule = learning_rate

    def checked(step: int) -> float:
        # A NumPy scalar would turn float32 arithmetic into float64.
        value = float(schedule(step))
        _check_value(f"learning rate at step {step}", value)
        return value

    return checked


def _check_value(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        msg = f"{name}: expected a finite number, 0 or more, got {value!r}."
        raise InputError(msg)


def _check_num_steps(num_steps: int) -> None:
    if num_steps < 1:
        msg = f"num_steps: expected 1 or more, got {num_steps!r}."
        raise InputError(msg)
