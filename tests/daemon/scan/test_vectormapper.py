from itertools import pairwise

import numpy as np
import pytest

from daemon.desk import EVERYTHING, Desk, Heard
from daemon.small_scan import CAMERA, POSITIONS, known_plan
from livestrain_core.bragg import bragg_vector_map
from livestrain_daemon.plan import Plan
from livestrain_daemon.scan.vectormapper import FIRST_MAP
from livestrain_daemon.scanfolder import ResultsFile, open_results
from livestrain_wire.messages import BraggVectorMap, ScanEnded


def vector_maps(heard: list[Heard]) -> list[tuple[BraggVectorMap, bytes]]:
    return [(said.message, said.payload) for said in heard if isinstance(said.message, BraggVectorMap)]


def plan_without_disks(revision: int = 1) -> Plan:
    return known_plan(revision, stages={"diffraction": ("virtual",)})


def test_the_map_is_published_at_fixed_counts_and_at_the_end(desk: Desk) -> None:
    desk.planned()
    desk.store((0, FIRST_MAP - 1))
    desk.work()
    desk.turn()
    assert vector_maps(desk.heard()) == []
    desk.store((FIRST_MAP - 1, 20))
    desk.work()
    desk.turn()
    [(first, _)] = vector_maps(desk.heard())
    assert FIRST_MAP <= first.about.positions < POSITIONS
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    heard = desk.heard()
    [(last, _)] = vector_maps(heard)
    assert last.about.positions == POSITIONS
    assert (first.sequence, last.sequence) == (1, 2)
    # who waits for the end of the scan has the last map then
    kinds = [type(said.message) for said in heard]
    assert kinds.index(BraggVectorMap) < kinds.index(ScanEnded)


def test_the_map_is_that_of_the_stored_vectors_with_the_descan_taken_out(desk: Desk) -> None:
    scan = desk.planned()
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    [*_, (message, payload)] = vector_maps(desk.heard())
    with ResultsFile(open_results(scan.folder, 1)) as results:
        where, intensity, centre = (
            results.read(name, 0, POSITIONS) for name in ("disk_position", "disk_intensity", "centre")
        )
    about = message.about
    expected = bragg_vector_map(where, intensity, CAMERA.shape, shift=np.array(about.origin) - centre)
    found = np.frombuffer(payload, about.dtype).reshape(about.shape)
    np.testing.assert_array_equal(found, expected.image.astype(np.float32))
    assert about.centred_by == "centre"
    assert about.vectors + about.outside + about.without_centre == np.isfinite(where[..., 0]).sum()
    assert about.intensity == pytest.approx(found.sum(dtype=np.float64), rel=1e-6)


def test_a_plan_without_disks_has_no_map_and_the_scan_ends(desk: Desk) -> None:
    desk.planned(plan_without_disks())
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    assert vector_maps(desk.heard()) == []


def test_a_new_plan_gets_maps_of_its_own(desk: Desk) -> None:
    desk.planned()
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    hand = desk.scans.newest
    assert hand is not None
    hand.planner.change({}, lambda: None, lambda reason: None)
    desk.finish()
    found = [message for message, _ in vector_maps(desk.heard())]
    assert sorted({message.about.revision for message in found}) == [1, 2]
    assert all(earlier.sequence < later.sequence for earlier, later in pairwise(found))


def test_a_scan_whose_map_cannot_be_made_ends_all_the_same(desk: Desk) -> None:
    scan = desk.planned()
    desk.store(*EVERYTHING)
    desk.work()
    (scan.folder / "frames.h5").rename(scan.folder / "frames.away")
    desk.end()
    desk.finish()
    assert "map_vectors failed" in desk.done
    assert vector_maps(desk.heard()) == []
    assert scan.final
