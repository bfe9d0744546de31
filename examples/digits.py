"""Handwritten digits, 28×28, with labels: small ones at hand, or MNIST.

``read(source)`` knows three sources:

``"small"``
    1,797 digits of 8×8 pixels that come with scikit-learn, enlarged to 20×20 in a frame
    of 28×28, as MNIST's are. The last 297, by other writers, are for testing.
``"mnist"``
    MNIST, fetched once by pooch and held against its checksum.
a path
    An npz file with x_train, y_train, x_test, y_test, or a folder with MNIST's four IDX
    files, gzipped or not, or one of these files.

Both libraries are in the extra ``digits``. ``source`` of what is returned says which
data it is; MNIST is known by the checksum of its pixels, whatever file it came in.
"""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scg.errors import ScgError
from scg.extras import require

__all__ = ["Digits", "DigitsError", "read"]

MNIST = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_FILE = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
MNIST_PIXELS = (  # of the training images as an IDX file, as it is published
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
)
ARRAYS = {  # in an npz, and what the name of an IDX file begins with
    "x_train": "train-images",
    "y_train": "train-labels",
    "x_test": "t10k-images",
    "y_test": "t10k-labels",
}
WAY_OUT = "Give --data mnist to fetch MNIST, or --data small for scikit-learn's digits."
UNREADABLE = (OSError, EOFError, ValueError, KeyError, zlib.error, zipfile.BadZipFile)


class DigitsError(ScgError, OSError):
    """Report data that is missing or cannot be read."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Images of shape (n, 28, 28), float32 from 0 to 1, and labels, int64."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    source: str
    """What the data is, in words."""


def read(source: str | Path = "small") -> Digits:
    """Return the digits of a source; raise `DigitsError` where there are none."""
    if source == "small":
        return small()
    path = fetch() if source == "mnist" else Path(source)
    if not path.exists():
        msg = f"expected an npz file or IDX files at {str(path)!r}, got none. {WAY_OUT}"
        raise DigitsError(msg)
    try:
        arrays = from_npz(path) if path.suffix == ".npz" else from_idx(path)
        check(arrays)
    except UNREADABLE as error:
        msg = f"expected MNIST, or digits like it, in {str(path)!r}, got: {error}. "
        raise DigitsError(msg + WAY_OUT) from error
    pixels = hashlib.sha256(as_idx(arrays["x_train"])).hexdigest()
    name = "MNIST" if pixels == MNIST_PIXELS else "images that are not MNIST's"
    return made(arrays, f"{name}, pixels' sha256 {pixels[:12]}…")


def small() -> Digits:
    """Return scikit-learn's digits, enlarged."""
    found = require("sklearn.datasets", extra="digits").load_digits()
    at = np.arange(20) * 7 / 19  # where the new pixels lie among the old
    between = np.maximum(1 - np.abs(at[:, np.newaxis] - np.arange(8)), 0)
    images = np.zeros((len(found.images), 28, 28), np.uint8)
    images[:, 4:24, 4:24] = np.rint(between @ (found.images * 255 / 16) @ between.T)
    arrays = {"x_train": images[:1500], "x_test": images[1500:]}
    arrays |= {"y_train": found.target[:1500], "y_test": found.target[1500:]}
    return made(arrays, "the digits of scikit-learn, enlarged to 28×28")


def fetch() -> Path:
    """Return where MNIST lies, after fetching it the first time."""
    pooch = require("pooch", extra="digits")
    try:
        where = {"fname": "mnist.npz", "path": pooch.os_cache("scg")}
        return Path(pooch.retrieve(MNIST, f"sha256:{MNIST_FILE}", **where))
    except (OSError, ValueError) as error:
        msg = f"expected MNIST with sha256 {MNIST_FILE} from {MNIST}, got: {error}. "
        way_out = "Give --data and the path of a copy, or --data small."
        raise DigitsError(msg + way_out) from error


def from_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file."""
    with path.open("rb") as opened, np.load(opened) as file:
        return {name: file[name] for name in ARRAYS}


def from_idx(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the IDX files in a folder, or beside a file."""
    folder = path if path.is_dir() else path.parent
    found = {}
    for name, start in ARRAYS.items():
        files = sorted(folder.glob(f"{start}*"))
        if not files:
            msg = f"no file that begins with {start!r} in {str(folder)!r}"
            raise ValueError(msg)
        found[name] = idx(files[0])
    return found


def idx(path: Path) -> np.ndarray:
    """Return the array of bytes that an IDX file holds."""
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    axes = data[3] if data[:3] == b"\0\0\x08" else 0
    shape = np.frombuffer(data[4 : 4 + 4 * axes], ">i4").tolist()
    if not axes or len(data) != 4 + 4 * axes + np.prod(shape):
        msg = f"{len(data)} bytes in {path.name!r} that are not bytes of shape {shape}"
        raise ValueError(msg)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def as_idx(array: np.ndarray) -> bytes:
    """Return an array of bytes as an IDX file."""
    shape = np.array(array.shape, ">i4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


def check(arrays: dict[str, np.ndarray]) -> None:
    """Raise a ValueError that says which array is not what it should be."""
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.shape[1:] != (28, 28) or x.dtype != np.uint8 or not len(x):
            msg = f"x_{part} of shape {x.shape}, {x.dtype}, not (n, 28, 28), uint8"
            raise ValueError(msg)
        if y.shape != x.shape[:1] or y.dtype.kind not in "iu" or not _are_digits(y):
            msg = f"y_{part} of shape {y.shape}, {y.dtype}, not {len(x)} digits"
            raise ValueError(msg)


def _are_digits(labels: np.ndarray) -> bool:
    return bool(np.all((labels >= 0) & (labels <= 9)))


def made(arrays: dict[str, np.ndarray], name: str) -> Digits:
    """Return the arrays as floats and labels."""
    x = {k: np.float32(arrays[k]) / np.float32(255) for k in ("x_train", "x_test")}
    y = {k: arrays[k].astype(np.int64) for k in ("y_train", "y_test")}
    source = f"{name}: {len(x['x_train']):,} to train, {len(x['x_test']):,} to test"
    return Digits(x["x_train"], y["y_train"], x["x_test"], y["y_test"], source)
