"""Pictures of a run: curves of its history, weights as images, films.

Everything is written to a file, without a display; matplotlib and imageio come with
the ``train`` extra.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scg.errors import InputError
from scg.extras import require

__all__ = ["draw_curves", "draw_images", "new_figure", "save_figure", "write_film"]

Where = str | os.PathLike[str]


def draw_curves(
    path: Where, history: Sequence[Mapping[str, float]], *names: str, x: str = "step"
) -> None:
    """Draw numbers of a run's history against another, one panel each.

    Parameters
    ----------
    path : path
        The picture, ``.png`` or ``.svg``. Its folder is made.
    history : sequence of mapping of str to float
        ``FitResult.history``, or records like its own. What is not known is left out;
        without records, panels stay empty.
    *names : str
        What to draw, from top to bottom.
    x : str
        What to draw it against.

    Raises
    ------
    InputError
        When there are records, and none has one of the names.
    MissingExtraError
        When matplotlib is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "curves.png"
    >>> draw_curves(path, [{"step": 1, "cost": 2.0}, {"step": 2, "cost": 1.0}], "cost")
    >>> path.stat().st_size > 1000
    True
    """
    held = {name for record in history for name in record}
    unknown = [name for name in (x, *names) if name not in held]
    if not names or (unknown and history):
        msg = (
            f"draw_curves: expected names among {sorted(held)}, got none at all or "
            f"{unknown}."
        )
        raise InputError(msg)
    figure, axes = new_figure(len(names), 1, (8.0, 2.6 * len(names)))
    for ax, name in zip(axes.flat, names, strict=True):
        known = [r for r in history if np.isfinite(r.get(name, np.nan)) and x in r]
        xs, ys = [r[x] for r in known], [r[name] for r in known]
        ax.plot(xs, ys, color="#1f5fa8", linewidth=1.2)
        ax.set_ylabel(name)
        ax.grid(alpha=0.3)
    axes.flat[-1].set_xlabel(x)
    save_figure(figure, path)


def draw_images(path: Where, images: Any, columns: int = 8) -> None:
    """Draw arrays as images side by side, 0 in grey, each to its own scale.

    Parameters
    ----------
    path : path
        The picture. Its folder is made.
    images : array, shape (count, height, width)
        Such as the first-layer weights of ``count`` units.
    columns : int
        How many stand in a row.

    Raises
    ------
    InputError
        When `images` has another number of axes, or is empty.
    MissingExtraError
        When matplotlib is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.png"
    >>> draw_images(path, np.random.default_rng(0).normal(size=(3, 5, 5)))
    >>> path.stat().st_size > 1000
    True
    """
    images = np.asarray(images)
    if images.ndim != 3 or not images.size:
        msg = f"draw_images: expected (count, height, width), got {images.shape}."
        raise InputError(msg)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure, axes = new_figure(rows, columns, (1.4 * columns, 1.4 * rows))
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, image in zip(axes.flat, images, strict=False):
        reach = float(np.abs(image).max()) or 1.0
        ax.imshow(image, cmap="gray", vmin=-reach, vmax=reach)
    save_figure(figure, path)


def write_film(path: Where, frames: Sequence[Any], per_second: float = 15.0) -> None:
    """Write frames as a film that starts over.

    Parameters
    ----------
    path : path
        ``.gif``. Its folder is made.
    frames : sequence of uint8 array, shape (height, width) or (height, width, 3)
    per_second : float
        How fast it plays.

    Raises
    ------
    InputError
        When there is no frame.
    MissingExtraError
        When imageio is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "film.gif"
    >>> write_film(path, np.zeros((2, 4, 4), np.uint8))
    >>> path.read_bytes()[:3]
    b'GIF'
    """
    if not len(frames):
        msg = "write_film: expected at least one frame, got none."
        raise InputError(msg)
    imageio = require("imageio.v3", extra="train")
    _folder(path)
    imageio.imwrite(path, np.stack(frames), duration=1000.0 / per_second, loop=0)


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """Make a figure with a grid of axes, and no window."""
    # Figures of their own canvas: pyplot would keep them and choose a window system.
    figure = require("matplotlib.figure", extra="train").Figure(size, layout="tight")
    return figure, figure.subplots(rows, columns, squeeze=False)


def save_figure(figure: Any, path: Where) -> None:
    """Write a figure, its folder with it."""
    _folder(path)
    figure.savefig(path, dpi=110)


def _folder(path: Where) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
