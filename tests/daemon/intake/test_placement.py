import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestrain_daemon.intake.placement import BEYOND, FLYBACK, Placement, joined, placement_of
from livestrain_wire.messages import ScanStart


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    shape = (draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    order = draw(st.sampled_from(["raster", "serpentine", "explicit"]))
    if order == "explicit":
        table = draw(st.permutations(range(shape[0] * shape[1])))
        return Placement(shape, table=np.array(table, np.uint32))
    return Placement(shape, serpentine=order == "serpentine", flyback_frames=draw(st.integers(0, 3)))


def truth(placement: Placement, frame: int) -> int:
    rows, columns = placement.scan_shape
    if placement.table is not None:
        return int(placement.table[frame]) if frame < len(placement.table) else BEYOND
    row, column = divmod(frame, columns + placement.flyback_frames)
    if row >= rows:
        return BEYOND
    if column >= columns:
        return FLYBACK
    return row * columns + (columns - 1 - column if placement.serpentine and row % 2 else column)


def filled(placement: Placement, first: int, count: int) -> dict[int, int]:
    """Frame number of each position that the pieces of a run fill."""
    result = {}
    for piece in placement.place(first, count).pieces:
        frames = range(first + piece.first_frame, first + piece.first_frame + piece.frames)
        positions = range(piece.first_position, piece.first_position + piece.frames)
        for position, frame in zip(positions, reversed(frames) if piece.downwards else frames, strict=True):
            assert position not in result
            result[position] = frame
    return result


@settings(max_examples=150, deadline=None)
@given(placements())
def test_every_order_fills_every_position_exactly_once(placement: Placement) -> None:
    result = filled(placement, 0, placement.frames)
    assert sorted(result) == list(range(placement.positions))
    assert len(set(result.values())) == placement.positions


@settings(max_examples=150, deadline=None)
@given(placements(), st.integers(0, 80), st.integers(1, 90))
def test_a_run_is_placed_frame_by_frame(placement: Placement, first: int, count: int) -> None:
    expected = [truth(placement, frame) for frame in range(first, first + count)]
    placed = placement.place(first, count)
    assert placement.positions_of(first, count).tolist() == expected
    assert filled(placement, first, count) == {p: first + i for i, p in enumerate(expected) if p >= 0}
    assert placed.flyback == expected.count(FLYBACK)
    assert placed.beyond == expected.count(BEYOND)


@settings(max_examples=150, deadline=None)
@given(placements(), st.data())
def test_cutting_a_run_anywhere_changes_nothing(placement: Placement, data: st.DataObject) -> None:
    total = placement.frames + 3
    cuts = sorted({0, total, *data.draw(st.lists(st.integers(0, total), max_size=8))})
    parts: dict[int, int] = {}
    for begin, end in itertools.pairwise(cuts):
        parts |= filled(placement, begin, end - begin)
    assert parts == filled(placement, 0, total)


def test_a_serpentine_row_is_one_downward_piece() -> None:
    placed = Placement((2, 4), serpentine=True).place(4, 4)
    assert placed.pieces == [(4, 0, 4, True)]


def test_a_raster_run_over_several_rows_is_one_piece() -> None:
    assert Placement((5, 4)).place(2, 15).pieces == [(2, 0, 15, False)]


def test_explicit_positions_may_turn_round_and_repeat() -> None:
    placement = Placement((3, 3), table=np.array([5, 6, 5, 4, 8], np.uint32))
    assert placement.place(0, 5).pieces == [(5, 0, 2, False), (4, 2, 2, True), (8, 4, 1, False)]


def test_numbers_far_beyond_the_scan_are_out_of_it() -> None:
    for placement in (
        Placement((3, 3)),
        Placement((3, 3), serpentine=True),
        Placement((1, 1), table=np.zeros(1, "u4")),
    ):
        assert placement.place(1 << 62, 4) == ([], 0, 4)


@pytest.mark.parametrize(("order", "expected"), [("raster", False), ("serpentine", True)])
def test_the_start_message_says_the_order(order: Any, expected: bool) -> None:
    start = ScanStart(scan_id="s", scan_shape=(2, 3), frame_shape=(1, 1), dtype="uint8", order=order, flyback_frames=2)
    assert placement_of(start) == Placement((2, 3), expected, 2)


def test_an_explicit_position_outside_the_scan_is_named() -> None:
    start = ScanStart(scan_id="s", scan_shape=(2, 3), frame_shape=(1, 1), dtype="uint8", order="explicit")
    assert placement_of(start, np.array([5], np.uint32)).frames == 1
    with pytest.raises(ValueError, match="below 6, found 6 for frame 1"):
        placement_of(start, np.array([5, 6], np.uint32))


def test_runs_that_touch_are_joined() -> None:
    assert joined([(4, 2), (0, 3), (3, 1), (10, 1), (5, 3)]) == ((0, 8), (10, 1))
    assert joined([]) == ()
