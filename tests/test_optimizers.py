"""Optimisers against formulas written out again, in float64, without chunks."""

import tracemalloc

import numpy as np
import pytest

from scg import schedules
from scg.clipping import GradientScaling, chain, clip_by_global_norm, global_norm
from scg.errors import InputError, NonFiniteError
from scg.optimizers import adam, rmsprop, sgd

# The third is longer than a chunk, and not a multiple of one.
SHAPES = {"scalar": (), "empty": (0, 3), "matrix": (300, 250), "vector": (7,)}


def hand_sgd(gradients, theta, rate):
    for step, g in enumerate(gradients):
        theta = theta - rate(step) * g
    return theta


def hand_momentum(gradients, theta, rate, mu=0.9):
    v = np.zeros_like(theta)
    for step, g in enumerate(gradients):
        v = mu * v + g
        theta = theta - rate(step) * v
    return theta


def hand_nesterov(gradients, theta, rate, mu=0.9):
    v = np.zeros_like(theta)
    for step, g in enumerate(gradients):
        v = mu * v + g
        theta = theta - rate(step) * (g + mu * v)
    return theta


def hand_rmsprop(gradients, theta, rate, rho=0.95, epsilon=1e-3):
    s = np.zeros_like(theta)
    for step, g in enumerate(gradients):
        s = rho * s + (1 - rho) * g**2
        theta = theta - rate(step) * g / (np.sqrt(s) + epsilon)
    return theta


def hand_adam(gradients, theta, rate, beta1=0.8, beta2=0.99, epsilon=1e-3):
    m, s = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        m_hat, s_hat = m / (1 - beta1**t), s / (1 - beta2**t)
        theta = theta - rate(t - 1) * m_hat / (np.sqrt(s_hat) + epsilon)
    return theta


RULES = {
    "sgd": (sgd, hand_sgd),
    "momentum": (lambda rate: sgd(rate, momentum=0.9), hand_momentum),
    "nesterov": (lambda rate: sgd(rate, momentum=0.9, nesterov=True), hand_nesterov),
    "rmsprop": (lambda rate: rmsprop(rate, decay=0.95, epsilon=1e-3), hand_rmsprop),
    "adam": (lambda rate: adam(rate, 0.8, 0.99, 1e-3), hand_adam),
}
RATES = {"number": 0.05, "schedule": schedules.linear(0.1, 0.01, 4)}


