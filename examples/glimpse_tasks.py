"""Images to glimpse at: digits as they are, moved about in 60×60, and among clutter.

They are made anew for each batch, all rows at once, from the digits that `digits.py`
reads. Here too is the clock of a run, which goes on when the run does.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
from digits import read

from scg.errors import InputError

__all__ = ["SIZES", "Clock", "Images", "load", "make_images"]

SIZES = {"plain": 28, "translated": 60, "cluttered": 60}
PIECES, PIECE = 4, 8
"""Of other digits, 8×8 pixels each: the clutter."""


@dataclass(frozen=True)
class Images:
    """Digits as bytes, shape (n, 28, 28), their labels, and what is made of them."""

    task: str
    digits: np.ndarray
    labels: np.ndarray
    source: str
    """Which data it is, in words."""

    def batch(self, chosen: np.ndarray, rng: np.random.Generator):
        """Return images of chosen digits, labels, and where to look first."""
        start = rng.uniform(-1, 1, size=(len(chosen), 2)).astype(np.float32)
        image = make_images(self.task, self.digits, chosen, rng)
        return {"image": image, "label": self.labels[chosen], "start": start}


def load(config) -> tuple[Images, Images]:
    """Return what to train with, and what to test with."""
    digits = read(config.data)
    logging.info("data: %s", digits.source)
    train, test = map(_as_bytes, (digits.train, digits.test))
    labels, test_labels = digits.train_labels, digits.test_labels
    if config.held_out:
        n = len(train) - config.held_out
        if n < 1:
            msg = (
                f"held_out: expected fewer than the {len(train):,} images to train "
                f"with, got {config.held_out:,}."
            )
            raise InputError(msg)
        test, test_labels, train, labels = train[n:], labels[n:], train[:n], labels[:n]
    parts = (train, labels), (test, test_labels)
    one, two = (Images(config.task, *part, digits.source) for part in parts)
    return one, two


def _as_bytes(images: np.ndarray) -> np.ndarray:
    return np.rint(255 * images).astype(np.uint8)


def make_images(
    task: str, digits: np.ndarray, chosen: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Make an image of each chosen digit.

    Parameters
    ----------
    task : str
        One of `SIZES`.
    digits : array of bytes, shape (n, 28, 28)
    chosen : array of int, shape (rows,)
    rng : Generator
        Says where digits and clutter are.

    Returns
    -------
    array of bytes, shape (rows, size, size)
    """
    size = SIZES[task]
    if task == "plain":
        return digits[chosen]
    images = np.zeros((len(chosen), size, size), np.uint8)
    _put(images, digits[chosen], rng)
    for _ in range(PIECES if task == "cluttered" else 0):
        others = rng.integers(len(digits), size=len(chosen))
        down, across = _anywhere(len(chosen), 28 - PIECE, PIECE, rng)
        _put(images, digits[others[:, np.newaxis, np.newaxis], down, across], rng)
    return images


def _put(images: np.ndarray, pieces: np.ndarray, rng: np.random.Generator) -> None:
    """Put a piece somewhere into each image; what is brighter stays."""
    piece = pieces.shape[1]
    down, across = _anywhere(len(images), images.shape[1] - piece, piece, rng)
    at = (np.arange(len(images))[:, np.newaxis, np.newaxis], down, across)
    images[at] = np.maximum(images[at], pieces)


def _anywhere(rows: int, room: int, piece: int, rng: np.random.Generator):
    """Return the rows and columns of a square at a random place, for each image."""
    start = rng.integers(room + 1, size=(2, rows, 1))
    down, across = start + np.arange(piece)
    return down[:, :, np.newaxis], across[:, np.newaxis, :]


class Clock:
    """The processor time of a run, by all processes that worked on it, and errors."""

    def __init__(self) -> None:
        self.before = -time.process_time()
        self.errors = np.zeros((0, 4))
        """Epoch, processor minutes, minutes, error in %."""

    def minutes(self) -> float:
        """Return the processor minutes so far."""
        return (self.before + time.process_time()) / 60

    def note(self, epoch: int, seconds: float, error: float) -> None:
        """Note the error after an epoch, and log it."""
        now = [epoch, self.minutes(), seconds / 60, error]
        self.errors = np.vstack([self.errors, now])
        text = "epoch %d: %.1f CPU minutes, %.1f minutes, sampled error %.2f %%"
        logging.info(text, *now)

    def get_state(self) -> dict[str, np.ndarray]:
        """Give what is to be saved."""
        return {"minutes": np.array(self.minutes()), "errors": self.errors.copy()}

    def set_state(self, state) -> None:
        """Go on from a checkpoint."""
        self.before = 60 * float(state["minutes"]) - time.process_time()
        self.errors = np.array(state["errors"])
