import numpy as np

from livestrain_simulator.order import FLYBACK, acquisition, shuffled


def test_raster_counts_through_the_rows() -> None:
    assert acquisition((2, 3)).tolist() == [0, 1, 2, 3, 4, 5]


def test_serpentine_turns_every_second_row_round() -> None:
    assert acquisition((3, 3), "serpentine").tolist() == [0, 1, 2, 5, 4, 3, 6, 7, 8]


def test_flyback_frames_follow_each_row_and_belong_nowhere() -> None:
    assert acquisition((2, 2), "serpentine", 2).tolist() == [0, 1, FLYBACK, FLYBACK, 3, 2, FLYBACK, FLYBACK]


def test_explicit_positions_visit_every_position_once_in_an_order_of_the_seed() -> None:
    positions = shuffled((5, 7), seed=3)
    assert sorted(positions) == list(range(35))
    assert positions.tolist() == shuffled((5, 7), seed=3).tolist()
    assert not np.array_equal(positions, shuffled((5, 7), seed=4))
