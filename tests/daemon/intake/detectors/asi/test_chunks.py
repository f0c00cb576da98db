"""Sparse frames to dense ones."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.asi import sparse
from livestrain_daemon.intake.detectors.asi import chunks
from livestrain_daemon.intake.detectors.asi.chunks import dense_frames
from livestrain_daemon.intake.detectors.asi.errors import WrongMessage
from livestrain_daemon.intake.detectors.asi.tpx3 import AcquisitionStart, Chunk

TYPES = ["<u1", "<u2", "<u4", "<u8"]


def packed(
    frames: NDArray[Any],
    pointers: str = "<u4",
    indices: str = "<u4",
    values: str = "<u2",
    padding: int = 0,
    backwards: bool = False,
) -> tuple[AcquisitionStart, Chunk, bytearray]:
    """A chunk by hand: one frame after the other."""
    start = AcquisitionStart(1, (1, len(frames)), frames.shape[1:], np.dtype(pointers), np.dtype(indices))
    begins, places, counts = [0], list[int](), list[int]()
    for frame in map(np.ravel, frames):
        order = np.flatnonzero(frame)[::-1] if backwards else np.flatnonzero(frame)
        places += order.tolist()
        counts += frame[order].tolist()
        begins.append(len(places))
    parts = [
        np.array(begins, pointers).tobytes(),
        np.array(places, indices).tobytes(),
        np.array(counts, values).tobytes(),
    ]
    first, second = (part + b"\xee" * padding for part in parts[:2])
    chunk = Chunk(np.dtype(values), len(frames), len(places), len(first), len(first) + len(second))
    return start, chunk, bytearray(first + second + parts[2])


def dense(start: AcquisitionStart, chunk: Chunk, body: bytearray, dtype: str = "<u2") -> NDArray[Any]:
    blocks = [block for block, _ in dense_frames(start, chunk, memoryview(body), np.dtype(dtype))]
    return np.concatenate(blocks) if blocks else np.empty((0, *start.frame_shape), dtype)


def clipped(start: AcquisitionStart, chunk: Chunk, body: bytearray, dtype: str = "<u2") -> int:
    """Frames with counts that the type cannot hold."""
    return sum(count for _, count in dense_frames(start, chunk, memoryview(body), np.dtype(dtype)))


@pytest.mark.parametrize("values", TYPES)
@pytest.mark.parametrize("indices", ["<u2", "<u4", "<u8"])
@pytest.mark.parametrize("pointers", ["<u2", "<u4", "<u8"])
def test_every_count_is_where_it_was(pointers: str, indices: str, values: str) -> None:
    frames = np.minimum(sparse(7), 255)
    found = dense(*packed(frames, pointers, indices, values), "<u4")
    np.testing.assert_array_equal(found, frames)


def test_numbers_of_pixels_of_eight_bits_are_enough_for_small_frames() -> None:
    frames = sparse(7, 15, 16)
    np.testing.assert_array_equal(dense(*packed(frames, indices="<u1")), frames)


@pytest.mark.parametrize("padding", [1, 4, 60])
def test_arrays_may_lie_apart(padding: int) -> None:
    frames = sparse(7)
    np.testing.assert_array_equal(dense(*packed(frames, padding=padding)), frames)


def test_empty_frames_are_all_zero() -> None:
    assert dense(*packed(np.zeros((5, 4, 4), "u2"))).tolist() == np.zeros((5, 4, 4)).tolist()
    assert dense(*packed(np.zeros((0, 4, 4), "u2"))).shape == (0, 4, 4)


def test_blocks_are_small_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = sparse(20, 8, 8)
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 3 * 8 * 8 * 2)
    start, chunk, body = packed(frames)
    blocks = [block for block, _ in dense_frames(start, chunk, memoryview(body), np.dtype("<u2"))]
    assert [len(block) for block in blocks] == [3] * 6 + [2]
    np.testing.assert_array_equal(np.concatenate(blocks), frames)


def test_counts_too_large_for_the_scan_become_the_largest() -> None:
    frames = sparse(3).astype("u8")
    frames[1, 2, 3:5] = 1 << 40
    found = dense(*packed(frames, values="<u8"), "<u4")
    assert found[1, 2, 3:5].tolist() == [(1 << 32) - 1] * 2
    assert clipped(*packed(frames, values="<u8"), "<u4") == 1
    frames[1, 2, 3:5] = (1 << 32) - 1
    np.testing.assert_array_equal(found, frames)
    assert clipped(*packed(frames, values="<u8"), "<u4") == 0


def test_pixels_may_be_in_any_order_and_twice() -> None:
    frames = sparse(7)
    np.testing.assert_array_equal(dense(*packed(frames, backwards=True)), frames)
    start, chunk, body = packed(np.array([[[3, 4]]], "u2"))
    body[8:16] = np.zeros(2, "<u4").tobytes()
    assert dense(start, chunk, body).tolist() == [[[7, 0]]]
    assert clipped(start, chunk, body) == 0


def test_a_pixel_whose_parts_are_more_than_its_type_can_hold_is_clipped_and_counted() -> None:
    start, chunk, body = packed(np.array([[[40000, 30000]], [[1, 2]], [[60000, 6000]]], "u2"))
    body[16 : 16 + 24] = np.zeros(6, "<u4").tobytes()
    assert dense(start, chunk, body).tolist() == [[[65535, 0]], [[3, 0]], [[65535, 0]]]
    assert clipped(start, chunk, body) == 2


@pytest.mark.parametrize(
    ("pointers", "text"),
    [
        ([0, 5, 3, 9], "in order from 0 to 9"),
        ([1, 3, 5, 9], "in order from 0 to 9"),
        ([0, 3, 5, 8], "in order from 0 to 9"),
        ([0, 3, 5, (1 << 32) - 1], "in order from 0 to 9"),
    ],
)
def test_beginnings_that_are_not_in_order_are_refused(pointers: list[int], text: str) -> None:
    start, chunk, body = packed(np.ones((3, 1, 3), "u2"))
    body[:16] = np.array(pointers, "<u4").tobytes()
    with pytest.raises(WrongMessage, match=text):
        dense(start, chunk, body)


def test_a_pixel_beyond_the_frame_is_refused() -> None:
    start, chunk, body = packed(np.ones((3, 1, 3), "u2"))
    body[16:20] = np.array([3], "<u4").tobytes()
    with pytest.raises(WrongMessage, match="expected pixels 0 to 2 in a frame, found 3"):
        dense(start, chunk, body)
