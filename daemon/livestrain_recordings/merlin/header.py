"""Headers of a Merlin: the block that begins an acquisition, and the one before the pixels of each frame."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from livestrain_recordings.merlin.errors import WrongMessage

ACQUISITION_HEADER = b"HDR"
FRAME_HEADER = b"MQ1,"
LARGEST_HEADER = 1 << 16
"""Of an acquisition; a Merlin sends 2048 [bytes]."""
LARGEST_OFFSET = 1 << 14
"""Of the pixels behind the header of a frame [bytes]."""
MOST_FRAMES = 1 << 40
MOST_CHIPS = 64
MOST_PIXELS = 1 << 24
"""Of a frame."""
LONGEST_TEXT = 200
"""Of a value that is kept as metadata."""
MOST_LINES = 256

FRAMES = "Frames in Acquisition (Number)"
FRAMES_PER_TRIGGER = "Frames per Trigger (Number)"
DEPTH = "Counter Depth (number)"
GAP_FILL = "Gap Fill Mode"
FLAT_FIELD = "Flat Field File"
TIME = "Time and Date Stamp (day, mnth, yr, hr, min, s)"

_DEPTH_AT_END = re.compile(rb"MQ1A,[^,]*,[0-9]+ns,([0-9]+),")
_LAYOUT = re.compile(r"([0-9]{1,2})x([0-9]{1,2})(G?)")


@dataclass(frozen=True, slots=True)
class AcquisitionHeader:
    """What is told before the first frame of an acquisition."""

    frames: int | None
    """Frames that will come; None without end."""
    depth: int | None
    """Counter depth [bit]."""
    scan_shape: tuple[int, int] | None
    """Scan positions (rows, columns)."""
    started: str
    """Time and date as the detector writes them."""
    gap_filled: bool
    """Pixels between the chips hold made-up counts, not zeros."""
    corrected: bool
    """A flat field has been applied, so that the largest count is not the counter's."""
    values: Mapping[str, str] = field(default_factory=dict)
    """All lines."""

    @property
    def saturation(self) -> float | None:
        """The largest count of the counter; with one bit every count is, and still says what it can."""
        if self.corrected or self.depth is None or not 1 < self.depth <= 24:
            return None
        return float((1 << self.depth) - 1)


@dataclass(frozen=True, slots=True)
class Geometry:
    """How the pixels of a frame lie in its bytes."""

    offset: int
    """Of the first pixel [bytes]."""
    chips: int
    width: int
    height: int
    code: str
    """U01, U08, U16, U32, U64, R64."""
    layout: tuple[int, int]
    """Chips of the assembly (rows, columns)."""
    gap: bool
    """Two pixels lie between the chips."""


def acquisition_header(payload: bytes | memoryview) -> AcquisitionHeader:
    """
    The block that begins an acquisition, also the content of a ``.hdr`` file.

    Raises
    ------
    WrongMessage
        If it is too long, has no end, or a number in it makes no sense.
    """
    if len(payload) > LARGEST_HEADER:
        text = f"expected an acquisition header of at most {LARGEST_HEADER} bytes, found {len(payload)}"
        raise WrongMessage("bad_message", text)
    lines = str(payload, "latin-1").splitlines()
    if not lines or not lines[0].startswith("HDR"):
        raise WrongMessage("bad_message", f"expected an acquisition header, found {bytes(payload[:20])!r}")
    values = _values(lines)
    columns, rows = _number(values, "ScanX", 1 << 20), _number(values, "ScanY", 1 << 20)
    return AcquisitionHeader(
        frames=_number(values, FRAMES, MOST_FRAMES) or None,
        depth=_number(values, DEPTH, 64),
        scan_shape=(rows, columns) if rows and columns else None,
        started=values.get(TIME, ""),
        gap_filled=values.get(GAP_FILL, "None").lower() not in {"none", "zero", "zero fill", ""},
        corrected=values.get(FLAT_FIELD, "None").lower() not in {"none", ""},
        values=values,
    )


def _values(lines: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in lines[1:MOST_LINES]:
        if line.strip() == "End":
            return values
        name, separator, value = line.partition(":\t")
        if separator:
            values[name.strip()] = value.strip()
    text = f"expected End within {MOST_LINES} lines of an acquisition header, found none"
    raise WrongMessage("bad_message", text)


def _number(values: Mapping[str, str], name: str, most: int) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 15 or int(value) > most:
        text = f"expected a number up to {most} as {name!r} of the acquisition, found {value[:40]!r}"
        raise WrongMessage("bad_message", text)
    return int(value)


def frame_header(payload: memoryview) -> tuple[int, Geometry]:
    """
    Number (from 1) and geometry of a frame.

    Raises
    ------
    WrongMessage
        If the header is none, or the geometry makes no sense.
    """
    fields = bytes(payload[:80]).split(b",", 9)
    if len(fields) < 10 or fields[0] != b"MQ1" or not fields[1].isdigit() or len(fields[1]) > 12:
        raise WrongMessage("bad_message", f"expected a frame header MQ1 with its number, found {bytes(payload[:20])!r}")
    return int(fields[1]), _geometry(tuple(fields[2:8]))


def depth_in_header(header: bytes | memoryview) -> int | None:
    """The counter depth at the end of the header of a frame [bit], where it is told there."""
    match = _DEPTH_AT_END.search(header[:LARGEST_OFFSET])
    return int(match[1][:3]) if match else None


def time_in_header(payload: memoryview) -> str:
    """Date and time of a frame as in its header."""
    fields = bytes(payload[:120]).split(b",", 10)
    return str(fields[9][:40], "latin-1") if len(fields) > 10 else ""


@lru_cache(64)
def _geometry(fields: tuple[bytes, ...]) -> Geometry:
    numbers = [item.strip() for item in fields[:4]]
    if not all(item.isdigit() and len(item) < 9 for item in numbers):
        raise WrongMessage("bad_message", f"expected four numbers in the header of a frame, found {fields[:4]!r}")
    offset, chips, width, height = map(int, numbers)
    code, text = (str(item, "latin-1").strip() for item in fields[4:6])
    match = _LAYOUT.fullmatch(text)
    if match is None or "0" in (match[1], match[2]):
        raise WrongMessage("bad_message", f"expected a chip layout 1x1, 2x2, 2x2G or Nx1, found {text!r}")
    across, down = int(match[1]), int(match[2])
    if not 1 <= chips <= min(across * down, MOST_CHIPS):
        raise WrongMessage("bad_message", f"expected 1 to {across * down} chips in layout {text}, found {chips}")
    if not 64 <= offset <= LARGEST_OFFSET:
        raise WrongMessage("bad_message", f"expected pixels 64 to {LARGEST_OFFSET} bytes into a frame, found {offset}")
    if not 1 <= width * height <= MOST_PIXELS:
        text = f"expected at most {MOST_PIXELS} pixels in a frame, found {height} x {width}"
        raise WrongMessage("wrong_size", text)
    return Geometry(offset, chips, width, height, code, (down, across), bool(match[3]))
