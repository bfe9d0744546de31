"""The training loop: repeat a step, show it, log it, save it, stop cleanly.

What a step does is the method's business (`scg.method`). Each other concern is a module
of its own; here is only the order in which things happen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from scg.diagnose import findings_of, watched
from scg.elementwise import Arrays, Optimizer, check_finite
from scg.errors import InputError, NonFiniteError
from scg.interrupt import interruptible
from scg.method import AbstractMethod, Data, GradientStep, State, Step
from scg.metrics import event_writer
from scg.progress import progress_display
from scg.run_folder import SavePolicy, Saver
from scg.run_state import RunState, Stateful, as_json

__all__ = ["Callback", "FitReport", "FitResult", "fit"]

Stopped: TypeAlias = Literal["finished", "interrupted", "callback"]


@dataclass(frozen=True, slots=True)
class FitReport:
    """Tell a callback about the step that has just been made.

    Parameters
    ----------
    step : int
        How many steps have been made.
    metrics : mapping of str to float
        Of this step.
    params : dict of str to array
        After it. The next step overwrites them: copy what is to be kept.
    seconds : float
        Time spent on all steps so far.

    Examples
    --------
    >>> FitReport(1, {"cost": 0.5}, {}, 0.1).metrics["cost"]
    0.5
    """

    step: int
    metrics: Mapping[str, float]
    params: Arrays
    seconds: float


# Called after every step; True stops the run.
Callback: TypeAlias = Callable[[FitReport], bool | None]


@dataclass(frozen=True, slots=True)
class FitResult:
    """Hold what a run has come to.

    Parameters
    ----------
    params, optimizer_state : dict of str to array
        After the last step.
    state : mapping of str to array, or None
        The method's.
    step : int
        How many steps have been made, by all processes that worked on the run.
    stopped : {"finished", "interrupted", "callback"}
        Why it ended.
    history : list of dict
        One record every `log_every` steps: ``"step"``, ``"seconds"`` and the metrics.
        A resumed run begins with the last 1000 records of its checkpoint.
    findings : tuple of str
        With `diagnose`, what went wrong, in sentences.

    Examples
    --------
    >>> FitResult({}, {}, None, 10, "finished", []).stopped
    'finished'
    """

    params: Arrays
    optimizer_state: Arrays
    state: State
    step: int
    stopped: Stopped
    history: list[dict[str, float]]
    findings: tuple[str, ...] = ()


def fit(  # noqa: PLR0913 - the options of a training loop, all but two by keyword
    model: Step | AbstractMethod,
    params: Mapping[str, ArrayLike],
    *,
    optimizer: Optimizer | None = None,
    rng: np.random.Generator,
    num_steps: int,
    data: Data | None = None,
    rows: int | None = None,
    samples: int = 1,
    state: State = None,
    checkpoint: str | os.PathLike[str] | None = None,
    save_every: int | None = None,
    save_seconds: float | None = None,
    keep: int = 3,
    resume: bool = True,
    log_dir: str | os.PathLike[str] | None = None,
    log_every: int = 1,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    extra_state: Mapping[str, Stateful] | None = None,
    settings: Mapping[str, object] | None = None,
    diagnose: bool = False,
) -> FitResult:
    """Train a model.

    In plain Python, with saving, logging and signals left out::

        optimizer_state = optimizer.init(params)
        for step in range(num_steps):
            estimate = model(params, data(rng, step), rng=rng, state=state)
            params, optimizer_state = optimizer.update(
                estimate.gradient, optimizer_state, params
            )
            state = estimate.state

    The first Ctrl-C or SIGTERM finishes the step, saves and returns; the second one
    leaves at once. A run that is killed goes on from its last checkpoint. If `data`
    and the method draw all randomness from the `rng` they are given, and every object
    of `extra_state` can give its state, a resumed run ends with the same bits as one
    that was never stopped.

    Parameters
    ----------
    model : Step or AbstractMethod
        A compiled graph, or any function like it, whose gradient is followed; or a
        method that has its own optimiser and data.
    params : mapping of str to array
        Where to start. They are copied.
    optimizer : Optimizer
        Takes the steps. Not with a method.
    rng : Generator
        All randomness. It advances; a resumed run brings it to its saved state.
    num_steps : int
        Steps of the whole run, those before a resumption included.
    data : callable, optional
        ``data(rng, step)`` gives the inputs; the first step is 0. Not with a method.
    rows, samples : int, optional
        Passed to the model. Not with a method.
    state : mapping of str to array, optional
        The method's state to start with.
    checkpoint : path, optional
        Folder of this run, and of no other, for its checkpoints.
    save_every, save_seconds : optional
        Save after so many steps, or seconds, or both; every 60 seconds by default, and
        always at the end.
    keep : int
        How many checkpoints to keep.
    resume : bool
        Go on from the newest intact checkpoint in the folder, if there is one. With
        False, a folder that holds one is an error.
    log_dir : path, optional
        Folder for TensorBoard's event files.
    log_every : int
        Steps from one record of the history, and of the event files, to the next.
    callbacks : sequence of callable
        Each is called with a `FitReport` after every step; True stops the run.
    progress : bool
        Show how far the run is: live on a terminal, through `logging` elsewhere.
    extra_state : mapping of str to Stateful, optional
        Objects outside the graph that belong to the run: their state is saved.
    settings : mapping of str to object, optional
        What the run depends on beside all this, as JSON: the task, the seed. They are
        saved, and a checkpoint with others is refused: it is another run's.
    diagnose : bool
        Look now and then at gradient and nodes. Metrics get ``"signal_to_noise"``,
        ``"entropy"``, ``"explained_variance"`` (of learned baselines) and
        ``"dead_units"`` (of named rectified nodes), each that of the last look, and
        what has gone wrong for long is said once: to the logger ``scg.findings``, and
        in the result. The run itself is the same, bit for bit.

    Returns
    -------
    FitResult
        Params, history, and why the run ended.

    Raises
    ------
    NonFiniteError
        For the first NaN or infinity in a cost, gradient or param, with what it was in
        and the step. The last good checkpoint is untouched.
    CheckpointError
        If the folder cannot be written to, which is found before the first step, or
        holds a run of another model or with other settings.
    InputError
        If arguments do not go together.
    MissingExtraError
        If a package of the ``train`` extra is needed and not installed.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from scg.optimizers import sgd
    >>> def parabola(params, inputs, *, rng, rows=None, samples=1, state=None):
    ...     x = params["x"]
    ...     return SimpleNamespace(
    ...         cost=float(x**2), gradient={"x": 2 * x}, state=state, metrics={}
    ...     )
    >>> result = fit(
    ...     parabola,
    ...     {"x": 1.0},
    ...     optimizer=sgd(0.25),
    ...     rng=np.random.default_rng(0),
    ...     num_steps=3,
    ... )
    >>> float(result.params["x"]), result.stopped
    (0.125, 'finished')
    >>> [record["cost"] for record in result.history]
    [1.0, 0.25, 0.0625]
    """
    extra = dict(extra_state or {})
    method = watched(_as_method(model, optimizer, data, rows, samples), diagnose)
    _check_options(num_steps, log_every, save_every, save_seconds, keep, extra)
    own = {name: np.array(value, order="C") for name, value in params.items()}
    start = RunState(0, own, method.init(own), state, settings=as_json(settings))
    policy = SavePolicy(checkpoint, save_every, save_seconds, keep, resume)
    run = (saver := Saver(policy, rng, extra)).begin(start)
    stopped: Stopped = "finished"
    with (
        event_writer(log_dir, first_step=run.step) as write,
        progress_display(num_steps, run.step, enabled=progress) as show,
        interruptible() as interruption,
    ):
        began = time.perf_counter() - run.seconds
        while run.step < num_steps:
            if interruption.requested:
                stopped = "interrupted"
                break
            with _named_step(run.step + 1, saver.saved_step):
                run, metrics = _advance(method, run, rng)
            run = replace(run, seconds=time.perf_counter() - began)
            if run.step % log_every == 0:
                run.history.append(
                    {"step": run.step, "seconds": run.seconds, **metrics}
                )
                write(run.step, metrics)
            show(run.step, metrics)
            if _call(callbacks, run, metrics):
                stopped = "callback"
                break
            if saver.due(run):
                method.settle()
                saver.save(run)
        method.settle()
        saver.save(run)
    return FitResult(
        run.params,
        run.optimizer_state,
        run.state,
        run.step,
        stopped,
        run.history,
        findings_of(method),
    )


def _as_method(
    model: Step | AbstractMethod,
    optimizer: Optimizer | None,
    data: Data | None,
    rows: int | None,
    samples: int,
) -> AbstractMethod:
    if not isinstance(model, AbstractMethod):
        if optimizer is None:
            msg = "optimizer: expected one, such as scg.adam(1e-3), got None."
            raise InputError(msg)
        return GradientStep(model, optimizer, data, rows, samples)
    if (optimizer, data, rows, samples) != (None, None, None, 1):
        msg = (
            f"fit: {type(model).__name__} is a method, which has its own optimizer, "
            "data, rows and samples. Give them to it, not to fit."
        )
        raise InputError(msg)
    return model


def _check_options(
    num_steps: int,
    log_every: int,
    save_every: int | None,
    save_seconds: float | None,
    keep: int,
    extra: Mapping[str, Stateful],
) -> None:
    # Name, value, least value.
    bounds: list[tuple[str, float | None, float]] = [
        ("num_steps", num_steps, 0),
        ("log_every", log_every, 1),
        ("save_every", save_every, 1),
        ("save_seconds", save_seconds, 0),
        ("keep", keep, 1),
    ]
    for name, value, least in bounds:
        if value is not None and not value >= least:
            msg = f"{name}: expected {least} or more, got {value!r}."
            raise InputError(msg)
    # The name is a folder of a path inside the checkpoint.
    for name in extra:
        if "/" in name:
            msg = f"extra_state: expected names without '/', got {name!r}."
            raise InputError(msg)


@contextmanager
def _named_step(step: int, saved_step: int | None) -> Iterator[None]:
    try:
        yield
    except NonFiniteError as error:
        saved = f" The last checkpoint is of step {saved_step}."
        msg = f"step {step}: {error}{saved if saved_step is not None else ''}"
        raise NonFiniteError(msg) from error
    except Exception as error:
        way_out = f"; the same call goes on from the checkpoint of step {saved_step}"
        error.add_note(
            f"in training step {step}{'' if saved_step is None else way_out}"
        )
        raise


def _advance(
    method: AbstractMethod, run: RunState, rng: np.random.Generator
) -> tuple[RunState, dict[str, float]]:
    params, optimizer_state, state, metrics = method.update(
        run.params, run.optimizer_state, run.state, rng=rng, step=run.step
    )
    metrics = {name: float(value) for name, value in metrics.items()}
    for name in ("cost", "gradient_norm"):
        check_finite(name, np.asarray(metrics.get(name, 0.0)))
    after = replace(
        run,
        step=run.step + 1,
        params=params,
        optimizer_state=optimizer_state,
        state=state,
    )
    return after, metrics


def _call(
    callbacks: Sequence[Callback], run: RunState, metrics: Mapping[str, float]
) -> bool:
    report = FitReport(run.step, metrics, run.params, run.seconds)
    # A list, since each is to be called, also after one that wants to stop.
    answers = [callback(report) for callback in callbacks]
    return True in answers
