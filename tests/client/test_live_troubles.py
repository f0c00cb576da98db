"""Live against lost messages, refusals, restarts and silence: the arrays end with the daemon's bits all the same."""

import pytest

from client.following import POSITIONS, assert_ends_the_same, follow_until, joined, maps, same_bits
from helpers.waiting import wait_until
from helpers.wire_daemon import WireDaemon
from livestrain_client import asking as asking_module
from livestrain_client import listening
from livestrain_client.updates import Reconnected, ScanBegan, Stale
from livestrain_wire.codec import encode
from livestrain_wire.messages import MapPatch, Published, ScanEnded, ScanStarted, SnapshotRequest


def test_lost_patches_come_with_a_snapshot(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    lost: list[Published] = []

    def withheld(message: Published) -> bool:
        lose = isinstance(message, MapPatch) and message.sequence % 3 == 0
        lost.extend([message] if lose else [])
        return lose

    daemon.withheld = withheld
    with joined(daemon) as live:
        for first in range(0, POSITIONS, 8):
            daemon.acknowledge((first, 8))
            live.poll(0.001)
        daemon.end()
        assert live.wait_until_final(10)
        assert lost
        assert same_bits(live, scan)


def test_a_lost_start_plan_and_end_are_found_out_by_the_heartbeat(daemon: WireDaemon) -> None:
    with joined(daemon) as live:
        daemon.withheld = lambda message: message.type in {"scan_started", "plan", "scan_ended"}
        scan = daemon.begin(maps())
        daemon.acknowledge((0, POSITIONS))
        follow_until(live, ScanBegan)
        daemon.replan()
        daemon.acknowledge((0, 60))
        assert_ends_the_same(live, scan)
        daemon.end()
        assert live.wait_until_final(5)


def test_a_restart_of_the_daemon_in_the_scan_ends_with_the_same_bits(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    with joined(daemon) as live:
        daemon.acknowledge((0, 40))
        assert_ends_the_same(live, scan)
        state, epoch = live.maps["e_xx"], live.epoch
        daemon.stop()
        scan.known[40:50] = True
        daemon.start()
        updates = follow_until(live, Reconnected)
        assert [update.restarted for update in updates if isinstance(update, Reconnected)] == [True]
        assert live.epoch != epoch
        daemon.acknowledge((50, 70))
        daemon.end()
        assert live.wait_until_final(10)
        assert same_bits(live, scan)
        assert live.maps["e_xx"] is state


def test_a_restart_that_takes_the_scan_up_later_ends_with_the_same_bits(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    with joined(daemon) as live:
        daemon.acknowledge_each(*((first, 2) for first in range(0, 40, 2)))
        assert_ends_the_same(live, scan)
        daemon.restart(forget=True)
        follow_until(live, Reconnected)
        live.poll(0.1)
        daemon.resume(scan)
        daemon.acknowledge_each(*((first, 4) for first in range(40, POSITIONS, 4)))
        daemon.end()
        assert live.wait_until_final(10)
        assert same_bits(live, scan)


def test_a_restart_that_lost_results_loses_them_here_too(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    with joined(daemon) as live:
        daemon.acknowledge((0, 40))
        assert_ends_the_same(live, scan)
        daemon.stop()
        scan.known[30:40] = False
        daemon.start()
        assert_ends_the_same(live, scan)


def test_a_daemon_that_forgot_the_scan_leaves_the_maps_as_they_are(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, POSITIONS))
    daemon.end()
    with joined(daemon) as live:
        assert live.wait_until_final(5)
        daemon.restart(forget=True)
        follow_until(live, Reconnected)
        live.poll(0.3)
        assert same_bits(live, scan)
        assert live.final


def test_refused_chunks_are_asked_for_again(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 100))
    daemon.refusals = ["not_stored", "internal", "no_such_map"]
    with joined(daemon) as live:
        assert_ends_the_same(live, scan)
    assert not daemon.refusals


def test_a_request_without_a_reply_is_repeated_with_its_id(daemon: WireDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking_module, "REPEAT_SECONDS", 0.05)
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 100))
    with joined(daemon) as live:
        daemon.deaf = True

        def asked() -> list[str]:
            live.poll(0.01)
            return [request.id for request in daemon.requests if isinstance(request, SnapshotRequest)]

        wait_until(lambda: len(asked()) > len(set(asked())), 5, "a repeated request")
        daemon.deaf = False
        assert_ends_the_same(live, scan)


def test_silence_makes_it_stale_and_a_heartbeat_fresh_again(
    daemon: WireDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "STALE_SECONDS", 0.3)
    scan = daemon.begin(maps())
    with joined(daemon) as live:
        assert_ends_the_same(live, scan)
        daemon.silent = True
        follow_until(live, Stale)
        daemon.withheld = lambda _message: True
        daemon.acknowledge((0, 50))
        daemon.withheld = lambda _message: False
        daemon.silent = False
        updates = follow_until(live, Reconnected)
        assert [update.restarted for update in updates if isinstance(update, Reconnected)] == [False]
        assert not live.stale
        assert_ends_the_same(live, scan)


def test_garbage_on_the_maps_socket_is_counted_and_harmless(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    with joined(daemon) as live:
        assert_ends_the_same(live, scan)
        daemon.publish_raw(b"one part")
        daemon.publish_raw(b"scan-1/map/e_xx", b"\xc1 no MessagePack", b"")
        daemon.publish_raw(b"\xff", b"\x80")
        daemon.acknowledge((0, 50))
        assert_ends_the_same(live, scan)
        assert sum(live.faults.values()) == 3


def test_messages_of_an_epoch_before_change_nothing(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    with joined(daemon) as live:
        assert_ends_the_same(live, scan)
        old = live.scan
        assert isinstance(old, ScanStarted)
        daemon.restart()
        follow_until(live, Reconnected)
        epoch = live.epoch
        late = ScanEnded(
            epoch=old.epoch,
            sequence=9,
            scan_id="scan-1",
            reason="complete",
            positions=1,
            stored=1,
            missing=0,
            stages={},
            faults={},
            seconds=1,
        )
        daemon.publish_raw(b"scan-1/scan/end", encode(late))
        live.poll(0.2)
        assert live.ended is None
        assert live.epoch == epoch
