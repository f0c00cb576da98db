"""What every message carries, and the types that its fields are made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PROTOCOL_VERSION = 1
"""Major version of the protocol; a change that an older reader would misread raises it."""

ScanId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
Side = Annotated[int, Field(strict=True, ge=1, le=1 << 16)]
Count = Annotated[int, Field(strict=True, ge=0, le=1 << 62)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Known = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Shape2 = tuple[Side, Side]
FrameDtype = Literal["uint8", "uint16", "uint32", "float32"]
Encoding = Literal["raw", "bslz4", "lz4"]
Order = Literal["raster", "serpentine", "explicit"]
Run = tuple[Count, Count]
Axes = Literal["detector", "scan", "g1"]
Flip = Literal["none", "rows", "columns", "transpose"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Matrix = tuple[Finite, Finite, Finite, Finite]
RefusalReason = Literal["bad_request", "no_scan", "no_such_map", "not_stored", "no_calibration", "outdated", "internal"]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0)


class Message(BaseModel):
    """What every message carries: the protocol version and its type."""

    model_config = ConfigDict(frozen=True, strict=False, extra="ignore", ser_json_inf_nan="constants")

    v: int = PROTOCOL_VERSION
    """Major protocol version of the sender."""
    type: str


def by_type(*kinds: type[Message]) -> dict[str, type[Message]]:
    """Message types by the name that their ``type`` field carries."""
    return {kind.model_fields["type"].default: kind for kind in kinds}
