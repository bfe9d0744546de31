"""Black boxes and environments that return rubbish, or raise, get a named error."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array

import scg


def through(function, **options):
    graph = scg.Graph()
    x = graph.input("x", shape=(2,))
    w = graph.param("w", np.ones((2, 1)))
    made = scg.black_box(function, (2,), name="box", **options)(x)
    graph.cost("loss", (made @ w)[:, 0])
    return scg.estimate_gradient(
        graph,
        {"w": np.ones((2, 1))},
        {"x": np.ones((3, 2))},
        rng=np.random.default_rng(0),
    )


def broken(x):
    msg = "no service"
    raise RuntimeError(msg)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (broken, "RuntimeError: no service"),
        (lambda x: x[:, 0], "shape"),
        (lambda x: x[:2], "expected 3 rows"),
        (lambda x: x * np.nan, "finite"),
        (lambda x: x + 1j, "dtype"),
        (lambda x: np.array([["a", "b"]] * 3), "dtype"),
    ],
)
def test_a_black_box_that_breaks_its_promise_is_named(function, says):
    with pytest.raises(scg.BlackBoxError, match="'box'") as error:
        through(function)
    assert says in str(error.value)


def test_a_black_box_that_keeps_it_passes():
    assert through(lambda x: 2 * x).gradient["w"].tolist() == [[2.0], [2.0]]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 2 * x,
        lambda x: csr_array(x[:2]),
        lambda x: csr_array(x.astype(np.float32)),
        lambda x: csr_array(x * np.nan),
    ],
)
def test_a_sparse_black_box_is_checked_too(function):
    with pytest.raises(scg.BlackBoxError, match="'box'"):
        through(function, sparse=True)


def test_a_sparse_black_box_gives_the_dense_gradient():
    sparse = through(lambda x: csr_array(2 * x), sparse=True)
    assert sparse.gradient["w"].tolist() == [[2.0], [2.0]]


class World:
    """A world of two rows that returns what it is told to."""

    num_envs = 2

    def __init__(self, **wrong):
        self.metadata = {"autoreset_mode": "SameStep"}
        space = SimpleNamespace(shape=(), dtype=np.float64)
        self.single_observation_space = self.single_action_space = space
        self.wrong = wrong

    def reset(self, seed=None):
        return self.wrong.get("first", np.zeros(2)), {}

    def step(self, action):
        if "error" in self.wrong:
            raise self.wrong["error"]
        no = np.zeros(2, dtype=bool)
        over = self.wrong.get("over", no)
        observation = self.wrong.get("observation", np.zeros(2))
        return observation, self.wrong.get("reward", -action), over, no, {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"error": ValueError("lost")},
        {"first": np.zeros(3)},
        {"observation": np.zeros((2, 1))},
        {"observation": np.zeros(2, np.float32)},
        {"observation": np.array([0.0, np.nan])},
        {"reward": np.zeros(1)},
        {"reward": np.array([0.0, np.inf])},
        {"over": np.array([True, False])},
    ],
)
def test_an_environment_that_breaks_its_promise_is_named(wrong):
    with pytest.raises(scg.SimulatorError, match="'world'"):
        act(wrong)


def test_an_environment_that_keeps_it_passes():
    assert act({}).trace["loss"].shape == (3, 2)


def act(wrong):
    graph = scg.Graph()
    theta = graph.param("theta", 0.1)
    world = scg.Environment(World(**wrong), name="world")

    def step(observation):
        a = graph.sample("a", scg.Normal(mean=theta + observation, scale=1.0))
        observation, reward, _ = world(a)
        graph.cost("loss", -reward)
        return observation

    graph.scan(step, world.reset(), length=3)
    return scg.estimate_gradient(graph, {"theta": 0.1}, rng=np.random.default_rng(0))
