"""Detectors as the configuration names them, armed as it says."""

import json
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from helpers.dectris import Taken, emulated, noise, rest_of, take
from helpers.waiting import wait_until
from livestrain_daemon.errors import ConfigError, Unavailable
from livestrain_daemon.intake.detectors.choice import chosen
from livestrain_daemon.intake.detectors.dectris import control
from livestrain_daemon.intake.detectors.dectris.counts import dectris_counts
from livestrain_daemon.intake.detectors.events import Detector
from livestrain_daemon.intake.detectors.merlin.counts import merlin_counts
from livestrain_daemon.intake.detectors.permission import Permission
from livestrain_daemon.intake_config import IntakeConfig
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind, from_array

FRAMES = noise(12, 8, 8)
KIND = PixelKind("U16", 12, "1x1")
LOOPBACK = "127.0.0.1"


def detector(table: dict[str, Any], permission: Permission | None = None) -> Detector:
    """As main gives it to the intake."""
    config = IntakeConfig.model_validate(json.loads(IntakeConfig.model_validate(table).model_dump_json()))
    found = chosen(config, permission=permission)
    assert found is not None
    return found[1]


def dectris(server: Any, arm: dict[str, Any] | None, **scan: Any) -> dict[str, Any]:
    ports = {"stream_port": server.emulator.outlet.port("cbor"), "rest_port": server.port}
    return {"dectris": {"host": LOOPBACK, **ports, "arm": arm}, "scan": scan}


def merlin(emulator: MerlinEmulator, arm: dict[str, Any] | None, **scan: Any) -> dict[str, Any]:
    arm = None if arm is None else {"control_port": emulator.control_port, **arm}
    return {"merlin": {"host": LOOPBACK, "data_port": emulator.data_port, "arm": arm}, "scan": scan}


@pytest.mark.parametrize(
    ("mode", "given", "counts"),
    [
        ("exte", {}, {"ntrigger": 12}),
        ("inte", {"ntrigger": 5}, {}),
        ("exts", {}, {"ntrigger": 1, "nimages": 12}),
        ("exts", {"ntrigger": 3}, {"nimages": 4}),
        ("ints", {"nimages": 6}, {"ntrigger": 2}),
        ("exts", {"ntrigger": 5}, {}),
        ("exts", {"ntrigger": 3, "nimages": 3}, {}),
    ],
)
def test_a_dectris_is_told_what_nobody_has_given(mode: str, given: dict[str, Any], counts: dict[str, Any]) -> None:
    assert dectris_counts(12, mode, given) == counts


def test_a_merlin_is_told_what_nobody_has_given() -> None:
    assert merlin_counts(12, False, {}) == {"NUMFRAMESTOACQUIRE": 12}
    assert merlin_counts(12, True, {}) == {"NUMFRAMESTOACQUIRE": 12, "NUMFRAMESPERTRIGGER": 12}
    assert merlin_counts(0, True, {}) == {"NUMFRAMESTOACQUIRE": 0}
    assert merlin_counts(12, True, {"NUMFRAMESTOACQUIRE": 6, "NUMFRAMESPERTRIGGER": 2}) == {}


@pytest.mark.parametrize("mode", ["exte", "ints"])
def test_a_dectris_is_armed_for_the_scan_that_is_configured(mode: str) -> None:
    with emulated(FRAMES, config={"nimages": 1}) as server:
        arm = {"detector": {"trigger_mode": mode, "count_time": 0.5}, "stream": {"header_detail": "basic"}}
        armed = detector(dectris(server, arm, shape=(2, 4), flyback_frames=1, flyback_frames_per_scan=1, skip_frames=1))
        taken = take(armed, lambda taken: len(taken.ends) == 1)
        assert server.emulator.detector["count_time"] == 0.5
        assert server.emulator.wait_until_idle(20)
    assert taken.starts[0].frames == 12
    np.testing.assert_array_equal(taken.pixels(taken.starts[0].series), FRAMES)


def test_nobody_arms_a_detector_without_being_told_to() -> None:
    with emulated(FRAMES) as server, MerlinEmulator(from_array(FRAMES), KIND) as emulator:
        for one in (detector(dectris(server, None)), detector(merlin(emulator, None))):
            quiet = iter(range(20))
            take(one, lambda _, quiet=quiet: next(quiet, None) is None)  # type: ignore[misc]
        assert (server.emulator.armed_count, emulator.acquisitions) == (0, 0)


