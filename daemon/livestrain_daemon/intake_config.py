"""Tables of the configuration that say which detector frames are taken from, and how its scans run."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Side = Annotated[int, Field(ge=1, le=1 << 16)]
Port = Annotated[int, Field(ge=1, le=65535)]
Frames = Annotated[int, Field(ge=0, le=1 << 20)]


class Table(BaseModel):
    """A table within a table."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ScanGeometry(Table):
    """How the frames of a detector that does not know the scan run over its positions."""

    shape: tuple[Side, Side] | None = None
    """Rows and columns; else what the detector says, else a square of the frames that it announces."""
    order: Literal["raster", "serpentine"] = "raster"
    """serpentine turns every second row round."""
    flyback_frames: Annotated[int, Field(ge=0, le=1 << 16)] = 0
    """Frames after each row that belong to no position."""
    skip_frames: Frames = 0
    """Frames at the start of each scan that belong to no position."""


class DectrisConfig(Table):
    """A DECTRIS detector that speaks SIMPLON."""

    host: str
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


class MerlinConfig(Table):
    """A Quantum Detectors Merlin."""

    host: str
    """Name or address of the computer that runs its software."""
    data_port: Port = 6342
    """Where it sends frames."""
