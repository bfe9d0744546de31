"""An environment of several parts: each runs as it would alone, and rows are joined."""

import numpy as np
import pytest
from tiny_environment import TinyVectorEnv

import scg

csr_array = pytest.importorskip("scipy.sparse").csr_array

LENGTH = 5


class Counting(TinyVectorEnv):
    """Ends an episode when its sum has passed 2; remembers the seed of its reset."""

    def reset(self, seed=None):
        self.seed = seed
        return super().reset(seed)

    def step(self, action):
        observation, reward, *_ = super().step(action)
        over = observation > 2
        seen = observation.copy()
        self.total = np.where(over, 0.0, observation)
        return self.total, reward, over, np.zeros(2, bool), {"final_obs": seen}


def build(vector_env, seed=None, **options):
    graph = scg.Graph()
    theta = graph.param("theta", np.array([0.3, -0.2]))
    world = scg.Environment(vector_env, name="world", seed=seed)
    sparse = scg.black_box(
        lambda s: csr_array(np.stack([s, 1 - s], axis=1)), (2,), sparse=True
    )

    def step(state):
        z = graph.sample("z", scg.Normal(mean=sparse(state) @ theta, scale=0.5))
        b = graph.sample("b", scg.Bernoulli(logits=sparse(state) @ theta))
        state, reward, over = world(b)
        graph.rename("over", over)
        graph.cost("pain", -reward + (z - 1.0) ** 2)
        return state

    last, _ = graph.scan(step, init=world.reset(), length=LENGTH, **options)
    return graph, world, last


ESTIMATORS = {"z": scg.Pathwise(), "b": scg.ScoreFunction()}
PARAMS = {"theta": np.array([0.3, -0.2])}


def make(vector_env, **options):
    graph, world, last = build(vector_env, **options)
    graph.cost("end", last * 1.0)
    return scg.compile(graph, ESTIMATORS), world


def children(rng, count):
    return [np.random.default_rng(int(rng.integers(2**63))) for _ in range(count)]


def test_each_part_runs_as_it_would_alone():
    model, world = make([Counting(np.float64), Counting(np.float64)])
    together = model(PARAMS, rng=np.random.default_rng(0))
    alone = [
        make(Counting(np.float64))[0](PARAMS, rng=rng)
        for rng in children(np.random.default_rng(0), 2)
    ]
    assert together.trace.rows == 4
    for name in ("z", "b", "pain", "over"):
        rows = [part.trace[name] for part in alone]
        np.testing.assert_array_equal(together.trace[name], np.concatenate(rows, 1))
    ends = [part.trace["end"] for part in alone]
    np.testing.assert_array_equal(together.trace["end"], np.concatenate(ends))
    gradients = [part.gradient["theta"] for part in alone]
    np.testing.assert_allclose(together.gradient["theta"], np.mean(gradients, axis=0))
    assert np.abs(gradients[0] - gradients[1]).max() > 0.01
    assert together.cost == pytest.approx(np.mean([part.cost for part in alone]))
    assert world.num_rows == 4


def test_parts_keep_their_state_and_their_own_seeds():
    parts = [Counting(np.float64), Counting(np.float64)]
    model, world = make(parts, seed=7)
    rng = np.random.default_rng(1)
    first, second = (model.forward(PARAMS, rng=rng) for _ in range(2))
    assert [part.seed for part in parts] == [7, 9]
    np.testing.assert_array_equal(second["world.reset:1"], first["end"])
    ends = first["over"].sum() + second["over"].sum()
    assert len(world.returns) == len(world.lengths) == ends > 0
    lengths, running = [], np.zeros(4, int)
    for over in np.concatenate([first["over"], second["over"]]):
        running += 1
        lengths += running[over].tolist()
        running[over] = 0
    assert world.lengths == lengths != sorted(lengths)
    assert world.recent_returns(2) == world.returns[-2:]


class Cutting(Counting):
    """Cuts its episodes off instead of ending them."""

    def step(self, action):
        observation, reward, over, no, info = super().step(action)
        return observation, reward, no, over, info


def bootstrapped(vector_env):
    graph = scg.Graph()
    theta = graph.param("theta", np.array([0.3, -0.2]))
    world = scg.Environment(vector_env, name="world")

    def step(state):
        graph.value("v", theta[1] * state)
        b = graph.sample("b", scg.Bernoulli(logits=theta[0] + 0 * state))
        state, reward, _ = world(b)
        graph.cost("pain", -reward)
        return state

    graph.scan(step, init=world.reset(), length=LENGTH)
    critic = scg.GAE("v", lam=0.7)
    return scg.compile(graph, {"b": scg.ScoreFunction(critic=critic)})


def test_episodes_cut_off_in_any_part_are_bootstrapped_as_they_would_be_alone():
    parts = [Cutting(np.float64), Cutting(np.float64)]
    together = bootstrapped(parts)(PARAMS, rng=np.random.default_rng(1))
    alone = [
        bootstrapped(Cutting(np.float64))(PARAMS, rng=rng)
        for rng in children(np.random.default_rng(1), 2)
    ]
    for part in alone:
        (ends,) = part.trace.ends.values()
        assert ends.truncated.any()
    gradients = [part.gradient["theta"] for part in alone]
    np.testing.assert_allclose(together.gradient["theta"], np.mean(gradients, axis=0))


