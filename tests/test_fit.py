"""The training loop: what it computes and passes on, and what stops it."""

import numpy as np
import pytest
from fit_runs import (
    assert_same_bits,
    noisy_data,
    noisy_fit,
    noisy_params,
    noisy_quadratic,
    parabola,
    parabola_fit,
    spoiled,
    stop_after,
)

from scg.checkpoint_folder import saved_steps
from scg.errors import InputError, NonFiniteError
from scg.method import AbstractMethod
from scg.optimizers import adam


def test_fit_is_the_plain_loop():
    rng, params, state = np.random.default_rng(1), noisy_params(), None
    optimizer = adam(0.1)
    optimizer_state = optimizer.init(params)
    for step in range(30):
        inputs = noisy_data(rng, step)
        estimate = noisy_quadratic(params, inputs, rng=rng, state=state)
        params, optimizer_state = optimizer.update(
            estimate.gradient, optimizer_state, params
        )
        state = estimate.state
    result = noisy_fit(None, 30, optimizer=optimizer)
    assert_same_bits(result.params, params)
    assert_same_bits(result.optimizer_state, optimizer_state)
    assert_same_bits(result.state, state)
    assert (result.stopped, result.step) == ("finished", 30)


def test_a_quadratic_is_minimised_and_its_history_falls():
    result = parabola_fit(num_steps=40)
    assert np.abs(result.params["x"]).max() < 1e-10
    costs = [record["cost"] for record in result.history]
    assert costs[0] == 5.0
    assert costs == sorted(costs, reverse=True)
    assert result.history[0]["gradient_norm"] == pytest.approx(2 * 5**0.5)


def test_the_params_given_are_not_changed():
    params = {"x": np.array([1.0, 2.0])}
    parabola_fit(params=params)
    assert params["x"].tolist() == [1.0, 2.0]


def test_rows_samples_and_state_reach_the_model():
    seen = []

    def model(params, inputs, *, rng, rows=None, samples=1, state=None):
        seen.append((inputs, rows, samples, state))
        return parabola(params, inputs, rng=rng, state={"n": np.array(2)})

    parabola_fit(model, 2, rows=7, samples=3, state={"n": np.array(1)})
    assert seen == [(None, 7, 3, {"n": 1}), (None, 7, 3, {"n": 2})]


def test_the_history_has_a_record_every_few_steps():
    result = parabola_fit(num_steps=10, log_every=4)
    assert [record["step"] for record in result.history] == [4, 8]
    assert result.history[0]["seconds"] <= result.history[1]["seconds"]


def test_a_callback_sees_every_step_and_can_stop():
    seen = []
    callbacks = [
        stop_after(3),
        lambda report: seen.append((report.step, report.metrics["cost"])),
    ]
    result = parabola_fit(callbacks=callbacks)
    assert (result.stopped, result.step) == ("callback", 3)
    assert seen == [(1, 5.0), (2, 1.25), (3, 0.3125)]


