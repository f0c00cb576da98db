"""When every frame was handed to the socket, for measuring latency."""

import time
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.send import Sender
from livestrain_wire.messages import Encoding, ScanStart


class TimedSender:
    """
    Takes the time of each frame, then passes it on.

    Parameters
    ----------
    sender
        Who sends it.
    frames
        Frames of the scan.
    """

    def __init__(self, sender: Sender, frames: int) -> None:
        self._sender = sender
        self.sent_ns: NDArray[np.int64] = np.zeros(frames, np.int64)
        """(frames,) monotonic time just before each was sent; 0 for those that were not [ns]."""

    def start(self, start: ScanStart, positions: NDArray[Any] | None = None) -> None:
        """Pass the start on."""
        self._sender.start(start, positions)

    def frames(self, first_index: int, block: NDArray[Any], encoding: Encoding = "raw") -> None:
        """Take the time, then pass the frames on."""
        self.sent_ns[first_index : first_index + len(block)] = time.monotonic_ns()
        self._sender.frames(first_index, block, encoding)

    def end(self, reason: Literal["complete", "aborted"] = "complete", frames_sent: int | None = None) -> None:
        """Pass the end on."""
        self._sender.end(reason, frames_sent)

    def flush(self) -> None:
        """Pass it on."""
        self._sender.flush()

    def hurry(self) -> None:
        """Pass it on."""
        self._sender.hurry()
