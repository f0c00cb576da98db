"""The acquisition in progress: which of its frames are believed, and how they are handed on. No socket, no clock."""

from collections.abc import Callable

from livestrain_daemon.intake.detectors.counted import Counted
from livestrain_daemon.intake.detectors.events import DetectorEvent, SeriesEnd, Trouble
from livestrain_daemon.intake.detectors.merlin.batch import Batch
from livestrain_daemon.intake.detectors.merlin.following import Alike, alike
from livestrain_daemon.intake.detectors.merlin.numbers import Reached
from livestrain_recordings.merlin.pixels import PixelFormat


class Acquisition:
    """
    Takes frames by their numbers.

    Parameters
    ----------
    name
        Of the series.
    layout
        Of its frames.
    frames
        How many there will be; None if nobody knows.
    reached
        How far it is.
    tell
        Takes what happens.
    """

    def __init__(
        self,
        name: str,
        layout: PixelFormat,
        frames: int | None,
        reached: Reached,
        tell: Callable[[DetectorEvent], None],
    ) -> None:
        self.name = name
        """Of the series."""
        self.heard = 0.0
        """When a frame came last [s]."""
        self._format = layout
        self._frames = frames
        self._reached = reached
        self._tell = tell
        self._counted = Counted(frames)
        self._batch = Batch()
        self._like: Alike | None = None
        """What the last frame that was looked at has in common with the next ones."""
        self._doubted: tuple[bytes, PixelFormat] | None = None
        """The frame whose number is far from those before it."""

    @property
    def complete(self) -> bool:
        """Every frame has come."""
        return self._counted.complete

    @property
    def last_seen(self) -> bool:
        """The last frame has come."""
        return self._counted.last_seen

    def goes_on(self, message: memoryview, now: float) -> bool:
        """
        Take the frame that follows the last and is like it in all else, as most do; false for any other message.

        Parameters
        ----------
        message
            Its bytes must last until `flush`.
        now
            When it came [s].
        """
        index = self._reached.latest
        if self._doubted or self._like is None or (self._frames is not None and index >= self._frames):
            return False
        if not self._like.is_frame(index + 1, message):
            return False
        self.heard = now
        self._reached.latest = index + 1
        self._store(index, self._format, message)
        return True

    def take(self, number: int, layout: PixelFormat, message: memoryview, now: float) -> None:
        """Take a frame; its bytes must last until `flush`."""
        found = self._reached.unwrapped(number)
        index = found - 1
        if index < 0 or (self._frames is not None and index >= self._frames):
            text = f"expected frames 1 to {self._frames or 'any'} in {self.name}, found {number}"
            self.trouble("bad_message", text, 1)
            return
        if layout is not self._format and not _alike(layout, self._format):
            expected, unlike = _described(self._format), _described(layout)
            self.trouble("wrong_size", f"expected frames of {expected} in {self.name}, found {unlike}", 1)
            return
        self.heard = now
        if self._reached.expects(found):
            self._disbelieve()
            self._reached.latest = max(found, self._reached.latest)
        elif self._is_confirmed(found, layout, message):
            self._reached.latest = found
        else:
            return
        self._store(index, layout, message)
        self._like = alike(message) if layout is self._format else None

    def trouble(self, kind: str, text: str, frames: int = 0) -> None:
        """Tell of something that is no frame."""
        self.flush()
        self._tell(Trouble(kind, text, frames, self.name))

    def flush(self) -> None:
        """Hand on what has been taken."""
        if not self._batch:
            return
        frames, clipped = self._batch.frames(self.name)
        self._tell(frames)
        if clipped:
            last = frames.first + frames.count
            text = f"expected counts that {frames.dtype} can hold in frames {frames.first + 1} to {last}, found larger"
            self._tell(Trouble("clipped", text, clipped, self.name))

    def close(self, aborted: bool) -> None:
        """Nothing more comes; ``aborted`` if somebody has cut it short, should frames be missing."""
        self._disbelieve()
        self.flush()
        # one without end is not cut short by the next
        short = self._frames is not None and not self.last_seen
        self._tell(SeriesEnd(self.name, aborted and short))

    def _store(self, index: int, layout: PixelFormat, message: memoryview) -> None:
        if not self._batch.fits(index, layout):
            self.flush()
        self._batch.add(index, layout, message)
        self._counted.add(index)

    def _is_confirmed(self, found: int, layout: PixelFormat, message: memoryview) -> bool:
        """Whether the frame before confirms a jump of the number; else this one waits for the next."""
        reached, waiting = self._reached, self._doubted
        if waiting and reached.doubted is not None and reached.confirms(found):
            frame, its_layout = waiting
            self._store(reached.doubted - 1, its_layout, memoryview(frame))
            reached.doubted, self._doubted = None, None
            return True
        self._disbelieve()
        reached.doubted, self._doubted = found, (bytes(message), layout)
        return False

    def _disbelieve(self) -> None:
        """Nothing has confirmed the number of the frame that waits."""
        if self._doubted:
            text = f"expected frames near {self._reached.latest} in {self.name}, found {self._reached.doubted}"
            self._reached.doubted, self._doubted = None, None
            self.trouble("bad_message", text, 1)


def _alike(layout: PixelFormat, other: PixelFormat) -> bool:
    return (layout.frame_shape, layout.dtype) == (other.frame_shape, other.dtype)


def _described(layout: PixelFormat) -> str:
    return f"{layout.frame_shape[0]} x {layout.frame_shape[1]} {layout.dtype.name}"
