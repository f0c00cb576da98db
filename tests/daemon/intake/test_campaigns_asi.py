"""Scans of an ASI detector with faults: what survives is where it belongs, and the next scan is clean."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from helpers.campaign import (
    MIXTURES,
    STALL_SECONDS,
    Campaign,
    Geometry,
    run,
)
from helpers.cases import BY_CONNECTION, ENDS, RUNS_ALONE, Fault
from helpers.intake_process import IntakeProcess
from helpers.ledger import (
    check_counts,
    check_scans,
    not_believed,
    of_chunk_scan,
    of_chunks,
    of_images,
    of_measurement,
    of_plain_images,
    of_plain_measurement,
    passed,
)
from helpers.outcome import check, wait_for_the_last
from helpers.waiting import wait_until
from livestrain_simulator.emulators.asi import AsiEmulator, AsiSettings, ServalServer
from livestrain_simulator.emulators.faults import EXCLUSIVE, Kind
from livestrain_simulator.emulators.record import ScanRecord

SHAPE = (6, 7)
PARTS = 4
"""Of the campaign that waits most of the time."""
BELIEVED: tuple[Kind, ...] = ("drop", "duplicate", "reorder", "truncate")
"""An image is believed when one of the next few has a header that can be read."""
LEGIBLE: tuple[Kind, ...] = ("drop", "duplicate", "reorder")
"""With every image of a scan damaged, it is not known which scan they were of."""


def test_images_with_numbers(tmp_path: Path) -> None:
    geometry = Geometry("serpentine", 1)
    possible: tuple[Fault, ...] = (*EXCLUSIVE, "stall", *ENDS, *BY_CONNECTION)
    campaign = Campaign(possible, SHAPE, (geometry,), headless=False, whole_scans=BELIEVED, doubt=not_believed)
    # the detector knows frames only, and not where they belong
    settings = AsiSettings("jsonimage", (6, 8), stall_seconds=STALL_SECONDS, second_copy=campaign.second_copy)
    with ServalServer(AsiEmulator(campaign.frame, settings, campaign.plan)) as serval:
        emulator = serval.emulator
        table = {"host": "127.0.0.1", "data_port": emulator.data_port, "rest_port": serval.port}
        scan = {"shape": SHAPE, "order": geometry.order, "flyback_frames": geometry.flyback_frames}
        with IntakeProcess(tmp_path, intake={"asi": table, "scan": scan}) as intake:

            def begin(scan: int, shape: tuple[int, int]) -> None:
                wait_until(lambda: emulator.listeners, 30)
                assert emulator.start()
                wait_until(lambda: not emulator.recording, 30)

            run(campaign, begin, lambda: emulator.record)
            wait_for_the_last(campaign, intake)
            check(campaign, intake, emulator.record, how_images_end)
            check_scans(campaign, emulator.record, of_measurement)
            check_counts(intake, of_images(emulator.record, campaign.positions))


def test_chunks(tmp_path: Path) -> None:
    possible: tuple[Fault, ...] = (*EXCLUSIVE, "stall", *ENDS, "late_header", *BY_CONNECTION)
    campaign = Campaign(possible, SHAPE, (Geometry("serpentine"),), headless=False)
    campaign.whole_scans = BELIEVED
    settings = AsiSettings("tpx3", SHAPE, chunk_frames=5, stall_seconds=STALL_SECONDS, second_copy=campaign.second_copy)
    with AsiEmulator(campaign.frame, settings, campaign.plan) as emulator:
        campaign.places = emulator.places.__getitem__
        table = {"host": "127.0.0.1", "data_port": emulator.data_port, "form": "tpx3"}
        with IntakeProcess(tmp_path, intake={"asi": table, "scan": {"order": "serpentine"}}) as intake:

            def begin(scan: int, shape: tuple[int, int]) -> None:
                wait_until(lambda: emulator.listeners, 30)
                assert emulator.start()
                wait_until(lambda: not emulator.recording, 30)

            run(campaign, begin, lambda: emulator.record)
            wait_for_the_last(campaign, intake)
            check(campaign, intake, emulator.record, how_chunks_end)
            check_scans(campaign, emulator.record, of_chunk_scan, is_all=True)
            check_counts(intake, of_chunks(emulator.record))


def test_images_without_numbers(tmp_path: Path) -> None:
    """A scan may not end without a word: nobody could tell its images from those of the next."""
    folders = [tmp_path / str(part) for part in range(PARTS)]
    for folder in folders:
        folder.mkdir()
    # a scan is over when nothing more comes, which takes its time
    with ThreadPoolExecutor(PARTS) as pool:
        list(pool.map(images_without_numbers, folders, range(PARTS)))


def images_without_numbers(folder: Path, part: int) -> None:
    possible: tuple[Fault, ...] = (*EXCLUSIVE, "stall", "abort_at", "short_by", *BY_CONNECTION)
    campaign = Campaign(possible, SHAPE, (Geometry("serpentine"),), headless=False, whole_scans=LEGIBLE)
    campaign.mixtures = MIXTURES // PARTS
    campaign.first += part * campaign.mixtures
    campaign.runs_alone = 0 if part else RUNS_ALONE
    settings = AsiSettings("pgm", SHAPE, stall_seconds=STALL_SECONDS, second_copy=campaign.second_copy)
    with ServalServer(AsiEmulator(campaign.frame, settings, campaign.plan)) as serval:
        emulator = serval.emulator
        campaign.places = emulator.places.__getitem__
        table = {"host": "127.0.0.1", "data_port": emulator.data_port, "rest_port": serval.port}
        scan = {"shape": SHAPE, "order": "serpentine"}
        with IntakeProcess(folder, intake={"asi": table, "scan": scan}) as intake:

            def begin(scan: int, shape: tuple[int, int]) -> None:
                wait_until(lambda: emulator.listeners, 30)
                assert emulator.start()
                wait_until(lambda: not emulator.recording, 30)
                record = emulator.record[scan]
                if record.copies.total():
                    # who is a whole measurement late cannot know which one an image is of
                    intake.opened()
                if passed(record) != record.frames:
                    # too few or too many: the end of the connection is the end of the scan
                    emulator.dismiss()

            run(campaign, begin, lambda: emulator.record)
            wait_for_the_last(campaign, intake)
            check(campaign, intake, emulator.record, how_plain_images_end)
            check_scans(campaign, emulator.record, of_plain_measurement)
            check_counts(intake, of_plain_images(emulator.record))


def how_images_end(record: ScanRecord) -> set[str]:
    """A measurement whose last image has come is not cut short."""
    return {"complete"} if record.frames - 1 in record.whole else {"aborted"}


def how_plain_images_end(record: ScanRecord) -> set[str]:
    """A measurement of which as many images have come as it has is not cut short."""
    return {"complete"} if passed(record) >= record.frames else {"aborted"}


def how_chunks_end(record: ScanRecord) -> set[str]:
    """With as many frames as it has, or its end; else with what follows."""
    is_told = record.ended and not record.numbers("disconnect")
    return {"complete"} if is_told or passed(record) >= record.frames else {"aborted"}
