"""The machine of `examples/rl_ntm.py` once more: one row, plain loops, no graph.

Written against autograd's NumPy, so that the expected cost over all decisions, summed
up branch by branch, has a derivative.
"""

import itertools

import autograd.numpy as anp
import numpy as np

LETTERS, END, BLANK, SYMBOLS = 20, 20, 21, 24


def softmax(x):
    e = anp.exp(x - anp.max(x))
    return e / anp.sum(e)


def sigmoid(x):
    return 1 / (1 + anp.exp(-x))


def unit(k, size):
    return np.eye(size)[int(k)]


class TapeMachine:
    """Params, one input, and what follows from decisions."""

    def __init__(self, params, row, *, memory, backwards, direct, cells):
        self.params, self.row = params, row
        self.memory, self.backwards, self.direct = memory, backwards, direct
        self.cells = cells
        self.ways = {"emit": 2, "move": 3 if backwards else 2}
        if memory:
            self.ways["memory move"] = 3

    def dense(self, name, x):
        return x @ self.params[f"{name}.weights"] + self.params[f"{name}.bias"]

    def start(self):
        units = self.params["core.recurrent"].shape[0]
        return {
            "h": np.zeros(units),
            "c": np.zeros(units),
            "did": [np.zeros(k) for _, k in sorted(self.ways.items())],
            "head": 0,
            "emitted": 0,
            "left": int(self.row["steps"]),
            "tape": {},
            "memory head": 0,
        }

    def think(self, now):
        """Return the new state, the probabilities of decisions, and the output."""
        tape, head = self.row["tape"], now["head"]
        symbol = tape[head] if 0 <= head < len(tape) else BLANK
        here = unit(symbol, SYMBOLS)
        cell = now["tape"].get(now["memory head"], np.zeros(SYMBOLS))
        seen = [here, *now["did"], *([cell] if self.memory else [])]
        z = anp.concatenate(seen) @ self.params["core.weights"]
        z = z + now["h"] @ self.params["core.recurrent"] + self.params["core.bias"]
        forget, write, show, new = (
            z[k * len(z) // 4 :][: len(z) // 4] for k in range(4)
        )
        c = sigmoid(forget) * now["c"] + sigmoid(write) * anp.tanh(new)
        h = sigmoid(show) * anp.tanh(c)
        chances = {name: softmax(self.dense(name, h)) for name in self.ways}
        if now["left"] <= self.row["count"] - now["emitted"]:
            chances["emit"] = softmax(np.array([0.0, 30.0]))
        output, gates = self.dense("output", h), None
        if self.direct or self.memory:
            gates = sigmoid(self.dense("gates", h))
        if self.direct:
            copied = gates[0] * here + (gates[1] * cell if self.memory else 0)
            output = output + copied @ self.params["alphabet"]
        written = cell
        if self.memory:
            symbol = here if self.direct else anp.tanh(self.dense("written", h))
            written = cell + gates[-1] * (symbol - cell)
        return h, c, chances, softmax(output), written

    def after(self, now, thought, did):
        """Return what comes after decisions, and the cost of what was emitted."""
        h, c, _, output, written = thought
        emits = did["emit"] == 1
        cost = 0.0
        if emits:
            cost = -anp.log(output[int(self.row["answer"][now["emitted"]])])
        tape = dict(now["tape"])
        new = dict(now)
        if self.memory:
            tape[now["memory head"]] = written
            new["memory head"] = (
                now["memory head"] + did["memory move"] - 1
            ) % self.cells
        step = did["move"] - 1 if self.backwards else did["move"]
        new |= {
            "h": h,
            "c": c,
            "tape": tape,
            "did": [unit(did[name], k) for name, k in sorted(self.ways.items())],
            "head": min(max(now["head"] + step, -1), len(self.row["tape"])),
            "emitted": now["emitted"] + emits,
            "left": now["left"] - 1,
        }
        return new, cost

    def follow(self, decisions, steps):
        """Make given decisions; return costs, heads and what was said, step by step."""
        now, story = self.start(), []
        for t in range(steps):
            if now["emitted"] >= self.row["count"]:
                break
            did = {name: int(decisions[name][t]) for name in self.ways}
            thought = self.think(now)
            before = now
            now, cost = self.after(now, thought, did)
            story.append((before["head"], before["memory head"], cost, thought[4]))
        return story

    def expected_cost(self, entropy, now=None):
        """Sum over all decisions, weighed with their probabilities."""
        now = self.start() if now is None else now
        if now["left"] == 0 or now["emitted"] >= self.row["count"]:
            return 0.0
        thought = self.think(now)
        chances = thought[2]
        total = entropy * sum(anp.sum(p * anp.log(p)) for p in chances.values())
        for choice in itertools.product(*map(range, self.ways.values())):
            did = dict(zip(self.ways, choice, strict=True))
            p = 1.0
            for name, k in did.items():
                p = p * chances[name][k]
            new, cost = self.after(now, thought, did)
            total = total + p * (cost + self.expected_cost(entropy, new))
        return total

    def every(self, steps, now=None, p=1.0, before=()):
        """Yield each sequence of decisions until the answer is out, and its chance."""
        now = self.start() if now is None else now
        if now["left"] == 0 or now["emitted"] >= self.row["count"]:
            pad = (dict.fromkeys(self.ways, 0),) * (steps - len(before))
            story = (*before, *pad)
            yield {k: np.array([did[k] for did in story]) for k in self.ways}, p
            return
        thought = self.think(now)
        for choice in itertools.product(*map(range, self.ways.values())):
            did = dict(zip(self.ways, choice, strict=True))
            chance = np.prod([thought[2][name][k] for name, k in did.items()])
            if chance > 1e-12:
                new, _ = self.after(now, thought, did)
                yield from self.every(steps, new, p * chance, (*before, did))
