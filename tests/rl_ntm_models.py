"""Machines with tapes, small and in float64, with params and decisions at random."""

import dataclasses

import numpy as np


def machine_of(rl_ntm, task, length, **options):
    config = rl_ntm.Config(task=task, units=options.pop("units", 4))
    config = dataclasses.replace(config, controller=options.pop("controller", "direct"))
    return rl_ntm.Machine(config, length, dtype=np.float64, **options)


def params_of(machine, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    params = machine.graph.init(rng)
    return {k: v + scale * rng.normal(size=v.shape) for k, v in params.items()}


def any_decisions(machine, steps, rows):
    rng = np.random.default_rng(13)
    return {
        k: rng.integers(ways, size=(steps, rows)) for k, ways in machine.ways.items()
    }
