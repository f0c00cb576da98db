"""Bytes that have come in and are not yet used."""

import re
from collections.abc import Callable

FIRST_BYTES = 1 << 22
ROOM_BYTES = 1 << 20
"""Always free for the next bytes."""


class Inbox:
    """
    A buffer that grows with what comes, never with what is announced.

    Whoever reads it must use up or skip what it cannot use: nothing else keeps it small.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(FIRST_BYTES)
        self._start = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def space(self) -> memoryview:
        """Room for the next bytes; what was looked at before is gone with it."""
        waiting = len(self)
        if not waiting:
            self._start = self._end = 0
        elif len(self._buffer) - self._end < ROOM_BYTES:
            old = memoryview(self._buffer)[self._start : self._end]
            if len(self._buffer) < waiting + 2 * ROOM_BYTES:
                # twice as large, so that a long message is moved a few times only
                self._buffer = bytearray(2 * (waiting + ROOM_BYTES))
            self._buffer[:waiting] = old
            self._start, self._end = 0, waiting
        return memoryview(self._buffer)[self._end :]

    def filled(self, count: int) -> None:
        """So many bytes have come."""
        self._end += count

    def put(self, data: bytes) -> None:
        """These bytes have come."""
        while data:
            space = self.space()
            part = data[: len(space)]
            space[: len(part)] = part
            self.filled(len(part))
            data = data[len(part) :]

    def view(self, first: int = 0, last: int | None = None) -> memoryview:
        """Bytes from ``first`` until before ``last``, as far as they have come; valid until `space`."""
        end = self._end if last is None else min(self._start + last, self._end)
        return memoryview(self._buffer)[min(self._start + first, end) : end]

    def has(self, beginning: bytes, at: int) -> bool:
        """Whether these bytes have come, and are there."""
        return self._buffer.startswith(beginning, self._start + at, self._end)

    def find(self, pattern: re.Pattern[bytes], first: int, is_right: Callable[[int], bool]) -> int | None:
        """Where a pattern begins, from ``first`` on, and is right; what only looks like it is passed over."""
        while match := pattern.search(self._buffer, self._start + first, self._end):
            at = match.start() - self._start
            if is_right(at):
                return at
            first = at + 1
        return None

    def skip(self, count: int) -> None:
        """So many bytes are used."""
        self._start += count

    def clear(self) -> int:
        """Forget everything; how many bytes that were."""
        forgotten = len(self)
        self._start = self._end
        return forgotten
