"""What is commanded and asked beside the stream, of an emulated control unit."""

import time
from threading import Event
from typing import Any

import numpy as np
import pytest
import zmq
from structlog.testing import capture_logs

from helpers.dectris import Taken, emulated, noise, rest_of, source_of, take
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.dectris import control, unarmed
from livestrain_daemon.intake.detectors.dectris.control import Arming
from livestrain_daemon.intake.detectors.dectris.source import Dectris, DectrisSettings
from livestrain_daemon.intake.detectors.permission import Permission

FORMS = ("legacy", "cbor")
FRAMES = 6


def stream(form: str, detail: str = "all") -> dict[str, str]:
    return {"format": form, "header_detail": detail}


@pytest.mark.parametrize("mode", ["ints", "inte", "exts", "exte"])
def test_an_active_source_arms_triggers_and_disarms(mode: str) -> None:
    frames = noise(FRAMES, 8, 8)
    count = {"nimages": 1, "ntrigger": FRAMES} if mode in ("exte", "inte") else {"nimages": FRAMES // 2, "ntrigger": 2}
    arming = Arming({"trigger_mode": mode, "compression": "lz4", **count}, {"header_detail": "basic"})
    with emulated(frames) as server:
        taken = take(source_of(server, arming=arming), lambda taken: len(taken.ends) == 1)
        assert server.emulator.wait_until_idle(5.0)
    (start,) = taken.starts
    assert start.frames == FRAMES
    np.testing.assert_array_equal(taken.pixels(start.series), frames)
    assert taken.kinds() == {}


def test_an_active_source_begins_the_next_series_by_itself() -> None:
    frames = noise(FRAMES, 8, 8)
    with emulated(frames) as server:
        taken = take(source_of(server, arming=Arming(repeat=True)), lambda taken: len(taken.ends) >= 3)
        assert server.emulator.wait_until_idle(5.0)
    for end in taken.ends:
        np.testing.assert_array_equal(taken.pixels(end.series), frames)


@pytest.mark.parametrize("switched_off", [False, True])
def test_a_control_unit_that_counts_from_1_again_is_not_disarmed_at_once(switched_off: bool) -> None:
    frames = noise(FRAMES, 8, 8)
    permission = Permission()
    again = 0 if switched_off else 1
    with emulated(frames) as server:
        stream_port, rest_port = server.emulator.outlet.port("cbor"), server.port
        settings = DectrisSettings("127.0.0.1", "v2", stream_port, rest_port, arming=Arming())
        events = Dectris(settings, permission).events(Event())
        first = Taken()
        while not first.ends or server.emulator.state != "idle":
            first.add(next(events))
    # time passes without a word of it while it is armed
    chosen: dict[str, Any] = {"cbor_port": stream_port, "rest_port": rest_port, "series_before": again}
    with emulated(frames, arm_seconds=0.5, images_per_second=20, **chosen) as server:
        permission.set(False)
        permission.set(True)
        second = Taken()
        deadline = time.monotonic() + 60
        while not second.ends:
            assert time.monotonic() < deadline
            second.add(next(events))
        events.close()
    assert [start.series.partition("-")[0] for start in first.starts + second.starts] == ["1", str(1 + again)]
    for one in (first, second):
        np.testing.assert_array_equal(one.pixels(one.starts[0].series), frames)
        assert one.kinds() == {}
        assert not one.ends[0].aborted


def test_the_end_of_somebody_elses_series_does_not_end_our_own() -> None:
    frames = noise(FRAMES, 8, 8)
    with emulated(frames, config={"trigger_mode": "ints"}) as server:
        rest = rest_of(server)
        events = source_of(server).events(Event())
        rest.arm()
        while next(events) is None:
            pass
        events.close()
        # no end of it comes
        rest.abort()
        arming = Arming({"trigger_mode": "exts"}, repeat=True)
        taken = take(source_of(server, arming=arming), lambda taken: len(taken.ends) == 3)
    for end in taken.ends:
        np.testing.assert_array_equal(taken.pixels(end.series), frames)


def test_a_detector_that_somebody_else_uses_is_told_and_tried_again() -> None:
    frames = noise(FRAMES, 8, 8)
    with emulated(frames, config={"trigger_mode": "ints"}) as server:
        rest = rest_of(server)
        rest.arm()

        def over(taken: Taken) -> bool:
            if server.emulator.armed_count == 1 and any(
                "expected the state idle" in one.text for one in taken.troubles
            ):
                rest.abort()
            return any(not end.aborted for end in taken.ends)

        taken = take(source_of(server, arming=Arming({"trigger_mode": "exts"})), over)
    np.testing.assert_array_equal(taken.pixels(taken.starts[-1].series), frames)


@pytest.mark.parametrize(
    ("wrong", "text"), [({"mode": "disabled"}, "mode enabled"), ({"format": "legacy"}, "format cbor")]
)
def test_a_stream_that_is_switched_off_is_told_and_an_active_source_switches_it_on(
    wrong: dict[str, str], text: str
) -> None:
    frames = noise(FRAMES, 8, 8)
    with emulated(frames) as server:
        passive, active = source_of(server), source_of(server, arming=Arming())
        for key, value in wrong.items():
            server.emulator.set_value(server.emulator.stream, key, value)
        taken = take(passive, lambda taken: bool(taken.troubles))
        assert f"expected the stream's {text}, found" in taken.troubles[0].text
        taken = take(active, lambda taken: len(taken.ends) == 1)
    np.testing.assert_array_equal(taken.pixels(taken.starts[0].series), frames)


def test_an_active_source_that_is_stopped_leaves_the_detector_idle() -> None:
    arming = Arming({"nimages": 1000})
    with emulated(noise(FRAMES, 8, 8), images_per_second=20) as server:
        taken = take(source_of(server, arming=arming), lambda taken: len(taken.frames) == 3)
        assert server.emulator.wait_until_idle(5.0)
    assert taken.numbers(taken.starts[0].series) == [0, 1, 2]


@pytest.mark.parametrize("answers", [True, False])
def test_a_detector_that_cannot_be_disarmed_in_the_end_is_said(answers: bool) -> None:
    arming = Arming({"nimages": 1000})
    with emulated(noise(FRAMES, 8, 8), images_per_second=50) as server, capture_logs() as logs:

        def over(taken: Taken) -> bool:
            if len(taken.frames) < 3:
                return False
            if not answers:
                server.close()
            return True

        take(source_of(server, arming=arming), over)
    said = [str(log["reason"]) for log in logs if log["event"] == "there was trouble at the end"]
    assert bool(said) != answers
    assert all("refused" in text for text in said)


def test_images_that_the_detector_drops_are_counted_and_those_of_before_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "POLL_SECONDS", 0.2)
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        elsewhere = socket.bind_to_random_port("tcp://127.0.0.1")
    with emulated(noise(2, 8, 8), when_full="drop", config={"nimages": 40}) as server:
        rest = rest_of(server)
        dropped: list[int] = []

        def drop() -> int:
            """A series that nobody takes."""
            rest.arm()
            assert server.emulator.wait_until_idle(5.0)
            return rest.dropped()

        assert drop() == 42
        # by its eighth question the source has seen what was dropped before
        source = Dectris(DectrisSettings("127.0.0.1", "v2", elsewhere, server.port))
        asked = server.asked

        def counted(taken: Taken) -> bool:
            if not dropped and server.asked >= asked + 8:
                server.emulator.set_value(server.emulator.detector, "nimages", 50)
                dropped.append(drop())
            return "lost" in taken.kinds()

        taken = take(source, counted)
    # the detector counts each series from 0
    assert dropped == [52]
    assert taken.kinds() == {"lost": 52}


