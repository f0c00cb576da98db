"""From the emulator over real sockets to events."""

import socket
import struct
from dataclasses import replace
from threading import Event
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.merlin import IMPATIENT, KINDS, Heard, acquire, frames_of, kind_name, listening
from helpers.waiting import wait_until
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.connection import KEEPALIVE, connected
from livestrain_daemon.intake.detectors.events import Detector, SeriesEnd
from livestrain_daemon.intake.detectors.merlin.arming import Arming
from livestrain_daemon.intake.detectors.merlin.source import Address, MerlinDetector
from livestrain_daemon.intake.detectors.patience import Patience
from livestrain_simulator.emulators.faults import Action, FaultPlan, always, no_faults
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind, from_array

KIND = PixelKind("U16", 12, "1x1")
SCAN = frames_of(KIND, 40)


def detector_of(emulator: MerlinEmulator, arming: Arming | None = None, patience: Patience = IMPATIENT) -> Detector:
    return MerlinDetector(Address("127.0.0.1", emulator.data_port), patience, arming)


def acquired(plan: FaultPlan = no_faults, frames: NDArray[Any] = SCAN, kind: PixelKind = KIND) -> Heard:
    """What is heard of one acquisition."""
    with (
        MerlinEmulator(from_array(frames), kind, plans=always(plan)) as emulator,
        listening(detector_of(emulator)) as heard,
    ):
        acquire(emulator, NUMFRAMESTOACQUIRE=len(frames))
        wait_until(lambda: heard.ends, what="the end of the acquisition")
    return heard


def only(number: int, *actions: Action) -> FaultPlan:
    return lambda found: actions if found == number else ()


def check(heard: Heard, lost: set[int], frames: NDArray[Any] = SCAN) -> None:
    found = heard.frames(heard.starts[0].series)
    assert sorted(found) == sorted(set(range(len(frames))) - lost)
    for number, counts in found.items():
        np.testing.assert_array_equal(counts, frames[number])


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
def test_every_kind_of_frame_comes_through_to_the_last_bit(kind: PixelKind) -> None:
    frames = frames_of(kind, 3)
    heard = acquired(frames=frames, kind=kind)
    check(heard, set(), frames)
    assert heard.ends == [SeriesEnd(heard.starts[0].series)]
    assert not heard.troubles
    unusable = heard.starts[0].unusable
    assert (unusable is not None) == bool(kind.gap)
    if unusable is not None:
        assert unusable.shape == (1, 514, 514)
        assert int(unusable.sum()) == 4 * 514 - 4


@pytest.mark.parametrize(
    ("actions", "lost", "troubles"),
    [
        ((), set(), []),
        (("drop",), {17}, []),
        (("duplicate",), set(), []),
        (("reorder",), set(), []),
        (("truncate",), {17}, [("bad_message", 1)]),
        (("corrupt",), {17}, [("bad_message", 1)]),
        (("bad_length",), {17}, [("bad_message", 1)]),
        (("stall",), set(), []),
        (("drop", "stall"), {17}, []),
        (("abort",), set(range(17, 40)), []),
    ],
)
def test_a_fault_costs_no_more_than_its_frame(
    actions: tuple[Action, ...], lost: set[int], troubles: list[tuple[str, int]]
) -> None:
    heard = acquired(only(17, *actions))
    check(heard, lost)
    assert [(trouble.kind, trouble.frames) for trouble in heard.troubles] == troubles
    assert [end.aborted for end in heard.ends] == ["abort" in actions]


@pytest.mark.parametrize(
    ("action", "lost"), [("truncate", {39}), ("drop", {39}), ("reorder", set()), ("duplicate", set())]
)
def test_a_fault_of_the_last_frame_does_not_keep_the_acquisition_open(action: Action, lost: set[int]) -> None:
    heard = acquired(only(39, action))
    check(heard, lost)
    assert [end.aborted for end in heard.ends] == [bool(lost)]


def test_a_late_header_costs_nothing() -> None:
    heard = acquired(lambda number: ("late_header",) if number < 3 else ())
    check(heard, set())
    assert [start.frames for start in heard.starts] == [40]
    assert not heard.troubles


