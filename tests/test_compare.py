"""Two choices side by side: ratios whose exact values are known."""

from typing import ClassVar

import numpy as np
import pytest

import scg
from scg.compare import _jackknife, _median
from scg.errors import InputError
from scg.estimators import Drawn


def toy():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", (b - 0.45) ** 2)
    return graph


def compared(a, b, *, seed=0, graph=None, **options):
    graph = graph or toy()
    params = graph.init(np.random.default_rng(0))
    rng = np.random.default_rng(seed)
    return scg.compare(graph, params, a, b, rng=rng, **options)


PLAIN = {"b": scg.ScoreFunction()}
PAIR = {"b": scg.ScoreFunction(baseline=scg.LeaveOneOut(), samples=2)}
EXACT_RATIO = 6.25e-4 / 1.593906e-2


@pytest.mark.statistical
def test_the_interval_covers_the_exact_ratio():
    found = compared(PLAIN, PAIR, rows=1, repeats=2000)
    assert found.variance.low < EXACT_RATIO < found.variance.high
    assert found.variance.high / found.variance.low < 1.2
    assert not found.variance.low < 1.3 * EXACT_RATIO < found.variance.high


@pytest.mark.statistical
def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(7)
    trials, covered = 400, 0
    for _ in range(trials):
        one, two = rng.normal(size=(2, 100)) * [[1.0], [1.5]]
        two += one  # paired
        ratio = _jackknife(*((x - x.mean()) ** 2 for x in (one, two)))
        covered += ratio.low < 1 + 1.5**2 < ratio.high
    error = np.sqrt(0.95 * 0.05 / trials)
    assert abs(covered / trials - 0.95) < 4 * error


@pytest.mark.statistical
def test_the_means_of_unbiased_choices_do_not_differ_and_those_of_others_do():
    assert compared(PLAIN, PAIR, rows=1, repeats=2000).gradient["theta"].max_z < 5
    biased = {"b": scg.ScoreFunction(standardise=True)}
    assert compared(PLAIN, biased, rows=20, repeats=500).gradient["theta"].max_z > 5


def test_a_choice_against_itself_differs_in_nothing_but_time():
    found = compared(PLAIN, PLAIN, rows=5)
    assert found.cost == found.cost_error == 0
    assert found.gradient["theta"].max_z == 0
    assert (found.variance.value, found.variance.low, found.variance.high) == (1, 1, 1)
    assert found.seconds.low <= found.seconds.value <= found.seconds.high


def test_draws_of_a_sample_do_not_depend_on_the_estimator_of_another():
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    a = graph.sample("a", scg.Bernoulli(logits=theta))
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss a", a)
    graph.cost("loss b", b)
    found = compared({}, {"b": scg.Enumeration()}, graph=graph, rows=10, repeats=500)
    # What is left of the difference of the costs is b's variance over the rows.
    assert found.cost_error == pytest.approx(np.sqrt(0.25 / 10 / 500), rel=0.1)


def test_against_no_variance_the_ratio_is_zero_or_infinite():
    exact = {"b": scg.Enumeration()}
    assert compared(PLAIN, exact, rows=2).variance.value == 0
    assert compared(exact, PLAIN, rows=2).variance.value == np.inf
    assert np.isnan(compared(exact, exact, rows=2).variance.value)


def test_a_spread_of_one_run_alone_has_no_bounds():
    one, two = np.array([0.5, 0.5, 0.0]), np.array([1.0, 1.0, 1.0])
    ratio = _jackknife(one * [2, 0, 0] + 1e-300, two)
    assert (ratio.low, ratio.high) == (0, np.inf)


def test_the_median_lies_between_its_order_statistics():
    ratio = _median(np.arange(101.0))
    assert ratio.value == 50
    assert 35 < ratio.low < 45
    assert 55 < ratio.high < 65


def test_work_is_variance_times_time():
    found = compared(PLAIN, PAIR, rows=1)
    assert found.work == found.variance.value * found.seconds.value
    assert "gradient of theta" in str(found)


class Slow(scg.ScoreFunction):
    """Draws one value always, and takes its time by the clock of a test."""

    plain: ClassVar[bool] = False

    value: ClassVar[float]
    clock: ClassVar[list[float]]

    def draw(self, distribution, shape, rng):
        self.clock[0] += 1.0 + 2.0 * self.value
        return Drawn(np.full(shape, self.value))


def test_differences_and_ratios_are_those_of_b_to_a(monkeypatch):
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    graph.cost("loss", graph.sample("b", scg.Bernoulli(logits=theta)))
    clock = [0.0]
    quick, slow = (
        type("Slow", (Slow,), {"value": value, "clock": clock})()
        for value in (0.0, 1.0)
    )
    monkeypatch.setattr("scg.side_by_side.time.perf_counter", lambda: clock[0])
    found = compared({"b": quick}, {"b": slow}, graph=graph, rows=3, repeats=10)
    assert found.cost == 1.0
    assert found.seconds.value == 3.0


def test_too_few_pairs_are_refused():
    with pytest.raises(InputError, match="repeats"):
        compared(PLAIN, PAIR, rows=1, repeats=1)
