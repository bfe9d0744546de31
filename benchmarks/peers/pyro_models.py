"""The workloads in Pyro, whose only cost is the negative evidence lower bound.

Another cost is a factor of the model, which then draws from what the guide drew from,
held constant, so that their ratio adds nothing. A baseline has to be known before the
cost is, so the mean of other rows or samples cannot be written: instead of it there is
the decaying average of past costs.
"""

from collections.abc import Callable

import pyro
import torch
from pyro.distributions import Bernoulli, Categorical
from pyro.infer import TraceGraph_ELBO

from peers.torch_eager import start
from peers.workloads import NUM_SAMPLES, NUM_STEPS, NUM_UNITS, NUM_VARIABLES, Workload

AVERAGE = {"baseline": {"use_decaying_avg_baseline": True}}


def chain(workload: Workload, seed: int) -> Callable[[], dict]:
    params, data = start(workload, seed)
    rows = plate(workload.rows)
    drawn_from = {}

    def guide():
        logits = params["theta"]
        with rows:
            for i in range(NUM_VARIABLES):
                drawn_from[i] = logits.detach()
                z = pyro.sample(f"z{i}", Categorical(logits=logits), infer=AVERAGE)
                if i + 1 < NUM_VARIABLES:
                    logits = params[f"W{i + 1}"][z]

    def model():
        with rows:
            for i, logits in drawn_from.items():
                z = pyro.sample(f"z{i}", Categorical(logits=logits))
                pyro.factor(f"cost{i}", -data["tables"][i][z])

    return differentiated(model, guide, params, workload.rows)


def belief(workload: Workload, seed: int) -> Callable[[], dict]:
    params, data = start(workload, seed)
    rows = plate(workload.rows)

    def layer(name, h):
        logits = h @ params[f"{name}_W"] + params[f"{name}_b"]
        return Bernoulli(logits=logits).to_event(1)

    def guide():
        with rows:
            h1 = pyro.sample("h1", layer("encode1", data["x"]), infer=AVERAGE)
            pyro.sample("h2", layer("encode2", h1), infer=AVERAGE)

    def model():
        with rows:
            h2 = pyro.sample("h2", Bernoulli(logits=params["prior"]).to_event(1))
            h1 = pyro.sample("h1", layer("decode1", h2))
            pyro.sample("x", layer("decode0", h1), obs=data["x"])

    return differentiated(model, guide, params, workload.rows, NUM_SAMPLES)


def rnn(workload: Workload, seed: int) -> Callable[[], dict]:
    params, data = start(workload, seed)
    xs, targets, rows = data["x"], data["target"], plate(workload.rows)
    drawn_from = {}

    def guide():
        h = torch.zeros(workload.rows, NUM_UNITS)
        with rows:
            for t in range(NUM_STEPS):
                a = xs[:, t] @ params["W_in"] + h @ params["W_hidden"]
                h = torch.tanh(a + params["b_hidden"])
                logits = h @ params["W_out"] + params["b_out"]
                drawn_from[t] = logits.detach()
                policy = Categorical(logits=logits)
                pyro.sample(f"action{t}", policy, infer=AVERAGE)

    def model():
        with rows:
            for t, logits in drawn_from.items():
                action = pyro.sample(f"action{t}", Categorical(logits=logits))
                pyro.factor(f"missed{t}", -(action != targets[:, t]).float())

    return differentiated(model, guide, params, workload.rows)


def toy(workload: Workload, seed: int) -> Callable[[], dict]:
    params, _ = start(workload, seed)
    theta, rows = params["theta"], plate(workload.rows)

    def guide():
        with rows:
            pyro.sample("b", Bernoulli(logits=theta))

    def model():
        with rows:
            b = pyro.sample("b", Bernoulli(logits=theta.detach()))
            pyro.factor("loss", -((b - 0.45) ** 2))

    return differentiated(model, guide, params, workload.rows)


def plate(size):
    return pyro.plate("rows", size, dim=-1)


def differentiated(model, guide, params, rows, samples=1):
    pyro.clear_param_store()  # the averages are in it
    pyro.enable_validation(False)  # which its manual advises for speed
    loss = TraceGraph_ELBO(
        num_particles=samples, vectorize_particles=samples > 1, max_plate_nesting=1
    )

    def step():
        for value in params.values():
            value.grad = None
        loss.loss_and_grads(model, guide)
        # Its loss is summed over rows.
        return {name: value.grad.numpy() / rows for name, value in params.items()}

    return step
