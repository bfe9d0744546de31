"""Draw one sequence over time: tapes, where the heads were, and what was emitted."""

from __future__ import annotations

import numpy as np
from rl_ntm_tasks import BLANK, END, LETTERS, THRICE, TWICE

from scg.extras import require
from scg.pictures import new_figure, save_figure

NAMES = {END: "■", BLANK: "", TWICE: "×2", THRICE: "×3"}
INK, RED = "#333333", "#c8452f"
CELL = 0.23  # inches


def draw(path, title: str, inputs: dict, trace, machine, row: int = 0) -> None:
    """Draw one row of a run. Time goes to the right; a column is one step.

    A tape is drawn as it is at each step, pale but for the cell under the head. Below
    is what was emitted at that step, and under it what would have been right.
    """
    steps = min(int(inputs["steps"][row]), len(trace["emit"]))
    panels = {"input tape": input_tape(inputs, trace, row, steps)}
    if machine.task.memory:
        cells = machine.cells
        panels["memory tape"] = memory_tape(trace, row, steps, cells)
    panels["emitted, above what is right"] = emitted(trace, row, steps)
    heights = [symbols.shape[0] for symbols, _ in panels.values()]
    size = CELL * (steps + 2), CELL * (sum(heights) + 3 * len(heights) + 2)
    figure = require("matplotlib.figure", extra="train").Figure(size, layout="tight")
    axes = figure.subplots(len(heights), 1, height_ratios=heights, sharex=True)
    for ax, (label, (symbols, heads)) in zip(axes, panels.items(), strict=True):
        paint(ax, symbols, heads, framed="tape" in label)
        ax.set_title(label, loc="left", fontsize=9, color=INK)
    axes[-1].set_xlabel("step", fontsize=9)
    figure.suptitle(title, fontsize=10, color=INK)
    save_figure(figure, path)


def input_tape(inputs, trace, row, steps):
    """Return the tape, the same at each step, with a blank cell at either end."""
    tape = np.pad(inputs["tape"][row], 1, constant_values=BLANK)
    heads = trace["input head"][:steps, row] + 1
    return np.repeat(tape[:, None], steps, axis=1), heads


def memory_tape(trace, row, steps, cells):
    """Write again what was written; return cells by steps, as read, and the heads.

    Of the cells, those that the head came to.
    """
    ring = trace["memory head"][:steps, row]
    moves = np.mod(np.diff(ring) + 1, cells) - 1  # the way the head went, uncoiled
    heads = np.concatenate([[0], np.cumsum(moves)])
    heads -= heads.min()
    symbols = np.full((heads.max() + 1, steps), BLANK)
    for t, written in enumerate(trace["written"][: steps - 1, row]):
        kept = written.max() > 0.5
        symbols[heads[t], t + 1 :] = written.argmax() if kept else BLANK
    return symbols, heads


def emitted(trace, row, steps):
    """Return two rows of symbols: the one said, and the right one."""
    emits = trace["emit"][:steps, row] == 1
    both = np.stack([trace["said"][:steps, row], trace["right"][:steps, row]])
    return np.where(emits, both, BLANK), np.zeros(steps, int)


def paint(ax, symbols, heads, framed) -> None:
    """Paint cells by steps, the one under the head in full colour."""
    count, steps = symbols.shape
    pale = np.arange(count)[:, None] != heads
    shades = np.array([colour(s) for s in range(THRICE + 1)])[symbols]
    shades = np.where(pale[..., None], 0.25 * shades + 0.75, shades)
    ax.imshow(shades, aspect="equal", interpolation="nearest")
    for y, x in np.argwhere(symbols != BLANK):
        strong = (
            {"color": INK, "weight": "bold"} if not pale[y, x] else {"color": "#999999"}
        )
        ax.text(
            x, y, name(symbols[y, x]), ha="center", va="center", fontsize=8, **strong
        )
    if framed:
        ax.plot(heads, "s", markersize=13, fillstyle="none", color=INK)
    ax.set(xticks=range(0, steps, 5), yticks=[])
    ax.spines[:].set_color("#cccccc")


def name(symbol: int) -> str:
    """Write a letter, the end mark, nothing, or a number of copies."""
    return NAMES.get(int(symbol), chr(ord("a") + int(symbol)))


def colour(symbol: int) -> tuple[float, float, float]:
    """Give each letter a colour, marks grey."""
    if symbol == BLANK:
        return (1.0, 1.0, 1.0)
    if symbol >= LETTERS:
        return (0.75, 0.75, 0.75)
    maps = require("matplotlib", extra="train").colormaps
    return maps["tab20"](symbol)[:3]


def draw_levels(path, tasks: dict) -> None:
    """Draw, for each task, the length that each seed had reached, over episodes.

    A seed is its number of episodes in a step, and its history.
    """
    figure, axes = new_figure(1, len(tasks), (2.3 * len(tasks), 2.6))
    for ax, (task, stories) in zip(axes.flat, tasks.items(), strict=True):
        for episodes, story in stories:
            at = [record["step"] * episodes / 1e6 for record in story]
            ax.step(at, [record["level"] for record in story], where="post")
        ax.set_title(task, fontsize=9)
        ax.set_xlabel("million episodes", fontsize=8)
        ax.set_ylim(0, None)
        ax.grid(alpha=0.3)
    axes.flat[0].set_ylabel("letters in training", fontsize=8)
    save_figure(figure, path)
