"""The emulator's frames through real sockets, bit by bit."""

from contextlib import closing
from threading import Event

import numpy as np
import pytest
import zmq
from structlog.testing import capture_logs

from helpers.dectris import Taken, emulated, noise, rest_of, source_of, take, take_series
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.detectors.dectris import control, unarmed
from livestrain_daemon.intake.detectors.dectris.control import Arming
from livestrain_daemon.intake.detectors.dectris.source import Dectris, DectrisSettings
from livestrain_daemon.intake.detectors.events import Connection, Trouble
from livestrain_simulator.emulators.faults import HEADER, Action, FaultPlan, Faults

FORMS = ("legacy", "cbor")
FRAMES = 6


def plan_of(faults: dict[int, tuple[Action, ...]]) -> FaultPlan:
    return lambda number: faults.get(number, ())


def stream(form: str, detail: str = "all") -> dict[str, str]:
    return {"format": form, "header_detail": detail}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compression", ["none", "lz4", "bslz4"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_every_depth_and_encoding_comes_bit_by_bit(form: str, compression: str, dtype: str) -> None:
    frames = noise(FRAMES, 35, 29, dtype)
    with emulated(frames, stream=stream(form), config={"compression": compression}) as server:
        taken = take_series(server)
    (start,) = taken.starts
    assert (start.frames, start.frame_shape, start.dtype) == (FRAMES, (35, 29), dtype)
    assert taken.numbers(start.series) == list(range(FRAMES))
    np.testing.assert_array_equal(taken.pixels(start.series), frames)
    assert taken.kinds() == {}
    assert not taken.ends[0].aborted


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", [False, True], ids=["one message", "single messages"])
@pytest.mark.parametrize("detail", ["all", "basic", "none"])
def test_every_detail_of_a_header_will_do(form: str, split: bool, detail: str) -> None:
    frames = noise(FRAMES, 16, 24)
    mask = np.zeros((16, 24), np.uint32)
    mask[3, 5] = 1
    with emulated(frames, stream=stream(form, detail), split_header=split, mask=mask) as server:
        armed: list[int] = []

        def over(taken: Taken) -> bool:
            # version, state, two of the stream, mask, dropped images: now the source knows the mask
            if not armed and server.asked >= 6:
                armed.append(rest_of(server).arm())
            return len(taken.ends) == 1

        taken = take(source_of(server), over)
    (start,) = taken.starts
    # what a header without details leaves out, the REST interface tells
    assert start.frames == FRAMES
    assert start.unusable is not None
    assert np.argwhere(start.unusable[0]).tolist() == [[3, 5]]
    np.testing.assert_array_equal(taken.pixels(start.series), frames)
    assert taken.kinds() == {}


@pytest.mark.parametrize("channel", ["", "threshold_2", "sum"])
def test_several_channels_come_as_one_by_choice(channel: str) -> None:
    channels = {"threshold_1": noise(FRAMES, 8, 8, seed=1), "threshold_2": noise(FRAMES, 8, 8, seed=2)}
    with emulated(channels) as server:
        taken = take_series(server, channel=channel)
    expected = channels.get(channel or "threshold_1", np.sum(list(channels.values()), axis=0, dtype=np.uint32))
    if channel == "sum":
        # the last pixel is masked in both
        expected[:, -1, -1] = 2**32 - 1
    np.testing.assert_array_equal(taken.pixels(taken.starts[0].series), expected)


