from datetime import UTC, datetime

import pytest

from livestrain_recordings.merlin.errors import WrongMessage
from livestrain_recordings.merlin.header import (
    Geometry,
    acquisition_header,
    depth_in_header,
    frame_header,
    time_in_header,
)
from livestrain_simulator.emulators.merlin.headers import acquisition_header as written_acquisition
from livestrain_simulator.emulators.merlin.headers import frame_header as written_frame
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from livestrain_simulator.emulators.merlin.settings import SETTINGS

AT = datetime(2026, 4, 15, 14, 44, 41, 5, UTC)
DEFAULTS = {name: setting.default for name, setting in SETTINGS.items()}
HEADER = written_acquisition(
    DEFAULTS | {"NUMFRAMESTOACQUIRE": 12, "STEMSCANX": 4, "STEMSCANY": 3}, PixelKind("U16", 12, "2x2"), AT
)
FRAME = written_frame(17, PixelKind("U16", 12, "2x2"), (512, 512), AT, 1.0)


def test_an_acquisition_tells_its_frames_depth_and_scan() -> None:
    assert len(HEADER) == 2048
    header = acquisition_header(HEADER)
    assert (header.frames, header.depth, header.scan_shape) == (12, 12, (3, 4))
    assert header.started == "15/04/2026 14:44:41"
    assert not header.gap_filled
    assert not header.corrected
    assert header.values["Readout System"] == "Merlin Quad"


def test_no_frames_means_without_end_and_no_scan_means_unknown() -> None:
    header = acquisition_header(written_acquisition(DEFAULTS | {"NUMFRAMESTOACQUIRE": 0}, PixelKind(), AT))
    assert (header.frames, header.scan_shape) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (b"XDR" + HEADER[3:], "expected an acquisition header, found"),
        (HEADER.replace(b"End", b"..."), "expected End within 256 lines"),
        (b"HDR,\t\r\n" + b"Key:\tValue\r\n" * 1000 + b"End\t", "expected End within 256 lines"),
        (b"HDR,\t\r\n" + b"Key:\tValue\r\n" * 10_000, "expected an acquisition header of at most 65536 bytes"),
        (HEADER.replace(b"(Number):\t12", b"(Number):\t1e99"), "expected a number up to"),
        (HEADER.replace(b"(Number):\t12", b"(Number):\t-12"), "expected a number up to"),
        (HEADER.replace(b"(Number):\t12", b"(Number):\t" + b"9" * 300), "expected a number up to"),
    ],
)
def test_a_wrong_acquisition_header_is_refused_in_one_line(wrong: bytes, expected: str) -> None:
    with pytest.raises(WrongMessage, match="^" + expected.replace("(", r"\(")) as refused:
        acquisition_header(wrong)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


def test_a_frame_tells_its_number_and_geometry() -> None:
    assert len(FRAME) == 768
    number, geometry = frame_header(memoryview(FRAME))
    assert number == 17
    assert geometry == Geometry(768, 4, 512, 512, "U16", (2, 2), gap=False)
    assert depth_in_header(FRAME) == 12
    assert time_in_header(memoryview(FRAME)) == "2026-04-15 14:44:41.000005"


def test_a_row_of_chips_and_a_gap_are_told_apart() -> None:
    row = written_frame(1, PixelKind("U16", 12, "3x1"), (256, 768), AT, 1.0)
    assert frame_header(memoryview(row))[1] == Geometry(640, 3, 768, 256, "U16", (1, 3), gap=False)
    gap = written_frame(1, PixelKind("U16", 12, "2x2G"), (514, 514), AT, 1.0)
    assert frame_header(memoryview(gap))[1].gap


def test_one_chip_of_a_quad_is_accepted() -> None:
    one = FRAME.replace(b",04,0512,0512,", b",01,0256,0256,")
    assert frame_header(memoryview(one))[1].chips == 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"MQ1,", b"MQ2,", "expected a frame header MQ1 with its number"),
        (b"000017", b"00x017", "expected a frame header MQ1 with its number"),
        (b",04,0512,", b",05,0512,", "expected 1 to 4 chips in layout 2x2, found 5"),
        (b",04,0512,", b",00,0512,", "expected 1 to 4 chips in layout 2x2, found 0"),
        (b"   2x2,", b"   2y2,", "expected a chip layout 1x1, 2x2, 2x2G or Nx1, found '2y2'"),
        (b"   2x2,", b"   0x2,", "expected a chip layout"),
        (b",0512,0512,", b",99999999,99999999,", "expected at most 16777216 pixels in a frame"),
        (b",0512,0512,", b",0512,0000,", "expected at most 16777216 pixels in a frame"),
        (b",0512,0512,", b",0512,-512,", "expected four numbers in the header of a frame"),
        (b"00768,", b"99999,", "expected pixels 64 to 16384 bytes into a frame, found 99999"),
    ],
)
def test_a_wrong_frame_header_is_refused_in_one_line(old: bytes, new: bytes, expected: str) -> None:
    with pytest.raises(WrongMessage, match="^" + expected) as refused:
        frame_header(memoryview(FRAME.replace(old, new, 1)))
    assert "\n" not in str(refused.value)


def test_an_empty_frame_header_is_refused() -> None:
    with pytest.raises(WrongMessage, match="expected a frame header MQ1"):
        frame_header(memoryview(b"MQ1,"))
