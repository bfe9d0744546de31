"""Any Gymnasium vector environment is a node; one that breaks its promise is named."""

import threading

import numpy as np
import pytest

import scg

gymnasium = pytest.importorskip("gymnasium")
from gymnasium import spaces  # noqa: E402 - after the skip
from gymnasium.vector import AutoresetMode, SyncVectorEnv  # noqa: E402

ROWS = 3


class Walk(gymnasium.Env):
    """Count steps from the seed's start; end after `length`, by time or by itself."""

    def __init__(self, action_space=None, length=4, by_time=False):
        self.observation_space = spaces.Box(-1e3, 1e3, (2,), np.float64)
        self.action_space = action_space or spaces.Discrete(3)
        self.length, self.by_time = length, by_time
        self.actions = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.start = 0, float(self.np_random.integers(100))
        return self.observe(), {}

    def observe(self):
        return np.array([self.start, self.count], np.float64)

    def step(self, action):
        self.actions.append(action)
        self.count += 1
        over = self.count == self.length
        return self.observe(), 1.0, over and not self.by_time, over and self.by_time, {}


def walks(mode=AutoresetMode.SAME_STEP, **options):
    made = [Walk(**options) for _ in range(ROWS)]
    return SyncVectorEnv([lambda env=env: env for env in made], autoreset_mode=mode)


