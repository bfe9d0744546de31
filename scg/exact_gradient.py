r"""The exact gradient of the expected cost, where every random value can be laid out.

Finite supports are enumerated, in loops all joint outcomes of all steps; normal draws
stand at the points of a Gauss-Hermite quadrature. Environments and models that mix rows
are left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scg.distributions import Normal
from scg.errors import EstimatorError
from scg.estimators import AbstractEstimator, Drawn, ScoreFunction, Site
from scg.influence import influence_of
from scg.joint_gradient import joint_gradient, read_and_fitted
from scg.node import Node, Store
from scg.program import Program
from scg.roles import Cost, Draw, EnvironmentReset, EnvironmentStep
from scg.surrogate import Compiled

__all__ = ["LaidOut", "exact_gradient"]

# A quadrature is believed if a finer one agrees with it.
_POINTS = (24, 41)
_AGREE = 1e-8


@dataclass(frozen=True, slots=True)
class LaidOut(AbstractEstimator):
    r"""Run every value of a finite support, or of a normal draw's quadrature.

    .. math:: \sum_k w_k \hat Q_k \nabla_\theta \log p(x_k)

    Exact for a finite support; for a normal draw as exact as the quadrature.

    Parameters
    ----------
    points : int
        Of the quadrature, for each element of a normal draw.
    limit : int
        The largest number of branches.
    reading : tuple of str
        Value nodes that other estimators of the node read: their params then count as
        reached.
    fits : tuple of str
        Value nodes that others fit, of what the node influences.

    Raises
    ------
    EstimatorError
        When a family is neither finite nor normal, or there are too many branches.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> mu = graph.param("mu", 1.0)
    >>> x = graph.sample("x", scg.Normal(mean=mu, scale=1.0))
    >>> loss = graph.cost("loss", x**2)
    >>> estimate = scg.estimate_gradient(
    ...     graph, {"mu": 1.0}, rng=np.random.default_rng(0), rows=1,
    ...     estimators={"x": LaidOut()})
    >>> round(float(estimate.gradient["mu"]), 10)
    2.0
    """

    points: int = _POINTS[0]
    limit: int = 4096
    reading: tuple[str, ...] = ()
    fits: tuple[str, ...] = ()

    lays_out: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_prob", "no loop"})
    summary: ClassVar[str] = "every value, weighed"

    @property
    def reads(self) -> tuple[str, ...]:
        """What others read."""
        return self.reading

    @property
    def biases(self) -> tuple[str, ...]:
        """None."""
        return ()

    def branches(self, distribution: Any, event_shape: tuple[int, ...]) -> int:
        """Return how many values there are."""
        support = distribution.support()
        if support is None and not isinstance(distribution, Normal):
            msg = f"LaidOut: expected a finite or a normal family, got {distribution!r}"
            raise EstimatorError(msg)
        base = self.points if support is None else len(support)
        elements = _elements(support, event_shape)
        if elements * math.log(max(base, 1)) > math.log(self.limit) + 1e-9:
            msg = (
                f"LaidOut: expected at most {self.limit} values, got {base}^{elements}"
            )
            raise EstimatorError(msg)
        return int(base**elements)

    def draw(
        self, distribution: Any, shape: tuple[int, ...], rng: np.random.Generator
    ) -> Drawn:
        """Lay the values out along the branches, with their weights."""
        event = shape[1:]
        support = distribution.support()
        elements = _elements(support, event)
        if support is not None:
            value = _tiled(support, elements, shape, event)
            log_p = distribution.log_prob(value).reshape(len(value), -1).sum(axis=1)
            return Drawn(value, weights=np.exp(log_p))
        nodes, weights = np.polynomial.hermite_e.hermegauss(self.points)
        nodes, weights = nodes.astype(distribution.dtype), weights / weights.sum()
        joint = np.prod(list(itertools.product(weights, repeat=elements)), axis=1)
        value = distribution.reparameterise(_tiled(nodes, elements, shape, event))
        return Drawn(value, weights=np.tile(joint, shape[0] // len(joint)))

    def adjoints(self, site: Site) -> dict[str, Any]:
        """Return score times weight times cost."""
        return ScoreFunction().adjoints(site)


def _elements(support: Any, event_shape: tuple[int, ...]) -> int:
    """Count the elements of an event; one of them may itself be a vector."""
    own = 0 if support is None else support[0].ndim
    return math.prod(event_shape[: len(event_shape) - own])


def _tiled(
    values: NDArray[Any], elements: int, shape: tuple[int, ...], event: tuple[int, ...]
) -> NDArray[Any]:
    joint = np.array(list(itertools.product(values, repeat=elements)), values.dtype)
    joint = joint.reshape(-1, *event)
    return np.tile(joint, (shape[0] // len(joint),) + (1,) * len(event))


def exact_gradient(
    store: Store,
    params: Mapping[str, Any],
    inputs: Mapping[str, Any] | None,
    *,
    reading: Mapping[str, tuple[str, ...]] | None = None,
    limit: int = 100_000,
) -> dict[str, NDArray[Any]] | None:
    """Return the exact gradient of the expected cost, or None where it is out of reach.

    Parameters
    ----------
    store : Store
        The nodes of a graph.
    params, inputs
        As in `scg.estimate_gradient`; the expectation is over the samples, the mean
        over the rows of the inputs.
    reading : mapping of str to tuple of str, optional
        Value nodes that estimators read, by the stochastic node. What only their
        regression reaches has a gradient of 0.
    limit : int
        The largest number of rows, all values of all samples laid out.

    Returns
    -------
    dict of str to array, or None
        None with samples of a family that is neither finite nor, outside of loops,
        normal, environments, loops that rows leave early, models that mix rows, a
        quadrature that has not converged, or more than `limit` rows.

    Examples
    --------
    >>> import scg
    >>> graph = scg.Graph()
    >>> theta = graph.param("theta", 0.0)
    >>> b = graph.sample("b", scg.Bernoulli(logits=theta))
    >>> loss = graph.cost("loss", (b - 0.45) ** 2)
    >>> found = exact_gradient(graph.store, {"theta": 0.0}, None)
    >>> round(float(found["theta"]), 12)
    0.025
    """
    costs = [n.index for n in store.nodes if isinstance(n.role, Cost)]
    above = influence_of(store).ancestors(*costs)
    random = [store.nodes[i] for i in sorted(above)]
    random = [n for n in random if isinstance(n.role, _RANDOM)]
    if not all(isinstance(n.role, Draw) for n in random):
        return None
    if any(n.loop is not None for n in random):
        return joint_gradient(store, params, inputs, random, reading or {}, limit)
    found = []
    for points in _POINTS if any(map(_is_normal, random)) else _POINTS[:1]:
        chosen = {}
        for n in random:
            parts = read_and_fitted(store, n, (reading or {}).get(n.name, ()))
            chosen[n.name] = LaidOut(points, limit, *parts)
        try:
            program = Program(store, chosen)
        except EstimatorError:
            return None
        if program.mixing or _rows(program, inputs) > limit:
            return None
        run = Compiled(program)
        rng = np.random.default_rng(0)
        found.append(run(params, inputs, rng=rng, rows=None if inputs else 1).gradient)
    return found[-1] if _agree(found[0], found[-1]) else None


_RANDOM = Draw | EnvironmentReset | EnvironmentStep


def _is_normal(node: Node) -> bool:
    return isinstance(node.role, Draw) and isinstance(node.role.distribution, Normal)


def _rows(program: Program, inputs: Mapping[str, Any] | None) -> int:
    """Count the rows of the widest value."""
    branching = program.branching
    widest = max(
        math.prod(branching.get(p, 1) for p in program.plates[n.index])
        for n in program.outer
    )
    return widest * max((len(v) for v in (inputs or {}).values()), default=1)


def _agree(coarse: Mapping[str, Any], fine: Mapping[str, Any]) -> bool:
    return all(
        np.abs(coarse[k] - v).max(initial=0) <= _AGREE * (1 + np.abs(v).max(initial=0))
        for k, v in fine.items()
    )
