"""What a node is: a parameter, an input, a call, a draw, a cost, a part of a loop.

Each role is a small record that a node carries. How nodes are made and numbered is in
`scg.node`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scg.operation import Operation
from scg.pattern import Pattern

__all__ = [
    "Call",
    "Captured",
    "Carry",
    "Component",
    "Constant",
    "Cost",
    "Draw",
    "EnvironmentReset",
    "EnvironmentStep",
    "Input",
    "Param",
    "Role",
    "ScanOutput",
    "Slice",
    "Value",
]


@dataclass(frozen=True, slots=True)
class Role:
    """What a node is; `kind` is the field's word for it (Schulman et al. 2015)."""

    @property
    def kind(self) -> str:
        """One of parameter, input, deterministic, stochastic, environment, cost."""
        return _KINDS.get(type(self), "deterministic")


@dataclass(frozen=True, slots=True)
class Param(Role):
    """A leaf of Θ, with its initial value or the callable that draws it."""

    initial: Any


@dataclass(frozen=True, slots=True)
class Input(Role):
    """Data, given at each run."""


@dataclass(frozen=True, slots=True)
class Constant(Role):
    """A value fixed when the graph was built."""

    value: Any


@dataclass(frozen=True, slots=True)
class Call(Role):
    """A function of other nodes; `pattern` is what calls like it have in common."""

    operation: Operation
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Component(Role):
    """One entry of a node whose value is a tuple."""

    position: int


@dataclass(frozen=True, slots=True)
class Draw(Role):
    """A draw from `distribution`, whose parameters `names` are the node's inputs."""

    distribution: Any
    names: tuple[str, ...]

    def at(self, values: Iterable[Any]) -> Any:
        """Return the distribution with its parameters' values filled in."""
        return self.distribution.replace(**dict(zip(self.names, values, strict=True)))


@dataclass(frozen=True, slots=True)
class Cost(Role):
    """One number a row, minimised."""


@dataclass(frozen=True, slots=True)
class Value(Role):
    """One number a row, fitted to a downstream cost by an estimator that names it."""


@dataclass(frozen=True, slots=True)
class EnvironmentReset(Role):
    """The observation an environment is waiting with."""

    environment: Any


@dataclass(frozen=True, slots=True)
class EnvironmentStep(Role):
    """One step of an environment: a tuple of what it returns."""

    environment: Any


@dataclass(frozen=True, slots=True)
class Carry(Role):
    """What the loop hands from one step to the next, number `position`."""

    position: int


@dataclass(frozen=True, slots=True)
class Slice(Role):
    """Each step's part of scanned input number `position`."""

    position: int


@dataclass(frozen=True, slots=True)
class Captured(Role):
    """A value with rows from outside the loop, the same at every step."""


@dataclass(frozen=True, slots=True)
class ScanOutput(Role):
    """The final carry, or the stacked output, number `position` of a loop."""

    position: int
    stacked: bool


_KINDS = {
    Param: "parameter",
    Input: "input",
    Draw: "stochastic",
    EnvironmentReset: "environment",
    EnvironmentStep: "environment",
    Cost: "cost",
    Value: "value",
}
