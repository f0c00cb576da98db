"""What becomes of the message of a frame when something goes wrong on purpose."""

from collections.abc import Iterator, Sequence

from livestrain_simulator.emulators.faults import UNSENT, Action

PREFIX_BYTES = 15
DAMAGED = slice(PREFIX_BYTES, PREFIX_BYTES + 12)


class Damage:
    """Turns the message of a frame into what is sent for it."""

    def __init__(self) -> None:
        self._delayed: list[tuple[int, bytes]] = []

    def sent(
        self, number: int, message: bytes, actions: Sequence[Action], again: bytes | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """
        What goes over the wire for a frame, and for those that were delayed before it, with their numbers.

        Parameters
        ----------
        number, message, actions
            The frame, and what happens to it.
        again
            Its second copy, if that is another.
        """
        if UNSENT.intersection(actions):
            return
        damaged = _damaged(message, actions)
        if "reorder" in actions:
            self._delayed.append((number, damaged))
            return
        yield number, damaged
        if "duplicate" in actions:
            yield number, damaged if again is None else again
        yield from self.rest()

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """What was delayed."""
        delayed, self._delayed = self._delayed, []
        yield from delayed


def _damaged(message: bytes, actions: Sequence[Action]) -> bytes:
    if "corrupt" in actions:
        message = message[: DAMAGED.start] + b"MQ1,??????,\xff" + message[DAMAGED.stop :]
    if "bad_length" in actions:
        message = b"MPX,9999999999," + message[PREFIX_BYTES:]
    if "truncate" in actions:
        message = message[: len(message) // 2]
    return message
