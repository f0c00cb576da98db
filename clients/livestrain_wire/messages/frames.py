"""Frames in: PUSH to PULL, port 5550."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from livestrain_wire.messages.base import (
    Count,
    Encoding,
    FrameDtype,
    Known,
    Message,
    Order,
    Positive,
    ScanId,
    Shape2,
    by_type,
)


class ScanStart(Message):
    """
    A scan begins.

    With ``order`` explicit a payload part follows: the flat scan position of every frame, uint32, little-endian.
    """

    type: Literal["scan_start"] = "scan_start"
    scan_id: ScanId
    scan_shape: Shape2
    """Scan positions (rows, columns)."""
    frame_shape: Shape2
    """Pixels of a frame (rows, columns)."""
    dtype: FrameDtype
    order: Order = "raster"
    """How frame numbers run over the scan positions; serpentine turns every second row round."""
    flyback_frames: Annotated[int, Field(strict=True, ge=0, le=1 << 16)] = 0
    """Frames after each scan row that belong to no position."""
    step_nm: Positive | None = None
    """Distance of neighbouring scan positions [nm]."""
    energy_kev: Positive | None = None
    """Beam energy [keV]."""
    semiangle_mrad: Known | None = None
    """Convergence semi-angle [mrad]."""
    pixel_size_mrad: Known | None = None
    """Angle of one detector pixel [mrad]."""
    saturation: Positive | None = None
    """Counts from which on a pixel says nothing [counts]."""
    metadata: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Whatever else the sender knows; kept with the scan, never interpreted."""

    @model_validator(mode="after")
    def _flyback_needs_rows(self) -> "ScanStart":
        if self.order == "explicit" and self.flyback_frames:
            raise ValueError("flyback_frames has no meaning with explicit positions")
        return self


class Frames(Message):
    """
    One or more consecutive frames; one payload part holds them all, as one block of (count, rows, columns).

    ``raw``: little-endian pixels. ``lz4``: one raw LZ4 block. ``bslz4``: bitshuffle-LZ4 with the 12-byte big-endian
    header (uint64 uncompressed bytes, uint32 block bytes).
    """

    type: Literal["frames"] = "frames"
    scan_id: ScanId
    first_index: Count
    """Number of the first frame, counted from 0 in the order of acquisition, flyback frames included."""
    count: Annotated[int, Field(strict=True, ge=1, le=1 << 20)] = 1
    shape: Shape2
    """Pixels of a frame (rows, columns)."""
    dtype: FrameDtype
    encoding: Encoding = "raw"


class ScanEnd(Message):
    """No more frames of this scan will come."""

    type: Literal["scan_end"] = "scan_end"
    scan_id: ScanId
    reason: Literal["complete", "aborted"] = "complete"
    frames_sent: Count | None = None
    """Frames that the sender has sent, flyback included."""


FRAME_MESSAGES = by_type(ScanStart, Frames, ScanEnd)
"""What may come in on the frames port."""
