"""What an intake must have counted of scans that came from a native sender, scan by scan."""

from dataclasses import dataclass

from helpers.cases import Case
from helpers.ledger import TWICE, Expected, Positions, add, exactly, not_stored
from livestrain_simulator.emulators.native_faults import Corruption
from livestrain_simulator.emulators.record import ScanRecord

PACKED = ("bad_encoding", "wrong_size")
"""Of what cannot be unpacked, by what is noticed first."""
STRAY = ("unknown_scan", "late")
NATIVE: dict[Corruption, tuple[str, ...]] = {
    "header": ("bad_message",),
    "dtype": ("wrong_dtype",),
    "shape": PACKED,
    "index": ("wrong_index",),
    "scan_id": STRAY,
    "encoding": PACKED,
}
"""What the intake calls a header that is wrong."""


@dataclass
class Sent:
    """A scan as it was sent."""

    record: ScanRecord
    case: Case
    corrupted: list[tuple[int, Corruption]]
    stale: int
    """Frames of the scan before, which were sent behind the start of this one."""


@dataclass
class Told:
    """What must be told of a scan."""

    faults: Expected
    reason: str = ""
    """How it ended; empty where it never began."""


def of_native(scans: list[Sent], positions: Positions) -> tuple[list[Told], Expected]:
    """
    What must be told of each scan, and in all.

    Every message says of which scan it is, so that all is known. What comes before the start of its scan is counted
    with the one in progress, if the scan before has had no end.
    """
    told, idle = [Told({}) for _ in scans], Told({})
    in_progress = idle
    for sent, one in zip(scans, told, strict=True):
        record, early = sent.record, set(sent.record.numbers("late_header"))
        stale = sent.stale if record.started else 0
        add(in_progress.faults, STRAY, record.astray - stale)
        for number, kinds in _damaged(sent, early):
            add(in_progress.faults if number in early else one.faults, kinds)
        if not record.started:
            continue
        in_progress.reason = "superseded"
        in_progress = one
        add(one.faults, STRAY, stale)
        add(one.faults, TWICE, not_stored(record, positions))
        if not record.numbers("rearm"):
            add(one.faults, ("lost",), _unsent(sent, early))
            one.reason, in_progress = "complete" if record.ended else "aborted", idle
    total: Expected = {}
    for kinds, (count, _) in [pair for one in (*told, idle) for pair in one.faults.items()]:
        add(total, kinds, count)
    return told, total


def exact(told: Told) -> Expected:
    """Of every kind that there is, none where none is expected."""
    every = {*NATIVE.values(), TWICE, ("lost",)}
    return {kinds: exactly(0) for kinds in every} | told.faults


def _damaged(sent: Sent, early: set[int]) -> list[tuple[int, tuple[str, ...]]]:
    """Frames of which something is counted, and what."""
    found = [(number, STRAY if how != "header" and number in early else NATIVE[how]) for number, how in sent.corrupted]
    found += [(number, STRAY if number in early else PACKED) for number in sent.record.numbers("truncate")]
    return [*found, *((number, STRAY) for number in sent.record.numbers("second_series"))]


def _unsent(sent: Sent, early: set[int]) -> int:
    """Frames that the end of a scan tells of, and that have not come."""
    record, abort_at = sent.record, sent.case.faults.abort_at
    given = record.frames if abort_at is None else min(abort_at, record.frames)
    seen = [number for number, how in sent.corrupted if how not in ("header", "scan_id")]
    seen += record.numbers("truncate")
    return max(given - record.copies.total() - sum(number not in early for number in seen), 0)
