"""What an emulated Merlin does wrong on purpose, and what becomes of a frame then."""

from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

Action = Literal[
    "drop", "duplicate", "delay", "truncate", "bad_header", "bad_length", "late_header", "stall", "disconnect", "abort"
]
"""
drop: not sent. duplicate: sent twice. delay: sent after the next frame. truncate: half of it is sent. bad_header: its
header is damaged. bad_length: its length is damaged. late_header: the header of the acquisition comes after this frame.
stall: a pause before it. disconnect: the connection is closed before it. abort: the acquisition ends before it.
"""
FaultPlan: TypeAlias = Callable[[int], tuple[Action, ...]]
"""What happens to the frame of a number, counted from 0; the same each time it is asked."""

PREFIX_BYTES = 15
DAMAGED = slice(PREFIX_BYTES, PREFIX_BYTES + 12)


def no_faults(number: int) -> tuple[Action, ...]:
    """Nothing happens to any frame."""
    del number
    return ()


class Damage:
    """Turns the message of a frame into what is sent for it."""

    def __init__(self) -> None:
        self._delayed: bytes | None = None

    def sent(self, message: bytes, actions: tuple[Action, ...]) -> Iterator[bytes]:
        """What goes over the wire for a frame, and for the one that was delayed before it."""
        if "drop" not in actions:
            damaged = _damaged(message, actions)
            if "delay" in actions and self._delayed is None:
                self._delayed = damaged
                return
            yield damaged
            if "duplicate" in actions:
                yield damaged
        yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """What was delayed."""
        if self._delayed is not None:
            delayed, self._delayed = self._delayed, None
            yield delayed


def _damaged(message: bytes, actions: tuple[Action, ...]) -> bytes:
    if "bad_header" in actions:
        message = message[: DAMAGED.start] + b"MQ1,??????,\xff" + message[DAMAGED.stop :]
    if "bad_length" in actions:
        message = b"MPX,9999999999," + message[PREFIX_BYTES:]
    if "truncate" in actions:
        message = message[: len(message) // 2]
    return message
