"""Everything a training run needs to go on, as arrays and JSON, and back.

The random generator and the objects with a state of their own are changed in place when
a run is resumed; all else is a record. Where it is stored is not known here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scg.checkpoint import load
from scg.checkpoint_folder import latest
from scg.elementwise import Arrays
from scg.errors import CheckpointError
from scg.random_state import get_rng_state, set_rng_state

__all__ = ["RunState", "Stateful", "load_params", "pack", "unpack"]

# Records of the history in a checkpoint: enough to see how a run was going.
HISTORY_TAIL = 1000

logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """Something outside the graph that changes while a run goes on: an emulator."""

    def get_state(self) -> Mapping[str, NDArray[Any]] | None:
        """Give a copy of the state, or None if it cannot be had."""

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state that `get_state` gave."""


@dataclass(frozen=True, slots=True)
class RunState:
    """Hold a run between two steps.

    Parameters
    ----------
    step : int
        How many steps have been made.
    params, optimizer_state : dict of str to array
        The model and its optimiser.
    state : mapping of str to array, or None
        The method's: averages of baselines and the like.
    seconds : float
        Time spent on the steps, by all processes that worked on the run.
    history : list of dict
        Records of metrics, the oldest first. The training loop appends to it, so that
        all records of one run share it.

    Examples
    --------
    >>> RunState(0, {"theta": np.array(0.0)}, {}, None).history
    []
    """

    step: int
    params: Arrays
    optimizer_state: Arrays
    state: Mapping[str, NDArray[Any]] | None
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def pack(
    run: RunState, rng: np.random.Generator, extra: Mapping[str, Stateful]
) -> tuple[Arrays, dict[str, Any]]:
    """Turn a run into what `scg.checkpoint.save` takes.

    Parameters
    ----------
    run : RunState
        The run.
    rng : Generator
        Its randomness.
    extra : mapping of str to Stateful
        Objects whose state belongs to it.

    Returns
    -------
    arrays : dict of str to array
        Named ``params/NAME``, ``optimizer/NAME``, ``state/NAME``, ``extra/NAME/KEY``.
    metadata : dict
        JSON.

    Examples
    --------
    >>> run = RunState(3, {"theta": np.array(0.0)}, {"step": np.array(3)}, None)
    >>> arrays, metadata = pack(run, np.random.default_rng(0), {})
    >>> sorted(arrays), metadata["step"]
    (['optimizer/step', 'params/theta'], 3)
    """
    states = {name: thing.get_state() for name, thing in extra.items()}
    groups = {
        "params": run.params,
        "optimizer": run.optimizer_state,
        "state": run.state or {},
        **{f"extra/{name}": state or {} for name, state in states.items()},
    }
    arrays = {
        f"{group}/{name}": value
        for group, values in groups.items()
        for name, value in values.items()
    }
    metadata = {
        "step": run.step,
        "seconds": run.seconds,
        "rng": get_rng_state(rng),
        "history": run.history[-HISTORY_TAIL:],
        "has state": run.state is not None,
        "extra": {name: state is not None for name, state in states.items()},
    }
    return arrays, metadata


