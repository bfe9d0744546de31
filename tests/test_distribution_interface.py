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
    (d.Exponential, "exactly one of 'rate' and 'log_rate', got none"),
    (lambda: d.Poisson(1.0, log_rate=0.0), "got 'rate' and 'log_rate'"),
    (lambda: d.Laplace(0.0), "exactly one of 'scale' and 'log_scale', got none"),
    (lambda: d.LogNormal(0.0), "exactly one of 'scale' and 'log_scale', got none"),
    (lambda: d.TanhNormal(0.0), "exactly one of 'scale' and 'log_scale', got none"),
    (d.Geometric, "exactly one of 'logits' and 'probs', got none"),
    (lambda: d.Binomial(3), "exactly one of 'logits' and 'probs', got none"),
    (d.OneHotCategorical, "exactly one of 'logits' and 'probs', got none"),
    (lambda: d.OneHotCategorical(0.0), r"shape \(..., K\), got scalars"),
    (lambda: d.Dirichlet(1.0), r"shape \(..., K\), got scalars"),
    (lambda: d.MultivariateNormal(0.0, 1.0), r"shape \(..., K\), got scalars"),
    (lambda: d.MultivariateNormal([0.0]), "exactly one of 'scale' and 'scale_tril'"),
    (
        lambda: d.MultivariateNormal([0.0], scale_tril=[1.0]),
        r"scale_tril of shape \(..., K, K\), got \(1,\)",
    ),
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
    (d.Exponential(0.0), "positive, finite rate of Exponential"),
    (d.Exponential(log_rate=NAN), "finite log_rate of Exponential"),
    (d.Laplace(INF, 1.0), "finite mean of Laplace"),
    (d.Laplace(0.0, -1.0), "positive, finite scale of Laplace"),
    (d.LogNormal(NAN, 1.0), "finite mean of LogNormal"),
    (d.LogNormal(0.0, log_scale=INF), "finite log_scale of LogNormal"),
    (d.TanhNormal(0.0, 0.0), "positive, finite scale of TanhNormal"),
    (d.TruncatedNormal(0.0, 0.0, -1.0, 1.0), "positive, finite scale of Truncated"),
    (d.TruncatedNormal(0.0, 1.0, 1.0, 1.0), "low < high of TruncatedNormal"),
    (d.Gamma(np.array([1.0, 0.0])), r"concentration of Gamma, got 0.0 \(1 of 2"),
    (d.Gamma(1.0, INF), "positive, finite rate of Gamma"),
    (d.Beta(-1.0, 1.0), "positive, finite alpha of Beta"),
    (d.Beta(1.0, NAN), "positive, finite beta of Beta"),
    (d.Dirichlet([1.0, 0.0]), "positive, finite concentration of Dirichlet"),
    (d.Poisson(-1.0), "positive, finite rate of Poisson"),
    (d.Geometric(probs=0.0), r"probs of Geometric in \(0, 1\]"),
    (d.Geometric(INF), "finite logits of Geometric"),
    (d.Binomial(1.5, 0.0), "count of Binomial that is a whole number"),
    (d.Binomial(-1, 0.0), "count of Binomial that is a whole number"),
    (d.Binomial(3, probs=1.5), r"probs of Binomial in \[0, 1\]"),
    (d.OneHotCategorical([-INF, -INF]), "finite maximum, got -inf"),
    (d.MultivariateNormal([NAN], 1.0), "finite mean of Multivariate"),
    (d.MultivariateNormal([0.0], -1.0), "positive, finite scale of Multivariate"),
    (
        d.MultivariateNormal([0.0, 0.0], scale_tril=[[1.0, 0.0], [1.0, 0.0]]),
        r"positive diagonal of scale_tril .* got 0.0 \(1 of 2",
    ),
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

    def __init__(self, run: Callable[[], Any], shape: tuple[int, ...] = (4,)) -> None:
        self.run = run
        self.dtype, self.shape = np.dtype(np.float64), shape

    def __getitem__(self, index: Any) -> Any:
        return Lazy(lambda: self.run()[index])

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
        return Lazy(lambda: value if built else fail(), value.shape)

    names = {k: lazy(v) for k, v in case.learnt.items()}
    node, value = case.distribution.replace(**names), lazy(case.value)
    node.validate("z")
    results = [
        (node.log_prob(value), case.distribution.log_prob(case.value)),
        (node.log_prob(case.value), case.distribution.log_prob(case.value)),
        (case.distribution.log_prob(value), case.distribution.log_prob(case.value)),
        (node.kl(case.other), case.distribution.kl(case.other)),
        (case.distribution.kl(node), case.distribution.kl(case.distribution)),
    ]
    if case.has_entropy:
        results.append((node.entropy(), case.distribution.entropy()))
    if node.reparameterised:
        rng = np.random.default_rng(0)
        noise = case.distribution.noise(rng, case.distribution.shape)
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


def test_constants_of_a_family_may_not_be_learnt() -> None:
    node = Lazy(fail)
    with pytest.raises(DistributionError, match="count of whole numbers, got a node"):
        d.Binomial(node, 0.0)
    with pytest.raises(DistributionError, match="ends that are constants"):
        d.TruncatedNormal(0.0, 1.0, low=node)
    node.dtype = np.dtype(np.int64)
    unknown = d.Binomial(node, 0.0)
    assert unknown.support() is None
    with pytest.raises(DistributionError, match="count that is a constant, got a node"):
        unknown.entropy()
    with pytest.raises(DistributionError, match="two Binomial of the same count"):
        unknown.kl(d.Binomial(3, 0.0))
    with pytest.raises(DistributionError, match="two Binomial of the same count"):
        d.Binomial(2, 0.0).kl(d.Binomial(3, 0.0))


def test_the_axis_of_rows_is_not_that_of_components() -> None:
    rows = Lazy(fail, (-1,))
    for make in (
        lambda: d.Dirichlet(rows),
        lambda: d.OneHotCategorical(rows),
        lambda: d.MultivariateNormal(rows, 1.0),
        lambda: d.MultivariateNormal(np.zeros(2), rows),
    ):
        with pytest.raises(DistributionError, match=r"got .* with one number a row"):
            make()
