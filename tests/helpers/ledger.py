"""What an intake must have counted, from what an emulator has done."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeAlias

from helpers.campaign import Campaign
from helpers.intake_process import IntakeProcess
from helpers.outcome import folders, story
from helpers.waiting import wait_until
from livestrain_daemon.messages import FaultSeen, IntakeCounts, ScanClosed
from livestrain_simulator.emulators.faults import UNSENT, Action
from livestrain_simulator.emulators.record import ScanRecord

Expected: TypeAlias = dict[tuple[str, ...], tuple[int, int]]
"""By kinds, which together: the least and the most."""
Positions: TypeAlias = Callable[[int], Mapping[int, int]]
"""Of the frames of a scan that have one."""
OfScan: TypeAlias = Callable[[ScanRecord, Positions], Expected]
"""What must be counted with a scan, of what belongs to it without doubt."""

DAMAGE = ("bad_message", "bad_encoding", "wrong_size")
SPOILED: tuple[Action, ...] = ("corrupt", "truncate", "bad_length")
"""Done with a frame that is sent, and no more to be read."""
ILLEGIBLE = 4
"""Images without a legible header behind one, from which on it may not be believed."""
ANY = 1 << 40
"""Nobody knows how many."""
TWICE = ("duplicate", "flyback")
"""Of whole frames that have no position to fill."""


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


def check_scans(campaign: Campaign, records: list[ScanRecord], of_scan: OfScan, is_all: bool = False) -> None:
    """
    What belongs to a scan has been told with it; with one in which nothing went wrong, that and nothing else.

    Nothing else with any scan, if that is all.
    """
    by_scan = folders(campaign, records)
    for scan, folder in by_scan.items():
        expected = of_scan(records[scan], campaign.positions)
        found = wrong(folder.closed.faults, expected, is_all=is_all or bool(scan % 2))
        assert not found, f"scan {scan}: {found} in {folder.closed}: {story(campaign, records, scan)}"


def wrong(seen: Mapping[str, int], expected: Expected, is_all: bool = True) -> dict[str, str]:
    """Kinds of faults that were counted too often or not often enough; others are none, if that is all."""
    rest, found = dict(seen), {}
    for kinds, (least, most) in expected.items():
        count = sum(rest.pop(kind, 0) for kind in kinds)
        if not least <= count <= most:
            found[" + ".join(kinds)] = f"expected {least} to {most}, found {count}"
    return found | {kind: f"expected none, found {count}" for kind, count in rest.items() if is_all}


def not_stored(record: ScanRecord, positions: Positions) -> int:
    """Whole copies that came and were not stored: of a frame that was there already, or that has no position."""
    return record.copies.total() - len(record.whole & set(positions(record.scan)))


def of_dectris(records: list[ScanRecord], positions: Positions, stream: str) -> Expected:
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
    spoiled = made(records, "corrupt", "truncate")
    cut = made(unsure, "truncate")
    strays = sum(record.astray + _foreign(record) for record in records)
    certain = strays - sum(record.astray for record in unsure)
    open_ended = sum(record.copies.total() + 1 for record in unsure) + cut
    twice = sum(not_stored(record, positions) for record in records)
    return {
        TWICE: (twice - sum(not_stored(record, positions) for record in unsure), twice),
        DAMAGE: (spoiled - cut + len(sure), spoiled + len(headless)),
        ("unknown_scan",): (certain, strays + open_ended),
        ("lost",): (shapeless, shapeless + len(unsure)),
    }


def of_series(record: ScanRecord, positions: Positions) -> Expected:
    """
    Of a series of a DECTRIS detector whose start came first.

    Images of a series that nobody has begun wait for their start, and are told of at any time.
    """
    found: Expected = {("unknown_scan",): (0, ANY)}
    twice = not_stored(record, positions)
    if not record.started or record.numbers("late_header"):
        # that it has no start is told once
        return found | {DAMAGE: (0, len(heard(record, "corrupt", "truncate")) + 1), TWICE: (0, twice)}
    return found | {DAMAGE: damaged(record), TWICE: exactly(twice)}


def of_merlin(records: list[ScanRecord], positions: Positions) -> Expected:
    """
    Frames say their number, not their acquisition: behind one that has all its frames, or before one whose header
    never comes, they are of none.
    """
    begun, lost = _parted(records)
    surplus = sum(record.surplus for record in begun)
    return {
        TWICE: exactly(sum(not_stored(record, positions) for record in begun) - surplus),
        ("bad_message",): exactly(made(records, *SPOILED)),
        ("connection",): exactly(made(records, "disconnect")),
        ("unknown_scan",): exactly(surplus + sum(record.copies.total() for record in lost)),
    }


def of_acquisition(record: ScanRecord, positions: Positions) -> Expected:
    """Of an acquisition of a Merlin."""
    return {TWICE: exactly(not_stored(record, positions) - record.surplus), DAMAGE: damaged(record)}


def of_measurement(record: ScanRecord, positions: Positions) -> Expected:
    """Of a measurement of numbered images: one that is not believed is damaged."""
    twice, doubt = not_stored(record, positions) - record.surplus, len(not_believed(record))
    least, most = damaged(record)
    return {TWICE: (twice - doubt, twice), DAMAGE: (least, most + doubt)}


def not_believed(record: ScanRecord) -> set[int]:
    """Images that so many follow without a legible header that they may be none."""
    order: list[int] = []
    held: list[int] = []
    done = {number: {action for other, action in record.done if other == number} for number, _ in record.done}
    for number in range(record.frames):
        actions = done.get(number, set())
        if {"abort", "rearm"} & actions:
            break
        if "reorder" in actions:
            held.append(number)
        elif not UNSENT & actions:
            order += [number] * (1 + ("duplicate" in actions)) + held
            held = []
    illegible = ["x" if {"corrupt", "bad_length"} & done.get(number, set()) else "." for number in order]
    text = "".join(illegible)
    return {number for at, number in enumerate(order) if text[at + 1 :].startswith("x" * ILLEGIBLE)}


def of_images(records: list[ScanRecord], positions: Positions) -> Expected:
    """Images say their number and their measurement: one more of a measurement that has all is counted as such."""
    surplus = sum(record.surplus for record in records)
    twice = sum(not_stored(record, positions) for record in records) - surplus
    spoiled, doubt = made(records, *SPOILED), sum(len(not_believed(record)) for record in records)
    return {
        TWICE: (twice - doubt, twice),
        DAMAGE: (spoiled, spoiled + doubt),
        # one without a measurement to lose is as good as any other
        ("connection",): (0, made(records, "disconnect")),
        ("wrong_count",): exactly(surplus),
    }


def of_plain_images(records: list[ScanRecord]) -> Expected:
    """
    Images without numbers have the place at which they come: too few of them are told once, each too many is counted.

    A connection that ends where more of them are to come is told, too.
    """
    short = sum(bool(record.whole) and passed(record) < record.frames for record in records)
    return {
        DAMAGE: exactly(made(records, *SPOILED)),
        ("wrong_count",): exactly(short + sum(record.astray for record in records)),
        ("connection",): exactly(short),
    }


def of_plain_measurement(record: ScanRecord, positions: Positions) -> Expected:
    """
    Of a measurement of images without numbers, all of which have come when as many have as it has.

    More of them are counted with it, unless they come after a pause.
    """
    del positions
    least, most = damaged(record)
    short = int(passed(record) < record.frames)
    return {
        DAMAGE: (least if passed(record) <= record.frames else 0, most),
        ("wrong_count",): (short, short + record.astray),
    }


def of_chunks(records: list[ScanRecord]) -> Expected:
    """
    Frames of a TPX3 have the place at which they come: a scan with too few or too many is told once, and those beyond
    its last position are counted. Before a scan whose start never comes nobody looks into them. Where a length is
    wrong, it is not known how many frames are lost, and all behind it are.
    """
    begun, lost = _parted(records)
    adrift = [record for record in records if record.numbers("bad_length")]
    counted_all = [record for record in begun if record not in adrift]
    unopened = [(record.copies.total() + record.astray + made([record], "corrupt"), record) for record in lost]
    cut = made(records, "truncate")
    return {
        ("bad_message",): (cut, cut + sum(_all_sent(record) for record in adrift)),
        ("bad_encoding",): (made(counted_all, "corrupt"), made(begun, "corrupt")),
        ("wrong_index",): (sum(record.astray for record in counted_all), sum(record.astray for record in begun)),
        ("wrong_count",): exactly(sum(passed(record) != record.frames for record in counted_all)),
        ("connection",): (0, made(records, "disconnect")),
        ("unknown_scan",): (
            sum(count for count, record in unopened if record not in adrift),
            sum(count for count, _ in unopened),
        ),
    }


def of_chunk_scan(record: ScanRecord, positions: Positions) -> Expected:
    """Of a scan of a TPX3: whatever comes between its start and its end, all of it."""
    del positions
    spoiled = made([record], "corrupt")
    if record.numbers("bad_length"):
        # before the start of its scan it is of none
        return {
            ("bad_message",): (0 if record.numbers("late_header") else 1, _all_sent(record)),
            ("bad_encoding",): (0, spoiled),
            ("wrong_index",): (0, record.astray),
        }
    return {
        ("bad_message",): damaged(record, "truncate"),
        ("bad_encoding",): exactly(spoiled),
        ("wrong_index",): exactly(record.astray),
        ("wrong_count",): exactly(int(passed(record) != record.frames)),
    }


def damaged(record: ScanRecord, *actions: Action) -> tuple[int, int]:
    """Damaged frames of a scan: those before its first one that is whole may be told of with no scan."""
    numbers = heard(record, *(actions or SPOILED))
    early, late = set(record.numbers("late_header")), set(record.numbers("reorder"))
    first = min(record.whole - early - late, default=record.frames)
    return sum(number > first for number in numbers if number not in early), len(numbers)


def exactly(count: int) -> tuple[int, int]:
    """No more and no less."""
    return count, count


def add(found: Expected, kinds: tuple[str, ...], count: int = 1) -> None:
    """So many more are expected."""
    least, most = found.get(kinds, (0, 0))
    found[kinds] = least + count, most + count


def made(records: Iterable[ScanRecord], *actions: Action) -> int:
    """How many frames something was done to, in all scans, and somebody listened."""
    return sum(len(heard(record, *actions)) for record in records)


def heard(record: ScanRecord, *actions: Action) -> list[int]:
    """Frames that something was done to, and that somebody was sent."""
    unheard = record.unheard
    return [number for number in record.numbers(*actions) if number not in unheard or "disconnect" in actions]


def passed(record: ScanRecord) -> int:
    """Frames that have taken up a place, damaged or beyond the last position."""
    return record.copies.total() + record.astray + made([record], *SPOILED)


def _all_sent(record: ScanRecord) -> int:
    """No more frames have left, whatever has become of them."""
    return record.frames + record.astray + len(record.numbers("duplicate"))


def _parted(records: Iterable[ScanRecord]) -> tuple[list[ScanRecord], list[ScanRecord]]:
    """Scans whose start has left, and the others."""
    return [one for one in records if one.started], [one for one in records if not one.started]


def _foreign(record: ScanRecord) -> int:
    """Images of other series that have left: one beside an image that was held back for ever has not."""
    kept = set() if record.ended else {number for number in record.numbers("reorder") if not record.copies[number]}
    return sum(number not in kept for number in record.numbers("second_series"))
