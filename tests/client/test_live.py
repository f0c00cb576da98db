"""Live against a real publisher and router: whatever happens, the arrays end with the daemon's bits."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.waiting import wait_until
from helpers.wire_daemon import WireDaemon
from helpers.wire_scan import WireScan, vector_map_info
from livestrain_client import live as live_module
from livestrain_client.live import Live
from livestrain_client.updates import (
    EventSeen,
    MapChanged,
    PlanReplaced,
    ProgressChanged,
    Reconnected,
    ScanBegan,
    ScanFinished,
    Stale,
    Update,
    VectorMapChanged,
)
from livestrain_wire.codec import encode
from livestrain_wire.messages import (
    BraggVectorMap,
    BraggVectorMapRequest,
    MapPatch,
    Published,
    ScanEnded,
    ScanStarted,
    SnapshotRequest,
    VectorMapInfo,
)

SHAPE = (12, 10)
POSITIONS = 120


def maps() -> dict[str, NDArray[np.generic]]:
    e_xx = np.random.default_rng(1).normal(0, 0.01, SHAPE).astype(np.float32)
    e_xx[2, 3] = np.nan
    vectors = np.random.default_rng(2).normal(0, 1, (*SHAPE, 2, 2))
    return {"e_xx": e_xx, "total": np.arange(POSITIONS, dtype=np.uint64).reshape(SHAPE), "vectors": vectors}


@pytest.fixture
def daemon() -> Iterator[WireDaemon]:
    with WireDaemon(largest_chunk=50) as daemon:
        yield daemon


def joined(daemon: WireDaemon, follow: bool = True) -> Live:
    return Live(daemon.maps_endpoint, daemon.control_endpoint, follow=follow)


def follow_until(live: Live, kind: type[Update], seconds: float = 10) -> list[Update]:
    """Every update until one of this kind."""
    seen: list[Update] = []

    def came() -> bool:
        seen.extend(live.poll(0.01))
        return any(isinstance(update, kind) for update in seen)

    wait_until(came, seconds, kind.__name__)
    return seen


def same_bits(live: Live, scan: WireScan) -> bool:
    """Whether all maps equal the daemon's acknowledged values to the last bit."""
    for info in scan.infos:
        state = live.maps.get(info.name)
        if state is None or state.known.ravel().tolist() != scan.known.tolist():
            return False
        known = scan.known.reshape(SHAPE)
        if state.values[known].tobytes() != scan.truth(info.name)[known].tobytes():
            return False
        if not np.isnan(state.values[~known]).all() and info.dtype != "uint64":
            return False
    return True


def assert_ends_the_same(live: Live, scan: WireScan) -> None:
    wait_until(lambda: live.poll(0.01) is not None and same_bits(live, scan), 10, "the same bits")


def test_a_scan_from_its_start_to_its_end(daemon: WireDaemon) -> None:
    with joined(daemon) as live:
        assert live.scan is None
        scan = daemon.begin(maps())
        follow_until(live, PlanReplaced)
        for first in range(0, POSITIONS, 8):
            daemon.acknowledge((first, 8))
        daemon.tell("the reference is frozen")
        daemon.end()
        updates = list(live.updates(timeout=0.5))
        kinds = {type(update) for update in updates}
        assert kinds == {MapChanged, ProgressChanged, EventSeen, ScanFinished}
        assert live.wait_until_final(5)
        assert same_bits(live, scan)
        assert live.progress is not None
        assert live.progress.stored == POSITIONS
        assert live.ended is not None
        assert live.faults == {}


def test_the_bragg_vector_map_is_taken_as_it_comes(daemon: WireDaemon) -> None:
    about = vector_map_info(dtype="float32")
    with joined(daemon) as live:
        daemon.begin(maps())
        follow_until(live, PlanReplaced)
        before = live.vector_map
        assert before is None
        publish_vector_map(daemon, about, np.full((8, 8), 2.0, np.float32).tobytes())
        [*_, last] = follow_until(live, VectorMapChanged)
        assert isinstance(last, VectorMapChanged)
        assert live.vector_map is last
        assert last.pixels.tolist() == [[2.0] * 8] * 8
        assert last.about == about
        daemon.begin(maps(), "scan-2")
        follow_until(live, ScanBegan)
        after = live.vector_map
        assert after is None


def test_a_bragg_vector_map_of_fewer_positions_that_comes_late_is_ignored(daemon: WireDaemon) -> None:
    about = vector_map_info()
    with joined(daemon) as live:
        daemon.begin(maps())
        follow_until(live, PlanReplaced)
        payload = np.ones((8, 8), "<f4").tobytes()
        for positions in (8, 4, 9):
            publish_vector_map(daemon, about.model_copy(update={"positions": positions}), payload)
        taken: list[int] = []

        def last_came() -> bool:
            taken.extend(update.about.positions for update in live.poll(0.01) if isinstance(update, VectorMapChanged))
            return 9 in taken

        wait_until(last_came, 10, "the last map")
        assert taken == [8, 9]


