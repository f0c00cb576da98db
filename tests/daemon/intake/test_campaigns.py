"""Scans with mixtures of faults: what survives is where it belongs, and the next scan is as if nothing had been."""

from pathlib import Path

import pytest

from helpers.campaign import MIXTURES, SIDE, STALL_SECONDS, Campaign, check, made, run, wait_for_the_last
from helpers.intake_process import IntakeProcess
from helpers.waiting import wait_until
from livestrain_simulator.emulators.asi import AsiEmulator, AsiSettings, Form, ServalServer
from livestrain_simulator.emulators.dectris.emulator import DectrisEmulator, EmulatorSettings
from livestrain_simulator.emulators.dectris.rest import RestServer
from livestrain_simulator.emulators.faults import BESIDE, EXCLUSIVE, STALE_FRAMES
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind
from livestrain_simulator.emulators.native_faults import FaultySender, Message
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.send import Sending, send_scan
from livestrain_simulator.sender import FrameSender
from livestrain_wire.messages import ScanStart

ENDS = ("abort_at", "rearm", "short_by", "late_header")


def test_native(tmp_path: Path) -> None:
    campaign = Campaign((*EXCLUSIVE, *BESIDE, *ENDS), headless=False)
    records: list[ScanRecord] = []
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
        wait_for_the_last(campaign, intake)
        faults_seen = check(campaign, intake, records)
    assert faults_seen.get("duplicate", 0) == sum(record.duplicates for record in records)


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
            seen = check(campaign, intake, emulator.record)
    assert seen.get("duplicate", 0) == sum(record.duplicates for record in emulator.record)
    # the images of a series whose start was lost make one without it, which is told; a single one may be a mistake, and
    # damaged ones may say which series they are of
    headless = [record for record in emulator.record if not record.started]
    sure = sum(bool(record.whole) and (record.ended or record.copies.total() > 1) for record in headless)
    bad = seen.get("bad_message", 0) + seen.get("bad_encoding", 0) + seen.get("wrong_size", 0)
    assert sure <= bad - made(emulator.record, "corrupt", "truncate") <= len(headless)


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
            seen = check(campaign, intake, emulator.record)
    assert seen.get("bad_message", 0) == made(emulator.record, "corrupt", "truncate")


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
