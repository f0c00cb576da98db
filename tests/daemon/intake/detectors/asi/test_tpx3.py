"""Headers of the TPX3 stream."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestrain_daemon.intake.detectors.asi.errors import WrongMessage
from livestrain_daemon.intake.detectors.asi.tpx3 import (
    AcquisitionEnd,
    AcquisitionStart,
    Chunk,
    ScanEnd,
    ScanStart,
    tpx3_header,
)
from livestrain_daemon.intake.detectors.positions import MOST_FRAMES
from livestrain_daemon.intake.folders import MOST_POSITIONS

LARGEST = 1 << 27
START = AcquisitionStart(9, (3, 4), (516, 514), np.dtype("<u4"), np.dtype("<u4"))


def acquisition(
    version: int = 7, form: int = 0, ny: int = 3, sx: int = 514, pointers: int = 4, indices: int = 4, nx: int = 4
) -> bytes:
    return struct.pack("<BBBHHBHHBI15x", 0, version, form, ny, nx, pointers, 516, sx, indices, 9)


def chunk(values: int = 3, frames: int = 2, length: int = 5, indices_at: int = 12, values_at: int = 32) -> bytes:
    return struct.pack("<BBIIII14x", 2, values, frames, length, indices_at, values_at)


def test_each_kind_of_header_is_read() -> None:
    assert tpx3_header(acquisition(), None, LARGEST) == START
    assert (START.frames, START.pixels, START.body_bytes) == (12, 516 * 514, 0)
    assert tpx3_header(struct.pack("<BIQ19x", 1, 5, 77), START, LARGEST) == ScanStart(5, 77)
    found = tpx3_header(chunk(), START, LARGEST)
    assert found == Chunk(np.dtype("<u2"), 2, 5, 12, 32)
    assert found.body_bytes == 42
    assert tpx3_header(struct.pack("<BI27x", 3, 5), START, LARGEST) == ScanEnd(5)
    assert tpx3_header(struct.pack("<BI27x", 4, 9), START, LARGEST) == AcquisitionEnd(9)


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (acquisition(version=8), "bad_encoding", "expected version 7 of the TPX3 stream, found 8"),
        (acquisition(form=1), "bad_encoding", "expected format 0 (CSR) of the TPX3 stream, found 1 (CSR of times"),
        (acquisition(form=9), "bad_encoding", "found 9 (unknown)"),
        (acquisition(pointers=0), "wrong_dtype", "found codes 0, 4"),
        (acquisition(indices=1), "wrong_dtype", "found codes 4, 1"),
        (acquisition(ny=0), "wrong_size", "found 0 x 4 frames"),
        (acquisition(sx=0), "wrong_size", "frames of 516 x 0 pixels"),
        (acquisition(sx=65535), "wrong_size", "at most 134217728 bytes, found 516 x 65535 pixels"),
        (acquisition(ny=65535, nx=1025), "wrong_size", "at most 67108864 frames, found 65535 x 1025"),
        (struct.pack("<BIQ19x", 1, 5, 1 << 40), "bad_message", "found 1099511627776"),
        (chunk(values=0), "wrong_dtype", "found code 0"),
        (chunk(frames=13), "bad_message", "up to 12 frames"),
        (chunk(length=(1 << 32) - 1), "bad_message", "at most 134217728 bytes, found 8589934622"),
        (chunk(length=2 * 516 * 514 + 1, values_at=2122024), "bad_message", "with 530449 counts"),
        (chunk(indices_at=11), "bad_message", "their indices at 11"),
        (chunk(values_at=31), "bad_message", "values at 31"),
        (chunk(values_at=1 << 20), "bad_message", "values at 1048576"),
        (b"{" * 32, "bad_message", "kind 0 to 4, found 7b 7b"),
    ],
)
def test_what_is_no_header_is_refused_with_what_was_expected_and_found(data: bytes, kind: str, text: str) -> None:
    with pytest.raises(WrongMessage) as refused:
        tpx3_header(data, START, LARGEST)
    assert refused.value.kind == kind
    assert text in str(refused.value)


def test_a_scan_of_nearly_as_many_frames_as_a_folder_can_have_is_taken() -> None:
    found = tpx3_header(acquisition(ny=65535, nx=1024), None, LARGEST)
    assert isinstance(found, AcquisitionStart)
    assert found.frames == 65535 * 1024
    assert MOST_FRAMES == MOST_POSITIONS


@given(st.binary(min_size=31, max_size=31), st.integers(0, 5), st.sampled_from([None, START]))
def test_any_bytes_are_a_header_or_refused(rest: bytes, tag: int, start: AcquisitionStart | None) -> None:
    try:
        header = tpx3_header(bytes([tag]) + rest, start, LARGEST)
    except WrongMessage:
        return
    assert header.body_bytes <= LARGEST