def unpack(
    path: Path, like: RunState, rng: np.random.Generator, extra: Mapping[str, Stateful]
) -> RunState:
    """Read a run back, and check that it is one of this model and optimiser.

    Parameters
    ----------
    path : Path
        The checkpoint.
    like : RunState
        The run at its start: tells names, shapes and dtypes.
    rng : Generator
        Is brought to the saved state.
    extra : mapping of str to Stateful
        Are brought to the saved state, where they could give one.

    Returns
    -------
    RunState
        The run as it was saved.

    Raises
    ------
    CheckpointError
        If the file is damaged, or belongs to another model, optimiser, method, kind of
        generator or set of objects. Nothing has been changed then.

    Examples
    --------
    >>> import tempfile
    >>> from scg.checkpoint import save
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> rng = np.random.default_rng(0)
    >>> run = RunState(3, {"theta": np.array(1.5)}, {}, None)
    >>> save(path, *pack(run, rng, {}))
    >>> start = RunState(0, {"theta": np.array(0.0)}, {}, None)
    >>> unpack(path, start, rng, {}).params
    {'theta': array(1.5)}
    """
    arrays, metadata = load(path)
    if not isinstance(metadata, dict) or "has state" not in metadata:
        msg = f"checkpoint {str(path)!r}: expected one of a run, got other arrays."
        raise CheckpointError(msg)
    params = _group(arrays, "params")
    optimizer_state = _group(arrays, "optimizer")
    state = _group(arrays, "state") if metadata["has state"] else None
    _check_same(path, "model", "param", params, like.params)
    _check_same(path, "optimiser", "state", optimizer_state, like.optimizer_state)
    if like.state is not None:
        _check_same(path, "method", "state", state or {}, like.state)
    _check_extra(path, metadata["extra"], extra)
    set_rng_state(rng, metadata["rng"])
    for name, thing in extra.items():
        if metadata["extra"][name]:
            thing.set_state(_group(arrays, f"extra/{name}"))
        else:
            logger.warning(
                "%r could not give its state when the checkpoint was written: the run "
                "goes on from a new one, not bit for bit",
                name,
            )
    return RunState(
        step=metadata["step"],
        params=_in_order(params, like.params),
        optimizer_state=_in_order(optimizer_state, like.optimizer_state),
        state=state,
        seconds=metadata["seconds"],
        history=metadata["history"],
    )


def load_params(path: str | os.PathLike[str]) -> Arrays:
    """Read the params of a run, to use the model and not train it.

    Parameters
    ----------
    path : path
        A checkpoint, or the folder of a run: then its newest intact one.

    Returns
    -------
    dict of str to array
        The params.

    Raises
    ------
    CheckpointError
        If there is none, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from scg.checkpoint import save
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> run = RunState(3, {"theta": np.array(1.5)}, {}, None)
    >>> save(path, *pack(run, np.random.default_rng(0), {}))
    >>> load_params(path)
    {'theta': array(1.5)}
    """
    path = Path(path)
    file = path if path.is_file() else latest(path)
    if file is None:
        msg = f"expected a checkpoint or a folder that holds some, got {str(path)!r}."
        raise CheckpointError(msg)
    arrays, _ = load(file)
    return _group(arrays, "params")


def _group(arrays: Arrays, name: str) -> Arrays:
    prefix = f"{name}/"
    return {
        key.removeprefix(prefix): value
        for key, value in arrays.items()
        if key.startswith(prefix)
    }


def _in_order(arrays: Arrays, like: Arrays) -> Arrays:
    # A sum over all params rounds in the order of their names, and a file has its own.
    return {name: arrays[name] for name in like}


def _check_same(
    path: Path,
    whole: str,
    part: str,
    saved: Arrays,
    expected: Mapping[str, NDArray[Any]],
) -> None:
    differences = [
        f"{part} {name!r} is {_kind(saved.get(name))} there and "
        f"{_kind(expected.get(name))} here"
        for name in sorted(saved.keys() | expected.keys())
        if _kind(saved.get(name)) != _kind(expected.get(name))
    ]
    if differences:
        msg = (
            f"checkpoint {str(path)!r}: belongs to another {whole}: "
            f"{'; '.join(differences)}. Choose another folder, or the {whole} that it "
            "was written by."
        )
        raise CheckpointError(msg)


def _kind(value: NDArray[Any] | None) -> str:
    return "absent" if value is None else f"{value.dtype} of shape {value.shape}"


def _check_extra(
    path: Path, saved: Mapping[str, bool], extra: Mapping[str, Stateful]
) -> None:
    if saved.keys() != extra.keys():
        msg = (
            f"checkpoint {str(path)!r}: expected extra_state for {sorted(saved)}, got "
            f"{sorted(extra)}."
        )
        raise CheckpointError(msg)
