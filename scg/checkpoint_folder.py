"""The checkpoints of one run: a folder with one file a step.

The newest intact file is where a run goes on; older ones are deleted. One folder holds
one run.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path

from scg.checkpoint import load
from scg.errors import CheckpointError

__all__ = [
    "check_writable",
    "checkpoint_path",
    "latest",
    "rotate",
    "saved_steps",
    "set_aside",
]

NAME = re.compile(r"step-(\d+)\.safetensors")

logger = logging.getLogger(__name__)


def checkpoint_path(folder: str | os.PathLike[str], step: int) -> Path:
    """Name the checkpoint of a step.

    Parameters
    ----------
    folder : path
        The folder of the run.
    step : int
        How many steps have been made.

    Returns
    -------
    Path
        The file, which need not exist.

    Examples
    --------
    >>> checkpoint_path("runs/x", 120).name
    'step-000000120.safetensors'
    """
    return Path(folder) / f"step-{step:09d}.safetensors"


def saved_steps(folder: str | os.PathLike[str]) -> dict[int, Path]:
    """List the checkpoints of a folder, the oldest first, without reading them.

    Parameters
    ----------
    folder : path
        The folder of the run; it need not exist.

    Returns
    -------
    dict of int to Path
        From the step to the file.

    Examples
    --------
    >>> saved_steps("no/such/folder")
    {}
    """
    folder = Path(folder)
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    found = [(match, name) for name in names if (match := NAME.fullmatch(name))]
    return dict(sorted((int(match[1]), folder / name) for match, name in found))


def latest(folder: str | os.PathLike[str]) -> Path | None:
    """Find the newest checkpoint of a folder that is intact.

    A damaged one is passed over with a warning in the log.

    Parameters
    ----------
    folder : path
        The folder of the run; it need not exist.

    Returns
    -------
    Path or None
        None if there is no checkpoint at all.

    Raises
    ------
    CheckpointError
        If there are checkpoints and none can be read.

    Examples
    --------
    >>> import tempfile
    >>> from scg.checkpoint import save
    >>> folder = tempfile.mkdtemp()
    >>> for step in (100, 200):
    ...     save(checkpoint_path(folder, step), {})
    >>> latest(folder).name
    'step-000000200.safetensors'
    """
    found = saved_steps(folder)
    reasons = []
    for path in reversed(found.values()):
        try:
            load(path)
        except CheckpointError as error:
            logger.warning("%s", error)
            reasons.append(str(error))
        else:
            return path
    if reasons:
        msg = (
            f"folder {str(folder)!r}: expected an intact checkpoint, got only ones "
            "that cannot be read:\n" + "\n".join(reasons)
        )
        raise CheckpointError(msg)
    return None


def rotate(folder: str | os.PathLike[str], keep: int) -> None:
    """Delete all but the newest checkpoints, and what a killed run left half-written.

    Parameters
    ----------
    folder : path
        The folder of the run.
    keep : int
        How many to keep, 1 or more.

    Examples
    --------
    >>> import tempfile
    >>> from scg.checkpoint import save
    >>> folder = tempfile.mkdtemp()
    >>> for step in (100, 200, 300):
    ...     save(checkpoint_path(folder, step), {})
    >>> rotate(folder, keep=2)
    >>> list(saved_steps(folder))
    [200, 300]
    """
    for path in list(saved_steps(folder).values())[: -max(keep, 1)]:
        path.unlink(missing_ok=True)
    for path in Path(folder).glob(".step-*.safetensors.tmp"):
        path.unlink(missing_ok=True)


def set_aside(folder: str | os.PathLike[str], after: int) -> None:
    """Rename the checkpoints after a step, so that they no longer count.

    A run that goes on from an older checkpoint, the newer ones being damaged, calls it:
    else `rotate` would keep those and delete what the run saves.

    Parameters
    ----------
    folder : path
        The folder of the run.
    after : int
        The step that the run goes on from.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = checkpoint_path(folder, 200).write_bytes(b"damaged")
    >>> set_aside(folder, after=100)
    >>> [path.name for path in Path(folder).iterdir()]
    ['step-000000200.safetensors.damaged']
    """
    for step, path in saved_steps(folder).items():
        if step > after:
            path.replace(path.with_name(f"{path.name}.damaged"))


def check_writable(folder: str | os.PathLike[str], num_bytes: int) -> None:
    """Make the folder, and find out whether a checkpoint can be written to it.

    Parameters
    ----------
    folder : path
        The folder of the run.
    num_bytes : int
        Size of one checkpoint; there must be room for two, since the old one is kept
        until the new one is whole.

    Raises
    ------
    CheckpointError
        If the folder cannot be made or written to, or the disk is too full.

    Examples
    --------
    >>> import tempfile
    >>> check_writable(tempfile.mkdtemp(), 1000)
    """
    folder = Path(folder)
    probe = folder / ".writable.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        msg = (
            f"folder {str(folder)!r}: expected one that can be written to, got: "
            f"{error.strerror or error}. Choose another with checkpoint=."
        )
        raise CheckpointError(msg) from error
    if free < 2 * num_bytes:
        msg = (
            f"folder {str(folder)!r}: expected {2 * num_bytes:,} free bytes for two "
            f"checkpoints, got {free:,}. Free some, or choose another disk."
        )
        raise CheckpointError(msg)