def test_a_passive_source_says_that_nobody_arms_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unarmed, "UNARMED_SECONDS", 0.0)
    monkeypatch.setattr(control, "POLL_SECONDS", 0.05)
    frames = noise(FRAMES, 8, 8)
    with emulated(frames) as server:
        taken = take(source_of(server), lambda taken: bool(taken.troubles))
        assert [trouble.kind for trouble in taken.troubles] == ["connection"]
        assert "expected an armed detector, found idle: arm it" in taken.troubles[0].text
    with emulated(frames, config={"trigger_mode": "ints"}) as server:
        rest_of(server).arm()
        # nobody triggers it
        taken = take(source_of(server), lambda taken: server.asked > 15)
    assert taken.troubles == []


@pytest.mark.parametrize("version", ["1.6.0", "1.8.0"])
def test_the_version_of_the_interface_is_found_out(version: str) -> None:
    with emulated(noise(2, 4, 4), api_version=version, stream=stream("legacy", "none")) as server:
        taken = take(source_of(server, arming=Arming()), lambda taken: len(taken.ends) == 1)
    assert taken.starts[0].frames == 2


def test_a_wrong_version_ends_it_with_a_line() -> None:
    with emulated(noise(1, 4, 4)) as server:
        port = server.emulator.outlet.port("cbor")
        source = Dectris(DectrisSettings("127.0.0.1", "v2", port, server.port, api_version="1.6.0"))
        with pytest.raises(Unavailable, match=r"1\.6\.0/status/state: expected 200, found 404"):
            take(source, lambda taken: bool(taken.frames))


def test_an_unknown_kind_of_interface_ends_it_with_a_line() -> None:
    with (
        emulated(noise(1, 4, 4), api_version="banana") as server,
        pytest.raises(Unavailable, match="expected a SIMPLON interface of version 1"),
    ):
        take(source_of(server), lambda taken: bool(taken.frames))


def test_arming_needs_the_rest_interface() -> None:
    with pytest.raises(Unavailable, match="rest_port"):
        Dectris(DectrisSettings("127.0.0.1", rest_port=None, arming=Arming()))