def test_each_time_that_the_daemon_is_armed_one_series_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "POLL_SECONDS", 0.1)
    permission = Permission(armed=False)
    with emulated(FRAMES) as server:
        asked: list[int] = []

        def over(taken: Taken) -> bool:
            if not asked and server.asked >= 8:
                # it has been looked at, and left as it is
                assert server.emulator.armed_count == 0
                asked.append(server.asked)
                permission.set(True)
                permission.set(True)
            if len(taken.ends) == 1 and len(asked) == 1 and server.asked >= asked[0] + 12:
                # armed as before, and still one only
                assert server.emulator.armed_count == 1
                asked.append(0)
                permission.set(False)
                permission.set(True)
            return len(taken.ends) == 2

        taken = take(detector(dectris(server, {"detector": {"trigger_mode": "exts"}}), permission), over, 60)
    assert len(taken.starts) == 2


def test_a_merlin_begins_one_acquisition_each_time_and_is_stopped_in_the_end() -> None:
    permission = Permission(armed=False)
    with MerlinEmulator(from_array(FRAMES), KIND, frames_per_second=200) as emulator:
        wanted = merlin(emulator, {"settings": {"TRIGGERSTART": 0}}, shape=(3, 4))
        taken = Taken()
        stop = Event()

        def listen() -> None:
            for event in detector(wanted, permission).events(stop):
                if event is not None:
                    taken.add(event)

        thread = Thread(target=listen)
        thread.start()
        try:
            wait_until(lambda: emulator.listeners, what="a listener")
            for times in (1, 2):
                permission.set(True)
                wait_until(lambda times=times: len(taken.ends) == times, 30, "the end")  # type: ignore[misc]
                assert emulator.acquisitions <= times
                permission.set(False)
        finally:
            stop.set()
            thread.join(20)
        assert [start.frames for start in taken.starts] == [12, 12]
    with MerlinEmulator(from_array(np.repeat(FRAMES, 100, axis=0)), KIND, frames_per_second=100) as emulator:
        endless = detector(merlin(emulator, {}, shape=(3, 4), repeat=True))
        taken = take(endless, lambda taken: len(taken.frames) > 2)
        assert taken.starts[0].frames is None
        wait_until(lambda: emulator.acquisitions == 1, 20, "the end of what was started")


def test_a_detector_that_somebody_else_uses_keeps_its_configuration_until_it_is_free() -> None:
    with emulated(FRAMES, config={"trigger_mode": "ints", "count_time": 0.25}) as server:
        rest_of(server).arm()
        kept: list[object] = []

        def over(taken: Taken) -> bool:
            if not kept and any("expected the state idle" in one.text for one in taken.troubles):
                kept.append(server.emulator.detector["count_time"])
                rest_of(server).abort()
            return any(not end.aborted for end in taken.ends)

        arm = {"detector": {"trigger_mode": "exts", "count_time": 0.5}}
        take(detector(dectris(server, arm)), over)
        assert [*kept, server.emulator.detector["count_time"]] == [0.25, 0.5]


def test_what_a_detector_refuses_never_works() -> None:
    with emulated(FRAMES) as server, pytest.raises(Unavailable, match=r"config/colour: expected 200, found 400"):
        take(detector(dectris(server, {"detector": {"colour": "blue"}})), lambda _: False)
    with MerlinEmulator(from_array(FRAMES), KIND) as emulator, pytest.raises(Unavailable, match="SET,COUNTERDEPTH,13"):
        take(detector(merlin(emulator, {"settings": {"COUNTERDEPTH": 13}})), lambda _: False)


def test_a_setting_keeps_its_type_on_its_way() -> None:
    with emulated(FRAMES) as server:
        arm = {
            "detector": {"trigger_mode": "exts", "frame_time": 1, "nimages": 3, "countrate_correction_applied": True}
        }
        take(detector(dectris(server, arm)), lambda taken: len(taken.ends) == 1)
        kept = {key: server.emulator.detector[key] for key in arm["detector"]}
    assert kept == {"trigger_mode": "exts", "frame_time": 1.0, "nimages": 3, "countrate_correction_applied": True}
    assert rest_of(server).url


@pytest.mark.parametrize("arm", [{"settings": {"A,B": 1}}, {"settings": {"A": [1]}}, {"port": 1}])
def test_a_table_that_makes_no_sense_is_refused(arm: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="arm"):
        IntakeConfig.model_validate({"merlin": {"host": LOOPBACK, "arm": arm}})


def test_a_list_of_positions_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    scan = {"shape": (2, 2), "positions": str(tmp_path / "list.npy")}
    with pytest.raises(ConfigError, match="there is no file"):
        detector({"merlin": {"host": LOOPBACK, "arm": {}}, "scan": scan})
