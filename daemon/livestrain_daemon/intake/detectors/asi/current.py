"""The series of images in progress."""

import math
from dataclasses import dataclass

from livestrain_daemon.intake.detectors.asi.image import ImageHeader
from livestrain_daemon.intake.detectors.asi.measurement import Measurement
from livestrain_daemon.intake.detectors.counted import Counted


@dataclass(slots=True)
class CurrentSeries:
    """The series in progress."""

    name: str
    header: ImageHeader
    measurement: Measurement
    frames: int | None
    heard: float
    asked: float
    counted: Counted
    next: int = 0
    """Number of the next frame, where the stream has no numbers."""
    idle: bool = False
    """Serval has said that it does not go on, and nothing has come since."""
    over: bool = False
    """As many images have come as it has; more of them would say that one of them is wrong."""
    unanswered: float = -math.inf
    """When Serval last did not say whether an image was one more of it."""

    @property
    def numbered(self) -> bool:
        """The stream has numbers."""
        return self.header.number is not None

    @property
    def seen(self) -> int:
        """One more than the number of the last frame."""
        return self.counted.latest if self.numbered else self.next

    @property
    def complete(self) -> bool:
        """Nothing more is to come."""
        # with numbers, frames may still come that others have overtaken
        return self.counted.complete if self.numbered else self.next == self.frames

    @property
    def short(self) -> bool:
        """Not all that were to come have."""
        return self.frames is not None and self.seen < self.frames

    @property
    def shortness(self) -> str:
        """What that means without numbers."""
        return (
            f"{self.name}: expected {self.frames} images, found {self.seen}; they have no numbers, so if one was "
            f"lost before the last, those behind it are stored too early"
        )
