"""Calls of every function that has a kernel, in each way that it can be called.

A case is a function of nodes or arrays, and its leaves: what each argument looks like.
`Bound` binds it to numbers, as a run would, without a graph around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import scg
from scg.bit_log_prob import bernoulli_log_prob
from scg.buffers import Buffers
from scg.functions import keep, pick
from scg.pulls import Site, pull_of

__all__ = ["CASES", "Bound", "Dirty", "Leaf"]


@dataclass(frozen=True)
class Leaf:
    """The shape of one row, whether there are rows, and where the numbers lie."""

    shape: tuple[int, ...] = (3,)
    rows: bool = True
    low: float = 0.3
    high: float = 1.7
    whole: int = 0  # how many integers, from 0; none: floats

    def numbers(self, rng: np.random.Generator, rows: int, dtype: Any) -> Any:
        """Draw numbers for a run of so many rows."""
        shape = (rows, *self.shape) if self.rows else self.shape
        if self.whole:
            return rng.integers(self.whole, size=shape)
        return rng.uniform(self.low, self.high, shape).astype(dtype)


H, W = Leaf(), Leaf(rows=False)
SIGNED = Leaf(low=-1.7)
SCALAR, ONE, COLUMN = Leaf((), rows=False), Leaf((1, 3), rows=False), Leaf((1,))
ROW, CUBE, OUTER = Leaf(()), Leaf((2, 3)), Leaf((2, 1))
SQUARE, MATRIX = Leaf((3, 3), rows=False), Leaf((3, 4), rows=False)
LOGITS = Leaf(low=-3.0, high=3.0)

Case = tuple[Callable[..., Any], list[Leaf]]


def unary(f: Any, leaf: Leaf = H) -> dict[str, Case]:
    """Call a function of one argument."""
    name = f.__name__
    return {
        name: (f, [leaf]),
        f"{name}, of a param": (f, [Leaf((3,), False, leaf.low)]),
        f"{name}, of a scalar": (f, [SCALAR]),
        f"{name}, of one number a row": (f, [ROW]),
    }


def binary(f: Any) -> dict[str, Case]:
    """Call a function of two arguments in every way that they broadcast."""
    name, table = f.__name__, np.array([0.4, 0.9, 1.3])
    ways = {
        "": [H, H],
        "params second": [H, W],
        "params first": [W, H],
        "scalar": [H, SCALAR],
        "scalar first": [SCALAR, H],
        "row of params": [H, ONE],
        "row of params first": [ONE, H],
        "column": [H, COLUMN],
        "column first": [COLUMN, H],
        "two columns": [OUTER, Leaf((1, 3))],
        "one number a row": [ROW, Leaf((1,), rows=False)],
        "more axes": [CUBE, W],
        "more axes first": [Leaf((2, 1), rows=False), CUBE],
        "params alone": [W, Leaf((2, 3), rows=False)],
    }
    found: dict[str, Case] = {f"{name}, {k}": (f, v) for k, v in ways.items()}
    return found | {
        f"{name}, twice the same": (lambda h: f(h, h), [H]),
        f"{name}, a number": (lambda h: f(h, 0.8), [H]),
        f"{name}, a number first": (lambda h: f(0.8, h), [H]),
        f"{name}, an array": (lambda h: f(h, table.astype(h.dtype)), [H]),
        f"{name}, an array first": (lambda h: f(table.astype(h.dtype), h), [H]),
    }


ELEMENTWISE = {
    key: case
    for found in [
        *(unary(f) for f in (np.log, np.log1p, np.sqrt)),
        *(
            unary(f, SIGNED)
            for f in (
                np.negative,
                np.positive,
                np.exp,
                np.expm1,
                np.tanh,
                np.square,
                np.sin,
                np.cos,
                np.absolute,
                scg.sigmoid,
                scg.softplus,
                scg.log_sigmoid,
            )
        ),
        *(
            binary(f)
            for f in (
                np.add,
                np.subtract,
                np.multiply,
                np.divide,
                np.power,
                np.maximum,
                np.minimum,
            )
        ),
    ]
    for key, case in found.items()
}

BITS, FLAGS = Leaf(whole=2), Leaf(whole=2)
CHOICES: dict[str, Case] = {
    "power, two": (lambda h: h**2, [SIGNED]),
    "power, three": (lambda h: h**3, [SIGNED]),
    "power, nought": (lambda h: np.power(h, 0), [SIGNED]),
    "power, some nought": (
        lambda h: np.power(h, np.array([0, 1, 2], h.dtype)),
        [SIGNED],
    ),
    "where": (lambda c, a, b: np.where(c > 0, a, b), [FLAGS, H, H]),
    "where, params": (lambda c, a, b: np.where(c > 0, a, b), [FLAGS, W, SCALAR]),
    "where, column": (lambda c, a, b: np.where(c > 0, a, b), [FLAGS, COLUMN, ONE]),
    "where, short condition": (
        lambda c, a, b: np.where(c > 0, a, b),
        [Leaf((1,), whole=2), H, H],
    ),
    "where, constant condition": (
        lambda a, b: np.where(np.array([True, False, True]), a, b),
        [H, W],
    ),
    "where, whole numbers": (np.where, [FLAGS, H, H]),
    "keep": (lambda h, c: keep(h, c > 0), [H, FLAGS]),
    "keep, params": (lambda w, c: keep(w, c > 0), [W, FLAGS]),
    "ties, maximum": (lambda h: np.maximum(h, np.minimum(h, 1.0)), [H]),
    "ties, minimum": (lambda h: np.minimum(h, np.maximum(h, 1.0)), [H]),
}

PRODUCTS: dict[str, Case] = {
    "matmul": (lambda h, w: h @ w, [H, MATRIX]),
    "matmul, np": (np.matmul, [H, MATRIX]),
    "matmul, more axes": (lambda h, w: h @ w, [CUBE, MATRIX]),
    "matmul, a vector": (lambda h, w: h @ w, [H, W]),
    "matmul, a vector, more axes": (lambda h, w: h @ w, [CUBE, W]),
    "matmul, params": (lambda a, b: a @ b, [SQUARE, MATRIX]),
    "matmul, params and vector": (lambda a, b: a @ b, [SQUARE, W]),
    "matmul, of rows": (lambda a, b: a @ b, [CUBE, Leaf((3, 4))]),
    "matmul, of rows, twice the same": (lambda a: a @ a, [Leaf((3, 3))]),
    "matmul, a constant": (lambda h: h @ np.eye(3, 2, dtype=h.dtype), [H]),
    "matmul, no elements": (
        lambda h, w: h @ w,
        [Leaf((2, 0)), Leaf((0, 4), rows=False)],
    ),
}

SUMS: dict[str, Case] = {
    f"{f.__name__}, {name}": (
        lambda h, f=f, options=options: f(h, **options),
        [leaf],
    )
    for f in (np.sum, np.mean)
    for name, options, leaf in [
        ("last axis", {"axis": -1}, H),
        ("axis 1", {"axis": 1}, CUBE),
        ("axis 2", {"axis": 2}, CUBE),
        ("two axes", {"axis": (1, 2)}, CUBE),
        ("kept", {"axis": -2, "keepdims": True}, CUBE),
        ("not kept", {"axis": -1, "keepdims": False}, CUBE),
        ("all of a param", {}, SQUARE),
        ("all kept", {"keepdims": True}, SQUARE),
        ("axis of a param", {"axis": 0}, SQUARE),
        ("of a scalar", {}, SCALAR),
    ]
} | {"sum, positional": (lambda h: np.sum(h, 1), [CUBE])}

SHAPES: dict[str, Case] = {
    "reshape": (lambda h: np.reshape(h, (-1, 6)), [CUBE]),
    "reshape, of a param": (lambda w: np.reshape(w, (9,)), [SQUARE]),
    "ravel": (np.ravel, [SQUARE]),
    "expand_dims": (lambda h: np.expand_dims(h, 1), [H]),
    "squeeze": (lambda h: np.squeeze(h, 2), [OUTER]),
    "swapaxes": (lambda h: np.swapaxes(h, 1, 2), [CUBE]),
    "moveaxis": (lambda h: np.moveaxis(h, 1, -1), [Leaf((2, 3, 4))]),
    "getitem, part": (lambda h: h[:, 1:], [H]),
    "getitem, one": (lambda h: h[:, 0], [CUBE]),
    "getitem, backwards": (lambda h: h[:, ::-2], [H]),
    "getitem, new axis": (lambda h: h[:, None, :], [H]),
    "getitem, ellipsis": (lambda h: h[..., 1], [CUBE]),
    "getitem, of a param": (lambda w: w[1], [SQUARE]),
    "getitem, rows of a table": (lambda w, k: w[k], [MATRIX, Leaf((), whole=3)]),
    "getitem, rows from the end": (lambda w, k: w[k - 3], [MATRIX, Leaf((), whole=3)]),
    "getitem, entries of a table": (lambda w, k: w[k], [W, Leaf((), whole=3)]),
    "getitem, rows of a long table": (
        lambda w, k: w[k],
        [Leaf((70, 2), rows=False), Leaf((), whole=70)],
    ),
}

NORMALS: dict[str, Case] = {
    f"{f.__name__}, {name}": (lambda h, f=f, a=args: f(h, *a), [leaf])
    for f in (scg.softmax, scg.log_softmax, scg.logsumexp)
    for name, args, leaf in [
        ("last axis", (), LOGITS),
        ("axis 1", (1,), CUBE),
        ("axis -2", (-2,), CUBE),
        ("of a param", (), W),
        ("axis 0 of a param", (0,), SQUARE),
    ]
} | {"softmax, named axis": (lambda h: scg.softmax(h, axis=1), [CUBE])}

LIKELIHOODS: dict[str, Case] = {
    "pick": (pick, [LOGITS, Leaf((), whole=3)]),
    "pick, of a param": (pick, [W, Leaf((), whole=3)]),
    "pick, outside": (pick, [LOGITS, Leaf((), whole=5)]),
    "pick, more axes": (pick, [CUBE, Leaf((2,), whole=3)]),
    "pick, axes of a param": (pick, [Leaf((2, 3), rows=False), Leaf((2,), whole=3)]),
    "pick, a constant": (lambda h: pick(h, np.array([1])), [LOGITS]),
    "bits": (lambda h, b: bernoulli_log_prob(h, b * 1.0), [LOGITS, BITS]),
    "bits, whole numbers": (bernoulli_log_prob, [LOGITS, BITS]),
    "bits, of a param": (bernoulli_log_prob, [Leaf((3,), False, -3.0), BITS]),
    "bits, of a scalar": (bernoulli_log_prob, [SCALAR, BITS]),
    "bits, of a column": (bernoulli_log_prob, [COLUMN, BITS]),
    "bits, all ones": (lambda h: bernoulli_log_prob(h, 1.0), [LOGITS]),
}

CASES: dict[str, Case] = {
    **ELEMENTWISE,
    **CHOICES,
    **PRODUCTS,
    **SUMS,
    **SHAPES,
    **NORMALS,
    **LIKELIHOODS,
}


class Dirty(Buffers):
    """Buffers whose arrays are full of what no kernel may rely on."""

    def take(self, shape: Any, dtype: Any) -> Any:
        """Return an array of the worst contents."""
        out = np.empty(shape, dtype)
        out.fill(np.nan if dtype.kind == "f" else 99)
        return out

    def like(self, array: Any) -> Any:
        """Return one like another."""
        return self.take(array.shape, array.dtype)


class Bound:
    """The last call of a case, with the numbers of its inputs and its value.

    `layout` says how the arrays lie in memory; all of them are read-only.
    """

    def __init__(
        self,
        case: Case,
        rows: int = 4,
        dtype: Any = np.float64,
        layout: Callable[[Any], Any] = np.array,
    ) -> None:
        function, leaves = case
        rng = np.random.default_rng(3)
        graph = scg.Graph(dtype=dtype)
        nodes = [_node(graph, f"x{i}", leaf, dtype) for i, leaf in enumerate(leaves)]
        node = function(*nodes)
        numbers = {
            n.index: leaf.numbers(rng, rows, dtype)
            for n, leaf in zip(nodes, leaves, strict=True)
        }
        for n in graph.nodes:
            if n.index not in numbers:
                operation = n.role.operation
                values = [numbers[p.index] for p in n.inputs]
                numbers[n.index] = operation(values, rows)
        self.operation, self.node = node.role.operation, node
        self.inputs = [frozen(layout(numbers[p.index])) for p in node.inputs]
        self.value = frozen(layout(numbers[node.index]))
        self.specs = [p.spec for p in node.inputs]
        self.sources = list(range(len(self.inputs)))
        self.site = Site(
            self.operation, len(self.inputs), self.sources, node.spec, self.specs
        )
        self.adjoint = frozen(layout(rng.normal(size=self.value.shape).astype(dtype)))
        self.values = [*self.inputs, self.value]

    def slots(self) -> list[int]:
        """Return the inputs that may get an adjoint."""
        at = {i: a for a, i in self.operation.positional or ()}
        constant = {0} if self.operation.function is np.where else set()
        second = {bernoulli_log_prob, pick, keep}
        if self.operation.function in second or self.operation.name == "getitem":
            constant = {1}
        floats = [i for i, s in enumerate(self.specs) if s.dtype.kind == "f"]
        return [i for i in floats if at.get(i) not in constant]

    def argument(self, slot: int) -> int:
        """Return which argument of the function an input is."""
        return next(a for a, i in self.operation.positional or () if i == slot)

    def pull(self, slot: int, *, kernels: bool = True) -> Any:
        """Return the way of an adjoint."""
        return pull_of(self.site, slot, kernels=kernels)

    def by_kernel(self, slot: int) -> bool:
        """Tell whether there is a kernel for an input."""
        return "_by_rule" not in self.pull(slot).cross.__qualname__

    def cross(self, slot: int, *, kernels: bool = True, g: Any = None) -> Any:
        """Take the adjoint to an input."""
        g = self.adjoint if g is None else g
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return self.pull(slot, kernels=kernels).cross(self.values, g, Dirty())


def frozen(array: Any) -> Any:
    """Make an array that nothing can be written into."""
    array = np.asarray(array)
    array.flags.writeable = False
    return array


def _node(graph: Any, name: str, leaf: Leaf, dtype: Any) -> Any:
    if not leaf.rows:
        return graph.param(name, np.zeros(leaf.shape, dtype))
    return graph.input(name, shape=leaf.shape, dtype=np.int64 if leaf.whole else dtype)
