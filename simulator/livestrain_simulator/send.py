"""Sending a whole scan: its start, its frames at a pace, its end."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.pacing import Pacer
from livestrain_wire.messages import Encoding, ScanStart

Block = NDArray[Any]
"""(count, rows, columns) consecutive frames [counts]."""


class Sender(Protocol):
    """What a scan is sent with: a `FrameSender`, or one that makes mistakes on purpose."""

    def start(self, start: ScanStart, positions: NDArray[Any] | None = None) -> None:
        """Announce a scan."""

    def frames(self, first_index: int, block: Block, encoding: Encoding = "raw") -> None:
        """Send consecutive frames."""

    def end(self, reason: Any = "complete", frames_sent: int | None = None) -> None:
        """Announce the end of the scan."""

    def flush(self) -> None:
        """Wait until everything has left."""

    def hurry(self) -> None:
        """From now on wait for nobody longer than a person does."""


@dataclass(frozen=True)
class Sent:
    """What was sent, and how fast."""

    scan_id: str
    frames: int
    """Frames, flyback included."""
    messages: int
    bytes: int
    """Pixels before packing [bytes]."""
    seconds: float
    """From the start message until everything had left [s]."""
    aborted: bool

    @property
    def frames_per_second(self) -> float:
        """The mean rate [1/s]."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Sending:
    """How a scan is sent."""

    encoding: Encoding = "raw"
    frames_per_message: int = 32
    frames_per_second: float | None = None
    """None: as fast as accepted."""
    burst: int = 1
    """So many frames leave at once, and then a pause keeps the rate."""
    abort_at: int | None = None
    """Stop after this number of frames, and say so."""


def send_scan(
    sender: Sender,
    start: ScanStart,
    blocks: Iterable[Block],
    how: Sending,
    positions: NDArray[Any] | None = None,
    absent: NDArray[np.bool_] | None = None,
) -> Sent:
    """
    Send a scan from its start to its end.

    Parameters
    ----------
    sender
        An open sender.
    start
        What the scan is.
    blocks
        Its frames in the order of acquisition, flyback included, in blocks of any length.
    how
        Encoding, message size and rate.
    positions : (frames,)
        The flat scan position of every frame, for the explicit order.
    absent : (frames,)
        True for frames that are to be left out, as if they had been lost; their numbers are skipped.

    Raises
    ------
    NobodyListens
        If frames are not accepted within the sender's waiting time.

    Notes
    -----
    Where the source fails, or the user interrupts, the scan ends as aborted.
    """
    # a source that cannot give its first frames must not begin a scan
    waiting = iter(blocks)
    blocks = chain(list(islice(waiting, 1)), waiting)
    sender.start(start, positions)
    begin = time.monotonic()
    pacer = Pacer(how.frames_per_second, burst=how.burst)
    frames = number = messages = size = 0
    try:
        for block in _messages(blocks, how.frames_per_message, how.abort_at):
            # a message of several frames is due when its last frame has been taken
            pacer.wait_for(number + len(block) - 1)
            for first, part in _present(number, block, absent):
                sender.frames(first, part, how.encoding)
                frames += len(part)
                messages += 1
                size += part.nbytes
            number += len(block)
    except (OSError, ValueError, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt):
            sender.hurry()
        sender.end("aborted", frames)
        sender.flush()
        raise
    aborted = how.abort_at is not None and number == how.abort_at
    sender.end("aborted" if aborted else "complete", frames)
    sender.flush()
    return Sent(start.scan_id, frames, messages, size, time.monotonic() - begin, aborted)


def _messages(blocks: Iterable[Block], largest: int, stop: int | None) -> Iterator[Block]:
    """Cut blocks into messages of at most `largest` frames, and end after `stop` frames."""
    left = stop
    for block in blocks:
        for begin in range(0, len(block), largest):
            message = block[begin : begin + largest]
            if left is not None:
                message = message[:left]
                left -= len(message)
            if len(message):
                yield np.ascontiguousarray(message)
            if left == 0:
                return


def _present(first: int, block: Block, absent: NDArray[np.bool_] | None) -> Iterator[tuple[int, Block]]:
    """Runs of frames that are there, with the number of their first."""
    if absent is None or not absent[first : first + len(block)].any():
        yield first, block
        return
    there = ~absent[first : first + len(block)]
    edges = np.flatnonzero(np.diff(there, prepend=False, append=False))
    for begin, end in edges.reshape(-1, 2).tolist():
        yield first + begin, block[begin:end]
