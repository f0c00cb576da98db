import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.desk import Desk
from daemon.small_scan import POSITIONS
from livestrain_daemon.publish import snapshots as module
from livestrain_daemon.publish.snapshots import Chunk, NoSuchMap, snapshot
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.values import read_maps
from livestrain_wire.messages import SnapshotRequest

STORED = 300


@pytest.fixture
def scan(desk: Desk) -> LiveScan:
    """A scan with results of the first 300 positions, all told."""
    scan = desk.planned()
    desk.store((0, STORED))
    desk.turn()
    desk.turn()
    return scan


def ask(desk: Desk, scan: LiveScan, name: str = "total", **fields: object) -> Chunk:
    request = SnapshotRequest.model_validate({"id": "7", "scan_id": scan.id, "name": name, **fields})
    return snapshot(request, scan, desk.publisher)


def whole(scan: LiveScan, name: str) -> NDArray[np.generic]:
    assert scan.revision is not None
    return read_maps([name], scan.revision.results, scan.references.current, 0, POSITIONS)[name]


@pytest.mark.parametrize("name", ["total", "e_xx", "centre_of_mass"])
def test_a_snapshot_holds_the_acknowledged_values_and_the_sequence(desk: Desk, scan: LiveScan, name: str) -> None:
    reply, payload = (chunk := ask(desk, scan, name)).reply, chunk.payload
    assert (reply.id, reply.epoch, reply.scan_id, reply.name) == ("7", desk.publisher.epoch, "small", name)
    assert (reply.first, reply.count, reply.positions, reply.runs) == (0, POSITIONS, POSITIONS, ((0, STORED),))
    assert reply.sequence == desk.publisher.sequences[f"small/map/{name}"] > 0
    expected = whole(scan, name)[:STORED]
    np.testing.assert_array_equal(np.frombuffer(payload, reply.dtype).reshape(expected.shape), expected)
    current = scan.references.current
    assert current is not None
    assert reply.reference_revision == (current.revision if name == "e_xx" else 0)


def test_chunks_put_together_are_the_map(desk: Desk, scan: LiveScan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 70)
    found = np.full(POSITIONS, np.nan)
    first = 0
    while first < POSITIONS:
        chunk = ask(desk, scan, first=first)
        assert len(chunk.payload) <= 8 * 70
        assert 0 < chunk.reply.count <= 70
        values = np.frombuffer(chunk.payload, "<f8")
        for start, count in chunk.reply.runs:
            found[start : start + count], values = values[:count], values[count:]
        first += chunk.reply.count
    np.testing.assert_array_equal(found, whole(scan, "total"))


def test_the_chunk_asked_for_may_be_small(desk: Desk, scan: LiveScan) -> None:
    chunk = ask(desk, scan, first=298, count=4)
    assert (chunk.reply.first, chunk.reply.count, chunk.reply.runs) == (298, 4, ((298, 2),))
    np.testing.assert_array_equal(np.frombuffer(chunk.payload, "<f8"), whole(scan, "total")[298:300])


@pytest.mark.parametrize("first", [POSITIONS, POSITIONS + 1, 1 << 40, 1 << 62])
def test_beyond_the_end_there_is_nothing(desk: Desk, scan: LiveScan, first: int) -> None:
    chunk = ask(desk, scan, first=first)
    assert (chunk.reply.first, chunk.reply.count, chunk.reply.runs, chunk.payload) == (first, 0, (), b"")


def test_positions_without_results_are_covered_and_empty(desk: Desk, scan: LiveScan) -> None:
    chunk = ask(desk, scan, first=310, count=20)
    assert (chunk.reply.count, chunk.reply.runs, chunk.payload) == (20, (), b"")


@pytest.mark.parametrize("name", ["e_zz", "disk_position", "covariance", "sum"])
def test_an_unpublished_map_is_refused_with_the_names_there_are(desk: Desk, scan: LiveScan, name: str) -> None:
    with pytest.raises(NoSuchMap, match=f"expected one of .*bright_field.*, found {name}"):
        ask(desk, scan, name)


def test_only_the_current_revision_can_be_had(desk: Desk, scan: LiveScan) -> None:
    assert ask(desk, scan, revision=1).reply.revision == 1
    with pytest.raises(NoSuchMap, match="expected revision 1, found 2"):
        ask(desk, scan, revision=2)


def test_before_the_first_plan_there_is_no_map(desk: Desk) -> None:
    scan = desk.open("empty").scan
    with pytest.raises(NoSuchMap, match="none yet"):
        ask(desk, scan)
