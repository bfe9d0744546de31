"""When a run is saved, and how it is found again.

A `Saver` owns the folder of one run. It begins by making sure that the run can be saved
at all, and never lets params that are not finite replace good ones.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scg.checkpoint import save
from scg.checkpoint_folder import (
    check_writable,
    checkpoint_path,
    latest,
    rotate,
    saved_steps,
    set_aside,
)
from scg.elementwise import check_finite
from scg.errors import CheckpointError, NonFiniteError
from scg.run_state import RunState, Stateful, pack, unpack

__all__ = ["SavePolicy", "Saver"]

DEFAULT_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SavePolicy:
    """Say where, when and how often a run is saved.

    Parameters
    ----------
    folder : path or None
        The folder of the run; with None nothing is saved.
    every : int, optional
        Save after every so many steps.
    seconds : float, optional
        Save when so many seconds have passed; 60 if neither is given.
    keep : int
        How many checkpoints to keep.
    resume : bool
        Go on from the newest checkpoint, if there is one.

    Examples
    --------
    >>> SavePolicy("runs/x", every=100).keep
    3
    """

    folder: str | os.PathLike[str] | None
    every: int | None = None
    seconds: float | None = None
    keep: int = 3
    resume: bool = True


class Saver:
    """Save a run as a policy says.

    Parameters
    ----------
    policy : SavePolicy
        Where and when.
    rng : Generator
        The run's randomness.
    extra : mapping of str to Stateful
        Objects whose state belongs to the run.

    Examples
    --------
    >>> import tempfile
    >>> rng = np.random.default_rng(0)
    >>> saver = Saver(SavePolicy(tempfile.mkdtemp(), every=10), rng, {})
    >>> run = saver.begin(RunState(0, {"theta": np.array(0.0)}, {}, None))
    >>> saver.saved_step, saver.due(RunState(10, run.params, {}, None))
    (0, True)
    """

    def __init__(
        self,
        policy: SavePolicy,
        rng: np.random.Generator,
        extra: Mapping[str, Stateful],
    ) -> None:
        self.policy = policy
        self.rng = rng
        self.extra = extra
        self.saved_step: int | None = None
        self._saved_at = time.monotonic()

    def begin(self, start: RunState) -> RunState:
        """Find the run in the folder, or save its start.

        Parameters
        ----------
        start : RunState
            The run before its first step.

        Returns
        -------
        RunState
            Where to go on: the start, or what the newest intact checkpoint holds.

        Raises
        ------
        CheckpointError
            If the folder cannot be written to, or what it holds does not fit the run.
        """
        folder = self.policy.folder
        if folder is None:
            return start
        arrays, _ = pack(start, self.rng, self.extra)
        check_writable(folder, sum(np.asarray(a).nbytes for a in arrays.values()))
        if not saved_steps(folder):
            self.save(start)
            return start
        if not self.policy.resume:
            msg = (
                f"folder {str(folder)!r}: expected one without checkpoints, since "
                f"resume=False, got checkpoints of steps {list(saved_steps(folder))}. "
                "Go on with resume=True, choose another folder, or delete them."
            )
            raise CheckpointError(msg)
        return self._resume(Path(folder), start)

    def due(self, run: RunState) -> bool:
        """Say whether it is time to save.

        Parameters
        ----------
        run : RunState
            The run, after a step.

        Returns
        -------
        bool
            True if the policy asks for a checkpoint of this step.
        """
        every, seconds = self.policy.every, self.policy.seconds
        if self.policy.folder is None:
            return False
        if every is None and seconds is None:
            seconds = DEFAULT_SECONDS
        passed = time.monotonic() - self._saved_at
        by_step = every is not None and run.step % every == 0
        return by_step or (seconds is not None and passed >= seconds)

    def save(self, run: RunState) -> None:
        """Save the run, unless this step is saved or there is no folder.

        Parameters
        ----------
        run : RunState
            The run, between two steps.

        Raises
        ------
        NonFiniteError
            If a param is not finite; what was saved before is untouched.
        CheckpointError
            If the file cannot be written.
        """
        folder = self.policy.folder
        if folder is None or run.step == self.saved_step:
            return
        try:
            for name, value in run.params.items():
                check_finite(f"param {name!r}", value)
        except NonFiniteError as error:
            msg = f"step {run.step}: {error}"
            raise NonFiniteError(msg) from error
        save(checkpoint_path(folder, run.step), *pack(run, self.rng, self.extra))
        rotate(folder, self.policy.keep)
        self.saved_step = run.step
        self._saved_at = time.monotonic()

    def _resume(self, folder: Path, start: RunState) -> RunState:
        path = latest(folder)
        if path is None:
            msg = f"folder {str(folder)!r}: its checkpoints vanished while it was read."
            raise CheckpointError(msg)
        run = unpack(path, start, self.rng, self.extra)
        set_aside(folder, after=run.step)
        self.saved_step = run.step
        logger.info("resuming from %s", path)
        return run
