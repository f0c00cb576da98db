import numpy as np
import pytest

from livestrain_core.reduce import block_sum_max
from livestrain_core.sums import sum_dtype


@pytest.mark.parametrize(("dtype", "expected"), [("u1", "u4"), ("u2", "u4"), ("u4", "u8"), ("f4", "f8")])
def test_sums_are_kept_in_a_type_that_holds_them(dtype: str, expected: str) -> None:
    assert sum_dtype(np.dtype(dtype)) == np.dtype(expected)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_sum_and_largest_pattern_are_those_of_numpy(dtype: str) -> None:
    frames = np.random.default_rng(3).integers(0, 255, (7, 6, 5)).astype(dtype)
    total, largest = block_sum_max(frames)
    np.testing.assert_array_equal(total, frames.astype(np.float64).sum(axis=0))
    np.testing.assert_array_equal(largest, frames.max(axis=0))
    assert largest.dtype == frames.dtype


def test_a_block_of_full_counters_does_not_overflow() -> None:
    total, _ = block_sum_max(np.full((256, 2, 2), 65535, np.uint16))
    assert (total == 256 * 65535).all()


def test_nan_is_not_lost_in_either() -> None:
    frames = np.ones((3, 2, 2), np.float32)
    frames[1, 0, 0] = np.nan
    total, largest = block_sum_max(frames)
    assert np.isnan(total[0, 0])
    assert np.isnan(largest[0, 0])
    assert total[1, 1] == 3
    assert largest[1, 1] == 1


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_no_frames_have_a_pattern_of_zeros(dtype: str) -> None:
    total, largest = block_sum_max(np.empty((0, 6, 5), dtype))
    np.testing.assert_array_equal(total, np.zeros((6, 5)))
    np.testing.assert_array_equal(largest, np.zeros((6, 5)))
    assert (total.dtype, largest.dtype) == (sum_dtype(np.dtype(dtype)), np.dtype(dtype))
