"""Random numbers: the same for the same seed, and independent for all else."""

import itertools

import numpy as np
import pytest
from random_scans import RandomScan
from scipy import stats

import scg
from scg.streams import Streams

RNG = np.random.default_rng
LEAST = 1e-5  # a p-value below it is no chance, in some hundred checks


def chain(length=4, dtype=np.float64):
    """Build samples of several families, each of which the next may look at."""
    graph = scg.Graph(dtype=dtype)
    t, x = graph.param("t", 0.2), graph.input("x")
    families = [
        lambda h: scg.Bernoulli(logits=h),
        lambda h: scg.Normal(mean=h, scale=1.0),
        lambda h: scg.Categorical(logits=np.stack([h, 0.3 * h, -h], axis=-1)),
        lambda h: scg.Uniform(low=0.0, high=1.0),
    ]
    for i in range(length):
        graph.sample(f"z{i}", families[i % 4](t * x))
    graph.cost("loss", sum(graph[f"z{i}"] * 1.0 for i in range(length)))
    return graph


NAMES = [f"z{i}" for i in range(8)]
INPUTS = {"x": np.linspace(-1, 1, 50)}


def draws(seed=0, estimators=None, **options):
    trace = scg.forward(
        chain(8),
        {"t": 0.2},
        INPUTS,
        rng=RNG(seed),
        estimators=estimators,
        **options,
    )
    return {name: trace[name] for name in NAMES}


def assert_equal_but(found, expected, *names):
    for name in NAMES:
        if name not in names:
            np.testing.assert_array_equal(found[name], expected[name])


# The same seed


@pytest.mark.parametrize("options", [{}, {"samples": 3}, {"lean": True}])
def test_the_same_seed_gives_the_same_draws(options):
    assert_equal_but(draws(3, **options), draws(3, **options))
    other = draws(4, **options)
    assert all(not np.array_equal(draws(3, **options)[n], other[n]) for n in NAMES)


ESTIMATORS = {
    "enumeration": scg.Enumeration(),
    "branches": scg.ScoreFunction(samples=4, baseline=scg.LeaveOneOut()),
    "a baseline": scg.ScoreFunction(baseline=scg.BatchMean()),
}


@pytest.mark.parametrize("name", ["z0", "z2", "z4", "z6"])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_nodes_draws_do_not_depend_on_how_others_are_drawn(kind, name):
    found = draws(0, {name: ESTIMATORS[kind]})
    assert_equal_but(found, draws(), name)
    if kind != "a baseline":
        assert len(found[name]) > len(draws()[name])


@pytest.mark.parametrize("name", ["z1", "z5"])
def test_pathwise_draws_are_those_of_the_score_function(name):
    assert_equal_but(draws(0, {name: scg.Pathwise()}), draws())


def test_a_node_added_later_leaves_the_draws_before_it_alone():
    trace = scg.forward(chain(5), {"t": 0.2}, INPUTS, rng=RNG(0))
    for name in NAMES[:5]:
        np.testing.assert_array_equal(trace[name], draws()[name])


def test_draws_are_told_apart_by_the_check():
    with pytest.raises(AssertionError):
        assert_equal_but(draws(0), draws(1), *NAMES[1:])


@pytest.mark.parametrize("until", [False, True])
def test_a_lean_run_draws_what_any_other_draws(until):
    for seed in range(12):
        scan = RandomScan(seed, until=until)
        step = scg.compile(scan.graph, scan.estimators)
        names = [n.name for n in scan.graph.nodes if n.kind == "stochastic"]
        runs = [
            step.forward(scan.params, scan.inputs, rng=RNG(0), lean=lean)
            for lean in (False, True)
        ]
        for name in names:
            np.testing.assert_array_equal(runs[0][name], runs[1][name])


# Inside of loops


def looped(family, *, in_core, dtype=np.float64, until=False, estimator=None):
    """Draw at each step: all steps at once, or one by one if each needs the last."""
    graph = scg.Graph(dtype=dtype)
    t, xs = graph.param("t", 0.3), graph.input("xs", shape=(6,))

    def step(carry, x):
        z = graph.sample("z", family(t * x + 0.0 * (carry if in_core else x)))
        total = (z if z.ndim == 1 else z.sum(axis=-1)).astype(dtype)
        graph.cost("loss", total)
        after = carry + 1.0 + (0.0 * scg.stop_gradient(total) if in_core else 0.0)
        if until:
            graph.rename("over", after > 3.5)
        return after

    options = {"until": "over"} if until else {}
    start = np.zeros((), dtype)
    graph.scan(step, start, xs=xs, **options)
    estimators = {"z": estimator} if estimator else None
    step = scg.compile(graph, estimators)
    trace = step.forward(
        {"t": np.asarray(0.3, dtype)},
        {"xs": RNG(1).normal(size=(5, 6)).astype(dtype)},
        rng=RNG(2),
    )
    core = {n.name for n in step.program.plan.forward["scan"].core}
    assert ("z" in core) is in_core
    return trace


FAMILIES = {
    "bernoulli": lambda h: scg.Bernoulli(logits=h),
    "three bits": lambda h: scg.Bernoulli(logits=np.stack([h, h, h], axis=-1)),
    "probabilities": lambda h: scg.Bernoulli(probs=scg.sigmoid(h)),
    "categorical": lambda h: scg.Categorical(logits=np.stack([h, 0 * h], axis=-1)),
    "normal": lambda h: scg.Normal(mean=h, scale=1.0),
    "uniform": lambda h: scg.Uniform(low=h, high=h + 1.0),
}


