"""Headers of images."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestrain_daemon.intake.detectors.asi.errors import WrongMessage
from livestrain_daemon.intake.detectors.asi.image import LONGEST_HEADER, image_header

LARGEST = 1 << 24


def line(**changes: object) -> bytes:
    told = {"width": 30, "height": 20, "frameNumber": 7, "pixelFormat": "uint16", "measurementID": "m1"}
    return (
        json.dumps({name: value for name, value in {**told, **changes}.items() if value is not None}).encode() + b"\n"
    )


@pytest.mark.parametrize(
    "begin",
    [
        b"P5 30 20 65535\n",
        b"P5\n30 20\n65535\n",
        b"P5\n# made by Serval\n30 20\n# and so on\n65535 ",
        b"P5\r\n30\t20\r65535\r",
        b"P5#\n30#\n20# 9 9\r 65535\n",
    ],
)
def test_white_space_and_comments_stand_where_the_standard_lets_them(begin: bytes) -> None:
    header = image_header(begin + b"\x20\x0a" * 600, LARGEST)
    assert header is not None
    assert header.length == len(begin)
    assert header.shape == (20, 30)
    assert header.dtype == np.dtype(">u2")
    assert header.size == 1200
    assert header.number is None
    # and what has come of it so far is taken for its beginning
    assert all(image_header(begin[:end], LARGEST) is None for end in range(len(begin)))


@pytest.mark.parametrize(("largest", "dtype"), [(1, ">u1"), (255, ">u1"), (256, ">u2"), (65535, ">u2")])
def test_the_largest_count_says_how_wide_a_pixel_is(largest: int, dtype: str) -> None:
    header = image_header(b"P5 3 2 %d\n" % largest, LARGEST)
    assert header is not None
    assert header.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("told", "dtype"),
    [
        ({}, ">u2"),
        ({"pixelFormat": "UINT32"}, ">u4"),
        ({"pixelFormat": "uint8"}, ">u1"),
        ({"pixelFormat": None, "bitDepth": 16}, ">u2"),
        ({"measurementID": None}, ">u2"),
    ],
)
def test_a_line_of_json_says_the_number_of_the_frame(told: dict[str, object], dtype: str) -> None:
    begin = line(**told)
    header = image_header(begin + b"\xff" * 40, LARGEST)
    assert header is not None
    assert (header.length, header.shape, header.number) == (len(begin), (20, 30), 7)
    assert header.dtype == np.dtype(dtype)
    assert header.measurement == ("" if "measurementID" in told else "m1")
    assert image_header(begin[:-1], LARGEST) is None


@pytest.mark.parametrize(
    ("begin", "kind", "text"),
    [
        (b"P2 3 2 255\n", "bad_message", "expected P5"),
        (b"P5 3 x", "bad_message", "expected P5"),
        (b"\x00\x00\x00", "bad_message", "expected P5"),
        (b"P5 # " + b"x" * LONGEST_HEADER, "bad_message", "expected P5"),
        (b"P5 3 2 0\n", "wrong_dtype", "at most 65535 counts, found 0"),
        (b"P5 3 2 65536\n", "wrong_dtype", "at most 65535 counts, found 65536"),
        (b"P5 0 2 255\n", "wrong_size", "found 2 x 0"),
        (b"P5 999999999 999999999 255\n", "wrong_size", "found 999999999 x 999999999"),
        (b"P5 65536 65536 255\n", "wrong_size", "at most 16777216 bytes, found one of 4294967296"),
        (b"{" * LONGEST_HEADER, "bad_message", "expected a line of JSON"),
        (b'{"a":' + b"[" * 3000 + b"\n", "bad_message", "found b'{"),
        (b"{}\n", "bad_message", "expected height, width"),
        (line(width=1 << 40), "wrong_size", "found 20 x 1099511627776"),
        (line(width="1e9"), "bad_message", "expected height, width"),
        (line(pixelFormat="float64"), "wrong_dtype", "found 'float64'"),
        (line(pixelFormat=[]), "wrong_dtype", "8, 16 or 32 bits"),
        (line(frameNumber=-1), "wrong_index", "found -1"),
        (line(frameNumber=1 << 60), "wrong_index", "expected a frame number"),
        (line(height=float("inf")), "bad_message", "expected height, width"),
    ],
)
def test_what_is_no_header_is_refused_with_what_was_expected_and_found(begin: bytes, kind: str, text: str) -> None:
    with pytest.raises(WrongMessage, match=r".") as refused:
        image_header(begin, LARGEST)
    assert refused.value.kind == kind
    assert text in str(refused.value)
    assert len(str(refused.value)) < 250


@given(
    st.one_of(
        st.binary(max_size=80),
        st.binary(max_size=60).map(lambda rest: b"P5 " + rest),
        st.text().map(lambda text: b"{" + text.encode() + b"\n"),
    )
)
def test_any_bytes_are_a_header_or_the_beginning_of_one_or_refused(begin: bytes) -> None:
    try:
        header = image_header(begin, LARGEST)
    except WrongMessage:
        return
    assert header is None or header.size <= LARGEST
