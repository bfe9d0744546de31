"""Each kernel has the values and the adjoints of the rule that it stands in for."""

from types import SimpleNamespace

import numpy as np
import pytest
from kernel_cases import CASES, Bound, Dirty, Leaf, frozen

import scg
from scg import kernels, linear_kernels, steps
from scg.bit_log_prob import bernoulli_log_prob
from scg.into import INTO
from scg.kernels import ELEMENTWISE
from scg.linear_kernels import MAKERS

DTYPES = [np.float64, np.float32]


def tolerance(dtype):
    return (
        {"rtol": 1e-11, "atol": 1e-13}
        if dtype == np.float64
        else {
            "rtol": 2e-5,
            "atol": 2e-6,
        }
    )


def assert_is_the_rule(bound, dtype=np.float64, g=None):
    for slot in bound.slots():
        found = bound.cross(slot, g=g)
        expected = bound.cross(slot, g=g, kernels=False)
        assert np.shape(found) == np.shape(expected) == bound.inputs[slot].shape
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, **tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_a_kernels_adjoint_is_that_of_the_rule(name, dtype):
    for rows in (4, 1, 0):
        bound = Bound(CASES[name], rows, dtype)
        assert bound.value.dtype == dtype
        assert_is_the_rule(bound, dtype)


def test_the_check_fails_on_an_adjoint_that_is_a_little_off(monkeypatch):
    def wrong(out, g, y, x):
        np.multiply(g, 1 - y * y + 1e-9, out)

    monkeypatch.setitem(kernels.ELEMENTWISE, np.tanh, (wrong,))
    with pytest.raises(AssertionError):
        assert_is_the_rule(Bound(CASES["tanh"]))


@pytest.mark.parametrize("name", CASES)
def test_a_kernels_adjoint_is_the_slope_of_the_function(name):
    bound = Bound(CASES[name])
    if name.startswith("ties"):
        pytest.skip("no slope where two are equal")
    for slot in bound.slots():
        found = bound.cross(slot)
        way = np.random.default_rng(slot).normal(size=found.shape)
        ends = []
        for step in (1e-6, -1e-6):
            inputs = list(bound.inputs)
            inputs[slot] = inputs[slot] + step * way
            ends.append(bound.operation(inputs, 4))
        with np.errstate(invalid="ignore"):
            rise = np.nan_to_num((ends[0] - ends[1]) / 2e-6)
        slope = np.sum(rise * bound.adjoint)
        assert np.sum(found * way) == pytest.approx(slope, rel=1e-6, abs=1e-7)


def transposed(a):
    return np.array(a).T.copy().T


def with_gaps(a):
    return np.repeat(np.atleast_1d(a), 2, axis=-1)[..., ::2].reshape(np.shape(a))


def backwards(a):
    return np.flip(np.flip(a).copy())


LAYOUTS = [transposed, with_gaps, backwards]


@pytest.mark.parametrize("name", CASES)
def test_arrays_may_lie_in_memory_in_any_way(name):
    for layout in LAYOUTS:
        assert_is_the_rule(Bound(CASES[name], layout=layout))
    bound = Bound(CASES[name])
    assert_is_the_rule(bound, g=np.broadcast_to(0.7, bound.value.shape))


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_to_be_fresh_is_held_by_nobody_else(name):
    for rows in (4, 1):
        bound = Bound(CASES[name], rows)
        for slot in bound.slots():
            if bound.pull(slot).fresh and isinstance(
                found := bound.cross(slot), np.ndarray
            ):
                assert found.flags.writeable
                for other in (*bound.values, bound.adjoint):
                    assert not np.shares_memory(found, other)


# What a rule reads


def alone(bound, slot):
    """Cross with nothing there but what the pull says that it reads."""
    pull = bound.pull(slot)
    values = [v if i in pull.reads else None for i, v in enumerate(bound.values)]
    return pull.cross(values, bound.adjoint, Dirty())


@pytest.mark.parametrize("name", CASES)
def test_a_pull_reads_no_more_than_it_says(name):
    bound = Bound(CASES[name])
    for slot in bound.slots():
        np.testing.assert_array_equal(alone(bound, slot), bound.cross(slot))


def test_a_table_that_says_too_little_is_found_out(monkeypatch):
    for rule in kernels.READS:
        monkeypatch.setitem(kernels.READS, rule, ())
    caught = set()
    for name in CASES:
        bound = Bound(CASES[name])
        for slot in bound.slots():
            rules = ELEMENTWISE.get(bound.operation.function)
            if not (rules and bound.by_kernel(slot)):
                continue
            rule = rules[bound.argument(slot)]
            try:
                same = np.array_equal(alone(bound, slot), bound.cross(slot))
            except (TypeError, AttributeError):
                same = False
            if not same:
                caught.add(rule)
    monkeypatch.undo()
    assert caught >= {rule for rule, reads in kernels.READS.items() if reads}


# No entry without a case


def tried():
    """List the functions and arguments that the cases go through a kernel with."""
    found = set()
    for case in CASES.values():
        bound = Bound(case)
        found |= {
            (bound.operation.function, bound.argument(slot))
            for slot in bound.slots()
            if bound.by_kernel(slot)
        }
    return found


def entries():
    for function, rules in ELEMENTWISE.items():
        yield from ((function, at) for at, rule in enumerate(rules) if rule)
    for function in MAKERS:
        yield function, 0
        if function.__name__ == "matmul":
            yield function, 1


