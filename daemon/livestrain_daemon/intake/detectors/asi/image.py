"""
The header of an image that Serval sends: PGM, or a line of JSON (``jsonimage``).

PGM has no frame number; ``jsonimage`` has.
"""

import json
import re
from dataclasses import dataclass

import numpy as np

from livestrain_daemon.intake.detectors.asi.errors import WrongMessage

LONGEST_HEADER = 4096
"""Bytes of a header, comments included."""
LARGEST_SIDE = 1 << 16
LARGEST_COUNT = 65535
"""The largest value of a pixel that PGM knows."""
SHORTEST_BEGINNING = 3
"""So many bytes tell a header from anything else."""

# the standard lets a comment stand wherever white space may
_SPACE = rb"(?:[ \t-\r]|#[^\r\n]*+[\r\n])+"
_PGM = re.compile(rb"P5" + _SPACE + rb"(\d{1,9})" + _SPACE + rb"(\d{1,9})" + _SPACE + rb"(\d{1,9})[ \t-\r]")
_OPEN = rb"(?:[ \t-\r]|#[^\r\n]*(?:[\r\n]|\Z))+"
_PGM_BEGUN = re.compile(rb"P(?:5(?:%b(?:\d{1,9}(?:%b(?:\d{1,9}(?:%b(?:\d{1,9})?)?)?)?)?)?)?" % (_OPEN, _OPEN, _OPEN))
_LINE = re.compile(rb"\{[^\n]*\n")
BEGINNING = re.compile(rb"P5(?=[ \t-\r#])|\{\"(?=[A-Za-z])")
"""Where a header may begin."""
_PIXELS: dict[str | int, str] = {"uint8": ">u1", "uint16": ">u2", "uint32": ">u4", 8: ">u1", 16: ">u2", 32: ">u4"}


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What is said before the pixels."""

    length: int
    """Bytes of the header."""
    shape: tuple[int, int]
    """(rows, columns)."""
    dtype: np.dtype[np.generic]
    """Of a pixel, as it is sent."""
    number: int | None = None
    """Of the frame, counted from 0; None where it is not told."""
    measurement: str = ""
    """Which measurement it belongs to, if that is told."""

    @property
    def size(self) -> int:
        """Bytes of the pixels."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize


def image_header(beginning: bytes, largest: int) -> ImageHeader | None:
    """
    The header at the beginning of some bytes.

    Parameters
    ----------
    beginning
        At most `LONGEST_HEADER` of them are looked at.
    largest
        An image of more bytes is none [bytes].

    Returns
    -------
    ImageHeader or None
        None if more bytes are needed.

    Raises
    ------
    WrongMessage
        If they are no header.
    """
    beginning = beginning[:LONGEST_HEADER]
    header = _json_header(beginning) if beginning[:1] == b"{" else _pgm_header(beginning)
    if header is not None and header.size > largest:
        raise WrongMessage("wrong_size", f"expected images of at most {largest} bytes, found one of {header.size}")
    return header


def _pgm_header(beginning: bytes) -> ImageHeader | None:
    match = _PGM.match(beginning)
    if match is None:
        if len(beginning) < LONGEST_HEADER and (not beginning or _PGM_BEGUN.fullmatch(beginning)):
            return None
        raise WrongMessage("bad_message", f"expected P5, columns, rows and the largest value, found {beginning[:24]!r}")
    columns, rows, largest = (int(number) for number in match.groups())
    if not 0 < largest <= LARGEST_COUNT:
        raise WrongMessage("wrong_dtype", f"expected a PGM of at most {LARGEST_COUNT} counts, found {largest}")
    return ImageHeader(match.end(), _shape(rows, columns), np.dtype(">u1" if largest < 256 else ">u2"))


def _json_header(beginning: bytes) -> ImageHeader | None:
    match = _LINE.match(beginning)
    if match is None:
        if len(beginning) < LONGEST_HEADER:
            return None
        raise WrongMessage("bad_message", f"expected a line of JSON, found none in {LONGEST_HEADER} bytes")
    try:
        told = json.loads(match[0])
        rows, columns = int(told["height"]), int(told["width"])
        number = int(told["frameNumber"])
        pixels = told["pixelFormat"] if "pixelFormat" in told else int(told["bitDepth"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        text = f"expected height, width, frameNumber and pixelFormat in JSON, found {match[0][:60]!r}"
        raise WrongMessage("bad_message", text) from error
    if not isinstance(pixels, str | int) or (found := _PIXELS.get(_plain(pixels))) is None:
        raise WrongMessage("wrong_dtype", f"expected pixels of 8, 16 or 32 bits, found {pixels!r:.40}")
    if not 0 <= number < 1 << 48:
        raise WrongMessage("wrong_index", f"expected a frame number, found {number!s:.40}")
    measurement = told.get("measurementID", "")
    name = measurement if isinstance(measurement, str) and measurement.isprintable() else ""
    return ImageHeader(match.end(), _shape(rows, columns), np.dtype(found), number, name[:64])


def _plain(pixels: str | int) -> str | int:
    return pixels.lower() if isinstance(pixels, str) else pixels


def _shape(rows: int, columns: int) -> tuple[int, int]:
    if not (0 < rows <= LARGEST_SIDE and 0 < columns <= LARGEST_SIDE):
        found = f"{rows!s:.20} x {columns!s:.20}"
        raise WrongMessage("wrong_size", f"expected images of up to {LARGEST_SIDE} pixels a side, found {found}")
    return rows, columns
