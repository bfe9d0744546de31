"""Directories of cells are dicts, one a row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scg import cell_slots
from scg.cell_slots import Direct, Hashed, slots_of

ROWS = 3


def direct(cells):
    return Direct(ROWS, cells)


def hashed(cells):
    return Hashed(ROWS, 2)


def put_all(slots, written, shown, start=0):
    """Put cells one after the other, and hold what is returned against dicts."""
    for k, index in enumerate(written, start):
        before = slots.put(index, k + 1)
        expected = [shown[r].get(int(c), 0) for r, c in enumerate(index)]
        assert before.tolist() == expected
        for r, c in enumerate(index):
            shown[r][int(c)] = k + 1


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([direct, hashed]),
    st.sampled_from([1, 2, 7, 1000]),
    st.integers(0, 30),
)
def test_what_was_put_last_is_shown(seed, make, cells, count):
    rng = np.random.default_rng(seed)
    slots, shown = make(cells), [{} for _ in range(ROWS)]
    written = rng.integers(cells, size=(count, ROWS))
    put_all(slots, written, shown)
    for again in (slots, slots.grown(64, written)):
        index = rng.integers(cells, size=(ROWS, 5, 2))
        expected = [
            [shown[r].get(int(c), 0) for c in index[r].ravel()] for r in range(ROWS)
        ]
        assert again.look(index).reshape(ROWS, 10).tolist() == expected


@pytest.mark.parametrize("make", [direct, hashed])
def test_cells_that_want_the_same_entry_are_told_apart(make):
    # Of 32 entries, 30 are taken.
    slots, shown = make(1000), [{} for _ in range(ROWS)]
    cells = np.random.default_rng(0).permutation(1000)[:30]
    put_all(slots, np.repeat(cells[:, None], ROWS, axis=1), shown)
    found = slots.look(np.tile(np.arange(1000), (ROWS, 1)))
    assert [np.count_nonzero(row) for row in found] == [30] * ROWS
    assert found[0, cells].tolist() == list(range(1, 31))


@pytest.mark.parametrize("make", [direct, hashed])
@pytest.mark.parametrize("count", [1, 40])
def test_what_was_cleared_shows_nothing(make, count):
    slots = make(50)
    written = np.random.default_rng(0).integers(50, size=(count, ROWS))
    for k, index in enumerate(written[:30]):
        slots.put(index, k + 1)
    slots.clear(written)
    assert not slots.look(np.tile(np.arange(50), (ROWS, 1))).any()


def test_a_directory_of_many_cells_takes_no_more_than_one_of_few():
    slots = slots_of(ROWS, 10**15, room=16)
    assert isinstance(slots, Hashed)
    assert len(slots.cells) == ROWS * 16 * 16
    slots.put(np.array([0, 10**15 - 1, 5]), 1)
    assert slots.look(np.array([[0], [10**15 - 1], [0]])).tolist() == [[1], [1], [0]]
    assert isinstance(slots_of(ROWS, cell_slots._MANY, room=16), Direct)
