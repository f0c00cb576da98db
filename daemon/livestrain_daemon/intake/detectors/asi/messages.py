"""
Messages of a CheeTah TPX3 in a stream of bytes.

Nothing marks where one begins. A stream in which bytes are missing or too many is taken up again at the next 32 bytes
that are a header beyond doubt.
"""

import re
from dataclasses import dataclass

from livestrain_daemon.intake.detectors.asi.errors import WrongMessage
from livestrain_daemon.intake.detectors.asi.inbox import Inbox
from livestrain_daemon.intake.detectors.asi.tpx3 import (
    HEADER_BYTES,
    AcquisitionEnd,
    AcquisitionStart,
    Chunk,
    Header,
    ScanEnd,
    ScanStart,
    tpx3_header,
)

# what is reserved is zero, and so are the upper bytes of the size of the JSON
_SURE = re.compile(
    rb"(?s)\x00\x07\x00.{14}\x00{15}|\x01.{7}\x00{24}|\x02[\x02-\x05].{16}\x00{14}|[\x03\x04].{4}\x00{27}"
)

ENOUGH_BYTES = 2 * HEADER_BYTES
"""A header and the one behind it."""

LEAST_RESERVED = 14
"""Bytes at the end of each header that are zero."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A message; `body` lasts until the next bytes are taken."""

    header: Header
    body: memoryview


@dataclass(frozen=True, slots=True)
class CutShort:
    """A message whose end is missing, while what it began with is known."""

    header: Header
    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Bytes that are no message: how much is lost with them is not known."""

    kind: str
    text: str


class MessageSplitter:
    """
    Cuts what comes in into messages, in bounded memory.

    A message is handed out once the next header has been seen behind it, or once nothing more comes: if bytes of it are
    missing, the next one begins inside of it.

    Parameters
    ----------
    inbox
        What has come in.
    largest
        Messages that announce more are none [bytes].
    """

    def __init__(self, inbox: Inbox, largest: int) -> None:
        self._inbox = inbox
        self._largest = largest
        self._lost = False
        self._start: AcquisitionStart | None = None
        self._scan: int | None = None

    def reset(self) -> int:
        """What comes next begins a message; how many bytes are forgotten."""
        self._lost = False
        return self._inbox.clear()

    def next(self, quiet: bool = False) -> Whole | CutShort | Lost | None:
        """
        The next message, or what is there instead; None if more bytes are needed.

        Parameters
        ----------
        quiet
            Nothing has come for a while.
        """
        if self._lost and not self._found(quiet):
            return None
        if len(self._inbox) < HEADER_BYTES:
            return None
        try:
            header = self._header(0)
        except WrongMessage as error:
            self._inbox.skip(1)
            self._lost = True
            return Lost(error.kind, str(error))
        return self._complete(header, quiet)

    def _complete(self, header: Header, quiet: bool) -> Whole | CutShort | None:
        """A message as long as it says, if that is where it ends."""
        after = HEADER_BYTES + header.body_bytes
        behind = len(self._inbox) - after
        if behind < HEADER_BYTES and not quiet:
            return None
        if behind < 0:
            return self._cut_short(header, quiet)
        if not behind or self._is_header(after):
            return self._whole(header)
        if behind < ENOUGH_BYTES and not quiet:
            # what is inside of it cannot be told yet
            return None
        cut = self._cut_short(header, quiet)
        if cut or not isinstance(header, Chunk) or self._is_damaged_header(after):
            return cut or self._whole(header)
        self._inbox.skip(after)
        self._heed(header)
        return CutShort(header, f"expected a header behind {after} bytes of a message, found other bytes")

    def _whole(self, header: Header) -> Whole:
        after = HEADER_BYTES + header.body_bytes
        message = Whole(header, self._inbox.view(HEADER_BYTES, after))
        self._inbox.skip(after)
        self._heed(header)
        return message

    def _cut_short(self, header: Header, quiet: bool) -> CutShort | None:
        """The message, if the next one begins inside of it."""
        at = self._search(1, quiet)
        if at is None or at >= HEADER_BYTES + header.body_bytes:
            return None
        self._inbox.skip(at)
        self._heed(header)
        found = at - HEADER_BYTES
        return CutShort(
            header, f"expected {header.body_bytes} bytes in a message, found the next after {found} of them"
        )

    def _heed(self, header: Header) -> None:
        """What tells later headers from other bytes."""
        match header:
            case AcquisitionStart():
                self._start, self._scan = header, None
            case ScanStart():
                self._scan = header.sequence

    def _header(self, at: int) -> Header:
        return tpx3_header(bytes(self._inbox.view(at, at + HEADER_BYTES)), self._start, self._largest)

    def _is_header(self, at: int) -> bool:
        """Whether a header is what follows a message; one that has not come whole may be."""
        data = self._inbox.view(at, at + HEADER_BYTES)
        if len(data) < HEADER_BYTES:
            return True
        try:
            header = self._header(at)
        except WrongMessage:
            return False
        return self._is_expected(header) or _SURE.match(data) is not None

    def _is_damaged_header(self, at: int) -> bool:
        """Whether what follows a message has been a header: then the message itself is whole."""
        data = bytes(self._inbox.view(at, at + HEADER_BYTES))
        return not any(data[-LEAST_RESERVED:])

    def _is_expected(self, header: Header) -> bool:
        """Whether it says what only a header says."""
        match header:
            case ScanEnd():
                return header.sequence == self._scan
            case AcquisitionEnd():
                return self._start is not None and header.sequence == self._start.sequence
        return True

    def _found(self, quiet: bool) -> bool:
        """Move to the next header; what cannot be the beginning of one is thrown away."""
        at = self._search(0, quiet)
        if at is not None:
            self._inbox.skip(at)
        elif quiet:
            # who has paused begins with a message
            self._inbox.clear()
        else:
            self._inbox.skip(max(len(self._inbox) - ENOUGH_BYTES, 0))
        self._lost = at is None and not quiet
        return at is not None

    def _search(self, first: int, quiet: bool) -> int | None:
        """Where a header begins that is one beyond doubt."""
        return self._inbox.find(_SURE, first, lambda at: self._is_sure(at, quiet))

    def _is_sure(self, at: int, quiet: bool) -> bool:
        """Whether what looks like a header fits to what it says and to what follows."""
        try:
            header = self._header(at)
        except WrongMessage:
            # that something is lost has been told already
            return False
        body = at + HEADER_BYTES
        if isinstance(header, Chunk):
            return header.frames > 0 and self._start is not None
        if header.body_bytes:
            return bytes(self._inbox.view(body, body + 1)) == b"{"
        behind = len(self._inbox) - body
        follows = self._is_header(body) if behind >= HEADER_BYTES else quiet and not behind
        return follows and self._is_expected(header)
