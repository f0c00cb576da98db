"""The series in progress: what is known of it, and its frames."""

from dataclasses import dataclass, field

from livestrain_daemon.intake.detectors.counted import Counted
from livestrain_daemon.intake.detectors.dectris.channels import Channels
from livestrain_daemon.intake.detectors.dectris.told import BadMessage, Header, Image
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesFrames, Trouble

STEPS = 8
"""So many equal steps of more than one between the numbers of images are no accident."""


@dataclass
class CurrentSeries:
    """The series in progress."""

    header: Header
    headless: bool = False
    """Images began it, and what they do not tell is not known."""
    channels: Channels | None = None
    """Known once the series has been told."""
    refused: str = ""
    """Why it is no scan and its frames are counted only."""
    shape: tuple[int, int] = (0, 0)
    counted: Counted = field(default_factory=lambda: Counted(None))
    """Its images."""
    last: int | None = None
    step: int = 0
    equal_steps: int = 0
    told_step: bool = False

    @property
    def unheard(self) -> bool:
        """No image has come."""
        return self.counted.latest == 0

    def has(self, first: int, images: int = 1) -> bool:
        """So many images from a number on are no more than there will be."""
        return self.header.frames is None or first + images <= self.header.frames

    def went_on(self, images: int) -> None:
        """So many images have followed the last, one after the other."""
        if self.last is not None:
            for index in range(self.last + 1, self.last + images + 1):
                self.counted.add(index)
            self.last += images
            self.equal_steps = images + (self.equal_steps if self.step == 1 else 0)
            self.step = 1

    def frame(self, image: Image, largest: int) -> list[DetectorEvent]:
        """
        An image of it as a frame, and what is to be said of it.

        Parameters
        ----------
        image
            Of this series.
        largest
            Refuse to unpack more than this [bytes].

        Raises
        ------
        BadMessage
            If it is not what the header announced.
        PayloadError
            If it cannot be unpacked.
        """
        if not self.has(image.first):
            text = f"series {image.series}: expected images 0 to {(self.header.frames or 0) - 1}, found {image.first}"
            return [Trouble("wrong_index", text, 1)]
        if self.refused:
            self.counted.add(image.first)
            return [Trouble("unknown_scan", self.refused, 1, image.series)]
        if self.channels is None:
            raise BadMessage("expected an image that tells its shape, found none")
        pixels = self.channels.frame(image.channels, self.shape, largest)
        frame = SeriesFrames(
            image.series,
            image.first,
            1,
            self.shape,
            self.channels.frame_dtype,
            pixels.encoding,
            pixels.payload,
            image.size,
        )
        self.counted.add(image.first)
        return [frame, *_clipped(image, pixels.clipped), *self._steps(image.first)]

    def _steps(self, first: int) -> list[DetectorEvent]:
        """Images that come in equal steps: somebody else takes the rest."""
        step = 0 if self.last is None else first - self.last
        self.equal_steps = self.equal_steps + 1 if step == self.step else 1
        self.last, self.step = first, step
        if step < 2 or self.equal_steps < STEPS or self.told_step:
            return []
        self.told_step = True
        text = (
            f"series {self.header.series}: expected every image, found every {step}th only: the detector deals its "
            "images out to all that are connected, and another program is; end it"
        )
        return [Trouble("lost", text)]


def _clipped(image: Image, pixels: int) -> list[DetectorEvent]:
    if not pixels:
        return []
    text = (
        f"series {image.series}, image {image.first}: expected sums of its channels below {2**32 - 1}, found {pixels} "
        "pixels above, which are stored as saturated"
    )
    return [Trouble("clipped", text, 1, image.series)]
