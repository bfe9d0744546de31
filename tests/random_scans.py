"""Random loops over many kinds of body, each from one number.

What a body is made of is drawn: carries that feed on, swap, or do not depend on
themselves, captured and scanned values with gradient, samples of every kind at every
place, a stop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import scg

__all__ = ["LENGTH", "RandomScan"]

LENGTH = 5


class RandomScan:
    """One model: its graph, estimators, params and inputs of so many rows."""

    def __init__(
        self,
        seed: int,
        *,
        rows: int = 3,
        dtype: Any = np.float64,
        until: bool = False,
        keep_every: int | None = None,
    ) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.graph = graph = scg.Graph(dtype=dtype)
        self.estimators: dict[str, Any] = {}
        self.params = {
            "w": rng.normal(size=2).astype(dtype),
            "W": rng.normal(scale=0.5, size=(2, 2)).astype(dtype),
            "c": np.array(rng.normal(), dtype),
            "table": rng.normal(size=(3, 2)).astype(dtype),
        }
        self.nodes = {
            k: graph.param(k, np.zeros(v.shape)) for k, v in self.params.items()
        }
        self.x = graph.input("x", shape=(2,))
        self.xs = graph.input("xs", shape=(LENGTH, 2))
        self.inputs = {
            "x": rng.normal(size=(rows, 2)).astype(dtype),
            "xs": rng.normal(size=(rows, LENGTH, 2)).astype(dtype),
        }
        self.until, self.keep_every = until, keep_every
        self.count = 0
        for i, (name, node) in enumerate(self.nodes.items()):
            graph.cost(f"penalty {name}", (0.1 * i) * (node**2).sum())
        self._write()

    def _write(self) -> None:
        rng, graph = self.rng, self.graph
        before = self._mixed([self.x, self.nodes["w"] * self.x])
        xs = self.xs * self.nodes["w"] if rng.uniform() < 0.5 else self.xs
        starts = [
            (before, self.x, np.zeros(2))[rng.integers(3)]
            for _ in range(rng.integers(1, 4))
        ]
        # What is captured has gradient of its own.
        outer = [before, self.nodes["c"] * self.x][: rng.integers(3)]
        plan = rng.integers(2**63)

        def step(carry: Any, x: Any) -> Any:
            return self._body(np.random.default_rng(plan), carry, x, outer)

        options: dict[str, Any] = {"keep_every": self.keep_every}
        options |= {"until": "over"} if self.until else {}
        last, output = graph.scan(step, tuple(starts), xs=xs, **options)
        total = 0.0
        if not self.until and rng.uniform() < 0.8:  # what stops is read by no cost
            total = sum(h.sum(axis=-1) for h in last)
        if not self.until and rng.uniform() < 0.7:
            total = total + np.sin(output).sum(axis=(1, 2))
        if rng.uniform() < 0.7:
            total = total + before.sum(axis=-1)
        graph.cost("end", total + (self.x**2).sum(axis=-1))

    def _body(self, rng: Any, carry: Any, x: Any, outer: list[Any]) -> Any:
        values = [*carry, x, *outer]
        old = self.rng
        self.rng = rng
        for _ in range(rng.integers(2, 7)):
            one = values[rng.integers(len(values))]
            if rng.uniform() < 0.35:
                values.append(self._sample(one))
            else:
                values.append(self._mixed([*values[-3:], one]))
            if rng.uniform() < 0.3:
                self.count += 1
                self.graph.cost(
                    f"cost {self.count}", self._mixed(values[-2:]).sum(axis=-1)
                )
        if self.until:
            over = scg.stop_gradient(values[-1] + 0.0 * carry[0]).sum(axis=-1) > 0.5
            self.graph.rename("over", over)
        after = tuple(values[rng.integers(len(values))] + 0.0 for _ in carry)
        if len(carry) > 1 and rng.uniform() < 0.3:
            after = (carry[1], carry[0], *after[2:])
        self.rng = old
        if self.until:
            return after
        return after, values[rng.integers(len(values))] * 1.0

    def _mixed(self, values: list[Any]) -> Any:
        """Compute shape (rows, 2) of some values."""
        rng, n = self.rng, self.nodes
        a, b = (values[i] for i in rng.integers(len(values), size=2))
        return [
            lambda: a + b,
            lambda: a - 0.5 * b,
            lambda: np.tanh(a @ n["W"] + n["w"]),
            lambda: np.tanh(a) * n["c"],
            lambda: np.sin(a * n["w"]) + b,
            lambda: np.where(scg.stop_gradient(a) > 0, a, 0.3 * b),
            lambda: scg.sigmoid(a) * b[:, ::-1],
            lambda: np.concatenate([a[:, :1], b[:, 1:]], axis=-1),
            lambda: (
                scg.softmax(a) + np.maximum(b, 0.1).sum(axis=-1, keepdims=True) * 0.1
            ),
        ][rng.integers(9)]()

    def _sample(self, location: Any) -> Any:
        """Draw, by logits that depend on the loop or not; shape (rows, 2)."""
        rng, n, graph = self.rng, self.nodes, self.graph
        self.count += 1
        name = f"z{self.count}"
        kind = rng.integers(5)
        if kind == 0:
            return graph.sample(name, scg.Bernoulli(logits=location * n["c"]))
        if kind == 1:
            logits = np.concatenate([location, location[:, :1] * n["w"][0]], axis=-1)
            k = graph.sample(name, scg.Categorical(logits=logits))
            return n["table"][k]
        if kind == 2:
            self.estimators[name] = scg.Pathwise()
            return graph.sample(name, scg.Normal(mean=location * n["w"], scale=0.7))
        if kind == 3:  # of params alone
            return graph.sample(name, scg.Bernoulli(logits=n["w"]))
        return graph.sample(name, scg.Normal(mean=np.tanh(location), scale=1.3))
