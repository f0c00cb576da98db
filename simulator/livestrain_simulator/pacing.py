"""Keeping a frame rate against a clock that does not drift."""

import time
from collections.abc import Callable


class Pacer:
    """
    Holds a sender back so that frames leave at a given rate.

    Frame number n is due n / rate seconds after the first call, whatever earlier waits took: errors do not add up, and
    a sender that fell behind catches up without waiting.

    Parameters
    ----------
    frames_per_second
        The rate; None sends as fast as frames are accepted.
    clock
        Monotonic time [ns].
    sleep
        Waits for a time [s].
    burst
        So many frames are due at once; the pause before the next keeps the rate.
    """

    def __init__(
        self,
        frames_per_second: float | None,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
        burst: int = 1,
    ) -> None:
        if frames_per_second is not None and not 0 < frames_per_second < float("inf"):
            raise ValueError(f"a rate is above zero, found {frames_per_second} frames/s")
        self._interval_ns = None if frames_per_second is None else 1e9 / frames_per_second
        self._clock = clock
        self._sleep = sleep
        self._burst = burst
        self._begin_ns: int | None = None

    def wait_for(self, frame: int) -> None:
        """Return when this frame number is due."""
        if self._interval_ns is None:
            return
        frame -= frame % self._burst
        now = self._clock()
        if self._begin_ns is None:
            self._begin_ns = now - round(frame * self._interval_ns)
        wait_ns = self._begin_ns + frame * self._interval_ns - now
        if wait_ns > 0:
            self._sleep(wait_ns / 1e9)


def per_dwell(dwell_us: float) -> float:
    """The rate of a scan in real time [1/s], from its dwell time [us]."""
    if not 0 < dwell_us < float("inf"):
        raise ValueError(f"a dwell time is above zero, found {dwell_us} us")
    return 1e6 / dwell_us
