"""Everything a training run needs to go on, as arrays and JSON, and back.

The random generator and the objects with a state of their own are changed in place when
a run is resumed; all else is a record. Where it is stored is not known here.
"""

from __future__ import annotations

import json
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
from scg.errors import CheckpointError, InputError
from scg.random_state import get_rng_state, set_rng_state

__all__ = [
    "RunState",
    "Stateful",
    "as_json",
    "load_params",
    "load_settings",
    "pack",
    "unpack",
]

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
    settings : dict or None
        What else the run depends on, as it comes out of JSON.

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
    settings: dict[str, Any] | None = None


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
        "settings": run.settings,
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
        generator, set of objects or settings. Nothing has been changed then.

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
    settings = metadata.get("settings")
    _check_settings(path, settings, like.settings)
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
        settings=settings if like.settings is None else like.settings,
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
    arrays, _ = load(_newest(path))
    return _group(arrays, "params")


def load_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the settings that `fit` was given, to use a model as it was trained.

    Parameters
    ----------
    path : path
        A checkpoint, or the folder of a run: then its newest intact one.

    Returns
    -------
    dict
        As they come out of JSON; empty if `fit` was given none.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from scg.checkpoint import save
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> run = RunState(3, {"theta": np.array(1.5)}, {}, None, settings={"seed": 4})
    >>> save(path, *pack(run, np.random.default_rng(0), {}))
    >>> load_settings(path)
    {'seed': 4}
    """
    _, metadata = load(_newest(path))
    settings = metadata.get("settings") if isinstance(metadata, dict) else None
    return dict(settings or {})


def as_json(settings: Mapping[str, object] | None) -> dict[str, Any] | None:
    """Return settings as they come out of a checkpoint: tuples have become lists.

    Parameters
    ----------
    settings : mapping of str to object, or None
        Anything `json.dumps` takes.

    Returns
    -------
    dict or None

    Raises
    ------
    InputError
        If they are not JSON.

    Examples
    --------
    >>> as_json({"sizes": (3, 4)})
    {'sizes': [3, 4]}
    """
    if settings is None:
        return None
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    except (TypeError, ValueError) as error:
        msg = (
            "settings: expected a mapping of names to what json.dumps takes, got "
            f"{settings!r}, where {error}. Give numbers, strings, or lists of them."
        )
        raise InputError(msg) from error
    return found


def _newest(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    file = path if path.is_file() else latest(path)
    if file is None:
        msg = (
            f"expected a checkpoint or a folder that holds some, got {str(path)!r}. "
            "Train first, or give the folder of a run."
        )
        raise CheckpointError(msg)
    return file


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


def _check_settings(
    path: Path, saved: Mapping[str, Any] | None, expected: Mapping[str, Any] | None
) -> None:
    if saved is None or expected is None:  # one of the two did not say
        return
    differences = [
        f"{name} is {saved.get(name)!r} there and {expected.get(name)!r} here"
        for name in sorted(saved.keys() | expected.keys())
        if saved.get(name) != expected.get(name)
    ]
    if differences:
        msg = (
            f"checkpoint {str(path)!r}: belongs to a run with other settings: "
            f"{'; '.join(differences)}. Choose another folder, or the same settings."
        )
        raise CheckpointError(msg)
