import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from livestrain_daemon.scanfolder import mask_of, runs_of


@given(st.lists(st.booleans(), max_size=60))
def test_runs_are_the_longest_stretches_of_true(values: list[bool]) -> None:
    runs = runs_of(np.array(values, dtype=np.bool_))
    assert [value for start, count in runs for value in values[start : start + count]] == [True] * sum(values)
    assert sum(count for _, count in runs) == sum(values)
    assert all(count > 0 for _, count in runs)
    assert all(start + count < after for (start, count), (after, _) in itertools.pairwise(runs))


@given(st.lists(st.booleans(), max_size=60))
def test_a_mask_comes_back_from_its_runs(values: list[bool]) -> None:
    mask = np.array(values, dtype=np.bool_)
    assert mask_of(runs_of(mask), len(mask)).tolist() == values


def test_runs_are_plain_numbers() -> None:
    assert runs_of(np.array([True, True, False, True])) == [(0, 2), (3, 1)]
    assert all(type(number) is int for run in runs_of(np.ones(3, np.bool_)) for number in run)


def test_runs_beyond_the_positions_are_left_out() -> None:
    assert mask_of([(2, 5), (9, 1)], 4).tolist() == [False, False, True, True]
