"""What an intake must have counted, from what an emulator has done."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeAlias

from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_daemon.messages import FaultSeen, IntakeCounts, ScanClosed
from livestrain_simulator.emulators.faults import Faults
from livestrain_simulator.emulators.native_faults import Corruption
from livestrain_simulator.emulators.record import ScanRecord

Expected: TypeAlias = dict[tuple[str, ...], tuple[int, int]]
"""By kinds, which together: the least and the most."""

DAMAGE = ("bad_message", "bad_encoding", "wrong_size")
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


def counted(intake: IntakeProcess) -> dict[str, int]:
    """Faults by kind, of all scans and of none."""
    total: dict[str, int] = {}
    idle = [message.faults for message in intake.of(IntakeCounts) if not message.scan_id]
    for faults in [*(closed.faults for closed in intake.of(ScanClosed)), *idle[-1:]]:
        for kind, count in faults.items():
            total[kind] = total.get(kind, 0) + count
    return total


def check_counts(intake: IntakeProcess, expected: Expected) -> None:
    """The intake has counted that, and nothing else; what belongs to no scan it tells of a little later."""
    with suppress(AssertionError):
        wait_until(lambda: not wrong(counted(intake), expected), 5)
    found = wrong(counted(intake), expected)
    assert not found, f"{found}: " + "; ".join(f"{seen.kind}: {seen.text}" for seen in intake.of(FaultSeen))[-4000:]


def wrong(seen: Mapping[str, int], expected: Expected) -> dict[str, str]:
    """Kinds of faults that were counted too often or not often enough."""
    rest, found = dict(seen), {}
    for kinds, (least, most) in expected.items():
        count = sum(rest.pop(kind, 0) for kind in kinds)
        if not least <= count <= most:
            found[" + ".join(kinds)] = f"expected {least} to {most}, found {count}"
    return found | {kind: f"expected none, found {count}" for kind, count in rest.items()}


def of_native(
    records: list[ScanRecord], faults: list[Faults], corrupted: list[list[tuple[int, Corruption]]]
) -> Expected:
    """Every message says of which scan it is, so that all is known."""
    found: Expected = {(kind,): (0, 0) for kind in ("duplicate", "bad_message", "wrong_dtype", "wrong_index", "lost")}
    found |= {PACKED: (0, 0), STRAY: (0, 0)}
    for record, asked, damaged in zip(records, faults, corrupted, strict=True):
        early = set(record.numbers("late_header"))
        received = record.copies.total()
        for number, how in damaged:
            is_stray = how != "header" and number in early
            _add(found, STRAY if is_stray else NATIVE[how])
            received += not is_stray and how not in ("header", "scan_id")
        for number in record.numbers("truncate"):
            _add(found, STRAY if number in early else PACKED)
            received += number not in early
        _add(found, STRAY, record.astray + len(record.numbers("second_series")))
        _add(found, ("duplicate",), record.duplicates)
        if record.started and not record.numbers("rearm"):
            # the end of the scan says how many there should have been
            given = record.frames if asked.abort_at is None else min(asked.abort_at, record.frames)
            _add(found, ("lost",), max(given - received, 0))
    return found


def of_dectris(records: list[ScanRecord], stream: str) -> Expected:
    """
    Every image says of which series it is, so that all is known of a series that has begun.

    Images of one whose start was lost make a series without it, which is told once; a single one may be a mistake, and
    one whose number cannot be read may be of any. Stream v1 does not tell the shape of its images before the first, so
    that a series without one is lost as a whole.
    """
    headless = [record for record in records if not record.started]
    sure = [record for record in headless if record.whole and (record.ended or record.copies.total() > 1)]
    unsure = [record for record in headless if record not in sure]
    shapeless = sum(record.started and not record.whole for record in records) if stream == "v1" else 0
    damaged = _made(records, "corrupt", "truncate")
    cut = _made(unsure, "truncate")
    strays = sum(record.astray + _foreign(record) for record in records)
    certain = strays - sum(record.astray for record in unsure)
    open_ended = sum(record.copies.total() + 1 for record in unsure) + cut
    return {
        ("duplicate",): _exactly(sum(record.duplicates for record in records)),
        DAMAGE: (damaged - cut + len(sure), damaged + len(headless)),
        ("unknown_scan",): (certain, strays + open_ended),
        ("lost",): (shapeless, shapeless + len(unsure)),
    }


def of_merlin(records: list[ScanRecord]) -> Expected:
    """
    Frames say their number, not their acquisition: behind one that has all its frames, or before one whose header
    never comes, they are of none.
    """
    begun, lost = _parted(records)
    surplus = sum(record.surplus for record in begun)
    return {
        ("duplicate",): _exactly(sum(record.duplicates for record in begun) - surplus),
        ("bad_message",): _exactly(_made(records, "corrupt", "truncate")),
        ("unknown_scan",): _exactly(surplus + sum(record.copies.total() for record in lost)),
    }


def of_images(records: list[ScanRecord]) -> Expected:
    """Images say their number and their measurement: one more of a measurement that has all is counted as such."""
    surplus = sum(record.surplus for record in records)
    return {
        ("duplicate",): _exactly(sum(record.duplicates for record in records) - surplus),
        ("bad_message",): _exactly(_made(records, "corrupt", "truncate")),
        ("wrong_count",): _exactly(surplus),
    }


def of_plain_images(records: list[ScanRecord]) -> Expected:
    """
    Images without numbers have the place at which they come: too few of them are told once, each too many is counted.

    A connection that ends where more of them are to come is told, too.
    """
    short = sum(bool(record.whole) and passed(record) < record.frames for record in records)
    return {
        ("bad_message",): _exactly(_made(records, "corrupt", "truncate")),
        ("wrong_count",): _exactly(short + sum(record.astray for record in records)),
        ("connection",): _exactly(short),
    }


def of_chunks(records: list[ScanRecord]) -> Expected:
    """
    Frames of a TPX3 have the place at which they come: a scan with too few or too many is told once, and those beyond
    its last position are counted. Before a scan whose start never comes nobody looks into them.
    """
    begun, lost = _parted(records)
    unopened = sum(record.copies.total() + record.astray + _made([record], "corrupt") for record in lost)
    return {
        ("bad_message",): _exactly(_made(records, "truncate")),
        ("bad_encoding",): _exactly(_made(begun, "corrupt")),
        ("wrong_index",): _exactly(sum(record.astray for record in begun)),
        ("wrong_count",): _exactly(sum(passed(record) != record.frames for record in begun)),
        ("unknown_scan",): _exactly(unopened),
    }


def _exactly(count: int) -> tuple[int, int]:
    return count, count


def _add(found: Expected, kinds: tuple[str, ...], count: int = 1) -> None:
    least, most = found[kinds]
    found[kinds] = least + count, most + count


def _parted(records: Iterable[ScanRecord]) -> tuple[list[ScanRecord], list[ScanRecord]]:
    """Scans whose start has left, and the others."""
    return [one for one in records if one.started], [one for one in records if not one.started]


def _made(records: Iterable[ScanRecord], *actions: str) -> int:
    """How many frames something was done to, in all scans."""
    return sum(action in actions for record in records for _, action in record.done)


def passed(record: ScanRecord) -> int:
    """Frames that have taken up a place, damaged or beyond the last position."""
    return record.copies.total() + record.astray + _made([record], "corrupt", "truncate")


def _foreign(record: ScanRecord) -> int:
    """Images of other series that have left: one beside an image that was held back for ever has not."""
    kept = set() if record.ended else {number for number in record.numbers("reorder") if not record.copies[number]}
    return sum(number not in kept for number in record.numbers("second_series"))
