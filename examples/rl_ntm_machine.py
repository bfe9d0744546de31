r"""The machine: a controller, its tapes, and a loop of steps, as one graph.

What a step does, in `Machine.step`: look at the cell under each head; think (an LSTM);
decide whether to emit and where each head goes; emit a symbol, write to the memory
cell, move. With *direct access* what is under the heads is added, through gates that
the controller opens, to what is written and said:

    output  +=  (g0 * input cell + g1 * memory cell) @ alphabet
    memory  +=  g2 * (input cell - memory cell)

without it, both come from the controller's state alone.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from rl_ntm_tasks import ANSWERS, BLANK, END, LETTERS, SYMBOLS, TASKS

import scg
from scg.functions import pick

CONTROLLERS = ("direct", "lstm")
FORCED = np.array([0, 30], np.float32)  # logits of what is certain


class Machine:
    """One graph: a controller, its tapes, and a loop as long as the task asks for.

    With `greedy`, decisions are the likeliest ones in place of samples. With `blind`,
    what has to carry letters is empty: all cells of the memory tape or, where there is
    none, the cell of the input tape that holds the very letter to be emitted next. What
    is right all the same the controller has carried in its state.
    """

    def __init__(
        self, config, length: int, greedy=False, blind=False, dtype=np.float32
    ) -> None:
        self.config, self.task = config, TASKS[config.task]
        self.direct = config.controller == "direct"
        self.greedy, self.blind = greedy, blind
        self.graph = graph = scg.Graph(f"rl-ntm {config.task}", dtype=dtype)
        self.ways = {"emit": 2, "move": 3 if self.task.backwards else 2}
        if self.task.memory:
            self.ways["memory move"] = 3
        seen = SYMBOLS * (1 + self.task.memory) + sum(self.ways.values())
        self.core = scg.nn.lstm(graph, "core", seen, config.units)

        def layer(name, units):  # small at first, so that nothing is decided yet
            small = partial(scg.nn.normal, std=0.01)
            return scg.nn.dense(graph, name, config.units, units, weights=small)

        self.choose = {name: layer(name, k) for name, k in self.ways.items()}
        self.output = layer("output", ANSWERS)
        copies = 3 if self.task.memory else 1
        num_gates = copies if self.direct else int(self.task.memory)
        self.gates = layer("gates", num_gates) if num_gates else None
        if self.direct:
            self.alphabet = graph.param("alphabet", 5 * np.eye(SYMBOLS, ANSWERS))
        elif self.task.memory:
            self.written = layer("written", SYMBOLS)
        self.one_hot = {k: graph.constant(np.eye(k)) for k in (2, 3, SYMBOLS)}
        self.write_loop(*self.task.sizes(length))

    def write_loop(self, tape: int, answer: int, steps: int) -> None:
        """Add the tapes and the loop over steps."""
        self.tape = self.graph.input("tape", tape, int)
        self.answer = self.graph.input("answer", answer, int)
        self.count = self.graph.input("count", dtype=int)
        # A ring too long to go round in so many steps is a tape without ends.
        self.cells = steps + 1
        start = {
            "state": self.core.start,
            "did": {name: np.zeros(k) for name, k in self.ways.items()},
            "head": np.array(0),
            "emitted": np.array(0),
            "left": self.graph.input("steps", dtype=int),
        }
        if self.task.memory:
            empty = scg.memory.begin(self.graph, self.cells, SYMBOLS)
            start |= {"cells": empty, "memory head": np.array(0)}
        self.graph.scan(self.step, start, length=steps, until="over")

    def step(self, now: dict) -> dict:
        """See what is under the heads, think, decide, emit, write, move."""
        right = pick(self.answer, now["emitted"], outside=END)
        here, cell = self.see(now, right)
        # Sorted, as a scan gives a dict back.
        seen = [here, *(now["did"][name] for name in sorted(self.ways))]
        seen += [cell] if self.task.memory else []
        h, c = self.core(np.concatenate(seen, axis=-1), now["state"])
        gates = scg.sigmoid(self.gates(h)) if self.gates else None

        logits = {name: layer(h) for name, layer in self.choose.items()}
        due = np.less_equal(now["left"], self.count - now["emitted"])
        logits["emit"] = np.where(due[:, None], FORCED, logits["emit"])
        did = {name: self.decide(name, x) for name, x in logits.items()}
        emits = np.logical_and(did["emit"] == 1, now["emitted"] < self.count)
        self.emit(h, gates, here, cell, right, emits)

        new = {
            "state": (h, c),
            "did": {name: self.one_hot[k][did[name]] for name, k in self.ways.items()},
            "head": self.moved(now["head"], did["move"]),
            "emitted": now["emitted"] + emits,
            "left": now["left"] - 1,
        }
        if self.task.memory:
            written, at = self.write(h, gates, here, cell), now["memory head"]
            new["cells"] = scg.memory.write(now["cells"], at, written)
            new["memory head"] = np.mod(at + did["memory move"] - 1, self.cells)
        self.graph.rename("over", new["emitted"] >= self.count)
        return new

    def see(self, now: dict, right):
        """Return the symbol under the input head, and the memory cell."""
        self.graph.rename("input head", now["head"])
        symbol = pick(self.tape, now["head"], outside=BLANK)
        here = self.one_hot[SYMBOLS][symbol]
        if self.task.memory:
            at = self.graph.rename("memory head", now["memory head"])
            cell = scg.memory.read(now["cells"], at)
            return here, 0 * cell if self.blind else cell
        if self.blind:
            hidden = np.logical_and(np.equal(symbol, right), symbol < LETTERS)
            here = here * (1 - hidden.astype(np.float32))[:, None]
        return here, None

    def emit(self, h, gates, here, cell, right, emits) -> None:
        """Say a symbol; where it is emitted, its surprise is the cost."""
        output = self.output(h)
        if self.direct:
            copied = gates[:, :1] * here
            if self.task.memory:
                copied = copied + gates[:, 1:2] * cell
            output = output + copied @ self.alphabet
        surprise = -pick(scg.log_softmax(output), right)
        self.graph.cost("surprise", np.where(emits, surprise, 0.0))
        self.graph.rename("right", right)
        said = self.graph.rename("said", np.argmax(output, axis=-1))
        wrong = np.logical_and(emits, np.not_equal(said, right))
        self.graph.rename("wrong", wrong)

    def write(self, h, gates, here, cell):
        """Return what the memory cell becomes: moved towards the symbol, by a gate."""
        symbol = here if self.direct else np.tanh(self.written(h))
        return self.graph.rename("written", cell + gates[:, -1:] * (symbol - cell))

    def moved(self, head, move):
        """Move the input head; one cell beyond either end it stays."""
        step = move - 1 if self.task.backwards else move
        return np.clip(head + step, -1, self.tape.event_shape[0])

    def decide(self, name, logits):
        """Sample, and reward what is left open."""
        if self.greedy:  # nearly without noise: the likeliest
            logits = 1e4 * logits
        entropy = -np.sum(scg.softmax(logits) * scg.log_softmax(logits), axis=-1)
        self.graph.cost(f"certainty of {name}", -self.config.entropy * entropy)
        return self.graph.sample(name, scg.Categorical(logits=logits))
