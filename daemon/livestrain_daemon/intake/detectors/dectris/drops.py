"""How many images of each series the detector could not send."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from livestrain_daemon.intake.detectors.events import Trouble

HELD_SAMPLES = 5
"""So many samples do images wait for the name of their series; then they are told without one."""


@dataclass
class _Counting:
    """A series of which the detector counts from 0 what it drops."""

    shown: bool = False
    """The REST interface has shown it."""
    number: int | None = None
    """Known where the series was begun here."""
    name: str | None = None
    """Known once its start has come in the stream."""
    told: int | None = None
    """Its number as the stream told it."""
    count: int = 0
    """As the detector said last."""
    before: int = 0
    """Of them, those of before we came: nobody's loss if the start of the series never comes."""
    held: int = 0
    """Not told yet."""
    samples: int = 0
    """Since the first of them."""


class Drops:
    """
    Tells each dropped image once, with its series.

    Parameters
    ----------
    tell
        Takes a trouble.

    Notes
    -----
    The detector's counter has no name; it begins again at 0 with each series. A new series shows itself by a state that
    is idle no more, by a counter that has fallen or has changed while the detector was idle, or by its start in the
    stream, which may come sooner or later than that. Two series with no sample between them, the start of the second
    still waiting in the stream, are taken for one until that start comes. What was told then beyond the images that the
    first one misses was dropped from the second, and is not told again.
    """

    def __init__(self, tell: Callable[[Trouble], None]) -> None:
        self._tell = tell
        self._lock = Lock()
        self._counting = _Counting()
        self._state: str | None = None
        self._heard = 0
        self._doubtful: int | None = None
        """A count that changed while the detector was idle, read once."""

    @property
    def mark(self) -> int:
        """To be taken before a sample, and given with it."""
        return self._heard

    def armed(self, number: int) -> None:
        """A series has been begun here; its start may have come in the stream before the detector's answer."""
        with self._lock:
            now = self._counting
            name = now.name if now.told == number else None
            self._next(_Counting(shown=True, number=number, name=name, told=now.told))
            self._state = "ready"

    def heard(self, series: str, number: int | None, missing: int | None = None) -> None:
        """
        The start of a series has come in the stream.

        Parameters
        ----------
        series, number
            Its name and number.
        missing
            Images of the series before it that have not come; None if nobody knows.
        """
        with self._lock:
            now = self._counting
            if now.number is not None and number is not None and number < now.number:
                # what was still on its way when ours was begun
                return
            self._heard += 1
            if now.number is not None and now.number == number:
                now.name = series
            elif now.shown and now.name is None and now.number is None:
                now.name = series
                now.held += now.before
                now.before = 0
            elif now.name != series:
                known = now.name is not None and now.shown and missing is not None
                self._next(_Counting(name=series, count=max(now.count - (missing or 0), 0) if known else 0))
            self._counting.told = number
            self._flush()

    def seen(self, mark: int, state: str, count: int) -> bool:
        """
        The detector's state and what it has dropped, read together.

        Returns
        -------
        bool
            False if it must be read again: a series began since the mark, or came and went while the count was read.
        """
        with self._lock:
            now = self._counting
            hasty = self._state == state == "idle" and count != now.count and now.shown and count != self._doubtful
            self._doubtful = count
            if mark != self._heard or hasty:
                return False
            self._follow(state, count)
            now = self._counting
            now.held += max(count - now.count, 0)
            now.count = count
            now.samples += 1 if now.held else 0
            self._flush()
            return True

    def _follow(self, state: str, count: int) -> None:
        """Notice a new series."""
        now, last = self._counting, self._state
        self._state = state
        if now.name is not None and not now.shown:
            now.shown = True
        elif last is None:
            now.shown = state != "idle"
            now.count = now.before = count
        elif count < now.count or (last == "idle" and (state != "idle" or count != now.count)):
            self._next(_Counting(shown=True))

    def _next(self, counting: _Counting) -> None:
        self._flush(at_once=True)
        self._counting = counting

    def _flush(self, at_once: bool = False) -> None:
        now = self._counting
        if not now.held or (now.name is None and now.samples < HELD_SAMPLES and not at_once):
            return
        of = f"series {now.name}" if now.name else "a series whose start has not come"
        text = f"expected every image from the detector, found that it dropped {now.count} of {of}"
        self._tell(Trouble("lost", text, now.held, now.name))
        now.held = now.samples = 0
