"""Native scans and those of a Merlin with faults: what survives is where it belongs, and the next scan is clean."""

from pathlib import Path

from helpers.campaign import SIDE, STALL_SECONDS, Campaign, Geometry, run
from helpers.cases import BY_CONNECTION, ENDS
from helpers.intake_process import IntakeProcess
from helpers.ledger import check_counts, check_scans, of_acquisition, of_merlin
from helpers.native_ledger import Sent, exact, of_native
from helpers.outcome import check, wait_for_the_last
from helpers.waiting import wait_until
from livestrain_simulator.emulators.faults import EXCLUSIVE, KINDS, STALE_FRAMES
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind
from livestrain_simulator.emulators.native_faults import FaultySender, Message
from livestrain_simulator.emulators.record import ScanRecord
from livestrain_simulator.send import Sending, send_scan
from livestrain_simulator.sender import FrameSender
from livestrain_wire.messages import ScanStart

GEOMETRIES = (Geometry(), Geometry("serpentine"), Geometry(flyback_frames=2), Geometry("serpentine", 1))
FRAMES_PER_SECOND = 40_000.0


def test_native(tmp_path: Path) -> None:
    campaign = Campaign((*KINDS, *ENDS, "late_header"), geometries=GEOMETRIES, headless=False)
    scans: list[Sent] = []
    stale: list[Message] = []
    with IntakeProcess(tmp_path) as intake, FrameSender(intake.endpoint) as sender:
        for scan in range(campaign.scans):
            shape, geometry = campaign.shape(scan), campaign.geometry(scan)
            record = ScanRecord(scan, geometry.frames(shape))
            plan = campaign.plan(scan, record.frames)
            case = campaign.cases[scan]
            faults = case.faults
            breaks_off = None if faults.rearm is None else faults.rearm + STALE_FRAMES
            abort_at = breaks_off if faults.abort_at is None else faults.abort_at
            burst, rate = (1, None) if scan % 3 else (5, FRAMES_PER_SECOND)
            how = Sending("lz4", 1 + scan % 7, frames_per_second=rate, burst=burst, abort_at=abort_at)
            start = ScanStart(
                scan_id=f"scan-{scan}",
                scan_shape=shape,
                frame_shape=(SIDE, SIDE),
                dtype="uint16",
                order=geometry.order,
                flyback_frames=geometry.flyback_frames,
            )
            faulty = FaultySender(sender, plan, record, scan, STALL_SECONDS, stale, campaign.second_copy)
            send_scan(faulty, start, [campaign.current], how)
            scans.append(Sent(record, case, faulty.corrupted, len(stale)))
            stale = faulty.left_behind
        wait_for_the_last(campaign, intake)
        records = [sent.record for sent in scans]
        told, total = of_native(scans, campaign.positions)
        check(campaign, intake, records, lambda record: {told[record.scan].reason})
        check_scans(campaign, records, lambda record, positions: exact(told[record.scan]))
        check_counts(intake, total)


def test_merlin(tmp_path: Path) -> None:
    geometry = Geometry("serpentine", 1)
    possible = (*EXCLUSIVE, "stall", *ENDS, "late_header", *BY_CONNECTION)
    campaign = Campaign(possible, geometries=(geometry,), headless=False)
    emulated = MerlinEmulator(
        campaign.frame,
        PixelKind("U16", 12),
        plans=campaign.plan,
        stall_seconds=STALL_SECONDS,
        second_copy=campaign.second_copy,
    )
    with emulated as emulator:
        table = {"host": "127.0.0.1", "data_port": emulator.data_port}
        scan = {"order": geometry.order, "flyback_frames": geometry.flyback_frames}
        with IntakeProcess(tmp_path, intake={"merlin": table, "scan": scan}) as intake:

            def begin(scan: int, shape: tuple[int, int]) -> None:
                wait_until(lambda: emulator.listeners, 30)
                frames = geometry.frames(shape)
                settings = {"NUMFRAMESTOACQUIRE": frames, "STEMSCANX": shape[1], "STEMSCANY": shape[0]}
                for name, value in settings.items():
                    emulator.ask(f"SET,{name},{value}")
                emulator.ask("CMD,STARTACQUISITION")
                wait_until(lambda: emulator.is_idle, 30)

            run(campaign, begin, lambda: emulator.record)
            wait_for_the_last(campaign, intake)
            check(campaign, intake, emulator.record, how_it_ends)
            check_scans(campaign, emulator.record, of_acquisition)
            check_counts(intake, of_merlin(emulator.record, campaign.positions))


def how_it_ends(record: ScanRecord) -> set[str]:
    """An acquisition whose last frame has come is not cut short."""
    return {"complete"} if record.frames - 1 in record.whole else {"aborted"}
