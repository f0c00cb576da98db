"""The Bragg vector map of Live, published or asked for."""

import numpy as np

from client.following import follow_until, joined, maps
from helpers.waiting import wait_until
from helpers.wire_daemon import WireDaemon
from helpers.wire_scan import vector_map_info
from livestrain_client.updates import PlanReplaced, ScanBegan, VectorMapChanged
from livestrain_wire.codec import encode
from livestrain_wire.messages import BraggVectorMap, BraggVectorMapRequest, VectorMapInfo


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