def test_who_joins_later_asks_for_the_bragg_vector_map(daemon: WireDaemon) -> None:
    daemon.begin(maps())
    daemon.sequences["scan-1/image/bragg_vectors"] = 3
    with joined(daemon) as live:
        follow_until(live, VectorMapChanged)
        held = live.vector_map
        assert held is not None
        assert held.pixels.dtype.name == "float32"
        assert held.pixels.sum() == 64.0
        asked = [request for request in daemon.requests if isinstance(request, BraggVectorMapRequest)]
        live.poll(0.3)
        assert asked == [request for request in daemon.requests if isinstance(request, BraggVectorMapRequest)]
        assert len(asked) == 1


def test_without_a_published_bragg_vector_map_nobody_asks_for_one(daemon: WireDaemon) -> None:
    daemon.begin(maps())
    with joined(daemon) as live:
        live.poll(0.3)
        assert not [request for request in daemon.requests if isinstance(request, BraggVectorMapRequest)]
        assert live.vector_map is None


def test_a_bragg_vector_map_of_a_wrong_size_is_counted_and_not_taken(daemon: WireDaemon) -> None:
    with joined(daemon) as live:
        daemon.begin(maps())
        follow_until(live, PlanReplaced)
        publish_vector_map(daemon, vector_map_info(), b"short")
        wait_until(lambda: live.poll(0.01) is not None and live.faults == {"WireError": 1}, 10, "the fault")
        assert live.vector_map is None


def publish_vector_map(daemon: WireDaemon, about: VectorMapInfo, payload: bytes) -> None:
    assert daemon.scan is not None
    scan_id = daemon.scan.start.scan_id
    message = BraggVectorMap(epoch=daemon.epoch, sequence=1, scan_id=scan_id, about=about)
    daemon.publish_raw(f"{scan_id}/image/bragg_vectors".encode(), encode(message), payload)


def test_joining_in_the_middle_ends_with_the_same_bits(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 30), (50, 7))
    with joined(daemon) as live:
        assert any(isinstance(update, ScanBegan) for update in live.poll(0))
        daemon.acknowledge((30, 20))
        assert_ends_the_same(live, scan)


def test_joining_after_the_end_is_final_with_the_same_bits(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 100))
    daemon.end("aborted")
    with joined(daemon) as live:
        assert live.wait_until_final(5)
        assert same_bits(live, scan)
        assert np.isnan(live.maps["e_xx"].values[-1]).all()


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


def test_a_new_reference_changes_derived_maps_only(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 100))
    with joined(daemon) as live:
        assert_ends_the_same(live, scan)
        before = live.maps["e_xx"].values.copy()
        daemon.refer_anew()
        assert_ends_the_same(live, scan)
        assert live.maps["e_xx"].reference_revision == 2
        np.testing.assert_allclose(live.maps["e_xx"].values, before - 0.125, rtol=0, atol=1e-6)


def test_a_new_plan_starts_new_maps_and_keeps_the_old(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 100))
    with joined(daemon) as live:
        assert_ends_the_same(live, scan)
        daemon.replan()
        follow_until(live, PlanReplaced)
        assert not live.maps["e_xx"].known.any()
        daemon.acknowledge((20, 50))
        assert_ends_the_same(live, scan)
        old = live.earlier[1]["e_xx"]
        assert old.known.sum() == 100
        known = old.known
        assert old.values[known].tobytes() == scan.truth("e_xx", revision=1)[known].tobytes()


@pytest.mark.parametrize("follow", [True, False])
def test_the_next_scan_is_followed_unless_told_to_stay(daemon: WireDaemon, follow: bool) -> None:
    first = daemon.begin(maps(), "scan-1")
    daemon.acknowledge((0, POSITIONS))
    daemon.end()
    with joined(daemon, follow) as live:
        assert live.wait_until_final(5)
        second = daemon.begin({"e_xx": np.ones(SHAPE, np.float32)}, "scan-2")
        daemon.acknowledge((0, 30))
        if follow:
            follow_until(live, PlanReplaced)
        live.poll(0.2)
        assert_ends_the_same(live, second if follow else first)
        assert live.scan is not None
        assert live.scan.start.scan_id == ("scan-2" if follow else "scan-1")


def test_refused_chunks_are_asked_for_again(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 100))
    daemon.refusals = ["not_stored", "internal", "no_such_map"]
    with joined(daemon) as live:
        assert_ends_the_same(live, scan)
    assert not daemon.refusals


def test_a_request_without_a_reply_is_repeated_with_its_id(daemon: WireDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "REPEAT_SECONDS", 0.05)
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
    monkeypatch.setattr(live_module, "STALE_SECONDS", 0.3)
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


def test_only_chosen_maps_are_kept(daemon: WireDaemon) -> None:
    daemon.begin(maps())
    with Live(daemon.maps_endpoint, daemon.control_endpoint, maps=["total"]) as live:
        live.poll(0.05)
        assert list(live.maps) == ["total"]


def test_waiting_for_the_end_gives_up_in_time(daemon: WireDaemon) -> None:
    daemon.begin(maps())
    with joined(daemon) as live:
        assert not live.wait_until_final(0.1)


def test_many_patches_a_second_are_followed(daemon: WireDaemon) -> None:
    shape = (100, 100)
    scan = daemon.begin({"e_xx": np.random.default_rng(3).normal(size=shape).astype(np.float32)})
    with joined(daemon) as live:
        daemon.acknowledge_each(*((first, 5) for first in range(0, 10_000, 5)))
        daemon.end()
        assert live.wait_until_final(20)
        assert live.maps["e_xx"].values.tobytes() == scan.truth("e_xx").tobytes()


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