def random_arrays(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {k: np.asarray(rng.normal(size=s), dtype) for k, s in SHAPES.items()}


def run(optimizer, params, gradients, *, donate=False):
    state = optimizer.init(params)
    for gradient in gradients:
        params, state = optimizer.update(gradient, state, params, donate=donate)
    return params, state


def copies(arrays):
    return {name: value.copy() for name, value in arrays.items()}


def assert_same_bits(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert left[name].shape == right[name].shape
        assert left[name].tobytes() == right[name].tobytes(), name


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
@pytest.mark.parametrize(("optimizer", "by_hand"), RULES.values(), ids=RULES)
def test_an_update_is_the_formula(optimizer, by_hand, rate):
    params = random_arrays(0)
    gradients = [random_arrays(seed) for seed in range(1, 7)]
    got, _ = run(optimizer(rate), params, gradients)
    for name, theta in params.items():
        want = by_hand([g[name] for g in gradients], theta, schedules.as_schedule(rate))
        np.testing.assert_allclose(got[name], want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("optimizer", "by_hand"), RULES.values(), ids=RULES)
def test_float32_stays_float32(optimizer, by_hand):
    # A schedule that gives NumPy numbers must not turn float32 into float64.
    numpy_rate = lambda step: np.float64(0.05)  # noqa: E731
    params = random_arrays(0, np.float32)
    gradients = [random_arrays(seed, np.float32) for seed in range(1, 7)]
    got, state = run(optimizer(numpy_rate), params, gradients)
    for name, theta in params.items():
        assert got[name].dtype == np.float32
        wide = [g[name].astype(np.float64) for g in gradients]
        want = by_hand(wide, theta.astype(np.float64), numpy_rate)
        np.testing.assert_allclose(got[name], want, rtol=2e-5, atol=2e-5)
    assert {v.dtype for k, v in state.items() if k != "step"} <= {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("optimizer", "_"), RULES.values(), ids=RULES)
def test_donating_gives_the_same_bits(optimizer, _, dtype):
    rule = chain(clip_by_global_norm(3.0), optimizer(0.05))
    params = random_arrays(0, dtype)
    gradients = [random_arrays(seed, dtype) for seed in range(1, 5)]
    kept = run(rule, copies(params), gradients)
    given = run(rule, copies(params), gradients, donate=True)
    for left, right in zip(kept, given, strict=True):
        assert_same_bits(left, right)


@pytest.mark.parametrize(("optimizer", "_"), RULES.values(), ids=RULES)
def test_an_update_changes_none_of_its_arguments(optimizer, _):
    rule = optimizer(0.1)
    params, gradient = random_arrays(0), random_arrays(1)
    state = rule.init(params)
    before = copies(params), copies(state), copies(gradient)
    new_params, new_state = rule.update(gradient, state, params)
    for left, right in zip(before, (params, state, gradient), strict=True):
        assert_same_bits(left, right)
    assert not np.shares_memory(new_params["matrix"], params["matrix"])
    assert not np.array_equal(new_params["matrix"], params["matrix"])
    assert new_state["step"] == 1


def test_donating_writes_into_the_arrays_given_but_not_into_the_gradient():
    rule = adam(0.1)
    params, gradient = random_arrays(0), random_arrays(1)
    state, kept = rule.init(params), copies(gradient)
    new_params, new_state = rule.update(gradient, state, params, donate=True, scale=0.5)
    assert new_params["matrix"] is params["matrix"]
    assert new_state["mean/matrix"] is state["mean/matrix"]
    assert_same_bits(gradient, kept)


def test_donating_allocates_no_copy_of_the_model():
    rule = chain(clip_by_global_norm(1.0), adam(1e-3))
    params = {"W": np.ones((1000, 1000), np.float32)}
    state, gradient = rule.init(params), {"W": np.ones((1000, 1000), np.float32)}
    rule.update(gradient, state, params, donate=True)
    tracemalloc.start()
    rule.update(gradient, state, params, donate=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 600_000, f"{peak} bytes for a model of 4,000,000"


@pytest.mark.parametrize("kind", ["transposed", "strided", "read-only"])
def test_arrays_that_cannot_be_overwritten_may_be_donated(kind):
    base = np.arange(12.0).reshape(3, 4)
    odd = {"transposed": base.T, "strided": base[:, ::2], "read-only": base[:]}[kind]
    odd.flags.writeable = kind != "read-only"
    want = odd - 0.5 * np.ones(odd.shape)
    rule = sgd(0.5)
    gradient, params = {"W": np.ones(odd.T.shape).T}, {"W": odd}
    got, _ = rule.update(gradient, rule.init(params), params, donate=True)
    assert got["W"].tolist() == want.tolist()


@pytest.mark.parametrize(("optimizer", "_"), RULES.values(), ids=RULES)
def test_a_quadratic_is_minimised(optimizer, _):
    matrix = np.array([[2.0, 0.3], [0.3, 0.5]])
    target = np.array([1.0, -2.0])
    rule = optimizer(schedules.cosine(0.1, 0.0, 1500))
    params = {"theta": np.zeros(2)}
    state = rule.init(params)
    for _step in range(1500):
        gradient = {"theta": matrix @ (params["theta"] - target)}
        params, state = rule.update(gradient, state, params)
    np.testing.assert_allclose(params["theta"], target, atol=1e-3)


def test_a_float64_gradient_is_cast_to_the_param():
    rule = adam(0.1)
    params, gradient = random_arrays(0, np.float32), random_arrays(1)
    narrow = {name: value.astype(np.float32) for name, value in gradient.items()}
    got = rule.update(gradient, rule.init(params), params)
    want = rule.update(narrow, rule.init(params), params)
    for left, right in zip(got, want, strict=True):
        assert_same_bits(left, right)


def test_a_long_gradient_is_cut_to_the_norm_in_its_own_direction():
    rule = chain(clip_by_global_norm(0.5), sgd(1.0))
    params, gradient = random_arrays(0), random_arrays(1)
    got, _ = rule.update(gradient, rule.init(params), params)
    step = {name: params[name] - got[name] for name in params}
    by_hand = np.linalg.norm(np.concatenate([g.ravel() for g in gradient.values()]))
    assert by_hand > 0.5
    assert global_norm(step) == pytest.approx(0.5)
    assert step["vector"] == pytest.approx(gradient["vector"] * 0.5 / by_hand)


def test_a_short_gradient_passes_the_clip_bit_for_bit():
    params, gradient = random_arrays(0), random_arrays(1)
    plain, clipped = adam(0.1), chain(clip_by_global_norm(1e6), adam(0.1))
    left = plain.update(gradient, plain.init(params), params)
    right = clipped.update(gradient, clipped.init(params), params)
    assert_same_bits(left[0], right[0])


def test_a_scaling_sees_the_gradient_as_scaled_before_it():
    halve = GradientScaling(lambda norm: 0.5)
    seen = []
    watch = GradientScaling(lambda norm: seen.append(norm) or 1.0)
    rule = chain(halve, watch, sgd(1.0))
    params = {"w": np.array([3.0, 4.0])}
    got, _ = rule.update(params, rule.init(params), params)
    assert seen == [2.5]
    assert got["w"].tolist() == [1.5, 2.0]


def test_the_norm_does_not_depend_on_the_order_of_the_names():
    values = np.random.default_rng(0).normal(size=300)
    arrays = {str(i): value for i, value in enumerate(values)}
    backwards = dict(reversed(arrays.items()))
    assert sum(values**2) != sum(values[::-1] ** 2)
    assert global_norm(arrays) == global_norm(backwards)


def test_the_norm_of_float32_does_not_overflow():
    big = {"w": np.full(4, 1e30, np.float32)}
    assert global_norm(big) == pytest.approx(2e30)


@pytest.mark.parametrize("parts", [(), (sgd(1.0), sgd(1.0)), (clip_by_global_norm(1),)])
def test_a_chain_ends_with_its_only_optimizer(parts):
    with pytest.raises(InputError, match="then one Optimizer"):
        chain(*parts)


def update(gradient, params=None, rule=None):
    rule = rule or adam(0.1)
    params = params or {"W": np.zeros((2, 3)), "b": np.zeros(3)}
    return rule.update(gradient, rule.init(params), params)


def test_a_gradient_without_a_param_is_refused():
    with pytest.raises(InputError, match=r"missing are \['b'\], unknown are \['c'\]"):
        update({"W": np.zeros((2, 3)), "c": np.zeros(3)})


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"param 'b': .*shape \(3,\), got .*\(2, 3\)"):
        update({"W": np.zeros((2, 3)), "b": np.zeros((2, 3))})


def test_a_complex_gradient_is_refused():
    with pytest.raises(InputError, match="complex128"):
        update({"W": np.zeros((2, 3)), "b": np.zeros(3) + 1j})


def test_an_integer_param_is_refused():
    with pytest.raises(InputError, match="param 'n': expected floating-point"):
        update({"n": np.zeros(2)}, {"n": np.zeros(2, int)}, sgd(1.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rule", [adam(0.1), chain(clip_by_global_norm(1), adam(0.1))])
def test_a_gradient_that_is_not_finite_is_named_before_anything_is_written(bad, rule):
    gradient = {"W": np.zeros((2, 3)), "b": np.array([0.0, bad, bad])}
    params = {"W": np.ones((2, 3)), "b": np.ones(3)}
    state = rule.init(params)
    message = r"gradient of param 'b': .* at \(1,\), in 2 of 3"
    with pytest.raises(NonFiniteError, match=message):
        rule.update(gradient, state, params, donate=True)
    assert params["W"].min() == 1
    assert state["step"] == 0


def test_finite_numbers_whose_sum_overflows_are_finite():
    huge = np.full(4, 1e308)
    got, _ = update({"w": huge}, {"w": huge}, sgd(0.5))
    assert got["w"].tolist() == [5e307] * 4


def test_a_finite_gradient_whose_norm_overflows_is_not_silently_dropped():
    rule = chain(clip_by_global_norm(1.0), sgd(0.5))
    with pytest.raises(NonFiniteError, match="entries beyond 1e154"):
        update({"w": np.full(4, 1e200)}, {"w": np.zeros(4)}, rule)


def test_a_state_of_another_optimizer_is_refused():
    params = {"w": np.zeros(3)}
    state = rmsprop(0.1).init(params)
    with pytest.raises(InputError, match=r"optimiser state: .*mean/w.*optimizer\.init"):
        adam(0.1).update({"w": np.zeros(3)}, state, params)


@pytest.mark.parametrize(
    "make",
    [
        lambda: sgd(-0.1),
        lambda: sgd(np.nan),
        lambda: sgd(0.1, momentum=1.0),
        lambda: sgd(0.1, nesterov=True),
        lambda: rmsprop(0.1, decay=-0.1),
        lambda: rmsprop(0.1, epsilon=0.0),
        lambda: adam(0.1, beta1=1.0),
        lambda: adam(0.1, beta2=1.5),
        lambda: adam(0.1, epsilon=np.inf),
        lambda: clip_by_global_norm(0.0),
        lambda: schedules.linear(0.1, -0.1, 10),
        lambda: schedules.cosine(0.1, 0.0, 0),
        lambda: schedules.exponential(np.inf, 0.5, 1),
        lambda: schedules.as_schedule(lambda step: np.nan)(3),
    ],
)
def test_numbers_out_of_range_are_refused_with_what_was_expected(make):
    with pytest.raises(InputError, match=r"expected .*, got"):
        make()


def test_schedules_go_through_known_points():
    cosine = schedules.cosine(1.0, 0.2, 10)
    assert [cosine(0), cosine(5), cosine(10)] == pytest.approx([1.0, 0.6, 0.2])
    assert cosine(99) == pytest.approx(0.2)
    linear = schedules.linear(0.0, 1.0, 10)
    assert [linear(0), linear(3), linear(10), linear(99)] == pytest.approx(
        [0, 0.3, 1, 1]
    )
    exponential = schedules.exponential(8.0, 0.5, 10)
    assert [exponential(s) for s in (0, 10, 30)] == pytest.approx([8, 4, 1])
    assert schedules.constant(0.3)(7) == 0.3
    assert type(schedules.as_schedule(np.float64)(2)) is float
