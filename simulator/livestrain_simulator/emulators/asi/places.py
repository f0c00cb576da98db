"""Which frames a receiver that makes no mistake has, and where it must put them."""

from livestrain_simulator.emulators.asi.forms import Form
from livestrain_simulator.emulators.asi.script import Piece
from livestrain_simulator.emulators.faults import Action
from livestrain_simulator.emulators.record import ScanRecord

DAMAGED: frozenset[Action] = frozenset({"corrupt", "bad_length", "truncate"})
"""A frame that this is done to takes up its place, and is lost."""


class Places:
    """
    Follows what leaves.

    Images in PGM and chunks have no numbers: a frame that is not sent makes all that follow come one place too early,
    and no receiver can know. With numbers, the place of a frame is its number.

    Parameters
    ----------
    form
        How frames are sent.
    record
        Of the scan; its numbers are those of places.
    keeps
        Remember which frame belongs where.
    """

    def __init__(self, form: Form, record: ScanRecord, keeps: bool = True) -> None:
        self._form = form
        self._record = record
        self._keeps = keeps
        self._next = 0
        self._known = True
        self.frames: dict[int, int] = {}
        """The number of the frame that belongs to a place."""

    def cut(self) -> None:
        """The connection is lost, and with it the count."""
        self._known = self._form == "jsonimage"

    def left(self, piece: Piece) -> None:
        """Somebody has been sent this."""
        for number in piece.numbers:
            place = number if self._form == "jsonimage" else self._next
            self._next += 1
            beyond = bool(self._record.frames) and place >= self._record.frames
            if self._known and not DAMAGED.intersection(piece.actions) and not beyond:
                if self._keeps:
                    self.frames.setdefault(place, number)
                self._record.left(place)
            elif beyond and not DAMAGED.intersection(piece.actions):
                self._record.astray += 1
        if self._form == "tpx3" and "bad_length" in piece.actions:
            # where the next chunk begins can be found again, but not how many frames have been passed
            self._known = False
