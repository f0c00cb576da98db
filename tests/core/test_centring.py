"""Disks centred by the filters, partly hidden ones too, against numpy and against the truth."""

import numpy as np
import pytest
from numpy.typing import NDArray

from core.patterns import PROBE, draw_disk
from livestrain_core import centring
from livestrain_core.detect import prepare
from livestrain_core.templates import window_half
from livestrain_core.windows import HALF_VECTOR, LOOP, filled_up, up

SHAPE = (96, 100)
COUNTS, BACKGROUND = 50.0, 2.0
AREA = float(draw_disk(SHAPE, np.array([48.0, 48.0]), PROBE).sum())


@pytest.mark.parametrize("seed", range(5))
def test_three_equations_are_solved_like_numpy_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    system = np.concatenate([np.eye(3) + 0.2 * rng.normal(size=(3, 3)), rng.normal(size=(3, 1))], axis=1)
    expected, found = np.linalg.solve(system[:, :3], system[:, 3]), np.empty(3)
    assert centring.solve_three(system.copy(), found)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("row", range(3))
def test_equations_of_which_little_is_left_are_not_solved(row: int) -> None:
    system = np.concatenate([np.eye(3), np.ones((3, 1))], axis=1)
    assert centring.solve_three(system.copy(), np.empty(3))
    system[row, row] = 0.05
    assert not centring.solve_three(system, np.empty(3))


def test_what_a_disk_has_in_hidden_pixels_changes_as_the_disk_moves() -> None:
    half = window_half(PROBE)
    side, stride = 2 * half + 1, up(2 * half + 1, HALF_VECTOR)

    def window(row: float, column: float) -> NDArray[np.float32]:
        image = draw_disk((side, side), np.array([half + row, half + column]), PROBE)
        return filled_up(np.asarray(image.ravel(), np.float32), side)

    hidden = np.random.default_rng(0).random((side, side)) < 0.3
    room = np.zeros((5, up(side * stride, LOOP)), np.float32)
    room[1] = filled_up(hidden.ravel().astype(np.float32), side)
    room[2:] = np.nan
    centring.hidden_slopes(window(0.2, -0.1), room, stride)
    down = (window(1.2, -0.1) - window(-0.8, -0.1)) / 2
    right = (window(0.2, 0.9) - window(0.2, -1.1)) / 2
    inside = np.zeros((side, stride), np.bool_)
    inside[1:-1, 1 : side - 1] = True
    at = np.flatnonzero(inside)
    for found, expected in ((room[2], down), (room[3], right)):
        np.testing.assert_allclose(found[at], (room[1] * expected)[at], atol=1e-5)
    np.testing.assert_array_equal(room[4], room[1] * window(0.2, -0.1))


CUTS = {
    "nothing": (slice(0, 0), slice(0, 0)),
    "a row": (slice(49, 52), slice(None)),
    "columns": (slice(None), slice(43, 46)),
    "a corner": (slice(50, None), slice(50, None)),
    "a side": (slice(51, None), slice(None)),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.45), (-0.2, 0.1)])
def test_a_disk_of_which_part_is_hidden_is_centred_by_the_rest(cut: str, shift: tuple[float, float]) -> None:
    prepared = prepare(SHAPE, PROBE)
    layout, tables = prepared.layout, prepared.tables
    truth = np.array([48.0 + shift[0], 47.0 + shift[1]])
    image, cover = np.zeros(prepared.visible[0].shape, np.float32), np.full(prepared.visible[0].shape, -1, np.int16)
    inside = tuple(slice(layout.margin, layout.margin + side) for side in SHAPE)
    image[inside] = BACKGROUND + COUNTS * draw_disk(SHAPE, truth, PROBE)
    cover[inside] = 0
    cover[inside][CUTS[cut]] = -1
    image[cover < 0] = 1e4
    length = tables[0].shape[4]
    windows = np.zeros((5, length), np.float32), np.zeros(length, np.int16)
    place, state = truth + layout.margin + np.array([0.6, -0.7]), np.array([0.8 * COUNTS * AREA, BACKGROUND])
    part = centring.settle(image, cover, 1, tables, layout, place, state, windows)
    assert (part == 0.0) == (cut == "nothing")
    assert part < 0.4
    np.testing.assert_allclose(place - layout.margin, truth, atol=0.05)
    assert state[0] == pytest.approx(COUNTS * AREA, rel=0.02)
    if cut == "nothing":
        alone = truth + layout.margin + np.array([0.6, -0.7])
        state[0] = 0.8 * COUNTS * AREA
        assert centring.settle(image, cover, -1, tables, layout, alone, state, windows) == 0.0
        np.testing.assert_array_equal(alone, place)
