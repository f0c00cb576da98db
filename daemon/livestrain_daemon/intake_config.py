"""Tables of the configuration that say where frames come from, and how a detector's scans run."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from livestrain_daemon.section import Endpoint, Host, Seconds, Section

Side = Annotated[int, Field(ge=1, le=1 << 16)]
Port = Annotated[int, Field(ge=1, le=65535)]
Frames = Annotated[int, Field(ge=0, le=1 << 20)]


class ScanGeometry(Section):
    """How the frames of a detector that does not know the scan run over its positions."""

    shape: tuple[Side, Side] | None = None
    """Rows and columns; else what the detector says, else a square of the frames that it announces."""
    order: Literal["raster", "serpentine"] = "raster"
    """serpentine turns every second row round."""
    flyback_frames: Annotated[int, Field(ge=0, le=1 << 16)] = 0
    """Frames after each row that belong to no position."""
    flyback_frames_per_scan: Frames = 0
    """Frames after the last row of each scan, beyond those of the row, that belong to no position."""
    skip_frames: Frames = 0
    """Frames at the start of each series that belong to no position."""
    positions: Path | None = None
    """A .npy or .csv file with the scan position of every frame in its order, where they are not in rows: flat ones
    (frames,), or rows and columns (frames, 2). It needs the shape."""
    repeat: bool = False
    """One series of the detector holds scan after scan; else what comes after the first is counted and left."""

    @model_validator(mode="after")
    def _positions_alone(self) -> "ScanGeometry":
        if self.positions is None:
            return self
        if self.shape is None:
            raise ValueError("positions needs shape, the rows and columns of the scan")
        if self.flyback_frames or self.order != "raster":
            raise ValueError("positions says where every frame belongs; leave out order and flyback_frames")
        return self


Setting = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
Value = bool | int | float | str


class DectrisArmConfig(Section):
    """The daemon begins series of a DECTRIS detector by itself. What is not set stays as the detector has it."""

    detector: dict[Setting, Value] = Field(default_factory=dict)
    """Keys of the detector's configuration with their values, set in this order before each series: trigger_mode,
    ntrigger, nimages, count_time, frame_time, compression and all others. Where intake.scan says how many frames a scan
    has, ntrigger and nimages follow from it."""
    stream: dict[Setting, Value] = Field(default_factory=dict)
    """Keys of its stream, likewise, such as header_detail."""
    repeat: bool = False
    """Begin the next series when one has ended; else there is one each time that the daemon is armed."""


class MerlinArmConfig(Section):
    """The daemon starts acquisitions of a Merlin by itself. What is not set stays as the detector has it."""

    control_port: Port = 6341
    """Where it takes commands."""
    settings: dict[Setting, Value] = Field(default_factory=dict)
    """Names with their values, set in this order before each start: TRIGGERSTART, COUNTERDEPTH, ACQUISITIONTIME and all
    others. Where intake.scan says how many frames a scan has, NUMFRAMESTOACQUIRE follows from it."""
    soft_trigger: bool = False
    """Trigger each acquisition, too."""
    repeat: bool = False
    """Start the next acquisition when one has ended; else there is one each time that the daemon is armed."""


class DectrisConfig(Section):
    """A DECTRIS detector that speaks SIMPLON."""

    host: Host
    """Name or address of the control unit."""
    stream: Literal["v1", "v2"] = "v2"
    """The version of its stream that is switched on."""
    stream_port: Port | None = None
    """Else the usual one, 9999 for v1 and 31001 for v2."""
    rest_port: Port | None = 80
    """Of its REST interface."""
    api_version: str | None = None
    """Of the REST interface; else it is asked for."""
    channel: str = ""
    """Which threshold makes the frames: its name, `sum`, or empty for the first."""
    arm: DectrisArmConfig | None = None
    """Begin series by itself: a table of detector, stream and repeat; else the daemon waits for somebody else to."""

    @field_validator("arm")
    @classmethod
    def _armed_by_its_interface(cls, arm: DectrisArmConfig | None, info: ValidationInfo) -> DectrisArmConfig | None:
        if arm is not None and info.data.get("rest_port", 0) is None:
            raise ValueError(
                "the detector is armed by its REST interface: expected intake.dectris.rest_port, found none"
            )
        return arm


class MerlinConfig(Section):
    """A Quantum Detectors Merlin."""

    host: Host
    """Name or address of the computer that runs its software."""
    data_port: Port = 6342
    """Where it sends frames."""
    control_port: Port | None = None
    """Where it takes commands, usually 6341, to be asked while no frames come whether anybody has started it; else it
    is not asked."""
    arm: MerlinArmConfig | None = None
    """Start acquisitions by itself: a table of control_port, settings, soft_trigger and repeat; else the daemon waits
    for somebody else to."""


class AsiConfig(Section):
    """A detector of Amsterdam Scientific Instruments."""

    host: Host
    """Name or address of the computer that runs Serval (frames) or Accos (tpx3)."""
    form: Literal["frames", "tpx3"] = "frames"
    """frames: images from Serval, as `pgm` or `jsonimage`. tpx3: the sparse frames of a CheeTah TPX3."""
    data_port: Port | None = None
    """Where frames come from, or are taken; else 8088 for frames and 8283 for tpx3."""
    listen: Host | None = None
    """An address of this computer that Serval connects to (`tcp://connect@`); else it is connected to
    (`tcp://listen@`)."""
    rest_port: Port | None = None
    """Of Serval, usually 8080; else it is not asked how many images a measurement has and when it is over."""


class IntakeConfig(Section):
    """How frames come in."""

    endpoint: Endpoint = "tcp://127.0.0.1:5550"
    """Where the detector or the simulator sends its frames."""
    silence_seconds: Seconds = 30.0
    """A scan without a new frame for so long has ended."""
    queue_mib: Annotated[int, Field(ge=1, le=1 << 20)] = 256
    """Frames waiting between the socket and the file at most [MiB]; beyond, the detector is held back."""
    max_message_mib: Annotated[int, Field(ge=1, le=2047)] = 256
    """A larger message, or one of several parts that together are much larger, is not taken [MiB]."""
    dectris: DectrisConfig | None = None
    """A DECTRIS detector to take frames from, instead of the endpoint: a table of host, stream, channel, ports
    and arm."""
    merlin: MerlinConfig | None = None
    """A Merlin to take frames from, instead of the endpoint: a table of host, data_port, control_port and
    arm."""
    asi: AsiConfig | None = None
    """A detector of Amsterdam Scientific Instruments to take frames from, instead of the endpoint: a table of host,
    form, data_port, listen and rest_port."""
    scan: ScanGeometry = ScanGeometry()
    """How the frames of such a detector run over the scan: a table of shape, order, flyback_frames,
    flyback_frames_per_scan, skip_frames, positions and repeat."""

    @model_validator(mode="after")
    def _one_detector(self) -> "IntakeConfig":
        given = [name for name in ("dectris", "merlin", "asi") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} both say where frames come from; give one of them")
        return self

    @property
    def host(self) -> tuple[str, str] | None:
        """The key that names the host of a detector, and its value; None where nobody is connected to."""
        if self.asi is not None and self.asi.listen is not None and self.asi.rest_port is None:
            return None
        tables = {"dectris": self.dectris, "merlin": self.merlin, "asi": self.asi}
        return next(((f"intake.{name}.host", table.host) for name, table in tables.items() if table), None)
