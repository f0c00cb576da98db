"""Scans with mixtures of faults: what survives is where it belongs, and the next scan is as if nothing had been."""

from pathlib import Path

import pytest

from helpers.campaign import MIXTURES, SIDE, STALL_SECONDS, Campaign, check, run, wait_for_the_last
from helpers.intake_process import IntakeProcess
from helpers.ledger import (
    check_counts,
    of_chunks,
    of_dectris,
    of_images,
    of_merlin,
    of_native,
    of_plain_images,
    passed,
)
from helpers.waiting import wait_until
from livestrain_simulator.emulators.asi import AsiEmulator, AsiSettings, Form, ServalServer
from livestrain_simulator.emulators.dectris.emulator import DectrisEmulator, EmulatorSettings
from livestrain_simulator.emulators.dectris.rest import RestServer
from livestrain_simulator.emulators.faults import BESIDE, EXCLUSIVE, STALE_FRAMES, Kind
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind
from livestrain_simulator.emulators.native_faults import Corruption, FaultySender, Message
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.send import Sending, send_scan
from livestrain_simulator.sender import FrameSender
from livestrain_wire.messages import ScanStart

ENDS = ("abort_at", "rearm", "short_by", "late_header")


def test_native(tmp_path: Path) -> None:
    campaign = Campaign((*EXCLUSIVE, *BESIDE, *ENDS), headless=False)
    records: list[ScanRecord] = []
    corrupted: list[list[tuple[int, Corruption]]] = []
    stale: list[Message] = []
    with IntakeProcess(tmp_path) as intake, FrameSender(intake.endpoint) as sender:
        for scan in range(2 * MIXTURES):
            shape = campaign.shape(scan // 2)
            plan = campaign.plan(scan, shape[0] * shape[1])
            faults = campaign.faults[scan]
            breaks_off = None if faults.rearm is None else faults.rearm + STALE_FRAMES
            how = Sending("lz4", 1 + scan % 7, abort_at=breaks_off if faults.abort_at is None else faults.abort_at)
            start = ScanStart(scan_id=f"scan-{scan}", scan_shape=shape, frame_shape=(SIDE, SIDE), dtype="uint16")
            records.append(ScanRecord(scan, len(campaign.current)))
            faulty = FaultySender(sender, plan, records[-1], scan, STALL_SECONDS, stale)
            send_scan(faulty, start, [campaign.current], how)
            stale = faulty.left_behind
            corrupted.append(faulty.corrupted)
        wait_for_the_last(campaign, intake)
        check(campaign, intake, records)
        check_counts(intake, of_native(records, campaign.faults, corrupted))


@pytest.mark.parametrize("stream", ["v1", "v2"])
def test_dectris(tmp_path: Path, stream: str) -> None:
    campaign = Campaign((*EXCLUSIVE, *BESIDE, *ENDS), fixed=(6, 7))
    form = "legacy" if stream == "v1" else "cbor"
    settings = EmulatorSettings(stall_seconds=STALL_SECONDS, stream={"format": form}, config={"compression": "lz4"})
    emulator = DectrisEmulator(lambda number: {"threshold_1": campaign.frame(number)}, settings, campaign.plan)
    with RestServer(emulator) as server:
        port = emulator.outlet.port("legacy" if stream == "v1" else "cbor")
        table = {"host": "127.0.0.1", "stream": stream, "stream_port": port, "rest_port": server.port}
        with IntakeProcess(tmp_path, intake={"dectris": table, "scan": {"shape": campaign.fixed}}) as intake:

            def begin(scan: int, shape: tuple[int, int]) -> None:
                emulator.set_value(emulator.detector, "nimages", shape[0] * shape[1])
                emulator.arm()
                assert emulator.wait_until_idle(30)

            run(campaign, begin, lambda: emulator.record)
            wait_for_the_last(campaign, intake)
            check(campaign, intake, emulator.record)
            check_counts(intake, of_dectris(emulator.record, stream))


def test_merlin(tmp_path: Path) -> None:
    campaign = Campaign((*EXCLUSIVE, "stall", *ENDS), headless=False)
    kind = PixelKind("U16", 12)
    emulated = MerlinEmulator(campaign.frame, kind, plans=campaign.plan, stall_seconds=STALL_SECONDS)
    with emulated as emulator:
        table = {"host": "127.0.0.1", "data_port": emulator.data_port}
        with IntakeProcess(tmp_path, intake={"merlin": table}) as intake:
            wait_until(lambda: emulator.listeners, 30)

            def begin(scan: int, shape: tuple[int, int]) -> None:
                settings = {"NUMFRAMESTOACQUIRE": shape[0] * shape[1], "STEMSCANX": shape[1], "STEMSCANY": shape[0]}
                for name, value in settings.items():
                    emulator.ask(f"SET,{name},{value}")
                emulator.ask("CMD,STARTACQUISITION")
                wait_until(lambda: emulator.is_idle, 30)

            run(campaign, begin, lambda: emulator.record)
            wait_for_the_last(campaign, intake)
            check(campaign, intake, emulator.record)
            check_counts(intake, of_merlin(emulator.record))


@pytest.mark.parametrize("form", ["jsonimage", "tpx3"])
def test_asi(tmp_path: Path, form: Form) -> None:
    possible = {"jsonimage": (*EXCLUSIVE, "stall", *ENDS[:3]), "tpx3": (*EXCLUSIVE, "stall", *ENDS)}[form]
    campaign = Campaign(possible, fixed=(6, 7), headless=False, places=lambda scan: emulator.places[scan])
    # an image is believed when one of the next few has a header that can be read
    campaign.whole_scans = ("drop", "duplicate", "reorder", "truncate")
    emulator = AsiEmulator(
        campaign.frame, AsiSettings(form, (6, 7), chunk_frames=5, stall_seconds=STALL_SECONDS), campaign.plan
    )
    with ServalServer(emulator) as serval:
        table: dict[str, object] = {"host": "127.0.0.1", "data_port": emulator.data_port}
        table |= {"form": "tpx3"} if form == "tpx3" else {"rest_port": serval.port}
        with IntakeProcess(tmp_path, intake={"asi": table, "scan": {"shape": (6, 7)}}) as intake:
            wait_until(lambda: emulator.listeners, 30)

            def begin(scan: int, shape: tuple[int, int]) -> None:
                assert emulator.start()
                wait_until(lambda: not emulator.recording, 30)

            run(campaign, begin, lambda: emulator.record)
            wait_for_the_last(campaign, intake)
            check(campaign, intake, emulator.record)
            check_counts(intake, {"jsonimage": of_images, "tpx3": of_chunks}[form](emulator.record))


def test_asi_without_numbers(tmp_path: Path) -> None:
    """A scan may not end without a word: nobody could tell its images from those of the next."""
    # a scan is over when nothing more comes, which takes its time; the other forms have as many as any detector
    mixtures = MIXTURES // 5
    # with every image of a scan damaged, it is not known which scan they were of
    whole_scans: tuple[Kind, ...] = ("drop", "duplicate", "reorder")
    campaign = Campaign(
        (*EXCLUSIVE, "stall", "abort_at", "short_by"),
        fixed=(6, 7),
        headless=False,
        places=lambda scan: emulator.places[scan],
        whole_scans=whole_scans,
        mixtures=mixtures,
    )
    settings = AsiSettings("pgm", (6, 7), stall_seconds=STALL_SECONDS)
    with ServalServer(AsiEmulator(campaign.frame, settings, campaign.plan)) as serval:
        emulator = serval.emulator
        table = {"host": "127.0.0.1", "data_port": emulator.data_port, "rest_port": serval.port}
        with IntakeProcess(tmp_path, intake={"asi": table, "scan": {"shape": (6, 7)}}) as intake:

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
            check(campaign, intake, emulator.record)
            check_counts(intake, of_plain_images(emulator.record))