def test_an_abort_and_a_new_start_are_two_acquisitions() -> None:
    emulated = MerlinEmulator(from_array(SCAN), KIND, plans=always(only(20, "abort")))
    with emulated as emulator, listening(detector_of(emulator)) as heard:
        acquire(emulator, NUMFRAMESTOACQUIRE=40)
        wait_until(lambda: emulator.acquisitions == 1)
        acquire(emulator, NUMFRAMESTOACQUIRE=20)
        wait_until(lambda: len(heard.ends) == 2)
    first, second = heard.starts
    assert heard.ends == [SeriesEnd(first.series, aborted=True), SeriesEnd(second.series)]
    for start in (first, second):
        found = heard.frames(start.series)
        assert sorted(found) == list(range(20))
        assert all((found[number] == SCAN[number]).all() for number in found)


def test_an_acquisition_without_end_goes_on_until_it_is_stopped() -> None:
    with MerlinEmulator(from_array(SCAN), KIND) as emulator, listening(detector_of(emulator)) as heard:
        acquire(emulator, NUMFRAMESTOACQUIRE=0)
        wait_until(lambda: len(heard.frames()) > 100)
        assert emulator.ask("CMD,STOPACQUISITION") == "CMD,STOPACQUISITION,0"
        wait_until(lambda: heard.ends)
    assert heard.starts[0].frames is None
    assert not heard.ends[0].aborted
    found = heard.frames()
    assert sorted(found) == list(range(len(found)))
    assert all((found[number] == SCAN[number % 40]).all() for number in found)


def test_the_scan_shape_is_the_detectors() -> None:
    with MerlinEmulator(from_array(SCAN), KIND) as emulator, listening(detector_of(emulator)) as heard:
        acquire(emulator, NUMFRAMESTOACQUIRE=40, STEMSCANX=8, STEMSCANY=5)
        wait_until(lambda: heard.ends)
    assert heard.starts[0].scan_shape == (5, 8)


def test_a_broken_connection_is_taken_up_again_and_the_acquisition_goes_on() -> None:
    with MerlinEmulator(from_array(SCAN), KIND) as emulator, listening(detector_of(emulator)) as heard:
        acquire(emulator, NUMFRAMESTOACQUIRE=40, TRIGGERSTART=5, NUMFRAMESPERTRIGGER=20)
        emulator.ask("CMD,SOFTTRIGGER")
        wait_until(lambda: len(heard.frames()) == 20)
        emulator.dismiss()
        wait_until(lambda: heard.troubles)
        wait_until(lambda: emulator.listeners == 1)
        emulator.ask("CMD,SOFTTRIGGER")
        wait_until(lambda: heard.ends)
    check(heard, set())
    assert heard.ends == [SeriesEnd(heard.starts[0].series)]
    (trouble,) = heard.troubles
    assert trouble.kind == "connection"
    assert trouble.text.endswith("found: the connection was closed; trying again")


def test_a_connection_that_is_reset_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address("127.0.0.1", int(server.getsockname()[1]))
        with listening(MerlinDetector(address, IMPATIENT)) as heard:
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            wait_until(lambda: heard.troubles)
    assert "Connection reset by peer; trying again" in heard.troubles[0].text


def test_frames_that_nobody_hears_are_missing_and_those_after_are_not() -> None:
    emulated = MerlinEmulator(from_array(SCAN), KIND, plans=always(only(10, "disconnect")), frames_per_second=100)
    with emulated as emulator, listening(detector_of(emulator)) as heard:
        acquire(emulator, NUMFRAMESTOACQUIRE=40)
        wait_until(lambda: heard.ends)
    assert 0 < len(emulator.unheard) < 30
    check(heard, set(emulator.unheard))
    assert [trouble.kind for trouble in heard.troubles] == ["connection"]
    assert heard.ends == [SeriesEnd(heard.starts[0].series)]


