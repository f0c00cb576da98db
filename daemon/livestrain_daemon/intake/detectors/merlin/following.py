"""The frame that follows the last and is like it: what the header of that one says need not be read again."""

import re
from dataclasses import dataclass

from livestrain_daemon.intake.detectors.merlin.numbers import MILLION

_HEADER = re.compile(rb"MQ1,[0-9]{6}((?:,[^,]{0,12}){7},)")
"""Number and geometry: what `frame_header` looks at."""


@dataclass(frozen=True, slots=True)
class Alike:
    """What frames have in common that come one after the other."""

    size: int
    """Of a message [bytes]."""
    header: bytes
    """What is behind the number, up to the end of the geometry."""
    header_bytes: int
    """Up to there, from the beginning."""

    def is_frame(self, number: int, message: memoryview) -> bool:
        """Whether a message is the frame of this number, with the layout of the other frames."""
        if number >= MILLION or len(message) != self.size:
            return False
        return message[: self.header_bytes] == b"MQ1,%06d%b" % (number, self.header)


def alike(message: memoryview) -> Alike | None:
    """
    What the next frame may have in common with one.

    Parameters
    ----------
    message
        The frame, which has been read.

    Returns
    -------
    Alike or None
        None if its header is not of the usual form.
    """
    match = _HEADER.match(message)
    return Alike(len(message), match[1], match.end()) if match else None
