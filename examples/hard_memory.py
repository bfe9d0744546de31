r"""Memory addressed in three ways: softly, by a sampled cell, by a head that moves.

Problem. Some symbols are stored, one after the other, and asked for again. In the task
"recall" each comes with a key, and the keys are asked for in another order; in "copy"
there are no keys, and symbols come back in the order in which they were stored. The
controller, an LSTM, sees keys alone: what is said can only come out of the memory.

Each way computes from the controller's state h where to write x, and where to read:

    soft    a = softmax(W h) over all N cells; m_i ← m_i + a_i (x − m_i); r = Σ a_i m_i
    digits  the address i is sampled, each digit from softmax(W h) over the base;
            m_i ← x; r = m_i. With base = N it is one sample over all cells
    heads   a move of −1, 0 or 1 is sampled; m_i ← x and r = m_i at the head i

The first is trained by back-propagation. In the others it trains what is written and
read, and addresses have no derivative: of each episode K runs are drawn, and those that
did better than the others of their episode are encouraged,

.. math:: \nabla E[c] = E\Bigl[\sum_t \nabla \log p(i_t)
          \Bigl(Q_t - \frac{1}{K-1} \sum_{j \ne k} Q_t^{(j)}\Bigr) + \nabla c\Bigr],

with c the surprise at the right symbols, and Q what of it comes after sample i_t.

Expected. ``python examples/hard_memory.py --way digits --cells 1000000`` has over 99 %
of the symbols right after 1,200 updates, 15 seconds of one core; other seeds less,
where two keys end in one cell. A step costs what it does with a hundred cells. "soft"
learns with a hundred, at a cost that grows with them. Heads copy, but cannot go to any
key in one move: docs/results/hard-memory.md.

Zaremba & Sutskever 2015, "Reinforcement Learning Neural Turing Machines", for heads;
Graves, Wayne & Danihelka 2014, "Neural Turing Machines", for soft addresses.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
from options import check, plain_errors

import scg
from scg import nn


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    way: str = "digits"
    """How cells are addressed: "soft", "digits" or "heads"."""
    task: str = "recall"
    """What is to be learnt: "recall" or "copy"."""
    cells: int = 100
    base: int = 10
    """Of the digits; `cells` is a power of it."""
    length: int = 6
    """Symbols in an episode."""
    keys: int = 12
    symbols: int = 20
    width: int = 20
    """Numbers in a cell."""
    units: int = 32
    rows: int = 16
    """Episodes in an update."""
    samples: int = 8
    """Runs of each episode; softly one, since they would be alike."""
    num_updates: int = 1200
    learning_rate: float = 3e-3
    gain: float = 12.0
    """Scale of the address's logits at first: keys then have cells of their own."""
    seed: int = 0

    def __post_init__(self) -> None:
        ones = ("cells", "length", "keys", "symbols", "width", "units", "rows")
        least = dict.fromkeys(ones, 1) | {"base": 2, "samples": 2, "num_updates": 0}
        least |= {"learning_rate": 0, "gain": 0, "seed": 0}
        check(self, {"way": WAYS, "task": ("recall", "copy")}, least)
        if self.way == "digits" and self.base**self.digits != self.cells:
            msg = (
                f"cells: expected a power of base {self.base}, such as "
                f"{self.base**self.digits:,}, got {self.cells:,}."
            )
            raise scg.InputError(msg)
        if self.length > self.keys:
            msg = (
                f"length: expected {self.keys}, a key each, or less, got {self.length}."
            )
            raise scg.InputError(msg)

    @property
    def digits(self) -> int:
        """How many of them an address has."""
        return max(1, round(math.log(self.cells) / math.log(self.base)))


def layer(graph, name, config, outputs):
    """Make what computes logits from the controller's state."""
    return nn.dense(
        graph,
        name,
        config.units,
        outputs,
        weights=lambda shape: nn.glorot(shape, gain=config.gain),
    )


def soft(graph, config):
    """Address all cells, each by its weight."""
    weigh = layer(graph, "address", config, config.cells)
    memory = np.zeros((config.cells, config.width))

    def address(name, h, at):
        return scg.softmax(weigh(h)), at

    return memory, scg.memory.soft_write, scg.memory.soft_read, address


def digits(graph, config):
    """Sample the digits of a cell's address."""
    count = config.digits
    logits = layer(graph, "address", config, count * config.base)
    powers = config.base ** np.arange(count)

    def address(name, h, at):
        each = logits(h).reshape((-1, count, config.base))
        digits = graph.sample(name, scg.Categorical(logits=each))
        return (digits * powers).sum(axis=-1), at

    memory = scg.memory.begin(graph, config.cells, config.width)
    return memory, scg.memory.write, scg.memory.read, address