def test_what_other_environments_showed_is_there_when_one_is_cut_off():
    """Only the world is cut off; the value reads what the other one shows too."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)
    phi = graph.param("phi", 0.7)
    world = scg.Environment(Cutting(np.float64), name="world")
    other = scg.Environment(TinyVectorEnv(np.float64), name="other")

    def step(carry):
        seen, also = carry
        graph.value("v", phi * (seen + 10 * also))
        b = graph.sample("b", scg.Bernoulli(logits=theta + 0 * seen))
        seen, reward, _ = world(b)
        also, _, _ = other(b)
        graph.cost("pain", -reward)
        return seen, also

    graph.scan(step, init=(world.reset(), other.reset()), length=4)
    policy = scg.ScoreFunction(critic=scg.GAE("v", lam=0.0))
    b = np.ones((4, 2))
    estimate = scg.estimate_gradient(
        graph, {"theta": 0.3, "phi": 0.7}, estimators={"b": policy},
        rng=np.random.default_rng(0), given={"b": b},
    )  # fmt: skip
    # The world counts 1, 2, 3 and is cut off there, to begin again at 0.
    seen, after = np.array([0, 1, 2, 0]), np.array([1, 2, 3, 1])
    also = np.array([0, 1, 2, 3])
    value, ahead = 0.7 * (seen + 10 * also), 0.7 * (after + 10 * (also + 1))
    advantage = after + ahead - value
    p = 1 / (1 + np.exp(-0.3))
    assert estimate.gradient["theta"] == pytest.approx(np.sum((1 - p) * advantage))


def test_a_run_of_parts_can_be_replayed():
    model, _ = make([Counting(np.float64), Counting(np.float64)])
    method = scg.Clipped(model, scg.adam(0.01), batch_size=4, entropy=0.01)
    rng = np.random.default_rng(0)
    params, *_, metrics = method.update(
        {"theta": PARAMS["theta"].copy()}, method.init(PARAMS), None, rng=rng, step=0
    )
    assert np.abs(params["theta"] - PARAMS["theta"]).max() > 0
    assert metrics["kl"] > 0


def test_samples_can_be_given_to_all_rows():
    model, _ = make([Counting(np.float64), Counting(np.float64)])
    b = np.random.default_rng(2).integers(0, 2, size=(LENGTH, 4)).astype(float)
    trace = model.forward(PARAMS, rng=np.random.default_rng(0), given={"b": b})
    np.testing.assert_array_equal(trace["b"], b)


class Remembering(Counting):
    """An environment whose state can be saved."""

    def get_state(self):
        return {"total": self.total.copy()}

    def set_state(self, state):
        self.total = state["total"].copy()


def train(kind, num_steps, folder):
    model, world = make([kind(np.float64), kind(np.float64)], seed=3)
    return scg.fit(
        model,
        PARAMS,
        optimizer=scg.sgd(0.01),
        rng=np.random.default_rng(5),
        num_steps=num_steps,
        checkpoint=folder,
        progress=False,
        extra_state={"world": world},
    ), world


def test_a_run_resumes_bit_for_bit_with_the_state_of_its_environment(tmp_path):
    train(Remembering, 2, tmp_path / "interrupted")
    resumed, world = train(Remembering, 5, tmp_path / "interrupted")
    whole, other = train(Remembering, 5, tmp_path / "straight")
    np.testing.assert_array_equal(resumed.params["theta"], whole.params["theta"])
    assert world.returns == other.returns
    assert world.lengths == other.lengths


def test_an_environment_without_a_state_begins_anew_and_this_is_said(tmp_path, caplog):
    train(Counting, 2, tmp_path / "interrupted")
    resumed, _ = train(Counting, 5, tmp_path / "interrupted")
    assert "'world' could not give its state" in caplog.text
    whole, _ = train(Counting, 5, tmp_path / "straight")
    assert np.any(resumed.params["theta"] != whole.params["theta"])


def test_an_error_in_one_part_is_raised_when_all_have_stopped():
    class Broken(Counting):
        def step(self, action):
            msg = "cable"
            raise OSError(msg)

    model, _ = make([Broken(np.float64), Counting(np.float64)])
    with pytest.raises(scg.SimulatorError, match="'world': step raised OSError: cable"):
        model.forward(PARAMS, rng=np.random.default_rng(0))


def test_parts_must_have_the_same_spaces():
    with pytest.raises(scg.GraphError, match="several with the same spaces"):
        scg.Environment([TinyVectorEnv(np.float64), TinyVectorEnv(np.int64)])
    with pytest.raises(scg.GraphError, match="expected a vector environment"):
        scg.Environment([])


def test_rows_that_do_not_run_by_themselves_are_refused():
    two = [Counting(np.float64), Counting(np.float64)]
    graph, _, _ = build(two, until="over")
    with pytest.raises(scg.EstimatorError, match=r"loops that stop \['scan'\]"):
        scg.forward(graph, PARAMS, rng=np.random.default_rng(0))
    graph, _, last = build(two)
    mean = scg.deterministic(lambda x: x.mean(axis=0), rows=False)
    graph.cost("mean", mean(last))
    with pytest.raises(scg.EstimatorError, match="got nodes that mix rows"):
        scg.forward(graph, PARAMS, rng=np.random.default_rng(0))
    graph, _, last = build(two)
    memory = scg.memory.begin(graph, 5, 1, name="notes")
    graph.cost("read", scg.memory.read(memory, 0)[:, 0])
    with pytest.raises(scg.EstimatorError, match=r"memories \['notes'\].*Give one"):
        scg.forward(graph, PARAMS, rng=np.random.default_rng(0))


def test_another_number_of_rows_is_refused():
    model, _ = make([Counting(np.float64), Counting(np.float64)])
    with pytest.raises(scg.InputError, match=r"expected 4 rows.*\{'rows': 2\}"):
        model.forward(PARAMS, rng=np.random.default_rng(0), rows=2)
    trace = model.forward(PARAMS, rng=np.random.default_rng(0), rows=4)
    assert trace.rows == 4
