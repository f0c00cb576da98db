"""What a detector tells, in the words of none of them; `arrivals` makes scans of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol, TypeAlias

from livestrain_daemon.intake.continuing import Beginning
from livestrain_daemon.intake.payload import Block
from livestrain_wire.messages import Encoding, FrameDtype


@dataclass(frozen=True, slots=True)
class SeriesStart:
    """A series of frames begins, whether the one before has ended or not."""

    series: str
    """The detector's name for it, in no other series of the same run of the detector."""
    frame_shape: tuple[int, int]
    """Pixels of a frame (rows, columns)."""
    dtype: FrameDtype
    """Of the pixels in `SeriesFrames`."""
    frames: int | None
    """Frames that the detector means to send; None if it does not know."""
    scan_shape: tuple[int, int] | None = None
    """Scan positions (rows, columns), if the detector knows them."""
    energy_kev: float | None = None
    """Beam energy [keV]."""
    semiangle_mrad: float | None = None
    """Convergence semi-angle [mrad]."""
    pixel_size_mrad: float | None = None
    """Of the detector [mrad]."""
    step_nm: float | None = None
    """Between scan positions [nm]."""
    unusable: Block | None = None
    """(1, rows, columns) uint8, not zero where the detector says that a pixel must not be looked at."""
    saturation: float | None = None
    """Counts from which on a pixel says nothing [counts]."""
    metadata: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Whatever else the detector tells."""
    beginning: Beginning = "seen"
    """Whether the detector has told of it, or frames have only."""


@dataclass(frozen=True, slots=True)
class SeriesFrames:
    """Consecutive frames of a series."""

    series: str
    first: int
    """Number of the first one, counted from 0."""
    count: int
    frame_shape: tuple[int, int]
    """Pixels of a frame (rows, columns)."""
    dtype: FrameDtype
    encoding: Encoding
    """As in the native protocol: `payload` is little-endian once unpacked."""
    payload: memoryview
    """Of all frames together."""
    size: int
    """Bytes that came over the wire for it."""
    parts: tuple[memoryview, ...] = ()
    """Of each frame, where they are packed one by one; `payload` is empty then."""


@dataclass(frozen=True, slots=True)
class SeriesEnd:
    """Nothing more comes of a series."""

    series: str
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is no frame or not to be used, counted by kind."""

    kind: str
    """`bad_message`, `bad_encoding`, `wrong_size`, `unknown_scan`, `no_channel`, `clipped`, `lost`, `connection`."""
    text: str
    """What was expected, what was found, where."""
    frames: int = 0
    """Frames that are lost with it."""
    series: str | None = None
    """The series that it is of; None if it is of none, or nobody knows."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The detector can be reached now, or not any more."""

    up: bool


DetectorEvent: TypeAlias = SeriesStart | SeriesFrames | SeriesEnd | Trouble | Connection


class Detector(Protocol):
    """A detector that frames are taken from."""

    @property
    def endpoint(self) -> str:
        """Where it is, for people."""
        ...

    def events(self, stop: Event) -> Iterator[DetectorEvent | None]:
        """
        What it tells, one thing after the other, until `stop` is set.

        None at least every 0.1 s while there is nothing. Broken connections are taken up again with growing pauses,
        each told as a `Trouble`; nothing that comes over the wire ends the iteration or takes unbounded memory.

        Raises
        ------
        Unavailable
            If it never can work: a wrong API version, a wrong address.
        """
        ...
