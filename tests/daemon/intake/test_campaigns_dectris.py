"""Series of a DECTRIS detector with faults: what survives is where it belongs, and the next scan is clean."""

from pathlib import Path

import pytest

from helpers.campaign import STALL_SECONDS, Campaign, Geometry, run
from helpers.cases import ENDS
from helpers.intake_process import IntakeProcess
from helpers.ledger import check_counts, check_scans, of_dectris, of_series
from helpers.outcome import check, wait_for_the_last
from livestrain_simulator.emulators.dectris.emulator import DectrisEmulator, EmulatorSettings
from livestrain_simulator.emulators.dectris.rest import RestServer
from livestrain_simulator.emulators.faults import KINDS
from livestrain_simulator.emulators.record import ScanRecord

SHAPE = (6, 7)
GEOMETRIES = {"v1": Geometry(), "v2": Geometry("serpentine", 1)}
FRAMES_PER_SECOND = {"v1": None, "v2": 40_000.0}


@pytest.mark.parametrize("stream", ["v1", "v2"])
def test_dectris(tmp_path: Path, stream: str) -> None:
    geometry = GEOMETRIES[stream]
    campaign = Campaign((*KINDS, *ENDS, "late_header"), SHAPE, (geometry,))
    form = "legacy" if stream == "v1" else "cbor"
    settings = EmulatorSettings(
        stall_seconds=STALL_SECONDS,
        images_per_second=FRAMES_PER_SECOND[stream],
        burst=5,
        stream={"format": form},
        config={"compression": "lz4"},
        second_copy=campaign.second_copy,
    )
    emulator = DectrisEmulator(lambda number: {"threshold_1": campaign.frame(number)}, settings, campaign.plan)
    with RestServer(emulator) as server:
        port = emulator.outlet.port("legacy" if stream == "v1" else "cbor")
        table = {"host": "127.0.0.1", "stream": stream, "stream_port": port, "rest_port": server.port}
        scan = {"shape": SHAPE, "order": geometry.order, "flyback_frames": geometry.flyback_frames}
        with IntakeProcess(tmp_path, intake={"dectris": table, "scan": scan}) as intake:

            def begin(scan: int, shape: tuple[int, int]) -> None:
                emulator.set_value(emulator.detector, "nimages", geometry.frames(shape))
                emulator.arm()
                assert emulator.wait_until_idle(30)

            run(campaign, begin, lambda: emulator.record)
            wait_for_the_last(campaign, intake)
            check(campaign, intake, emulator.record, how_it_ends)
            check_scans(campaign, emulator.record, of_series)
            check_counts(intake, of_dectris(emulator.record, campaign.positions, stream))


def how_it_ends(record: ScanRecord) -> set[str]:
    """With the end of a series whose last image has come, or else cut short."""
    last = record.frames - 1
    if record.ended and last in record.numbers("truncate"):
        # it may be seen only later that it is damaged
        return {"complete", "aborted"}
    return {"complete"} if record.ended and last in record.whole else {"aborted"}
