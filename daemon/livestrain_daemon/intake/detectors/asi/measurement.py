"""What Serval says of a measurement."""

from dataclasses import dataclass
from typing import Protocol

STARTED = "started"
"""In the metadata of a scan: when its measurement began, as Serval writes it."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What Serval says of the measurement in progress, or of the last one."""

    name: str = ""
    """When it began, as Serval writes it; empty if it does not say."""
    frames: int | None = None
    """How many it will send; None if that is not known or there is no end."""
    recording: bool | None = None
    """It goes on; None if that is not known."""
    dropped: int = 0
    """Frames that the detector could not send."""


class Inquiry(Protocol):
    """Somebody who can be asked what the image stream does not say."""

    def measurement(self) -> Measurement:
        """As it is now; all unknown if nobody answers."""
        ...