def act(world, length=6, sample=None, run=True, scale=1.0):
    """Make a policy for a world and run it."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)

    def step(observation):
        logits = theta * scale * np.stack([observation[:, 1]] * 3, axis=1)
        draw = sample or (lambda logits: scg.Categorical(logits=logits))
        action = graph.sample("action", draw(logits))
        graph.rename("seen", observation * 1)
        observation, reward, terminated = world(action)
        graph.rename("terminated", np.logical_and(terminated, True))
        graph.cost("loss", -reward)
        return observation

    graph.scan(step, init=world.reset(), length=length)
    if not run:
        return graph
    rng = np.random.default_rng(0)
    return scg.estimate_gradient(graph, {"theta": 0.1}, rng=rng).trace


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_an_episode_that_ends_begins_anew_in_the_same_step(mode):
    world = scg.Environment(walks(mode), seed=5)
    trace = act(world, length=6)
    counts = trace["seen"][:, :, 1]
    assert counts.T.tolist() == [[0, 1, 2, 3, 0, 1]] * ROWS
    assert trace["terminated"].sum(axis=1).tolist() == [0, 0, 0, ROWS, 0, 0]
    assert world.returns == [4.0] * ROWS
    assert world.lengths == [4] * ROWS


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
@pytest.mark.parametrize("by_time", [False, True])
def test_the_last_observation_of_an_episode_is_kept_apart(mode, by_time):
    world = scg.Environment(walks(mode, by_time=by_time), seed=5)
    trace = act(world, length=6)
    (ends,) = trace.ends.values()
    ((step, rows, last),) = ends.finals
    assert step == 3
    assert rows.tolist() == [0, 1, 2]
    assert last[:, 1].tolist() == [4.0] * ROWS  # the count before the reset
    assert last[:, 0].tolist() == trace["seen"][0, :, 0].tolist()
    assert ends.truncated.sum() == ROWS * by_time
    assert ends.terminated.sum() == ROWS * (not by_time)


def test_the_same_seed_begins_the_same_and_another_does_not():
    starts = [
        act(scg.Environment(walks(), seed=seed))["seen"][0, :, 0].tolist()
        for seed in (1, 1, 2)
    ]
    assert starts[0] == starts[1] != starts[2]
    assert len(set(starts[0])) > 1  # the rows are not copies


def test_the_state_is_kept_across_runs():
    world = scg.Environment(walks(length=100), seed=0)
    graph = act(world, length=4, run=False)
    rng = np.random.default_rng(0)
    runs = [scg.forward(graph, {"theta": 0.1}, rng=rng)["seen"] for _ in range(3)]
    counts = np.concatenate(runs)[:, 0, 1]
    assert counts.tolist() == list(range(12))


ACTIONS = {
    "Discrete": (spaces.Discrete(3), lambda x: scg.Categorical(logits=x), np.int64),
    "Bernoulli": (
        spaces.Discrete(2), lambda x: scg.Bernoulli(logits=x[:, 0]), np.int64,
    ),
    "Box": (
        spaces.Box(-np.inf, np.inf, (3,), np.float32),
        lambda x: scg.Normal(mean=x, scale=1.0),
        np.float32,
    ),
    "MultiDiscrete": (
        spaces.MultiDiscrete([2, 2, 2]), lambda x: scg.Bernoulli(logits=x), np.int64,
    ),
    "MultiBinary": (
        spaces.MultiBinary(3), lambda x: scg.Bernoulli(logits=x), np.int8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_arrives_with_the_dtype_of_its_space(name):
    space, sample, dtype = ACTIONS[name]
    env = walks(action_space=space)
    trace = act(scg.Environment(env), length=2, sample=sample)
    arrived = env.envs[1].actions[0]
    assert np.asarray(arrived).dtype == dtype
    np.testing.assert_allclose(arrived, trace["action"][0, 1], rtol=1e-6)
    assert space.contains(arrived)


@pytest.mark.parametrize("copy", [True, False])
def test_an_environment_that_reuses_its_buffer_spoils_no_earlier_trace(copy):
    made = [Walk(length=100) for _ in range(ROWS)]
    env = SyncVectorEnv(
        [lambda env=env: env for env in made],
        copy=copy,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    graph = act(scg.Environment(env), length=3, run=False)
    rng = np.random.default_rng(0)
    first = scg.forward(graph, {"theta": 0.1}, rng=rng)
    before = [np.array(v) for v in first.values if isinstance(v, np.ndarray)]
    carry = first.last_carries["scan"][0].copy()
    scg.forward(graph, {"theta": 0.1}, rng=rng)
    after = [v for v in first.values if isinstance(v, np.ndarray)]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(carry, first.last_carries["scan"][0])


# What is refused when the graph is built


def test_next_step_autoreset_is_refused_with_the_way_out():
    with pytest.raises(scg.GraphError, match=r"got NextStep.*SAME_STEP"):
        scg.Environment(walks(AutoresetMode.NEXT_STEP), name="walk")


def test_a_single_environment_is_refused_with_the_way_out():
    with pytest.raises(scg.GraphError, match=r"'walk': expected a gymnasium.vector"):
        scg.Environment(Walk(), name="walk")


@pytest.mark.parametrize("which", ["observation", "action"])
def test_a_space_of_several_arrays_is_refused(which):
    env = walks()
    several = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Discrete(2)})
    setattr(env, f"single_{which}_space", several)
    with pytest.raises(scg.GraphError, match="one shape and one dtype"):
        scg.Environment(env)


WRONG_ACTIONS = {
    "too many axes": lambda graph, x: x,
    "no rows": lambda graph, x: graph.param("w", 0.0),
    "draws that are not whole": lambda graph, x: graph.sample(
        "z", scg.Normal(mean=x[:, 0], scale=1.0)
    ),
    "complex": lambda graph, x: x[:, 0] * 1j,
    "no node": lambda graph, x: np.zeros(ROWS),
}


@pytest.mark.parametrize("name", WRONG_ACTIONS)
def test_an_action_that_does_not_fit_is_refused_at_its_line(name):
    graph, world = scg.Graph(), scg.Environment(walks(), name="walk")
    action = WRONG_ACTIONS[name](graph, graph.input("x", 2))
    with pytest.raises(scg.GraphError, match="'walk': expected an action"):
        world(action)


def test_counts_are_whole_numbers_though_there_is_no_largest():
    graph, world = scg.Graph(), scg.Environment(walks(), name="walk")
    world(graph.sample("k", scg.Geometric(graph.input("x"))))


def test_an_action_that_is_no_whole_number_is_refused_at_the_run():
    graph, world = scg.Graph(), scg.Environment(walks(), name="walk")
    x = graph.input("x")
    world(x)
    graph.cost("loss", x)
    rng = np.random.default_rng(0)
    scg.forward(graph, {}, {"x": np.ones(ROWS)}, rng=rng)
    with pytest.raises(scg.SimulatorError, match=r"expected whole numbers.*got 0.5"):
        scg.forward(graph, {}, {"x": np.array([0.0, 0.5, 1.0])}, rng=rng)


def test_rows_are_those_of_the_environment():
    graph = act(scg.Environment(walks(), name="walk"), run=False)
    rng = np.random.default_rng(0)
    for wrong in ({"rows": 5}, {"samples": 2}):
        with pytest.raises(scg.InputError, match=r"walk|environment"):
            scg.forward(graph, {"theta": 0.1}, rng=rng, **wrong)


# Outside of a loop, and twice


def test_outside_of_a_loop_each_call_is_one_step():
    graph, world = scg.Graph(), scg.Environment(walks(length=100), seed=0)
    action = graph.sample("a", scg.Categorical(logits=np.zeros(3)))
    for t in range(3):
        observation, reward, _ = world(action)
        graph.rename(f"o{t}", observation * 1)
    graph.cost("loss", -reward)
    rng = np.random.default_rng(0)
    counts = [
        [scg.forward(graph, {}, rng=rng)[f"o{t}"][0, 1] for t in range(3)]
        for _ in range(1)
    ]
    trace = scg.forward(graph, {}, rng=rng)
    assert counts[0][0] == 1
    first = trace["o0"][0, 1]
    assert [trace[f"o{t}"][0, 1] for t in range(3)] == [first, first + 1, first + 2]


def test_two_calls_in_one_step_of_a_loop_are_two_steps():
    graph, world = scg.Graph(), scg.Environment(walks(length=100), seed=0)

    def step(observation):
        action = graph.sample("a", scg.Categorical(logits=np.zeros(3)))
        graph.rename("seen", observation * 1)
        _, first, _ = world(action)
        observation, second, _ = world(action)
        graph.cost("loss", -first - second)
        return observation

    graph.scan(step, world.reset(), length=4)
    trace = scg.forward(graph, {}, rng=np.random.default_rng(0))
    assert trace["seen"][:, 0, 1].tolist() == [0, 2, 4, 6]


def test_an_action_from_outside_of_the_loop_is_taken_at_every_step():
    graph, world = scg.Graph(), scg.Environment(walks(length=100), seed=0)
    action = graph.sample("a", scg.Categorical(logits=np.zeros(3)))

    def step(observation):
        graph.rename("seen", observation * 1)
        observation, reward, _ = world(action)
        graph.cost("loss", -reward)
        return observation

    graph.scan(step, world.reset(), length=4)
    trace = scg.forward(graph, {}, rng=np.random.default_rng(0))
    assert trace["seen"][:, 0, 1].tolist() == [0, 1, 2, 3]


# What a world returns


class Wrong:
    """A vector environment that answers wrongly where it is told to."""

    def __init__(self, env, method, answer):
        self.env, self.method, self.answer = env, method, answer
        self.num_envs, self.metadata = env.num_envs, env.metadata
        self.single_action_space = env.single_action_space
        self.single_observation_space = env.single_observation_space

    def reset(self, **options):
        return self._told("reset", self.env.reset(**options))

    def step(self, action):
        return self._told("step", self.env.step(action))

    def _told(self, method, right):
        return self.answer(right) if method == self.method else right


def with_part(i, change):
    return lambda right: (*right[:i], change(right[i]), *right[i + 1 :])


def lost(right):
    msg = "lost"
    raise ConnectionError(msg)


def no_final(info):
    return {k: v for k, v in info.items() if k != "final_obs"}


RUBBISH = {
    "reset raises": ("reset", lost, "reset raised ConnectionError: lost"),
    "step raises": ("step", lost, "step raised ConnectionError: lost"),
    "reset gives no pair": ("reset", lambda r: r[0], r"expected reset to return"),
    "four parts": ("step", lambda r: r[:4], "expected step to return"),
    "None": ("step", lambda r: None, "expected step to return"),
    "first shape": ("reset", with_part(0, lambda o: o[:1]), "observations of shape"),
    "shape": ("step", with_part(0, lambda o: o[:, :1]), "observations of shape"),
    "dtype": ("step", with_part(0, np.float32), "observations of shape"),
    "nan": ("step", with_part(0, lambda o: o * np.nan), "finite observations.*row 0"),
    "list": ("step", with_part(0, lambda o: o.tolist()), "observations of shape"),
    "reward shape": ("step", with_part(1, lambda r: r[:1]), "one finite reward a row"),
    "reward nan": ("step", with_part(1, lambda r: r * np.nan), "one finite reward"),
    "reward text": ("step", with_part(1, lambda r: r.astype(str)), "one finite reward"),
    "terminated": ("step", with_part(2, lambda t: t[:1]), "'terminated' a row"),
    "terminated float": ("step", with_part(2, lambda t: t * 0.5), "'terminated' a row"),
    "truncated": ("step", with_part(3, lambda t: None), "'truncated' a row"),
    "no final_obs": ("step", with_part(4, no_final), r"info\['final_obs'\]"),
    "final_obs of None": (
        "step", with_part(4, lambda i: {**i, "final_obs": [None] * ROWS}), "final_obs",
    ),
    "final_obs of another shape": (
        "step", with_part(4, lambda i: {**i, "final_obs": np.ones((3, 5))}), "shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUBBISH)
def test_a_world_that_breaks_its_promise_is_named(name):
    method, answer, says = RUBBISH[name]
    world = scg.Environment(Wrong(walks(), method, answer), name="walk")
    with pytest.raises(scg.SimulatorError, match=says) as error:
        act(world)
    assert "'walk'" in str(error.value)


def test_a_world_that_keeps_it_passes():
    assert act(scg.Environment(Wrong(walks(), "step", lambda right: right)))


# Time


@pytest.mark.parametrize("method", ["reset", "step"])
def test_a_world_that_hangs_is_named_and_then_refuses_further_use(method):
    release = threading.Event()

    def wait(right):
        release.wait(60)
        return right

    try:
        env = Wrong(walks(), method, wait)
        world = scg.Environment(env, name="walk", timeout=0.1)
        graph, rng = act(world, run=False), np.random.default_rng(0)
        with pytest.raises(
            scg.SimulatorError, match=f"'walk': expected a {method} wit"
        ):
            scg.forward(graph, {"theta": 0.1}, rng=rng)
        with pytest.raises(scg.SimulatorError, match="'walk': its state is unknown"):
            scg.forward(graph, {"theta": 0.1}, rng=rng)
    finally:
        release.set()


def test_a_world_within_its_time_goes_as_without_a_limit():
    traces = [act(scg.Environment(walks(), seed=3, timeout=t)) for t in (None, 60)]
    np.testing.assert_array_equal(traces[0]["seen"], traces[1]["seen"])


def test_a_world_that_raised_within_its_time_may_be_used_again():
    env = Wrong(walks(), "step", lost)
    world = scg.Environment(env, timeout=60)
    with pytest.raises(scg.SimulatorError, match="lost"):
        act(world)
    env.method = "none"
    assert act(world)


@pytest.mark.parametrize("timeout", [0, -2.0, True, "1"])
def test_a_limit_is_a_positive_number_of_seconds(timeout):
    with pytest.raises(scg.GraphError, match="expected a timeout of a positive number"):
        scg.Environment(walks(), timeout=timeout)