@pytest.mark.parametrize("until", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FAMILIES)
def test_all_steps_drawn_at_once_are_those_drawn_one_by_one(name, dtype, until):
    at_once, by_step = (
        looped(
            FAMILIES[name],
            in_core=in_core,
            dtype=dtype,
            until=until,
            estimator=scg.Pathwise() if name == "uniform" else None,
        )["z"]
        for in_core in (False, True)
    )
    assert len(at_once) == (4 if until else 6)
    np.testing.assert_array_equal(at_once, by_step)
    assert not np.array_equal(at_once[0], at_once[1])


def test_pathwise_noise_drawn_at_once_is_that_drawn_step_by_step():
    runs = [
        looped(FAMILIES["normal"], in_core=c, estimator=scg.Pathwise())
        for c in (False, True)
    ]
    (noise,), (other,) = (list(run.noise.values()) for run in runs)
    np.testing.assert_array_equal(np.stack(noise), np.stack(other))


# As good as independent

SEEDS = [0, 1, 2, 3, 2**62, 2**63 - 1]
NODES = [-1, 0, 1, 2, 3, 4, 62, 63, 64, 1000]


def streams(size):
    """List streams of neighbouring nodes and seeds."""
    return {(s, n): Streams(s).at(n).random(size) for s in SEEDS for n in NODES}


@pytest.mark.statistical
def test_each_stream_is_uniform():
    for u in streams(20_000).values():
        assert stats.kstest(u, "uniform").pvalue > LEAST
        low = (u * 2**53).astype(np.int64) % 16  # the last bits
        assert stats.chisquare(np.bincount(low, minlength=16)).pvalue > LEAST
        pairs = np.histogram2d(u[::2], u[1::2], bins=8)[0]
        assert stats.chisquare(pairs.ravel()).pvalue > LEAST


def z_of_correlation(a, b):
    return np.abs(np.corrcoef(a, b)[0, 1]) * np.sqrt(len(a))


@pytest.mark.statistical
def test_streams_of_other_nodes_and_seeds_are_not_correlated():
    found = streams(5000)
    for a, b in itertools.combinations(found.values(), 2):
        assert z_of_correlation(a, b) < 5
        for shift in (1, 2):
            assert z_of_correlation(a[shift:], b[:-shift]) < 5


@pytest.mark.statistical
def test_two_streams_fill_the_square():
    found = list(streams(20_000).values())
    for a, b in itertools.pairwise(found):
        counts = np.histogram2d(a, b, bins=10, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(counts.ravel()).pvalue > LEAST


@pytest.mark.statistical
def test_the_first_numbers_of_neighbouring_nodes_and_seeds_are_uniform():
    """They are what one run of many nodes, and many runs of one node, are made of."""
    by_node = [Streams(7).at(n).random() for n in range(20_000)]
    by_seed = [Streams(s).at(3).random() for s in range(20_000)]
    for u in map(np.array, (by_node, by_seed)):
        assert stats.kstest(u, "uniform").pvalue > LEAST
        assert z_of_correlation(u[1:], u[:-1]) < 5


@pytest.mark.statistical
def test_the_checks_see_streams_that_overlap():
    u = Streams(0).at(0).random(5001)
    assert z_of_correlation(u[1:], Streams(0).at(0).random(5000)) < 5
    assert z_of_correlation(u[:-1], 0.1 * u[:-1] + u[1:]) > 5
    assert stats.kstest(u**1.1, "uniform").pvalue < LEAST
    assert stats.chisquare(np.histogram2d(u, u, bins=10)[0].ravel()).pvalue < LEAST


@pytest.mark.statistical
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nodes_of_one_run_and_runs_of_one_generator_are_independent(dtype):
    graph = scg.Graph(dtype=dtype)
    t = graph.param("t", 0.0)
    for i in range(6):
        graph.sample(f"z{i}", scg.Bernoulli(logits=t * 1.0))
    graph.cost("loss", sum(graph[f"z{i}"] for i in range(6)))
    step, rng = scg.compile(graph), RNG(5)
    params = {"t": np.zeros((), dtype)}
    runs = [step.forward(params, rng=rng, rows=4000) for _ in range(4)]
    bits = [run[f"z{i}"] for run in runs for i in range(6)]
    for a, b in itertools.combinations(bits, 2):
        assert z_of_correlation(a, b) < 5
    for a in bits:
        assert abs(a.mean() - 0.5) * 2 * np.sqrt(len(a)) < 5
    again = step.forward(params, rng=RNG(5), rows=4000)
    np.testing.assert_array_equal(again["z3"], runs[0]["z3"])


def test_a_spare_generator_draws_what_a_new_one_does():
    spare = Streams(1).at(5)
    spare.random(3, dtype=np.float32)  # leaves half of a number behind
    for node in (2, 3):
        new, used = Streams(9).at(node), Streams(9, spare).at(node)
        np.testing.assert_array_equal(
            new.random(5, dtype=np.float32), used.random(5, dtype=np.float32)
        )
    own = Streams(9).own(2)
    np.testing.assert_array_equal(own.random(4), Streams(9).at(2).random(4))