def test_a_method_may_step_many_times(tmp_path):
    class Twice(AbstractMethod):
        def init(self, params):
            return {"count": np.array(0)}

        def update(self, params, optimizer_state, state, *, rng, step):
            for _ in range(2):
                params = {name: value / 2 for name, value in params.items()}
            count = {"count": optimizer_state["count"] + 2}
            return params, count, {"step": np.array(step)}, {"kl": np.float32(0.5)}

        def settle(self):
            pass

    result = parabola_fit(Twice(), 3, optimizer=None, checkpoint=tmp_path)
    assert result.params["x"].tolist() == [1 / 64, 2 / 64]
    assert result.optimizer_state["count"] == 6
    assert result.state["step"] == 2
    assert result.history[0]["kl"] == 0.5
    with pytest.raises(InputError, match="Twice is a method, which has its own opt"):
        parabola_fit(Twice(), 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": -1}, "num_steps: expected 0 or more, got -1"),
        ({"log_every": 0}, "log_every: expected 1 or more"),
        ({"save_every": 0}, "save_every: expected 1 or more"),
        ({"save_seconds": -1.0}, "save_seconds: expected 0 or more"),
        ({"keep": 0}, "keep: expected 1 or more"),
        ({"extra_state": {"a/b": None}}, "names without '/', got 'a/b'"),
        ({"optimizer": None}, "optimizer: expected one"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        parabola_fit(**options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["cost", "gradient of param 'x'"])
def test_the_first_number_that_is_not_finite_is_named_with_its_step(
    tmp_path, what, value
):
    gradient = {"x": np.array([0.0, value])}
    bad = (
        {"cost": value, "gradient": gradient}
        if what == "cost"
        else {"gradient": gradient}
    )
    message = f"step 6: {what}: expected finite .* The last checkpoint is of step 4"
    with pytest.raises(NonFiniteError, match=message):
        parabola_fit(spoiled(6, **bad), checkpoint=tmp_path, save_every=2)
    assert list(saved_steps(tmp_path)) == [0, 2, 4]
    resumed = parabola_fit(checkpoint=tmp_path)
    assert_same_bits(resumed.params, parabola_fit().params)


def test_a_cost_of_a_method_that_is_not_finite_is_found():
    class Spoiled(AbstractMethod):
        def init(self, params):
            return {}

        def update(self, params, optimizer_state, state, *, rng, step):
            return params, {}, None, {"cost": 1.0 if step < 3 else np.nan}

        def settle(self):
            pass

    with pytest.raises(NonFiniteError, match="step 4: cost: expected"):
        parabola_fit(Spoiled(), optimizer=None)


def test_params_that_are_not_finite_never_become_a_checkpoint(tmp_path):
    class Spoiled(AbstractMethod):
        def init(self, params):
            return {}

        def update(self, params, optimizer_state, state, *, rng, step):
            params["x"][1] = 1.0 if step < 5 else np.inf
            return params, {}, None, {}

        def settle(self):
            pass

    with pytest.raises(NonFiniteError, match=r"step 6: param 'x': .*got inf at \(1,\)"):
        parabola_fit(Spoiled(), optimizer=None, checkpoint=tmp_path, save_every=2)
    assert list(saved_steps(tmp_path)) == [0, 2, 4]


def test_a_metric_that_is_not_known_does_not_stop_the_run():
    model = spoiled(2, metrics={"return": np.nan})
    assert parabola_fit(model, 3).stopped == "finished"


def test_an_error_of_the_model_that_names_its_node_gets_the_step():
    def model(params, inputs, **options):
        msg = "node 'h': nan in log"
        raise NonFiniteError(msg)

    with pytest.raises(NonFiniteError, match=r"step 1: node 'h': nan in log$"):
        parabola_fit(model)


def test_any_other_error_of_the_model_is_passed_on_with_the_step():
    def model(params, inputs, **options):
        msg = "frame"
        raise KeyError(msg)

    with pytest.raises(KeyError, match="frame") as caught:
        parabola_fit(model)
    assert caught.value.__notes__ == ["in training step 1"]


def test_an_error_says_from_which_checkpoint_the_run_goes_on(tmp_path):
    steps = []

    def model(params, inputs, **options):
        steps.append(1)
        if len(steps) == 6:
            raise KeyError
        return parabola(params, inputs, **options)

    with pytest.raises(KeyError) as caught:
        parabola_fit(model, num_steps=9, checkpoint=tmp_path, save_every=2)
    note = "in training step 6; the same call goes on from the checkpoint of step 4"
    assert caught.value.__notes__ == [note]
    assert parabola_fit(model, num_steps=9, checkpoint=tmp_path).step == 9
    assert len(steps) == 6 + 5


def test_a_method_settles_before_anything_is_saved(tmp_path):
    busy, saved = [], []

    class Ahead(AbstractMethod):
        def init(self, params):
            return {}

        def update(self, params, optimizer_state, state, *, rng, step):
            busy.append(step)
            return params, {}, None, {"cost": 0.0}

        def settle(self):
            busy.clear()

    class World:
        def get_state(self):
            saved.append(list(busy))
            return {}

        def set_state(self, state):
            raise AssertionError

    parabola_fit(
        Ahead(), 5, optimizer=None, checkpoint=tmp_path, save_every=2,
        extra_state={"world": World()},
    )  # fmt: skip
    assert len(saved) >= 3
    assert not any(saved)
