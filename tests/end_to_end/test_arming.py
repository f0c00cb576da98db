"""A detector that the daemon arms, and what a person sees of it."""

import json
from pathlib import Path

from helpers.merlin import frames_of
from helpers.rig import Rig, running
from helpers.waiting import wait_until
from livestrain_client.cli.status import detector_line
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind, from_array

KIND = PixelKind("U16", 12, "1x1")
FRAMES = frames_of(KIND, 12)
QUIET = {"workers__spares": "0"}


def seen(rig: Rig) -> str:
    """The line of the detector in the status."""
    detector = rig.status().detector
    return "" if detector is None else detector_line(detector)


def test_a_detector_is_armed_when_the_daemon_is_and_the_status_says_what_it_does(tmp_path: Path) -> None:
    with MerlinEmulator(from_array(FRAMES), KIND) as emulator:
        arm = {"control_port": emulator.control_port, "settings": {"TRIGGERSTART": 0}}
        table = {"host": "127.0.0.1", "data_port": emulator.data_port, "arm": arm}
        settings = {"intake__merlin": json.dumps(table), "intake__scan": json.dumps({"shape": [3, 4]})}
        with running(tmp_path, **settings, **QUIET) as rig:
            wait_until(lambda: emulator.acquisitions == 1, 60, "the first acquisition")
            first = wait_until(lambda: rig.status().ended, 60, "the first scan")
            assert first is not None
            assert (first.reason, first.stored) == ("complete", 12)
            wait_until(lambda: "waiting for a series" in seen(rig), 60, "the end of the series")
            with rig.control() as control:
                control.arm(False)
                control.arm(True)
            wait_until(lambda: emulator.acquisitions == 2, 60, "the second acquisition")
            wait_until(lambda: rig.status().ended not in (None, first), 60, "the second scan")
            assert "connected" in seen(rig)
            emulator.dismiss()
            emulator.close()
            wait_until(lambda: "(expected frames from" in seen(rig), 60, "the trouble")
            assert "not connected since" in seen(rig)
