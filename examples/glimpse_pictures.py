"""Pictures of glimpses: where a network looked, what it saw, and how it came to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scg.pictures import new_figure, save_figure

__all__ = ["draw_errors", "draw_glimpses", "whole"]

BLUE, WRONG = "#1f5fa8", "#c0392b"


def colours(steps: int) -> list[tuple[float, ...]]:
    """Return a colour for each step, from red by yellow to blue."""
    stops = np.array([[0.88, 0.20, 0.15], [0.95, 0.75, 0.15], [0.15, 0.55, 0.90]])
    along = np.linspace(0, 1, max(steps, 2))
    channels = [np.interp(along, [0, 0.5, 1], stops[:, c]) for c in range(3)]
    return list(zip(*channels, strict=True))[:steps]


def draw_errors(path: Path, errors: np.ndarray) -> None:
    """Draw the error against processor minutes: records as `Clock.errors` has them."""
    figure, axes = new_figure(1, 1, (7.0, 3.6))
    ax = axes.flat[0]
    ax.semilogy(errors[:, 1], errors[:, 3], color=BLUE, linewidth=1.4)
    ticks = [t for t in (0.5, 1, 2, 4, 8, 16, 32, 64) if _is_near(t, errors[:, 3])]
    ax.set_yticks(ticks, [f"{t:g} %" for t in ticks])
    ax.minorticks_off()
    ax.set_xlabel("processor minutes")
    ax.set_ylabel("test error, sampled locations")
    ax.grid(alpha=0.3)
    save_figure(figure, path)


def _is_near(tick: float, values: np.ndarray) -> bool:
    return bool(len(values)) and values.min() / 2 < tick < values.max() * 2


def draw_glimpses(path: Path, inputs: dict, trace, patch: int, scales: int) -> None:
    """Draw a row for each image: the way over it, and what was seen step by step."""
    seen = trace["seen"]
    steps, rows = seen.shape[:2]
    places = np.concatenate([inputs["start"][np.newaxis], trace["next"][:-1]])
    named = trace["logits"].argmax(axis=1)
    figure, axes = new_figure(rows, steps + 1, (1.5 * (steps + 1), 1.55 * rows))
    axes = axes.reshape(rows, steps + 1)
    steps_colours = colours(steps)
    for row, line in enumerate(axes):
        for ax in line:
            ax.set_xticks([])
            ax.set_yticks([])
        _draw_way(line[0], inputs["image"][row], places[:, row], patch, scales)
        right = named[row] == inputs["label"][row]
        colour = "black" if right else WRONG
        line[0].set_ylabel(f"says {named[row]}", color=colour, fontsize=11)
        for t in range(steps):
            line[t + 1].imshow(whole(seen[t, row]), cmap="gray", vmin=0, vmax=1)
            for side in line[t + 1].spines.values():
                side.set(color=steps_colours[t], linewidth=2.5)
            if row == 0:
                line[t + 1].set_title(f"glimpse {t + 1}", fontsize=10)
    save_figure(figure, path)


def _draw_way(ax, image, places, patch: int, scales: int) -> None:
    """Draw an image, the finest patches on it, and a line through their centres."""
    size = len(image)
    ax.imshow(image, cmap="gray", extent=(0, size, size, 0))
    corners = np.rint((places + 1) * size / 2)
    ax.plot(*corners.T, color="white", linewidth=1.0, alpha=0.6)
    marks = zip(corners, colours(len(corners)), strict=True)
    for (across, down), colour in marks:
        half = patch / 2
        xs = across + half * np.array([-1, 1, 1, -1, -1])
        ys = down + half * np.array([-1, -1, 1, 1, -1])
        ax.plot(xs, ys, color=colour, linewidth=1.3)
        ax.plot(across, down, ".", color=colour, markersize=4)
    ax.set_facecolor("#404040")
    margin = patch / 2
    ax.set_xlim(-margin, size + margin)
    ax.set_ylim(size + margin, -margin)


def whole(patches: np.ndarray) -> np.ndarray:
    """Lay the patches of one glimpse over each other, the sharpest on top."""
    scales, patch, _ = patches.shape
    side = patch * 2 ** (scales - 1)
    image = np.zeros((side, side), patches.dtype)
    for zoom in reversed(range(scales)):
        large = np.kron(patches[zoom], np.ones((2**zoom, 2**zoom), patches.dtype))
        start = (side - len(large)) // 2
        image[start : start + len(large), start : start + len(large)] = large
    return image
