"""Random models with a memory, each written twice: cell by cell, and as a dense array.

The dense one picks cells with one-hot weights, so that every value and every gradient
of the other has a second way to be found.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import scg

__all__ = [
    "CELLS",
    "LENGTH",
    "WIDTH",
    "Dense",
    "Hard",
    "MemoryScan",
    "beginnings",
    "write_line",
]

CELLS, WIDTH, LENGTH = 4, 2, 4


class Hard:
    """The memory of `scg.memory`."""

    def __init__(self, graph: scg.Graph) -> None:
        self.graph = graph

    def begin(self, value: Any, rows: Any) -> Any:
        return scg.memory.begin(self.graph, CELLS, WIDTH, value)

    def write(self, memory: Any, index: Any, value: Any) -> Any:
        return scg.memory.write(memory, index, value)

    def read(self, memory: Any, index: Any) -> Any:
        return scg.memory.read(memory, index)

    def whole(self, memory: Any) -> Any:
        return scg.memory.read(memory, np.arange(CELLS))


class Dense:
    """An array of all cells."""

    def __init__(self, graph: scg.Graph) -> None:
        self.eye = graph.constant(np.eye(CELLS))

    def begin(self, value: Any, rows: Any) -> Any:
        return value + np.zeros((CELLS, WIDTH)) + 0 * rows[:, None, None]

    def write(self, memory: Any, index: Any, value: Any) -> Any:
        if index.ndim == 1:
            return scg.memory.soft_write(memory, self.eye[index], value)
        for j in range(index.shape[1]):
            memory = self.write(memory, index[:, j], value[:, j])
        return memory

    def read(self, memory: Any, index: Any) -> Any:
        if index.ndim == 1:
            return scg.memory.soft_read(memory, self.eye[index])
        return self.eye[index] @ memory

    def whole(self, memory: Any) -> Any:
        return memory


def beginnings(graph: scg.Graph, x: Any) -> list[Any]:
    """Give all kinds of what a memory can begin with."""
    start = graph["start"]
    return [
        0.0,
        0.5,
        np.linspace(-1, 1, CELLS * WIDTH).reshape(CELLS, WIDTH),
        start,
        start * x[:, None, None],
    ]


def write_line(seed: int, kind: Any, *, steps: int = 8) -> scg.Graph:
    """Write and read any versions of a memory in any order, outside of loops."""
    rng = np.random.default_rng(seed)
    graph = scg.Graph()
    x = graph.input("x")
    ints = graph.input("i", (steps, 3), dtype=int)
    w = graph.param("w", np.zeros((steps, WIDTH)))
    graph.param("start", np.zeros((CELLS, WIDTH)))
    ops = kind(graph)
    versions = [ops.begin(beginnings(graph, x)[rng.integers(5)], x)]
    total = 0.01 * ((w**3).sum() + (graph["start"] ** 3).sum())
    shown: Any = x[:, None] * w[0]
    for t in range(steps):
        at = versions[rng.integers(len(versions)) if rng.uniform() < 0.4 else -1]
        several = rng.uniform() < 0.3
        index = ints[:, t] if several else ints[:, t, 0]
        if rng.uniform() < 0.5:
            value = np.tanh(shown + x[:, None] * w[t])
            if several:
                value = value[:, None] * np.array([[1.0], [2.0], [-1.0]])
            versions.append(ops.write(at, index, value))
        else:
            found = ops.read(at, index)
            shown = found.sum(axis=1) if several else found
            total = total + np.sin(found).reshape((-1, index_size(several))).sum(-1)
    total = total + (ops.whole(versions[-1]) ** 2).sum(axis=(1, 2))
    graph.cost("loss", total + np.sin(ops.whole(versions[0])).sum(axis=(1, 2)))
    return graph


def index_size(several: bool) -> int:
    return WIDTH * (3 if several else 1)


class MemoryScan:
    """A random loop with one or two memories among its carries."""

    def __init__(self, seed: int, kind: Any, **options: Any) -> None:
        self.seed = seed
        self.graph = graph = scg.Graph()
        self.ops = kind(graph)
        rng = np.random.default_rng(seed)
        self.x = graph.input("x")
        xs = graph.input("xs", (LENGTH, WIDTH))
        ints = graph.input("i", (LENGTH, 4), dtype=int)
        self.w = graph.param("w", np.zeros((WIDTH, WIDTH)))
        graph.param("start", np.zeros((CELLS, WIDTH)))
        count = rng.integers(1, 3)
        starts = beginnings(graph, self.x)
        memories = [
            self.ops.begin(starts[rng.integers(5)], self.x) for _ in range(count)
        ]
        if rng.uniform() < 0.3:
            value = self.x[:, None] * self.w[0]
            memories[0] = self.ops.write(memories[0], ints[:, 0, 0], value)
        carry = (memories, np.zeros(WIDTH))
        (last, h), ys = graph.scan(self.step, carry, xs=(xs, ints), **options)
        total = 0.01 * ((self.w**3).sum() + (graph["start"] ** 3).sum())
        total = total + np.sin(ys).sum(axis=(1, 2)) * rng.integers(2)
        total = total + h.sum(axis=1) * rng.integers(2)
        for memory in last:
            if rng.uniform() < 0.7:
                total = total + (self.ops.whole(memory) ** 2).sum(axis=(1, 2))
        if rng.uniform() < 0.3:  # the memory goes on behind the loop
            again = self.ops.write(last[-1], ints[:, 1, 1], h)
            total = total + self.ops.whole(again).sum(axis=(1, 2))
        graph.cost("loss", total)

    def step(self, carry: Any, x: Any) -> Any:
        rng, ops = np.random.default_rng(self.seed + 1), self.ops
        (memories, h), (x, i) = carry, x
        now = list(memories)
        value = [x, x @ self.w, np.tanh(h @ self.w + x), h][rng.integers(4)]
        for k in range(4):
            m = int(rng.integers(len(now)))
            act = rng.integers(5)
            if act == 0:
                value = value + ops.read(now[m], i[:, k])
            elif act == 1:  # what was there before the step's writes
                value = np.tanh(value + ops.read(memories[m], i[:, k]))
            elif act == 2:
                window = ops.read(now[m], i[:, :2])
                self.graph.cost(f"window {k}", np.sin(window).sum(axis=(1, 2)))
            elif act == 3:
                now[m] = ops.write(now[m], i[:, k], value)
            else:  # a version that goes no further
                aside = ops.write(now[m], i[:, k], 2 * value)
                self.graph.cost(f"aside {k}", np.sin(ops.read(aside, i[:, 0])).sum(-1))
        if rng.uniform() < 0.2:
            now = now[::-1]
        if rng.uniform() < 0.5:
            h = np.tanh(value)
        return (now, h), ops.read(now[0], i[:, 3])


RNG = np.random.default_rng


ROWS = 3


def line(seed, kind):
    return write_line(seed, kind)


def loop(seed, kind):
    return MemoryScan(seed, kind).graph


def numbers(graph, seed, rows=ROWS):
    """Give a graph's params and inputs."""
    rng = RNG(seed)
    params = {n.name: rng.normal(size=n.shape) for n in graph.params}
    inputs = {"x": rng.normal(size=rows)}
    names = {n.name: n for n in graph.nodes}
    inputs["i"] = rng.integers(CELLS, size=(rows, *names["i"].event_shape))
    if "xs" in names:
        inputs["xs"] = rng.normal(size=(rows, LENGTH, WIDTH))
    return params, inputs