def heads(graph, config):
    """Sample moves of a head; the last cell is next to the first."""
    logits = layer(graph, "address", config, 3)

    def address(name, h, at):
        move = graph.sample(name, scg.Categorical(logits=logits(h)))
        at = (at + move - 1) % config.cells
        return at, at

    memory = scg.memory.begin(graph, config.cells, config.width)
    return memory, scg.memory.write, scg.memory.read, address


WAYS = {"soft": soft, "digits": digits, "heads": heads}


def model(config: Config) -> scg.Graph:
    """Store symbols, then say which ones are asked for."""
    graph = scg.Graph(f"{config.way} memory", dtype=np.float32)
    store, ask = (
        [graph.input(name, config.length, dtype=int) for name in names]
        for names in (("key", "symbol"), ("asked", "answer"))
    )
    keys = nn.embedding(graph, "keys", config.keys, config.width)
    symbols = nn.embedding(graph, "symbols", config.symbols, config.width)
    core = nn.lstm(graph, "core", config.width, config.units)
    out = nn.dense(graph, "out", config.width, config.symbols)
    memory, write, read, address = WAYS[config.way](graph, config)

    def storing(carry, x):
        (memory, head, state), (key, symbol) = carry, x
        state = core(keys(key), state)
        place, head = address("store", state[0], head)
        return write(memory, place, symbols(symbol)), head, state

    def recalling(carry, x):
        (memory, head, state), (asked, answer) = carry, x
        state = core(keys(asked), state)
        place, head = address("recall", state[0], head)
        said = scg.log_softmax(out(read(memory, place)))
        surprise = -np.take_along_axis(said, answer[:, None], axis=1)
        graph.cost("surprise", surprise[:, 0])
        graph.rename("right", np.argmax(said, axis=-1) == answer)
        return memory, head, state

    anew = (np.zeros((), int), core.start)  # the head at cell 0, the state of the LSTM
    (memory, *_), _ = graph.scan(
        storing, (memory, *anew), xs=tuple(store), name="storing"
    )
    graph.scan(recalling, (memory, *anew), xs=tuple(ask), name="recalling")
    return graph


def episodes(config: Config, rng: np.random.Generator, rows: int) -> dict:
    """Draw what is stored and what is asked for."""

    def several(count):
        order = rng.permuted(np.tile(np.arange(count), (rows, 1)), axis=1)
        return order[:, : config.length]

    symbol = rng.integers(config.symbols, size=(rows, config.length))
    if config.task == "copy":
        none = np.zeros_like(symbol)
        return {"key": none, "symbol": symbol, "asked": none, "answer": symbol}
    key, order = several(config.keys), several(config.length)
    asked, answer = (np.take_along_axis(x, order, axis=1) for x in (key, symbol))
    return {"key": key, "symbol": symbol, "asked": asked, "answer": answer}


def method(config: Config) -> dict:
    """Compare each run with the others of its episode."""
    score = scg.ScoreFunction(baseline=scg.LeaveOneOut())
    return {} if config.way == "soft" else {"store": score, "recall": score}


def tell(update: int, cost: float, right: float) -> None:
    """Say how far it is, now and then."""
    if update % 200 == 0:
        print(f"{update:5d}  cost {cost:7.3f}  right {right:6.1%}")


def main(config: Config, report=tell) -> float:
    """Train, and return the share of symbols that are right in fresh episodes.

    Each update is reported: its number, what it cost, and the share that was right.
    """
    rng = np.random.default_rng(config.seed)
    graph = model(config)
    step, params = scg.compile(graph, method(config)), graph.init(rng)
    optimizer = scg.adam(config.learning_rate)
    state = optimizer.init(params)
    samples = 1 if config.way == "soft" else config.samples
    for update in range(config.num_updates):
        data = episodes(config, rng, config.rows)
        estimate = step(params, data, rng=rng, samples=samples)
        params, state = optimizer.update(estimate.gradient, state, params)
        report(update + 1, estimate.cost, estimate.trace["right"].mean())
    fresh = episodes(config, rng, 2000)
    return float(step.forward(params, fresh, rng=rng, lean=True)["right"].mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name in ("way", "task", "cells", "base", "num_updates", "seed"):
        default = getattr(Config, name)
        parser.add_argument(f"--{name}", type=type(default), default=default)
    with plain_errors():
        print(f"right {main(Config(**vars(parser.parse_args()))):.2%}")
