"""Reductions along short axes: the same bits as NumPy's, however they are made."""

import numpy as np
import pytest

from scg.arrays import largest, total

SHAPES = [(0, 3), (1, 3), (17, 1), (40, 2), (40, 7), (40, 8), (40, 31), (40, 32)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [*SHAPES, (5, 9, 4), (40,), (40, 0, 3)])
@pytest.mark.parametrize("axis", [-1, 0])
def test_reductions_are_numpys_to_the_bit(shape, dtype, axis):
    if shape[axis] == 0:
        return
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    for ours, reduce in ((largest, np.maximum.reduce), (total, np.add.reduce)):
        found, expected = ours(x, axis), reduce(x, axis=axis, keepdims=True)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


def test_what_is_not_finite_stays_so():
    x = np.zeros((40, 3))
    x[0, 1], x[1], x[2, 2] = np.nan, -np.inf, np.inf
    assert np.isnan(largest(x, -1)[0, 0])
    assert largest(x, -1)[1:3, 0].tolist() == [-np.inf, np.inf]
    assert np.isnan(total(x, -1)[0, 0])
    assert total(x, -1)[1:3, 0].tolist() == [-np.inf, np.inf]
