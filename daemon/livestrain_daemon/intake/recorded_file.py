"""Which file the intake reads in place of a detector."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class RecordedFile(BaseModel):
    """Which file, and what of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    dataset: str | None = None
    """Within an HDF5 file; None takes the largest one of frames."""
    scan_id: str
    """Name of the scan that is made of it."""
