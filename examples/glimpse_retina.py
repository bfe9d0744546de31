"""A retina: square patches of an image around a place, the first of them sharp.

Each next one is twice as wide and as coarse, and has as many pixels. The mean of a
square of any size comes from a table of sums: what is in a rectangle are four corners
of it. Beyond the border there is nothing, since sums there grow no further.
"""

from __future__ import annotations

from functools import partial

import numpy as np

__all__ = ["make_retina", "sums"]


def sums(images: np.ndarray) -> np.ndarray:
    """Sum the pixels above and to the left of each corner of a pixel.

    Parameters
    ----------
    images : array of bytes, shape (rows, size, size)

    Returns
    -------
    array of float32, shape (rows, size + 1, size + 1)
        Whole numbers below 2²⁴, so exact.
    """
    size = images.shape[1]
    above = np.tri(size + 1, size, -1, np.float32)
    return above @ (images.astype(np.float32) @ above.T)


def make_retina(patch: int, scales: int):
    """Return the function that sees `scales` patches of patch × patch pixels."""
    zooms = 2 ** np.arange(scales)
    edges = (np.arange(patch + 1) - patch // 2) * zooms[:, np.newaxis]
    areas = np.float32(255 * zooms[:, np.newaxis, np.newaxis] ** 2)
    return partial(_see, edges=edges, areas=areas)


def _see(table: np.ndarray, at: np.ndarray, *, edges: np.ndarray, areas: np.ndarray):
    """Return what is seen in tables of sums at places, all rows and scales at once.

    Places of shape (rows, 2) say how far across and down: (0, 0) is the centre of the
    image, (-1, -1) the top left corner. Pixels are from 0 to 1; shape (rows, scales,
    patch, patch).
    """
    rows, side, _ = table.shape
    corner = np.rint((at + 1) * np.float32((side - 1) / 2)).astype(np.intp)
    places = np.clip(corner[:, :, np.newaxis, np.newaxis] + edges, 0, side - 1)
    across, down = places[:, 0, :, np.newaxis, :], places[:, 1, :, :, np.newaxis]
    start = (np.arange(rows) * side**2)[:, np.newaxis, np.newaxis, np.newaxis]
    found = table.reshape(-1).take((start + down * side) + across)
    strips = found[:, :, 1:] - found[:, :, :-1]
    return (strips[..., 1:] - strips[..., :-1]) / areas
