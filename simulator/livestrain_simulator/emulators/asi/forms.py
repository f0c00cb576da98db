"""What is sent for a frame, whole or damaged on purpose."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.faults import Action

Form: TypeAlias = Literal["pgm", "jsonimage", "tpx3"]
"""pgm, jsonimage: images as Serval sends them, without and with numbers. tpx3: sparse frames in chunks."""
Frame: TypeAlias = NDArray[Any]
"""(rows, columns)."""

_IMAGES: frozenset[Action] = frozenset(
    {
        "drop",
        "short",
        "duplicate",
        "reorder",
        "corrupt",
        "bad_length",
        "truncate",
        "stall",
        "disconnect",
        "abort",
        "rearm",
        "absent",
    }
)
POSSIBLE: dict[Form, frozenset[Action]] = {
    "pgm": _IMAGES,
    "jsonimage": _IMAGES,
    "tpx3": _IMAGES | {"late_header"},
}
"""What can go wrong at all; the rest of a plan is passed over."""

_LARGEST: dict[Form, int] = {"pgm": 65535, "jsonimage": (1 << 32) - 1, "tpx3": (1 << 32) - 1}
_WIDTHS = ((255, np.dtype("u1")), (65535, np.dtype("u2")), ((1 << 32) - 1, np.dtype("u4")))


@dataclass(frozen=True, slots=True)
class Kind:
    """How all frames of a measurement are sent."""

    form: Form
    dtype: np.dtype[Any]
    """Of a pixel; larger counts become its largest."""
    shape: tuple[int, int]
    """(rows, columns)."""

    @classmethod
    def of(cls, form: Form, frame: Frame) -> "Kind":
        """How frames like this one are sent."""
        rows, columns = frame.shape
        kept = np.iinfo(frame.dtype).max if frame.dtype.kind in "iu" else _LARGEST[form]
        width = next(dtype for limit, dtype in _WIDTHS if min(kept, _LARGEST[form]) <= limit)
        return cls(form, width, (rows, columns))

    def counted(self, frame: Frame) -> tuple[Frame, int]:
        """The frame as the detector counts it, and in how many pixels that was not enough."""
        if frame.dtype == self.dtype:
            return frame, 0
        largest = np.iinfo(self.dtype).max
        counts = np.rint(np.nan_to_num(frame.astype(np.float64))) if frame.dtype.kind == "f" else frame
        clipped = int(np.count_nonzero(counts > largest))
        return np.clip(counts, 0, largest).astype(self.dtype), clipped


def image(kind: Kind, number: int, frame: Frame, measurement: str, actions: Sequence[Action]) -> bytes:
    """
    What is sent for one frame.

    Parameters
    ----------
    kind
        How it is sent.
    number
        Of the frame.
    frame : (rows, columns)
        Counts.
    measurement
        Which one it belongs to.
    actions
        What happens to it.
    """
    rows, columns = (1 << 20, 1 << 20) if "bad_length" in actions else kind.shape
    pixels = frame.astype(kind.dtype.newbyteorder(">")).tobytes()
    if kind.form == "pgm":
        header = b"P5 %d %d %d\n" % (columns, rows, np.iinfo(kind.dtype).max)
    else:
        told = {
            "measurementID": measurement,
            "frameNumber": number,
            "timeAtFrame": number * 0.001,
            "width": columns,
            "height": rows,
            "pixelFormat": kind.dtype.name,
            "bitDepth": 8 * kind.dtype.itemsize,
            "dataSize": len(pixels),
        }
        header = json.dumps(told).encode() + b"\n"
    if "corrupt" in actions:
        header = b"\xff" * 4 + header[4:]
    return header + (pixels[: len(pixels) // 2] if "truncate" in actions else pixels)