def assert_same(found, expected, rtol=1e-9):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = 1 + np.abs(value).max()
        np.testing.assert_allclose(
            found[name] / scale, value / scale, rtol=0, atol=rtol, err_msg=name
        )


def both(build, seed):
    """Give the estimate, of its second run, and that of the dense form."""
    hard, dense = build(seed, Hard), build(seed, Dense)
    params, inputs = numbers(hard, seed)
    step = scg.compile(hard)
    step(params, {**inputs, "x": inputs["x"] + 1}, rng=RNG(0))
    found = step(params, inputs, rng=RNG(0))
    return found, scg.estimate_gradient(dense, params, inputs, rng=RNG(0))


def stepping(cells, *, length=6, name="memory", **options):
    graph = scg.Graph(dtype=np.float32)
    x = graph.input("x", (length, 4))
    i = graph.input("i", (length, 2), dtype=int)
    w = graph.param("w", np.eye(4))

    def step(memory, x):
        x, i = x
        memory = scg.memory.write(memory, i[:, 0], x @ w, name=name)
        graph.cost("loss", (scg.memory.read(memory, i[:, 1]) ** 2).sum(axis=1))
        return memory

    empty = scg.memory.begin(graph, cells, 4)
    last, _ = graph.scan(step, empty, xs=(x, i), **options)
    graph.rename("last", last)
    return graph


def data(cells, seed, rows=4, length=6):
    rng = RNG(seed)
    x = rng.normal(size=(rows, length, 4)).astype(np.float32)
    return {"x": x, "i": rng.integers(cells, size=(rows, length, 2))}
