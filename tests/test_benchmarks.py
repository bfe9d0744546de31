"""The comparison with other libraries times nothing that has another expectation."""

import time
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
from markdown_code import ROOT

CALLS = {"chain": 150, "belief24": 20, "rnn": 30, "toy1000": 300}


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def agreement():
    return import_module("peers.agreement")


def small(name):
    """Make a workload of 8 rows, which shows what more do."""
    workload = import_module("peers.workloads").make(name)
    if name not in {"belief24", "rnn"}:
        return workload
    data = {k: v[:8] for k, v in workload.data.items()}
    return replace(workload, rows=8, data=data)


def step_of(library, name, seed):
    workload = small(name)
    return getattr(import_module(f"peers.{library}"), workload.kind)(workload, seed)


@pytest.mark.statistical
@pytest.mark.parametrize("name", CALLS)
def test_scg_and_hand_written_numpy_have_the_same_expected_gradient(name, agreement):
    by_hand = agreement.observe(step_of("numpy_by_hand", name, 1), CALLS[name])
    own = agreement.observe(step_of("scg_models", name, 2), CALLS[name])
    scores = agreement.require_agreement(own, by_hand, "scg")
    squares = [square for square, _ in scores.values()]
    # Not by being blind: unequal draws differ by about a standard error.
    assert len(squares) == 1 or np.median(squares) > 0.2


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("library", ["numpy_by_hand", "scg_models"])
def test_a_gradient_is_float32_and_shaped_like_the_params(library, name):
    gradient = step_of(library, name, 0)()
    got = {k: (np.shape(v), v.dtype) for k, v in gradient.items()}
    params = small(name).params
    assert got == {k: (v.shape, np.dtype(np.float32)) for k, v in params.items()}


def scaled(gradient):
    """Do as a baseline would that contains the own cost, among four rows."""
    return {k: v * (1 - 1 / 4) for k, v in gradient.items()}


def shifted(gradient):
    """Go wrong in one entry."""
    gradient["W5"][3, 4] += 0.05
    return gradient


def swapped(gradient):
    """Credit two variables with each other's costs."""
    return gradient | {"W2": gradient["W8"], "W8": gradient["W2"]}


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("name", "bias"), [("toy1000", scaled), ("chain", shifted), ("chain", swapped)]
)
def test_a_biased_gradient_is_refused(name, bias, agreement):
    right, wrong = (step_of("numpy_by_hand", name, seed) for seed in (1, 2))
    reference = agreement.observe(right, 300)
    agreement.require_agreement(agreement.observe(wrong, 300), reference, "this")
    found = agreement.observe(lambda: bias(wrong()), 300)
    with pytest.raises(agreement.DisagreementError, match="expectation"):
        agreement.require_agreement(found, reference, "this")


@pytest.mark.parametrize("change", ["name", "shape"])
def test_a_gradient_of_other_params_is_refused(change, agreement):
    step = step_of("numpy_by_hand", "toy1", 1)
    reference = agreement.observe(step, 3)
    other = {"eta": 0.1} if change == "name" else {"theta": np.ones(2)}
    with pytest.raises(agreement.DisagreementError, match="expected"):
        agreement.compare(agreement.observe(lambda: other, 3), reference)


def test_rounds_are_taken_in_turn_and_ratios_within_a_round():
    race = import_module("peers.race")
    calls = []

    def step(name):
        time.sleep(1e-3)  # more than a clock's tick
        calls.append(name)

    laps = {name: partial(race.lap, partial(step, name)) for name in "ab"}
    times = race.race(laps, rounds=3, seconds=1e-9)
    assert [len(t) for t in times.values()] == [3, 3]
    assert "".join(calls) == 4 * "aabb"  # a round for warmth, a call to fill caches
    found = race.ratios({"a": [1.0, 2.0, 4.0], "b": [2.0, 2.0, 2.0]}, "a")
    assert found["b"] == (1.0, 0.5)


def test_a_step_that_keeps_two_cores_busy_is_refused():
    race = import_module("peers.race")
    race.require_one_core("this", 1.02)
    with pytest.raises(RuntimeError, match=r"this: expected one core .*, got 1\.60"):
        race.require_one_core("this", 1.6)


@pytest.mark.parametrize(
    ("file", "function", "kind"),
    [
        ("libscipy_openblas64_-32a4b2a6.so", "sgemm_kernel_SKYLAKEX", "GEMM"),
        ("_generator.cpython-311-x86_64-linux-gnu.so", "random_raw", "random"),
        ("_multiarray_umath.cpython-311.so", "FLOAT_tanh_X86_V4", "transcendental"),
        ("_multiarray_umath.cpython-311.so", "FLOAT_add_X86_V3", "NumPy's loops"),
        ("_multiarray_umath.cpython-311.so", "ufunc_generic_fastcall", "NumPy's calls"),
        ("libm.so.6", "fetestexcept", "NumPy's calls"),
        ("[kernel.kallsyms]", "clear_page_erms", "memory"),
        ("libc.so.6", "__memset_avx512_unaligned_erms", "memory"),
        ("libpython3.11.so.1.0", "_PyEval_EvalFrameDefault", "Python"),
    ],
)
def test_a_profile_tells_where_the_processor_is(file, function, kind):
    place = import_module("peers.sampler").Place(1, file, function)
    assert import_module("profile_workloads").kind(place) == kind


def test_costs_beside_a_step_are_measured_on_graphs_of_the_size_asked_for():
    costs = import_module("engine_costs")
    assert 100 <= len(costs.long_chain(100).nodes) < 110
    assert all(0 < seconds < 60 for seconds in costs.measure(10))


@pytest.fixture
def hard_memory(monkeypatch):
    """Load the benchmark, whose name is that of the example that it runs."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    path = ROOT / "benchmarks" / "hard_memory.py"
    spec = spec_from_file_location("benchmark_of_memory", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_learning_curve_has_the_mean_of_each_few_updates(hard_memory, monkeypatch):
    def pretend(config, report):
        for update in range(1, 51):
            report(update, 0.0, update / 100)
        return 0.75

    monkeypatch.setattr(hard_memory.hard_memory, "main", pretend)
    found = hard_memory.run(hard_memory.configured("digits", 100))
    assert found["right"] == 0.75
    assert found["curve"] == [0.13, 0.38]


def test_what_is_trained_is_what_its_label_says(hard_memory):
    config = hard_memory.configured("all cells", 100)
    assert (config.way, config.cells, config.digits) == ("digits", 100, 1)
    config = hard_memory.configured("digits", 1_000_000)
    assert (config.way, config.cells, config.digits) == ("digits", 1_000_000, 6)


def test_all_that_was_trained_is_drawn(hard_memory, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(hard_memory, "FOLDER", tmp_path)
    runs = {
        f"{way} {cells} {task} 0": {"curve": [0.1, 0.9]}
        for way, cells in hard_memory.TRAINED
        for task in ("recall", "copy")
    }
    sizes = []
    for found in (runs, dict(list(runs.items())[:2])):
        hard_memory.draw_learning(found)
        sizes.append((tmp_path / "learning.png").stat().st_size)
    assert sizes[0] > sizes[1] > 5_000
