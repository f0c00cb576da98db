"""Messages that are far too long or have no end, to a real intake: told, in little memory, and others go through."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from helpers.frames_out import FramesOut
from helpers.hostile import hostile_streams
from helpers.intake_process import IntakeProcess
from helpers.raw_peer import UNFINISHED, WHOLE, endless, far_too_long, peak_mib, shake_hands
from helpers.waiting import wait_until
from livestrain_daemon.messages import FaultSeen

PIXELS = np.arange(6 * 16, dtype=np.uint16).reshape(6, 4, 4)
MORE_MIB = 400
"""Without a bound it would be 1000; there are 96, and what comes until that is seen [MiB]."""
MORE_OF_EMPTY_PARTS_MIB = 600
"""Likewise, but the bound is 288."""


@contextmanager
def peer_of(intake: IntakeProcess) -> Iterator[socket.socket]:
    host, port = intake.endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), 20) as peer:
        shake_hands(peer)
        yield peer


def told(intake: IntakeProcess) -> list[str]:
    return [one.text for one in intake.of(FaultSeen) if one.kind == "bad_message"]


def scan(out: FramesOut, scan_id: str, first: int, stop: int) -> None:
    for number in range(first, stop):
        out.frames(scan_id, number, PIXELS[number : number + 1])


@pytest.mark.parametrize(
    ("beside", "parts", "more_mib"),
    [(False, "large", MORE_MIB), (True, "large", MORE_MIB), (False, "empty", MORE_OF_EMPTY_PARTS_MIB)],
    ids=["alone", "beside a sender", "of empty parts"],
)
def test_a_message_without_an_end_is_given_up_and_those_of_others_are_taken(
    intake: IntakeProcess, beside: bool, parts: str, more_mib: int
) -> None:
    with FramesOut(intake.endpoint) as out, peer_of(intake) as peer:
        if beside:
            out.start("s", (2, 3), PIXELS)
            scan(out, "s", 0, 3)
            intake.opened()
        before = peak_mib(intake)
        given_up = endless(peer, UNFINISHED[parts])
        (text,) = wait_until(lambda: told(intake), 40, "a line")
        if not beside:
            out.start("s", (2, 3), PIXELS)
            scan(out, "s", 0, 3)
        scan(out, "s", 3, 6)
        out.end("s", frames_sent=6)
        closed = intake.closed()
        host, port = peer.getsockname()
    assert given_up
    assert f"at most {16 << 20} bytes" in text
    assert f"found one without an end from {host}:{port}, and closed the connection" in text
    assert (closed.stored, closed.missing) == (6, 0)
    assert ("bad_message" in closed.faults) == beside
    np.testing.assert_array_equal(intake.on_disk("s")[1], PIXELS)
    assert peak_mib(intake) - before < more_mib


def test_as_many_bytes_in_messages_with_an_end_are_all_taken(intake: IntakeProcess) -> None:
    with FramesOut(intake.endpoint) as out, peer_of(intake) as peer:
        out.start("s", (2, 3), PIXELS)
        assert not endless(peer, WHOLE)
        scan(out, "s", 0, 6)
        wait_until(lambda: sum(count for _, count in intake.positions_told("s")) == 6, what="six frames")
        out.end("s", frames_sent=6)
        closed = intake.closed()
    assert (closed.stored, closed.missing) == (6, 0)
    assert not [text for text in told(intake) if "without an end" in text]


def test_a_sender_of_a_message_that_says_it_is_far_too_long_is_told_of_and_may_come_again(
    intake: IntakeProcess,
) -> None:
    with peer_of(intake) as peer:
        far_too_long(peer, 4 << 30)
        before = peak_mib(intake)
        assert endless(peer, UNFINISHED["large"])
    (text,) = wait_until(lambda: told(intake), 40, "a line")
    assert "intake.max_message_mib" in text
    assert peak_mib(intake) - before < MORE_MIB
    with peer_of(intake), FramesOut(intake.endpoint) as out:
        out.start("s", (2, 3), PIXELS)
        scan(out, "s", 0, 6)
        out.end("s", frames_sent=6)
        assert intake.closed().stored == 6


def test_bytes_of_other_protocols_on_many_connections_do_not_end_the_intake(intake: IntakeProcess) -> None:
    host, port = intake.endpoint.removeprefix("tcp://").split(":")
    for _ in range(10):
        for _, stream in hostile_streams():
            with socket.create_connection((host, int(port)), 20) as peer, suppress(ConnectionError):
                peer.sendall(stream)
    with FramesOut(intake.endpoint) as out:
        out.start("s", (2, 3), PIXELS)
        scan(out, "s", 0, 6)
        out.end("s", frames_sent=6)
        assert intake.closed().stored == 6
    assert intake.process.poll() is None
