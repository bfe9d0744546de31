"""Families of distributions: parameters, shapes, validation, graph nodes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from autograd import grad
from distribution_cases import (
    DTYPES,
    FAMILIES,
    Case,
    cast,
    every_case,
)

import scg.distributions as d
from scg.errors import DistributionError
from scg.protocol import AbstractNode


@pytest.mark.parametrize("family", [d.Bernoulli, d.Categorical])
def test_lists_are_arrays_and_integers_are_floats(family: Any) -> None:
    distribution = family([0, 1])
    assert distribution.parameters["logits"].tolist() == [0, 1]
    assert d.Bernoulli([0, 1]).dtype == np.float64
    assert distribution.log_prob(np.array(0)).dtype == np.float64


def test_shapes_broadcast_less_the_axis_of_categories() -> None:
    assert d.Bernoulli(0.0).shape == ()
    assert d.Normal(np.zeros((5, 1)), np.ones(3)).shape == (5, 3)
    assert d.Normal(np.zeros((5, 1)), np.ones(3)).entropy().shape == (5, 3)
    assert d.Uniform(np.zeros((5, 1)), np.ones(3)).entropy().shape == (5, 3)
    assert d.Categorical(np.zeros((5, 3))).shape == (5,)
    value = np.zeros((7, 5), int)
    assert d.Categorical(np.zeros((5, 3))).log_prob(value).shape == (7, 5)
    assert d.Categorical(np.zeros(3)).score(value)["logits"].shape == (7, 5, 3)
    assert d.Uniform(0.0, 1.0).score(np.zeros(4))["high"].tolist() == [-1.0] * 4


def test_a_python_scalar_may_be_differentiated() -> None:
    def total(t: Any) -> Any:
        coin, z = d.Bernoulli(t), d.Normal(t, log_scale=t)
        assert coin.shape == z.shape == ()
        return (
            coin.log_prob(1.0) + z.log_prob(1.0) + z.entropy() + d.Normal(t, 2.0).kl(z)
        )

    numeric = (total(0.5 + 1e-6) - total(0.5 - 1e-6)) / 2e-6
    assert grad(total)(0.5) == pytest.approx(numeric, rel=1e-8)
    score = d.elementwise_score(d.Normal(0.1, log_scale=-0.1), np.array([1.0]))
    assert score["mean"][0] == pytest.approx(0.9 * np.exp(0.2), rel=1e-14)


@every_case
def test_replace_keeps_family_and_parameterisation(case: Case) -> None:
    name, value = next(iter(case.distribution.parameters.items()))
    changed = case.distribution.replace(**{name: 2 * value})
    assert type(changed) is type(case.distribution)
    assert list(changed.parameters) == list(case.distribution.parameters)
    np.testing.assert_array_equal(changed.parameters[name], 2 * value)
    with pytest.raises(TypeError, match="tpyo"):
        case.distribution.replace(tpyo=value)
    with pytest.raises(AttributeError):
        setattr(case.distribution, name, value)


WRONG = [
    (d.Bernoulli, "exactly one of 'logits' and 'probs', got none"),
    (lambda: d.Bernoulli(0.0, probs=0.5), "got 'logits' and 'probs'"),
    (d.Categorical, "exactly one of 'logits' and 'probs', got none"),
    (lambda: d.Categorical(0.0), r"shape \(..., K\)"),
    (lambda: d.Normal(0.0), "exactly one of 'scale' and 'log_scale', got none"),
    (lambda: d.Normal(0.0, 1.0, log_scale=0.0), "got 'scale' and 'log_scale'"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_exactly_one_parameterisation_is_given(make: Any, message: str) -> None:
    with pytest.raises(DistributionError, match=message):
        make()


NAN, INF = np.nan, np.inf
INVALID = [
    (d.Bernoulli(np.array([0.0, NAN])), r"finite logits .* got nan \(1 of 2 entries\)"),
    (d.Bernoulli(INF), "finite logits"),
    (d.Bernoulli(probs=np.array([0.5, 1.5])), r"in \[0, 1\], got 1.5"),
    (d.Bernoulli(probs=-0.1), r"in \[0, 1\], got -0.1"),
    (d.Bernoulli(probs=NAN), r"in \[0, 1\], got nan"),
    (d.Categorical(np.array([[0.0, NAN], [0.0, 0.0]])), "finite maximum, got nan"),
    (d.Categorical(np.array([-INF, -INF])), "finite maximum, got -inf"),
    (d.Categorical(np.array([INF, 0.0])), "finite maximum, got inf"),
    (d.Categorical(probs=np.array([0.5, 0.4])), "sum to 1, got 0.9"),
    (d.Categorical(probs=np.array([1.5, -0.5])), "at least 0, got -0.5"),
    (d.Categorical(probs=np.array([NAN, 0.5])), "at least 0, got nan"),
    (d.Normal(NAN, 1.0), "finite mean"),
    (d.Normal(0.0, np.array([1.0, 0.0])), r"positive, finite scale .* got 0.0"),
    (d.Normal(0.0, -1.0), "positive, finite scale"),
    (d.Normal(0.0, NAN), "positive, finite scale"),
    (d.Normal(0.0, log_scale=INF), "finite log_scale"),
    (d.Uniform(1.0, 1.0), "low < high"),
    (d.Uniform(0.0, np.array([1.0, -1.0])), r"low < high .* got -1.0"),
    (d.Uniform(0.0, INF), "low < high"),
]


@pytest.mark.parametrize(("distribution", "message"), INVALID, ids=str)
def test_parameters_out_of_range_are_named_with_the_node(
    distribution: Any, message: str
) -> None:
    with pytest.raises(DistributionError, match="node 'z': expected .*" + message):
        distribution.validate("z")


@every_case
def test_parameters_in_range_pass(case: Case) -> None:
    for dtype in DTYPES:
        cast(case.distribution, dtype).validate("z")
    d.Bernoulli(probs=np.array([0.0, 1.0])).validate("z")
    d.Categorical(np.array([-INF, 0.0])).validate("z")


class Lazy(AbstractNode, np.lib.mixins.NDArrayOperatorsMixin):
    """A node that records calls, to be run later."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run = run
        self.dtype, self.shape = np.dtype(np.float64), (4,)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        return self.__array_function__(getattr(ufunc, method), (), inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        def run() -> Any:
            plain = [a.run() if isinstance(a, Lazy) else a for a in args]
            return func(*plain, **kwargs)

        return Lazy(run)


def fail() -> Any:
    msg = "evaluated while the graph is built"
    raise AssertionError(msg)


@every_case
def test_nodes_as_parameters_build_graph_and_compute_the_same(case: Case) -> None:
    built = []

    def lazy(value: Any) -> Lazy:
        return Lazy(lambda: value if built else fail())

    names = {k: lazy(v) for k, v in case.distribution.parameters.items()}
    node, value = case.distribution.replace(**names), lazy(case.value)
    node.validate("z")
    results = [
        (node.log_prob(value), case.distribution.log_prob(case.value)),
        (node.log_prob(case.value), case.distribution.log_prob(case.value)),
        (case.distribution.log_prob(value), case.distribution.log_prob(case.value)),
        (node.entropy(), case.distribution.entropy()),
        (node.kl(case.other), case.distribution.kl(case.other)),
        (case.distribution.kl(node), case.distribution.kl(case.distribution)),
    ]
    if node.reparameterised:
        noise = np.ones(4)
        plain = case.distribution.reparameterise(noise)
        results.append((node.reparameterise(lazy(noise)), plain))
    built.append(True)
    for graph, plain in results:
        assert isinstance(graph, Lazy)
        np.testing.assert_array_equal(graph.run(), plain)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_declares_what_it_is(family: Any) -> None:
    for flag in ("discrete", "reparameterised", "has_closed_score", "fixed_support"):
        assert isinstance(getattr(family, flag), bool)
    assert family.fixed_support == (family is not d.Uniform)
