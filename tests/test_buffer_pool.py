"""The pool hands out an array only once nobody holds it."""

import tracemalloc

import numpy as np

from scg.buffers import Buffers

LARGE = (100, 200)
DTYPE = np.dtype(float)


def where(array):
    return array.ctypes.data


def test_an_array_is_free_only_once_no_view_of_it_is_held():
    pool = Buffers()
    array = pool.take(LARGE, DTYPE)
    views = [
        array[1:],
        array.T,
        array.reshape(-1)[::2],
        np.broadcast_to(array, (2, *LARGE)),
    ]
    at = where(array)
    del array
    while views:
        pool.sweep()
        taken = pool.take(LARGE, DTYPE)
        assert where(taken) != at
        views.pop()
    pool.sweep()
    assert at in {where(pool.take(LARGE, DTYPE)) for _ in range(2)} | {where(taken)}


def test_what_is_given_back_while_it_is_held_is_not_handed_out():
    pool = Buffers()
    array = pool.take(LARGE, DTYPE)
    held = [array]
    pool.give(array)
    assert where(pool.take(LARGE, DTYPE)) != where(held[0])
    held.clear()
    at = where(array)
    pool.give(array)
    del array
    assert where(pool.take(LARGE, DTYPE)) == at


def test_arrays_are_told_apart_by_shape_and_dtype():
    pool = Buffers()
    for shape, dtype in (
        (LARGE, "f8"),
        ((200, 100), "f8"),
        (LARGE, "f4"),
        (LARGE, "?"),
    ):
        array = pool.take(shape, np.dtype(dtype))
        assert (array.shape, array.dtype) == (shape, dtype)
        pool.give(array)
    small = pool.take((3,), DTYPE)
    assert pool.like(small).shape == (3,)
    pool.give(small)
    pool.give(np.empty(LARGE))  # not from here


def test_shapes_that_are_not_asked_for_any_more_are_let_go():
    pool = Buffers()
    tracemalloc.start()
    try:
        sizes = []
        for n in range(1000, 1040):
            pool.take((n, 100), DTYPE)
            pool.sweep()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(sizes) < 12 * 1040 * 100 * 8
    again = [pool.take((1039, 100), DTYPE) for _ in range(2)]
    assert where(again[0]) != where(again[1])


def test_a_shape_that_is_asked_for_at_every_step_is_kept():
    pool = Buffers()
    places = set()
    for n in range(30):
        places.add(where(pool.take(LARGE, DTYPE)))
        held = pool.take((1000 + n, 100), DTYPE)
        pool.sweep()
        del held
    assert len(places) <= 2