def test_every_entry_of_the_tables_has_a_case():
    assert tried() == set(entries())
    assert set(linear_kernels.READS) == set(MAKERS)
    rules = {rule for rules in ELEMENTWISE.values() for rule in rules}
    assert set(kernels.READS) <= rules


def test_an_entry_without_a_case_is_found(monkeypatch):
    monkeypatch.setitem(kernels.ELEMENTWISE, np.arctan, (kernels.PASSED,))
    assert tried() != set(entries())


OTHERS = {
    "reshape in another order": lambda w: np.reshape(w, (9,), order="F"),
    "reshape in another order, positional": lambda w: np.reshape(w, (9,), "F"),
    "ravel in another order": lambda w: np.ravel(w, order="F"),
    "sum from another start": lambda w: np.sum(w, axis=1, initial=2.0),
    "softmax, named axis": lambda w: scg.softmax(w, axis=0),
    "swapaxes, named": lambda w: np.swapaxes(w, axis1=0, axis2=1),
    "moveaxis, named": lambda w: np.moveaxis(w, source=0, destination=1),
    "index of numbers": lambda w: w[np.array([0, 0, 2])],
}


@pytest.mark.parametrize("name", OTHERS)
def test_arguments_that_few_kernels_know_are_no_less_right(name):
    assert_is_the_rule(Bound((OTHERS[name], [Leaf((3, 3), rows=False)])))


# Values


def step_of(bound):
    """Return the step that computes the last call of a case."""
    step = steps.computing(bound.operation, bound.sources, bound.node.spec, bound.specs)
    return lambda buffers: step(bound.inputs, 4, SimpleNamespace(buffers=buffers))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_a_value_written_into_an_array_is_what_numpy_returns(name, dtype, monkeypatch):
    monkeypatch.setattr(steps, "SMALL", 0)
    bound = Bound(CASES[name], dtype=dtype)
    found = step_of(bound)(Dirty())
    assert found.dtype == bound.value.dtype
    np.testing.assert_allclose(found, bound.value, **tolerance(dtype))


class Told(Dirty):
    """Buffers that count how often they are asked."""

    count = 0

    def take(self, shape, dtype):
        self.count += 1
        return super().take(shape, dtype)


def written(name):
    buffers = Told()
    step_of(Bound(CASES[name]))(buffers)
    return buffers.count > 0


def test_every_function_that_can_be_written_into_an_array_is(monkeypatch):
    assert not written("tanh")
    monkeypatch.setattr(steps, "SMALL", 0)
    into = {Bound(CASES[name]).operation.function for name in CASES if written(name)}
    assert into >= {*INTO, np.tanh, np.add}
    assert all(map(written, ["softmax, axis 1", "bits, whole numbers", "matmul"]))
    assert not written("softmax, named axis")


# Ties, zeros, numbers so large that they saturate

POINTS = {
    "maximum of equals": (np.maximum, [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]]),
    "minimum of equals": (np.minimum, [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]]),
    "absolute of nought": (np.absolute, [[0.0, -0.0, 1.0]]),
    "power of nought": (lambda h: h**2, [[0.0, -0.0, 1.0]]),
    "power nought of nought": (lambda h: np.power(h, 0.0), [[0.0, 1.0, 2.0]]),
    "product with nought": (np.multiply, [[0.0, 0.0, 1.0], [0.0, 2.0, 0.0]]),
    "division of nought": (np.divide, [[0.0, 0.0, 1.0], [3.0, -2.0, 1.0]]),
    **{
        f"{f.__name__} of large numbers": (f, [[-1e4, -90.0, 0.0, 90.0, 1e4]])
        for f in (
            np.tanh,
            scg.sigmoid,
            scg.softplus,
            scg.log_sigmoid,
            scg.softmax,
            scg.log_softmax,
            scg.logsumexp,
        )
    },
    "exp of small numbers": (np.exp, [[-1e4, -90.0, 0.0]]),
    "bits": (bernoulli_log_prob, [[-1e4, -90.0, 90.0, 1e4], [0.0, 1.0, 0.0, 1.0]]),
    "surprising bits": (bernoulli_log_prob, [[-1e4, 1e4], [1.0, 0.0]]),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", POINTS)
def test_a_kernel_is_the_rule_at_kinks_and_where_it_saturates(name, dtype):
    function, points = POINTS[name]
    leaves = [Leaf((len(p),), rows=False) for p in points]
    bound = Bound((function, leaves), dtype=dtype)
    bound.values = [frozen(np.array(p, dtype)) for p in points]
    bound.values.append(frozen(bound.operation(bound.values, None)))
    assert bound.by_kernel(0)
    assert np.isfinite(bound.values[-1]).all()
    for slot in bound.slots():
        assert np.isfinite(bound.cross(slot)).all()
    assert_is_the_rule(bound, dtype)


def test_what_is_left_aside_may_have_an_infinite_adjoint():
    for name in ("where", "keep"):
        bound = Bound(CASES[name])
        g = np.where(bound.cross(bound.slots()[0]) == 0, np.inf, 1.0)
        found = bound.cross(bound.slots()[0], g=frozen(g))
        assert sorted(set(found.ravel())) == [0.0, 1.0]


def test_what_is_no_bit_has_no_derivative_where_nobody_asks_for_one():
    bound = Bound((bernoulli_log_prob, [Leaf(low=-3.0), Leaf(whole=4)]))
    finite = np.isfinite(bound.value)
    assert 0 < finite.sum() < finite.size
    assert_is_the_rule(bound, g=frozen(bound.adjoint * finite))
    assert not bound.cross(0, g=frozen(bound.adjoint * finite))[~finite].any()
