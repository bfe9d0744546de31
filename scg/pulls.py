"""How an adjoint crosses one edge of the graph, decided before the first run.

For each call and each of its inputs that gradient reaches, `pull_of` picks the kernel,
binds where its arguments are found, and adds what an input that was broadcast needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scg import linear_kernels
from scg.autodiff import pull_back, unbroadcast
from scg.buffers import Buffers
from scg.inference import Spec
from scg.kernels import ELEMENTWISE, PASSED, READS, Rule
from scg.linear_kernels import MAKERS, Form, Taken, with_rows
from scg.memory_calls import AbstractMemoryCall
from scg.operation import Operation, Slot
from scg.steps import lookup

__all__ = ["Crossing", "Pull", "Site", "pull_of", "summed_to"]

Values = Any
# (values, adjoint of the value, buffers) -> adjoint of the input
Way = Callable[[Values, Any, Buffers], Any]
Reduce = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Pull:
    """The way of an adjoint to one input.

    `fresh` says that what `cross` returns is held by nobody else, so that others may be
    added into it; `reads` are the places of the values that `cross` looks at.
    """

    cross: Way
    fresh: bool
    reads: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where an adjoint goes: to the place of an input, by a pull."""

    to: int
    pull: Pull


@dataclass(frozen=True, slots=True)
class Site:
    """Where the value and the inputs of a call are found, and what they look like."""

    operation: Operation
    value: int
    sources: Sequence[int]
    spec: Spec
    specs: Sequence[Spec]


def pull_of(site: Site, slot: int, *, kernels: bool = True) -> Pull:
    """Return the way of an adjoint to input `slot` of a call.

    Without `kernels` it is autograd's rule, for comparison.
    """
    if isinstance(site.operation.function, AbstractMemoryCall):
        return _of_memory(site, slot, site.operation.function)
    if kernels and _is_plain(site):
        found = _elementwise(site, slot) or _linear(site, slot)
        if found is not None:
            return found
    return _by_rule(site, slot)


def _of_memory(site: Site, slot: int, function: AbstractMemoryCall) -> Pull:
    """Return the way of an adjoint to or from a memory, which is no array."""
    positional = site.operation.positional or ()
    at = next(a for a, i in positional if i == slot)
    where, arguments = site.value, lookup(site.operation, site.sources)
    summed = site.spec.has_rows and not site.specs[slot].has_rows and at == 2

    def cross(values: Values, g: Any, buffers: Buffers) -> Any:
        back = function.back(at, g, values[where], arguments(values), buffers)
        return _sum_of_rows(back) if summed else back

    return Pull(cross, fresh=False, reads=_places(site, function.reads))


def _is_plain(site: Site) -> bool:
    """Tell whether the arrays are what kernels are written for: dense and real."""
    specs = (site.spec, *site.specs)
    return site.operation.kind == "numpy" and not any(
        s.parts is not None or s.sparse or s.mixes_rows or s.dtype.kind == "c"
        for s in specs
    )


def _elementwise(site: Site, slot: int) -> Pull | None:
    operation = site.operation
    rules = ELEMENTWISE.get(operation.function)
    if rules is None or operation.kwargs or operation.positional is None:
        return None
    if site.spec.dtype != site.specs[slot].dtype:
        return None
    at = next(a for a, i in operation.positional if i == slot)
    rule = rules[at] if at < len(rules) else None
    if rule is None or len(operation.args) != len(rules):
        return None
    reduce = _reducer(_form(site.spec), _form(site.specs[slot]))
    if rule is PASSED:
        if reduce is None:
            return Pull(lambda values, g, buffers: g, fresh=False)
        fresh = reduce is _sum_of_rows  # else it may be g itself
        return Pull(lambda values, g, buffers: reduce(g), fresh=fresh)
    reads = _places(site, READS.get(rule))
    return Pull(_written(rule, reduce, site), fresh=True, reads=reads)


