"""One checkpoint: arrays and JSON in one file, whole or not there.

The file is in the safetensors format, which anything can read and which runs no code
when read. A new file is written beside the old one, flushed to the disk and renamed, so
that a crash at any moment leaves the old file or the new one. A digest over everything
finds damage. What the arrays mean is not known here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scg.errors import CheckpointError, InputError
from scg.extras import require

__all__ = ["FORMAT_VERSION", "load", "save"]

FORMAT_VERSION = 1

# One key of the safetensors header, which holds strings only.
HEADER_KEY = "scg"


def save(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    metadata: Any = None,
) -> None:
    """Write arrays and metadata to a file, atomically.

    Parameters
    ----------
    path : path
        The file, usually ``*.safetensors``; its folder must exist. A file of that name
        is replaced, in one step.
    arrays : mapping of str to array
        Any shapes, also ``()`` and empty; bool, integers, float16 to float64 and
        complex64. Every bit is kept, in the machine's byte order.
    metadata : object
        Anything `json.dumps` takes.

    Raises
    ------
    InputError
        If the metadata is not JSON, or an array of a kind that cannot be stored.
    CheckpointError
        If the file cannot be written; a file that was there is untouched.
    MissingExtraError
        If safetensors is not installed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> save(folder / "model.safetensors", {"theta": np.array(1.5)}, {"step": 3})
    >>> arrays, metadata = load(folder / "model.safetensors")
    >>> float(arrays["theta"]), metadata
    (1.5, {'step': 3})
    """
    content = _serialize(arrays, metadata)
    path = Path(path)
    with _write_errors(path):
        _replace(path, content)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], Any]:
    """Read a file that `save` wrote, and check it.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    arrays : dict of str to array
        New arrays, to be kept and changed.
    metadata : object
        As it comes out of JSON: tuples have become lists.

    Raises
    ------
    CheckpointError
        If the file is missing, cut short, damaged, or of another format.
    MissingExtraError
        If safetensors is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save(path, {"theta": np.arange(3)})
    >>> _ = path.write_bytes(path.read_bytes()[:-1])
    >>> try:
    ...     load(path)
    ... except CheckpointError as error:
    ...     print("cut short" in str(error))
    True
    """
    numpy_format = require("safetensors.numpy", extra="train")
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"checkpoint {str(path)!r}: cannot be read: {error.strerror or error}."
        raise CheckpointError(msg) from error
    record = _read_record(path, content)
    format_error: type[Exception] = require(
        "safetensors", extra="train"
    ).SafetensorError
    try:
        found = numpy_format.load(content)
        # safetensors promises nothing about who owns the memory.
        arrays = {name: np.array(value) for name, value in found.items()}
        intact = _digest(arrays, record["metadata"]) == record["digest"]
        metadata = json.loads(record["metadata"])
    except (format_error, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"its arrays cannot be read ({error})") from error
    if not intact:
        raise _damaged(path, "its digest is not that of its content")
    return arrays, metadata


def _serialize(arrays: Mapping[str, NDArray[Any]], metadata: Any) -> bytes:
    numpy_format = require("safetensors.numpy", extra="train")
    try:
        text = json.dumps(metadata)
    except (TypeError, ValueError) as error:
        msg = f"metadata: expected what json.dumps takes, got an object where {error}."
        raise InputError(msg) from error
    plain = {name: _plain(name, value) for name, value in arrays.items()}
    record = {
        "version": FORMAT_VERSION,
        "digest": _digest(plain, text),
        "metadata": text,
    }
    content: bytes = numpy_format.save(plain, {HEADER_KEY: json.dumps(record)})
    return content


def _plain(name: str, value: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(value)
    storable = array.dtype.kind in "biuf" and array.dtype.itemsize <= 8
    if not storable and array.dtype != np.complex64:
        msg = (
            f"array {name!r}: expected bool, integers, floats of at most 8 bytes or "
            f"complex64, got {array.dtype}."
        )
        raise InputError(msg)
    # Not ascontiguousarray, which makes shape () into (1,).
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def _digest(arrays: Mapping[str, NDArray[Any]], metadata: str) -> str:
    digest = hashlib.blake2b(metadata.encode(), digest_size=16)
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(json.dumps([name, value.dtype.str, value.shape]).encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _replace(path: Path, content: bytes) -> None:
    # One name for each target: a run that is killed while writing leaves at most one
    # such file, and the next save of that name uses it again.
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # Without it the file survives a power cut and its name may not. Windows cannot
    # open a folder, and needs no such call.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = (
            f"checkpoint {str(path)!r}: cannot be written: {error.strerror or error}. "
            "Free some space or choose another folder; what was saved before is "
            "untouched."
        )
        raise CheckpointError(msg) from error


def _read_record(path: Path, content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 + length:
        found = f"it is cut short: {len(content)} bytes, its header alone needs more"
        raise _damaged(path, found)
    try:
        header = json.loads(content[8 : 8 + length])
        record: dict[str, Any] = json.loads(header.pop("__metadata__")[HEADER_KEY])
        version = record["version"]
        size = max((t["data_offsets"][1] for t in header.values()), default=0)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        found = "its header is not that of a checkpoint of scg"
        raise _damaged(path, found) from error
    if version != FORMAT_VERSION:
        msg = (
            f"checkpoint {str(path)!r}: expected format {FORMAT_VERSION}, got "
            f"{version!r}. Read it with the version of scg that wrote it."
        )
        raise CheckpointError(msg)
    if len(content) != 8 + length + size:
        found = f"it is cut short: {len(content)} of {8 + length + size} bytes"
        raise _damaged(path, found)
    return record


def _damaged(path: Path, found: str) -> CheckpointError:
    msg = (
        f"checkpoint {str(path)!r}: {found}. The file is damaged or not a checkpoint: "
        "delete it and go on from an older one."
    )
    return CheckpointError(msg)