def test_a_detector_that_is_not_there_is_tried_again_until_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    with listening(MerlinDetector(Address("127.0.0.1", port), IMPATIENT)) as heard:
        wait_until(lambda: len(heard.troubles) >= 3)
        with MerlinEmulator(from_array(SCAN), KIND, data_port=port) as emulator:
            acquire(emulator, NUMFRAMESTOACQUIRE=40)
            wait_until(lambda: heard.ends)
    check(heard, set())
    text = f"expected frames from tcp://127.0.0.1:{port}, found: Connection refused; trying again"
    assert {trouble.text for trouble in heard.troubles[:3]} == {text}
    # it is asked to stop at least every 0.1 s
    assert heard.idle >= 4


def test_a_host_that_does_not_exist_never_works() -> None:
    with pytest.raises(Unavailable, match="expected the name or address of a host, found 'no such host'"):
        list(MerlinDetector(Address("no such host")).events(Event()))


def connection_to(port: int) -> socket.socket:
    connecting = connected("127.0.0.1", port, Event())
    while True:
        try:
            next(connecting)
        except StopIteration as done:
            return cast("socket.socket", done.value)


def test_a_half_open_connection_is_noticed_by_the_kernel() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server, connection_to(int(server.getsockname()[1])) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for option, value in KEEPALIVE.items():
            assert connection.getsockopt(socket.IPPROTO_TCP, option) == value


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"MPX,9999999999,MQ1,", "found a length of 9999999999"),
        (b"MPX,0000100001,HDR,\t\r\n" + b"Key:\tValue\r\n" * 9500, "expected an acquisition header of at most 65536"),
        (b"GET / HTTP/1.1\r\n\r\n" * 1000, "expected MPX, and a length of 10 digits"),
    ],
    ids=["length", "header", "other protocol"],
)
def test_what_is_no_merlin_is_told_in_one_line_and_the_next_acquisition_is_whole(sent: bytes, expected: str) -> None:
    with MerlinEmulator(from_array(SCAN), KIND) as emulator, listening(detector_of(emulator)) as heard:
        wait_until(lambda: emulator.listeners)
        emulator.send(sent[:100_015])
        wait_until(lambda: heard.troubles)
        acquire(emulator, NUMFRAMESTOACQUIRE=40)
        wait_until(lambda: heard.ends)
    check(heard, set())
    assert expected in heard.troubles[0].text
    assert len(heard.troubles[0].text) < 250
    assert len(heard.troubles) == 1


def test_acquisitions_are_started_one_after_the_other_if_that_is_wanted() -> None:
    with MerlinEmulator(from_array(SCAN), KIND) as emulator:
        arming = Arming(emulator.control_port, (("NUMFRAMESTOACQUIRE", 40), ("TRIGGERSTART", 0)), repeat=True)
        # an emulator that waits for a processor has not fallen silent
        patience = replace(IMPATIENT, silence_seconds=20.0)
        with listening(detector_of(emulator, arming, patience)) as heard:
            wait_until(lambda: len(heard.ends) >= 3)
    for start in heard.starts[:3]:
        assert sorted(heard.frames(start.series)) == list(range(40))
    assert not heard.troubles


def test_a_busy_detector_is_asked_again() -> None:
    with MerlinEmulator(from_array(SCAN), KIND) as emulator:
        emulator.ask("SET,TRIGGERSTART,5")
        emulator.ask("CMD,STARTACQUISITION")
        arming = Arming(emulator.control_port, (("NUMFRAMESTOACQUIRE", 40), ("TRIGGERSTART", 0)))
        with listening(detector_of(emulator, arming)) as heard:
            wait_until(lambda: heard.troubles)
            emulator.ask("CMD,ABORT")
            wait_until(lambda: heard.ends)
    check(heard, set())
    assert "the detector is busy; trying again in 0.1 s" in heard.troubles[0].text


def test_a_setting_that_the_detector_does_not_have_never_works() -> None:
    with MerlinEmulator(from_array(SCAN), KIND) as emulator:
        arming = Arming(emulator.control_port, (("COUNTERDEPTH", 13),))
        with listening(detector_of(emulator, arming)) as heard:
            wait_until(lambda: heard.failure)
    assert isinstance(heard.failure, Unavailable)
    assert "SET,COUNTERDEPTH,13: expected return code 0, found 3" in str(heard.failure)
