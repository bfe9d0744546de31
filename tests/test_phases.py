"""Which nodes of a loop's body go step by step, and that each finds what it reads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import build_scan, loops
from random_scans import RandomScan
from tiny_environment import tiny_environment

import scg
from scg.phases import Phases, backward_phases, crossed, forward_phases
from scg.program import Program
from scg.roles import EnvironmentStep

LENGTH = 3


def program_of(step, estimators=None):
    """Return the program of a loop over two carries, and its loop."""
    graph = scg.Graph()
    w, v = graph.param("w", 0.5), graph.param("v", 0.5)
    graph.cost("penalty", w**2 + v**2)
    x, xs = graph.input("x"), graph.input("xs", shape=(LENGTH,))

    def named(carry, x_t):
        return step(graph, carry, x_t, {"w": w, "v": v})

    graph.scan(named, (x * w, 0.0 * x), xs=xs)
    program = Program(graph.store, estimators)
    return program, program.loops[0]


def names(phases):
    """List the named nodes of each phase."""
    parts = (phases.before, phases.core, phases.after)
    return [{n.name for n in part if n.is_named} for part in parts]


def both(step, estimators=None):
    program, loop = program_of(step, estimators)
    return names(forward_phases(program, loop)), names(backward_phases(program, loop))


# Loops made by hand


def test_a_body_that_no_carry_leads_to_is_computed_beforehand():
    def step(graph, carry, x, p):
        graph.rename("a", p["w"] * x)
        graph.cost("c", graph["a"] ** 2)
        return carry

    forward, backward = both(step)
    assert forward == [{"a", "c"}, set(), set()]
    assert {"a", "c"} <= backward[0]


def test_what_only_looks_at_the_carry_comes_afterwards():
    def step(graph, carry, x, p):
        h, k = carry
        new = graph.rename("new", np.tanh(p["w"] * h + x))
        graph.rename("seen", p["v"] * h)
        graph.cost("c", graph["seen"] ** 2)
        return new, k

    forward, backward = both(step)
    assert forward == [set(), {"new"}, {"seen", "c"}]
    assert {"seen", "c"} <= backward[0]
    assert "new" in backward[1]


def test_what_feeds_the_carry_alone_is_after_the_core_backwards():
    def step(graph, carry, x, p):
        h, k = carry
        fed = graph.rename("fed", p["v"] * x)
        new = graph.rename("new", np.tanh(p["w"] * h + fed))
        graph.cost("c", h**2)
        return new, k

    forward, backward = both(step)
    assert forward == [{"fed"}, {"new"}, {"c"}]
    assert backward[0] >= {"c"}
    assert backward[1] >= {"new"}
    assert backward[2] >= {"fed"}


def test_a_sample_is_in_the_core_only_where_a_step_needs_the_one_before():
    def acting(graph, carry, x, p):
        h, k = carry
        z = graph.sample("z", scg.Bernoulli(logits=p["w"] * h))
        graph.cost("c", z * x)
        return 0.5 * h + z, k

    def apart(graph, carry, x, p):
        h, k = carry
        z = graph.sample("z", scg.Bernoulli(logits=p["w"] * x))
        y = graph.sample("y", scg.Bernoulli(logits=p["w"] * h))
        graph.cost("c", y + z)
        return 0.5 * h + z, k

    assert both(acting)[0][1] == {"z"}
    assert both(apart)[0] == [{"z"}, set(), {"y", "c"}]


def test_gradient_that_is_stopped_leaves_no_core():
    def step(graph, carry, x, p):
        h, k = carry
        new = graph.rename("new", np.tanh(p["w"] * scg.stop_gradient(h) + x))
        graph.cost("c", new**2)
        return new, k

    forward, backward = both(step)
    assert forward == [set(), {"new"}, {"c"}]
    assert backward[1] == set()
    assert backward[2] >= {"new"}


def test_a_pathwise_sample_carries_gradient_through_the_core():
    def step(graph, carry, x, p):
        h, k = carry
        z = graph.sample("z", scg.Normal(mean=p["w"] * h, scale=1.0))
        graph.cost("c", z**2)
        return z, k

    assert "z" in both(step, {"z": scg.Pathwise()})[1][1]
    assert "z" not in both(step)[1][1]


def test_swapped_carries_need_no_step():
    def step(graph, carry, x, p):
        graph.cost("c", carry[0] * x)
        return carry[1], carry[0]

    program, loop = program_of(step)
    phases = forward_phases(program, loop)
    assert phases.core == ()
    core = {n.index for n in backward_phases(program, loop).core}
    assert core == {n.index for n in loop.carries}


def test_an_environment_and_what_mixes_rows_take_turns():
    graph = scg.Graph()
    w = graph.param("w", 0.5)
    world = tiny_environment()
    mean = scg.deterministic(lambda a: a - a.mean(axis=0), rows=False)

    def step(seen):
        a = graph.sample("a", scg.Normal(mean=w * seen, scale=1.0))
        graph.rename("mixed", mean(w * seen))
        seen, reward, _ = world(a)
        graph.cost("c", -reward)
        return seen

    graph.scan(step, init=world.reset(), length=LENGTH)
    program = Program(graph.store)
    loop = program.loops[0]
    phases = forward_phases(program, loop)
    assert any(isinstance(n.role, EnvironmentStep) for n in phases.core)
    assert {"a", "mixed"} <= {n.name for n in phases.core}
    backward = backward_phases(program, loop)
    assert (backward.before, backward.after) == ((), ())


# What holds of every loop


def forward_faults(program, loop, phases):
    """List what is in no phase or in two, and what reads a value before it is there."""
    heads = {n.index for n in (*loop.carries, *loop.slices, *loop.captured.values())}
    body = [n for n in program.bodies[loop.name] if n.index not in heads]
    parts = (phases.before, phases.core, phases.after)
    found = [n for part in parts for n in part]
    faults = (
        [] if sorted(n.index for n in found) == [n.index for n in body] else ["set"]
    )
    inside = {n.index for n in program.bodies[loop.name]}
    # The first phase sees all steps of what enters, and no carry.
    there = {n.index for n in (*loop.slices, *loop.captured.values())}
    for i, part in enumerate(parts):
        if i == 1:
            there |= {n.index for n in loop.carries}
        for node in part:
            reads = {p.index for p in node.inputs} & inside
            faults += [(i, node.name)] if reads - there else []
            there.add(node.index)
        if i == 1:  # the next step reads these; what comes later is too late
            ends = [*loop.following, *([] if loop.until is None else [loop.until])]
            faults += [("end", n.name) for n in ends if n.index not in there]
    return faults


def backward_faults(program, loop, phases):
    """List the edges along which an adjoint would come too late."""
    carrying = [
        n for n in program.bodies[loop.name] if n.index in program.flow.carrying
    ]
    parts = (phases.before, phases.core, phases.after)
    at = {n.index: i for i, part in enumerate(parts) for n in part}
    total = sum(map(len, parts))
    faults = [] if len(at) == total == len(carrying) else ["set"]
    for node in carrying:
        faults += [
            (node.name, parent.name)
            for parent in crossed(program, node)
            if parent.index in at and at[parent.index] < at[node.index]
        ]
    for head, after in zip(loop.carries, loop.following, strict=True):
        if head.index not in at or after.index not in at:
            continue
        # An adjoint goes on to the step before: never to a phase that is over, and
        # within one only in the core, which goes step by step.
        late = at[after.index] < at[head.index] or at[after.index] == 0
        if late or (at[head.index] == at[after.index] == 2):
            faults.append((head.name, after.name))
    return faults


def faults(program, loop):
    return [
        *forward_faults(program, loop, forward_phases(program, loop)),
        *backward_faults(program, loop, backward_phases(program, loop)),
    ]


@settings(max_examples=150, deadline=None)
@given(loops())
def test_every_node_of_a_random_graph_finds_what_it_reads(recipe):
    graph = build_scan(recipe)
    graph.cost("penalty", graph["theta"] ** 2)
    program = Program(graph.store)
    assert faults(program, program.loops[0]) == []


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100_000), st.booleans())
def test_every_node_of_a_random_loop_finds_what_it_reads(seed, until):
    scan = RandomScan(seed, until=until)
    program = Program(scan.graph.store, scan.estimators)
    assert faults(program, program.loops[0]) == []


def moved(phases, node, to):
    """Move one node to another phase."""
    parts = [
        [n for n in part if n is not node]
        for part in (phases.before, phases.core, phases.after)
    ]
    parts[to] = sorted([*parts[to], node], key=lambda n: n.index)
    return Phases(*map(tuple, parts))


@pytest.mark.parametrize("seed", range(6))
def test_a_node_in_a_phase_where_it_cannot_be_is_found(seed):
    scan = RandomScan(seed)
    program = Program(scan.graph.store, scan.estimators)
    loop = program.loops[0]
    phases = forward_phases(program, loop)
    for node in (*phases.core, *phases.after):
        if {p.index for p in node.inputs} & {n.index for n in loop.carries}:
            assert forward_faults(program, loop, moved(phases, node, 0))
    for node in phases.core:
        assert forward_faults(program, loop, moved(phases, node, 2))
    lost = Phases(phases.before[1:], phases.core, phases.after)
    assert not phases.before or forward_faults(program, loop, lost)
    backward = backward_phases(program, loop)
    for node in backward.core:
        assert backward_faults(program, loop, moved(backward, node, 0))
