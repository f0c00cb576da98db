"""Requests to look at frames, patterns, vector maps and snapshots of a real scan, over a real socket."""

from typing import Any

import numpy as np
import pytest

from daemon.control.window import Window
from daemon.small_scan import CAMERA, POSITIONS, SCAN, frames, known_plan, lay_out
from livestrain_wire.messages import (
    BraggVectorMapReply,
    BraggVectorMapRequest,
    FrameReply,
    FrameRequest,
    PatternReply,
    PatternRequest,
    SnapshotReply,
    SnapshotRequest,
    StatusReply,
    StatusRequest,
)


def test_a_frame_comes_with_what_was_found_in_it(looked_at: Window) -> None:
    reply, payload = looked_at.ask(FrameRequest(id="1", row=3, column=5))
    assert isinstance(reply, FrameReply)
    position = 3 * SCAN[1] + 5
    assert (reply.row, reply.column, reply.shape, reply.dtype, reply.revision) == (3, 5, CAMERA.shape, "uint16", 1)
    np.testing.assert_array_equal(np.frombuffer(payload, "<u2").reshape(CAMERA.shape), frames()[position])
    assert reply.values["total"] == frames()[position].sum()
    assert len(reply.disks) == 9
    assert reply.lattice is not None
    assert reply.values["g1"] == list(reply.lattice[2:4])


def test_a_frame_without_results_is_shown_alone(window: Window) -> None:
    window.desk.open()
    window.desk.store((0, 3))
    reply, payload = window.ask(FrameRequest(id="1", row=0, column=2))
    assert isinstance(reply, FrameReply)
    assert (reply.revision, reply.values, reply.disks, reply.lattice) == (0, {}, (), None)
    assert payload == frames()[2].tobytes()


@pytest.mark.parametrize(("row", "column"), [SCAN, (SCAN[0], 0), (0, SCAN[1]), (1 << 62, 1 << 62)])
def test_a_frame_outside_the_scan_is_refused(looked_at: Window, row: int, column: int) -> None:
    reason, text = looked_at.refused(FrameRequest(id="1", row=row, column=column))
    assert (reason, "within 18 x 20" in text) == ("bad_request", True)


def test_a_frame_that_is_not_there_is_refused(window: Window) -> None:
    window.desk.open()
    window.desk.store((0, 5))
    window.desk.recycle((0, 2))
    assert window.refused(FrameRequest(id="1", row=0, column=0))[1] == "the frame at (0, 0) is recycled"
    assert window.refused(FrameRequest(id="2", row=1, column=0)) == ("not_stored", "the frame at (1, 0) is expected")


def test_a_frame_of_a_truncated_file_is_refused_and_the_loop_lives(analysed: Window) -> None:
    newest = analysed.desk.scans.newest
    assert newest is not None
    path = newest.scan.folder / "frames.h5"
    with path.open("r+b") as file:
        file.truncate(8192)
    assert analysed.refused(FrameRequest(id="1", row=9, column=0))[0] == "internal"
    analysed.get(StatusReply, StatusRequest(id="2"))


@pytest.mark.parametrize("kind", ["sum", "largest"])
def test_the_pattern_of_the_whole_scan(looked_at: Window, kind: Any) -> None:
    reply, payload = looked_at.ask(PatternRequest(id="1", kind=kind))
    assert isinstance(reply, PatternReply)
    assert (reply.positions, reply.shape) == (POSITIONS, CAMERA.shape)
    expected = frames().sum(axis=0, dtype=np.uint64) if kind == "sum" else frames().max(axis=0)
    np.testing.assert_array_equal(np.frombuffer(payload, reply.dtype).reshape(CAMERA.shape), expected)


def test_a_pattern_holds_whole_blocks_only(window: Window) -> None:
    window.desk.planned()
    window.desk.store((0, 250))
    window.desk.work()
    assert window.refused(PatternRequest(id="1"))[0] == "not_stored"
    window.desk.store((250, 20))
    window.desk.work()
    assert window.get(PatternReply, PatternRequest(id="2")).positions == 256


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("sampling", [1, 3])
def test_the_bragg_vector_map_of_the_whole_scan(looked_at: Window, sampling: int, centred: bool) -> None:
    reply, payload = looked_at.ask(BraggVectorMapRequest(id="1", sampling=sampling, centred=centred))
    assert isinstance(reply, BraggVectorMapReply)
    about = reply.about
    image = np.frombuffer(payload, about.dtype).reshape(about.shape)
    assert image.shape == tuple(sampling * side for side in CAMERA.shape)
    assert about.centred_by == ("centre" if centred else "")
    assert about.positions == POSITIONS
    assert about.dtype == "float32"
    assert image.sum(dtype=np.float64) == pytest.approx(about.intensity, rel=1e-6)
    # nine disks a position
    assert about.vectors + about.outside + about.without_centre == 9 * POSITIONS


def test_a_bragg_vector_map_too_large_is_refused(window: Window) -> None:
    desk = window.desk
    desk.open(frame_shape=(2048, 2048))
    plan = known_plan()
    hand = desk.scans.newest
    assert hand is not None
    lay_out(hand.scan.folder, plan)
    hand.scan.begin_revision(plan)
    assert window.refused(BraggVectorMapRequest(id="1", sampling=2)) == (
        "bad_request",
        "expected at most 4194304 pixels, found 2^2 x 2048 x 2048",
    )


def test_no_bragg_vector_map_is_kept(looked_at: Window) -> None:
    control = looked_at.control
    before = len(control._replies)
    for number in range(3):
        looked_at.get(BraggVectorMapReply, BraggVectorMapRequest(id=str(number), sampling=1 + number))
    assert (len(control._replies), control._in_work) == (before, {})


def test_a_snapshot_over_the_wire(looked_at: Window) -> None:
    reply, payload = looked_at.ask(SnapshotRequest(id="1", scan_id="small", name="e_xx", first=100, count=50))
    assert isinstance(reply, SnapshotReply)
    assert (reply.first, reply.count, len(payload)) == (100, 50, 200)
    assert looked_at.refused(SnapshotRequest(id="2", scan_id="small", name="e_zz"))[0] == "no_such_map"
    assert looked_at.refused(SnapshotRequest(id="3", scan_id="other", name="e_xx"))[0] == "no_scan"
