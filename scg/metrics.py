"""Numbers of a run, written where TensorBoard finds them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scg.errors import InputError
from scg.extras import require

__all__ = ["event_writer"]


@contextmanager
def event_writer(
    log_dir: str | os.PathLike[str] | None, *, first_step: int
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Open TensorBoard event files for a run.

    Parameters
    ----------
    log_dir : path or None
        The folder, made if missing; with None nothing is written.
    first_step : int
        Steps made before, by a run that is resumed: what an earlier process wrote
        about later steps is hidden by TensorBoard.

    Yields
    ------
    callable
        ``write(step, metrics)``.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    MissingExtraError
        If tensorboardX is not installed.

    Examples
    --------
    >>> with event_writer(None, first_step=0) as write:
    ...     write(1, {"cost": 0.5})
    """
    if log_dir is None:
        yield _ignore
        return
    tensorboard = require("tensorboardX", extra="train")
    folder = Path(log_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writer = tensorboard.SummaryWriter(
            str(folder), purge_step=first_step + 1 if first_step else None
        )
    except OSError as error:
        msg = f"log_dir {str(folder)!r}: expected a folder to write to, got: {error}."
        raise InputError(msg) from error

    def write(step: int, metrics: Mapping[str, float]) -> None:
        # A mean that has no terms yet is not a number, and no point of a curve.
        known = {k: v for k, v in metrics.items() if math.isfinite(v)}
        for name, value in known.items():
            writer.add_scalar(name, value, step)

    try:
        yield write
    finally:
        writer.close()


def _ignore(step: int, metrics: Mapping[str, float]) -> None:
    pass
