"""
Messages of a Merlin in a stream of bytes: ``MPX,``, a length of ten digits, a comma, a payload.

The length counts the comma before the payload. A stream in which bytes are missing or too many is taken up again at the
next message.
"""

import re
from dataclasses import dataclass

MAGIC = b"MPX,"
PREFIX_BYTES = 15
"""Magic, ten digits, comma."""
SLACK_BYTES = 2
"""A message may be followed by so many bytes that its length does not count."""
LARGEST_MESSAGE = 1 << 24
"""Nothing larger is a frame of any Merlin [bytes]."""
ROOM_BYTES = 1 << 20
"""Always free for the next bytes."""

_PREFIX = re.compile(rb"MPX,([0-9]{10}),")
_START = re.compile(rb"MPX,[0-9]{10},(?=MQ1,|HDR)")
_TRACE = re.compile(rb"MPX,|,MQ1,|,HDR")
"""Of a message, even one whose beginning is damaged."""
_LONGEST_START = PREFIX_BYTES + 4


def framed(payload: bytes) -> bytes:
    """A payload as it goes over the wire."""
    return b"MPX,%010d,%b" % (len(payload) + 1, payload)


def payload_bytes(prefix: bytes | bytearray | memoryview, largest: int = LARGEST_MESSAGE) -> int:
    """
    Size of the payload behind a prefix.

    Raises
    ------
    ValueError
        If the bytes are no prefix, or announce more than ``largest`` bytes.
    """
    match = _PREFIX.match(prefix)
    if match is None:
        raise ValueError(f"expected MPX, and a length of 10 digits, found {bytes(prefix[:PREFIX_BYTES])!r}")
    size = int(match[1]) - 1
    if not 0 < size <= largest:
        raise ValueError(f"expected a message of 1 to {largest} bytes, found a length of {size + 1}")
    return size


@dataclass(frozen=True, slots=True)
class Junk:
    """Bytes that are no message."""

    text: str
    messages: int = 1
    """Messages that are lost with them, at least."""


class Splitter:
    """
    Cuts what comes in into messages, in bounded memory.

    A message is handed out once the beginning of the next one has been seen behind it, or once nothing more comes: if
    bytes of it are missing, its end is the next message, which is then found inside of it.

    Parameters
    ----------
    largest
        Messages that announce more are no messages [bytes].
    """

    def __init__(self, largest: int = LARGEST_MESSAGE) -> None:
        self._largest = largest
        self._buffer = bytearray(4 * ROOM_BYTES)
        self._start = 0
        self._end = 0
        self._needed = PREFIX_BYTES
        self._lost = False
        self._prefix = framed(b"-")[:PREFIX_BYTES]
        self._size = 1
        """What the prefix says."""

    def space(self) -> memoryview:
        """Room for the next bytes; payloads handed out before are gone with it."""
        waiting = self._end - self._start
        if len(self._buffer) - self._start < self._needed + ROOM_BYTES or not waiting:
            old = memoryview(self._buffer)[self._start : self._end]
            if len(self._buffer) < self._needed + ROOM_BYTES:
                self._buffer = bytearray(2 * self._needed + ROOM_BYTES)
            self._buffer[:waiting] = old
            self._start, self._end = 0, waiting
        return memoryview(self._buffer)[self._end :]

    def filled(self, count: int) -> None:
        """So many bytes have come."""
        self._end += count

    @property
    def waiting(self) -> int:
        """Bytes that have not become a message."""
        return self._end - self._start

    def reset(self) -> None:
        """Forget what has not become a message."""
        self._start = self._end = 0
        self._needed = PREFIX_BYTES
        self._lost = False

    def next(self, quiet: bool = False) -> memoryview | Junk | None:
        """
        The next message, or why there is none in these bytes; None if more bytes are needed.

        Parameters
        ----------
        quiet
            Nothing has come for a while.
        """
        if self._lost and not self._found():
            return None
        first = self._start + PREFIX_BYTES
        after = first + self._size
        has = self._buffer.startswith
        # most messages are as long as the one before, and the next one is behind them
        if has(self._prefix, self._start, self._end) and has(MAGIC, after, self._end):
            self._start = after
            return memoryview(self._buffer)[first:after]
        if self._end - self._start < PREFIX_BYTES:
            return self._resumed("expected a message") if self._is_foreign(self._start) else None
        try:
            size = self._announced()
        except ValueError as error:
            return self._resumed(str(error))
        self._needed = PREFIX_BYTES + size + _LONGEST_START
        if first + size > self._end:
            begun = quiet and self._search(first) is not None
            return self._cut_short(size) if begun else None
        return self._complete(first, first + size, quiet)

    def _announced(self) -> int:
        """The size of the next payload; most have that of the one before."""
        if not self._buffer.startswith(self._prefix, self._start, self._end):
            prefix = bytes(memoryview(self._buffer)[self._start : self._start + PREFIX_BYTES])
            self._size = payload_bytes(prefix, self._largest)
            self._prefix = prefix
        return self._size

    def _complete(self, first: int, after: int, quiet: bool) -> memoryview | Junk | None:
        """A message as long as it says, if that is where it ends."""
        if self._is_foreign(after):
            return self._suspected(first, after, quiet)
        if self._end - after < len(MAGIC):
            if not quiet:
                return None
            if self._holds_another(first, after):
                return self._cut_short(after - first)
        self._start = after
        return memoryview(self._buffer)[first:after]

    def _is_foreign(self, at: int) -> bool:
        """Whether the bytes there cannot be the beginning of a message."""
        if self._buffer.startswith(MAGIC, at, self._end):
            return False
        found = bytes(memoryview(self._buffer)[at : min(at + len(MAGIC), self._end)])
        return found != MAGIC[: len(found)]

    def _search(self, at: int) -> int | None:
        match = _START.search(self._buffer, at, self._end)
        return match.start() if match else None

    def _suspected(self, first: int, after: int, quiet: bool) -> memoryview | Junk | None:
        """A message that no other one follows: bytes of it are missing, or there are some that it does not count."""
        if self._end - after < _LONGEST_START and not quiet:
            return None
        if self._holds_another(first, after):
            return self._cut_short(after - first)
        found = self._search(after)
        uncounted = (self._end if found is None else found) - after
        self._start = after + uncounted if uncounted <= SLACK_BYTES else after
        return memoryview(self._buffer)[first:after]

    def _holds_another(self, first: int, after: int) -> bool:
        """Whether the next message begins inside of this one, because its end is missing."""
        match = _TRACE.search(self._buffer, first + len(MAGIC), min(after + len(MAGIC), self._end))
        return match is not None and match.start() < after

    def _cut_short(self, size: int) -> Junk:
        return self._resumed(f"expected a message of {size} bytes, found the next one in the middle of it")

    def _resumed(self, text: str) -> Junk:
        self._start += 1
        self._lost = True
        self._needed = PREFIX_BYTES
        self._found()
        return Junk(text)

    def _found(self) -> bool:
        """Move to the next message; what cannot be the beginning of one is thrown away."""
        found = self._search(self._start)
        self._lost = found is None
        self._start = max(self._start, self._end - _LONGEST_START) if found is None else found
        return found is not None