def _written(rule: Rule, reduce: Reduce | None, site: Site) -> Way:
    """Bind an elementwise rule to where its arguments are."""
    where, arguments = site.value, lookup(site.operation, site.sources)

    def cross(values: Values, g: Any, buffers: Buffers) -> Any:
        out = buffers.like(g)
        rule(out, g, values[where], *arguments(values))
        return out

    if reduce is None:
        return cross

    def cross_and_reduce(values: Values, g: Any, buffers: Buffers) -> Any:
        out = cross(values, g, buffers)
        summed = reduce(out)
        buffers.give(out)
        return summed

    return cross_and_reduce


def _linear(site: Site, slot: int) -> Pull | None:
    operation = site.operation
    maker = MAKERS.get(operation.function)
    if maker is None or operation.positional is None:
        return None
    floats = {s.dtype for s in (site.spec, site.specs[slot])}
    if len(floats) > 1 or (operation.name == "matmul" and not _of_one_dtype(site)):
        return None
    at = next(a for a, i in operation.positional if i == slot)
    forms = _forms(site)
    spec = site.spec
    taken = Taken(at, operation.args, operation.kwargs, forms, _form(spec), spec.dtype)
    adjoint = maker(taken)
    if adjoint is None:
        return None
    where, arguments = site.value, lookup(site.operation, site.sources)
    return Pull(
        lambda values, g, buffers: adjoint(
            g, values[where], arguments(values), buffers
        ),
        fresh=operation.name not in _VIEWS,
        reads=_places(site, linear_kernels.READS[operation.function](at)),
    )


# What these return of an adjoint is a view of it.
_VIEWS = frozenset(
    {
        "reshape",
        "ravel",
        "expand_dims",
        "squeeze",
        "swapaxes",
        "moveaxis",
        "sum",
        "mean",
    }
)


def _by_rule(site: Site, slot: int) -> Pull:
    """Take autograd's rule, or a small trace of a composite function."""
    operation, where, sources = site.operation, site.value, site.sources

    def cross(values: Values, g: Any, buffers: Buffers) -> Any:
        inputs = [values[i] for i in sources]
        first = g[0] if isinstance(g, tuple) else g
        rows = len(first) if np.ndim(first) else None
        return pull_back(operation, slot, g, values[where], inputs, rows)

    return Pull(cross, fresh=False, reads=_places(site, None))


def _places(site: Site, reads: Sequence[int] | None) -> frozenset[int]:
    """Return where the values are that a rule reads: -1 is the value; None is all."""
    if reads is None:
        return frozenset((site.value, *site.sources))
    found = set()
    for k in reads:
        if k == -1:
            found.add(site.value)
            continue
        argument = site.operation.args[k]
        if isinstance(argument, Slot):
            found.add(site.sources[argument.index])
    return frozenset(found)


def _forms(site: Site) -> list[Form]:
    """Return the forms of a call's arguments; constants have no rows."""
    return [
        _form(site.specs[a.index])
        if isinstance(a, Slot)
        else Form(np.shape(a) if isinstance(a, np.ndarray) else (), rows=False)
        for a in site.operation.args
    ]


def _form(spec: Spec) -> Form:
    return Form(spec.shape, spec.has_rows)


def _of_one_dtype(site: Site) -> bool:
    constants = [a.dtype for a in site.operation.args if isinstance(a, np.ndarray)]
    return {s.dtype for s in site.specs} | set(constants) == {site.spec.dtype}


def _reducer(outer: Form, inner: Form) -> Reduce | None:
    """Return what sums an adjoint over the axes along which an input was broadcast."""
    if outer == inner:
        return None
    if outer.rows and not inner.rows and outer.event == inner.event:
        return _sum_of_rows
    return lambda g: unbroadcast(g, with_rows(inner, g))


def summed_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum an adjoint with rows to the shape of what has none."""
    return _sum_of_rows(g) if g.shape[1:] == shape else unbroadcast(g, shape)


def _sum_of_rows(g: Any) -> Any:
    if g.ndim == 2:  # a product with ones is twice as fast
        return np.ones(len(g), g.dtype).dot(g)
    return np.add.reduce(g, axis=0)
