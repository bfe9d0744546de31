"""Five tasks for a machine with tapes: what is written, and what is to be answered.

Letters are numbers below 20, drawn evenly. The input tape holds the letters and an end
mark, and is blank elsewhere; the answer ends with the end mark too. Each task gives as
many steps as the shortest program takes that does nothing clever:

    Copy             abc.      -> abc.       walk right, emit
    DuplicatedInput  aaabbb.   -> ab.        emit every third
    Reverse          abc.      -> cba.       walk to the end, then back, and emit
    RepeatCopy       2abc.     -> abcabc.    walk back between the copies
    ForwardReverse   abc.      -> cba.       the input head cannot go back: write, then
                                             read the memory tape backwards

Zaremba & Sutskever 2015, "Reinforcement Learning Neural Turing Machines".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LETTERS = 20
END, BLANK = LETTERS, LETTERS + 1
TWICE, THRICE = LETTERS + 2, LETTERS + 3
SYMBOLS = LETTERS + 4
"""What a cell of a tape can hold."""
ANSWERS = LETTERS + 1
"""What can be emitted: letters and the end mark."""


@dataclass(frozen=True)
class Task:
    """What a task writes and wants.

    `make(letters, rng)` takes letters, shape ``(rows, length)``, and returns the tape,
    the answer, how much of it counts in each row, and how many steps a row has.
    """

    make: Callable[..., tuple]
    backwards: bool = True
    """Whether the input head may step back."""
    memory: bool = False
    """Whether there is a memory tape."""

    def draw(self, rng, rows: int, length: int) -> dict[str, np.ndarray]:
        """Return what a graph takes as inputs, for random letters."""
        letters = rng.integers(LETTERS, size=(rows, length))
        tape, answer, count, steps = self.make(letters, rng)
        count, steps = (np.broadcast_to(x, rows).copy() for x in (count, steps))
        return {"tape": tape, "answer": answer, "count": count, "steps": steps}

    def sizes(self, length: int) -> tuple[int, int, int]:
        """Return the length of the tape, of the answer, and the largest steps."""
        rng = np.random.default_rng(0)
        one = self.draw(rng, 64, length)  # 64 rows have both counts of RepeatCopy
        return one["tape"].shape[1], one["answer"].shape[1], int(one["steps"].max())


def ended(symbols: np.ndarray) -> np.ndarray:
    """Write the end mark behind."""
    return np.pad(symbols, ((0, 0), (0, 1)), constant_values=END)


def copy(letters, rng):
    n = letters.shape[1]
    return ended(letters), ended(letters), n + 1, n + 1


def duplicated_input(letters, rng):
    n = letters.shape[1]
    return ended(np.repeat(letters, 3, axis=1)), ended(letters), n + 1, 3 * n + 1


def reverse(letters, rng):
    n = letters.shape[1]
    return ended(letters), ended(letters[:, ::-1]), n + 1, 2 * n + 2


def repeat_copy(letters, rng):
    rows, n = letters.shape
    times = rng.integers(2, 4, size=rows)
    head = np.where(times == 2, TWICE, THRICE)[:, None]
    answer = ended(np.tile(letters, 3))
    answer[np.arange(3 * n + 1) >= times[:, None] * n] = END
    # To the end for one copy; for each other one, back to the front and there again.
    steps = (n + 2) + (times - 1) * (2 * n + 2)
    return ended(np.hstack([head, letters])), answer, times * n + 1, steps


TASKS = {
    "copy": Task(copy),
    "reverse": Task(reverse),
    "duplicated-input": Task(duplicated_input),
    "forward-reverse": Task(reverse, backwards=False, memory=True),
    "repeat-copy": Task(repeat_copy),
}