@pytest.mark.parametrize("form", FORMS)
def test_series_follow_each_other(form: str) -> None:
    frames = noise(FRAMES, 8, 8)
    with emulated(frames, stream=stream(form)) as server:
        taken = take_series(server, 3)
    assert len({start.series for start in taken.starts}) == 3
    for start in taken.starts:
        np.testing.assert_array_equal(taken.pixels(start.series), frames)
    assert taken.kinds() == {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("faults", "numbers", "kinds"),
    [
        ({}, [0, 1, 2, 3, 4, 5], {}),
        ({2: ("drop",)}, [0, 1, 3, 4, 5], {}),
        ({2: ("duplicate",)}, [0, 1, 2, 2, 3, 4, 5], {}),
        ({2: ("reorder",)}, [0, 1, 3, 2, 4, 5], {}),
        ({2: ("corrupt",)}, [0, 1, 3, 4, 5], {"bad_message": 1}),
        ({0: ("corrupt",)}, [1, 2, 3, 4, 5], {"bad_message": 1}),
        ({2: ("second_series",)}, [0, 1, 2, 3, 4, 5], {"unknown_scan": 1}),
        ({HEADER: ("reorder",)}, [0, 1, 2, 3, 4, 5], {}),
        ({HEADER: ("duplicate",)}, [0, 1, 2, 3, 4, 5], {}),
        ({HEADER: ("drop",)}, [0, 1, 2, 3, 4, 5], {"bad_message": 0}),
        ({HEADER: ("corrupt",)}, [0, 1, 2, 3, 4, 5], {"bad_message": 1}),
        ({FRAMES: ("duplicate",)}, [0, 1, 2, 3, 4, 5], {}),
    ],
)
def test_a_fault_costs_what_it_must_and_the_next_series_is_clean(
    form: str, faults: dict[int, tuple[Action, ...]], numbers: list[int], kinds: dict[str, int]
) -> None:
    frames = noise(FRAMES, 12, 12)
    with emulated(frames, plan_of(faults), stream=stream(form)) as server:
        # an image of a series that nobody began waits a second for its start
        taken = take_series(server, 2, also=lambda taken: sum(taken.kinds().values()) >= 2 * sum(kinds.values()))
    for start in taken.starts:
        assert taken.numbers(start.series) == numbers
        np.testing.assert_array_equal(taken.pixels(start.series), frames[numbers])
    assert {kind: count // 2 for kind, count in taken.kinds().items()} == kinds


@pytest.mark.parametrize("form", FORMS)
def test_half_an_image_is_refused(form: str) -> None:
    frames = noise(FRAMES, 12, 12)
    with emulated(frames, plan_of({3: ("truncate",)}), stream=stream(form), config={"compression": "none"}) as server:
        taken = take_series(server)
    assert taken.numbers(taken.starts[0].series) == [0, 1, 2, 4, 5]
    assert sum(taken.kinds().values()) == 1


@pytest.mark.parametrize("form", FORMS)
def test_an_abort_without_an_end_and_a_new_series_at_once_are_told_apart(form: str) -> None:
    frames = noise(FRAMES, 12, 12)
    faults = Faults(rearm=3)

    def plan(series: int, announced: int) -> FaultPlan:
        return faults.plan(series, announced, last=series > 0)

    with emulated(frames, plans=plan, stream=stream(form)) as server:
        rest_of(server).arm()
        taken = take(source_of(server), lambda taken: len(taken.ends) == 2)
    first, second = taken.starts
    assert taken.numbers(first.series) == [0, 1, 2]
    assert [end.aborted for end in taken.ends] == [True, False]
    np.testing.assert_array_equal(taken.pixels(second.series), frames)
    # what is left of the first series comes when the second has begun
    assert taken.kinds() == {"unknown_scan": 3}


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


def test_a_second_client_is_noticed() -> None:
    frames = noise(40, 8, 8)
    with (
        emulated(frames, images_per_second=500) as server,
        zmq.Context() as context,
        context.socket(zmq.PULL) as other,
    ):
        other.connect(f"tcp://127.0.0.1:{server.emulator.outlet.port('cbor')}")
        other.poll(200)
        armed: list[int] = []

        def said(taken: Taken) -> bool:
            if not armed:
                armed.append(rest_of(server).arm())
            return any("another program" in trouble.text for trouble in taken.troubles)

        taken = take(source_of(server), said)
    assert [trouble.kind for trouble in taken.troubles if "another program" in trouble.text] == ["lost"]


def test_a_detector_that_goes_and_comes_back_is_taken_up_again() -> None:
    frames = noise(FRAMES, 8, 8)
    with emulated(frames) as server:
        rest_of(server).arm()
        port = server.emulator.outlet.port("cbor")
        source = source_of(server, rest=False)
        stop = Event()
        taken = Taken()
        events = source.events(stop)
        while not taken.ends:
            event = next(events)
            if event:
                taken.add(event)
    while not any(trouble.kind == "connection" for trouble in taken.troubles):
        event = next(events)
        if event:
            taken.add(event)
    with emulated(frames, cbor_port=port) as server:
        rest_of(server).arm()
        while len(taken.ends) < 2:
            event = next(events)
            if event:
                taken.add(event)
    events.close()
    assert [len(taken.numbers(start.series)) for start in taken.starts] == [FRAMES, FRAMES]


def test_a_host_that_refuses_is_told_and_tried_again() -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        free = socket.bind_to_random_port("tcp://127.0.0.1")
    source = Dectris(DectrisSettings("127.0.0.1", stream_port=free, rest_port=free))
    taken = take(source, lambda taken: len(taken.troubles) >= 3)
    assert {trouble.kind for trouble in taken.troubles} == {"connection"}
    texts = " ".join(trouble.text for trouble in taken.troubles)
    assert "found nobody" in texts
    assert "refused" in texts


def test_a_silent_detector_says_nothing_and_the_source_goes_on() -> None:
    with emulated(noise(1, 4, 4)) as server:
        events = source_of(server).events(Event())
        assert {next(events) for _ in range(5)} <= {None, Connection(up=True)}
        events.close()


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


def test_an_address_that_makes_no_sense_ends_it() -> None:
    for host in ("not a host", "256.1.1.1"):
        with pytest.raises(Unavailable, match="expected the name or address of a host, found"):
            take(Dectris(DectrisSettings(host, rest_port=None)), lambda taken: bool(taken.frames))


def test_arming_needs_the_rest_interface() -> None:
    with pytest.raises(Unavailable, match="rest_port"):
        Dectris(DectrisSettings("127.0.0.1", rest_port=None, arming=Arming()))


@pytest.mark.parametrize("form", FORMS)
def test_anything_at_all_on_the_stream_is_a_bad_message(form: str) -> None:
    random = np.random.default_rng(6)
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        source = Dectris(DectrisSettings("127.0.0.1", "v1" if form == "legacy" else "v2", port, None))
        events = source.events(Event())
        assert next(events) in (None, Connection(up=True))
        for parts in range(1, 41):
            socket.send_multipart([random.bytes(int(random.integers(0, 200))) for _ in range(parts)])
        found: list[Trouble] = []
        while len(found) < 40:
            event = next(events)
            if event is not None:
                assert isinstance(event, Trouble)
                found.append(event)
        events.close()
    assert {trouble.kind for trouble in found} == {"bad_message"}


def test_a_message_of_many_large_parts_is_not_kept_and_the_next_one_is_understood() -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        source = Dectris(DectrisSettings("127.0.0.1", "v1", port, None, largest_bytes=1000))
        with closing(source.events(Event())) as events:
            next(events)
            for message in ([bytes(900)] * 10, [b'{"htype": "dseries_end-1.0", "series": 7}']):
                socket.send_multipart(message)
                told = next(event for event in events if isinstance(event, Trouble))
                assert told.kind == ("bad_message" if len(message) > 1 else "unknown_scan")
