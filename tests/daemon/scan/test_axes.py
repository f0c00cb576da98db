"""Axes of the strain maps: chosen, changed and gone back to while stored vectors stay as they are."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon import small_scan
from daemon.desk import EVERYTHING, Desk
from daemon.small_scan import LATTICE, POSITIONS, SCAN, SPECIMEN, known_calibration, known_plan
from livestrain_core.axes import turn
from livestrain_daemon.geometry import EllipsePlan, ScanAxesPlan
from livestrain_daemon.messages import Stored
from livestrain_daemon.plan import Plan
from livestrain_daemon.scan.derived import COMPONENTS, ERRORS
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.values import read_maps
from livestrain_simulator.patterns import Renderer
from livestrain_simulator.specimen import uniform
from livestrain_wire.messages import IDENTITY, MapWhole, ReferenceInfo, ReferenceRequest

Maps = dict[str, NDArray[np.float64]]
TURNED = ScanAxesPlan(source="given", rotation_deg=90.0)


def ask(desk: Desk, **fields: object) -> ReferenceInfo | str:
    """What came of a request for a reference."""
    hand = desk.scans.newest
    assert hand is not None
    told: list[ReferenceInfo | str] = []
    hand.referencer.request(ReferenceRequest.model_validate({"id": "1", **fields}), told.append, told.append)
    desk.work()
    (one,) = told
    return one


def scan_of(desk: Desk) -> LiveScan:
    hand = desk.scans.newest
    assert hand is not None
    return hand.scan


def maps(desk: Desk) -> Maps:
    scan = scan_of(desk)
    assert scan.revision is not None
    return read_maps(list(COMPONENTS), scan.revision.results, scan.references.current, 0, POSITIONS)


def analysed(desk: Desk, plan: Plan) -> Desk:
    desk.planned(plan)
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    desk.heard()
    return desk


@pytest.fixture
def turned(desk: Desk) -> Desk:
    """A finished scan whose axes lie at right angles to the detector's."""
    return analysed(desk, known_plan(calibration=known_calibration().model_copy(update={"scan_axes": TURNED})))


def test_a_crystal_that_is_only_rotated_by_ten_degrees_has_no_strain_through_the_whole_path(desk: Desk) -> None:
    # the upper half as it is, the lower half turned; everything else is found out from the frames
    angle = np.radians(10.0)
    theta = np.zeros(SCAN)
    theta[SCAN[0] // 2 :] = angle
    specimen = replace(uniform(SCAN, LATTICE, 0.0, 0.0, 0.0), theta=theta)
    frames = Renderer(specimen, small_scan.CAMERA).frames(np.arange(POSITIONS))
    desk.open()
    desk._writers["small"].write_run(0, np.ascontiguousarray(frames))
    desk.scans.take(Stored(scan_id="small", runs=EVERYTHING))
    desk.end()
    desk.finish()
    assert isinstance(ask(desk, region=(0, 0, SCAN[0] // 2, SCAN[1])), ReferenceInfo)
    found = {name: values.reshape(SCAN)[SCAN[0] // 2 :] for name, values in maps(desk).items()}
    assert np.isfinite(found["theta"]).mean() > 0.99
    assert np.nanmedian(found["theta"]) == pytest.approx(angle, abs=1e-3)
    # an infinitesimal theory would give 1 - cos(10 degrees) = 152e-4 here
    for name in ("e_xx", "e_yy", "e_xy"):
        assert abs(float(np.nanmedian(found[name]))) < 3e-4
        assert np.nanpercentile(np.abs(found[name]), 95) < 30e-4


def test_other_axes_are_algebra_and_every_derived_map_goes_out_again(turned: Desk) -> None:
    before, work = maps(turned), len(turned.done)
    told = ask(turned, axes="scan")
    assert isinstance(told, ReferenceInfo)
    assert (told.axes, told.to_axes) == ("scan", tuple(turn(np.pi / 2).ravel().tolist()))
    after = maps(turned)
    for name, old, sign in (("e_xx", "e_yy", 1), ("e_yy", "e_xx", 1), ("e_xy", "e_xy", -1), ("theta", "theta", 1)):
        np.testing.assert_allclose(after[name], sign * before[old], atol=1e-7)
    turned.finish()
    wholes = [one.message for one in turned.heard() if isinstance(one.message, MapWhole)]
    assert {one.name for one in wholes} >= {*COMPONENTS, *ERRORS}
    assert all((one.axes, one.reference_revision, one.runs) == ("scan", told.revision, EVERYTHING) for one in wholes)
    # no frame was looked at again, and no median taken
    assert set(turned.done[work:]) <= {"sync"}


def test_the_same_axes_twice_are_one_change_and_undoing_twice_is_one(turned: Desk) -> None:
    before = scan_of(turned).references.current
    assert before is not None
    first = ask(turned, axes="g1")
    assert ask(turned, axes="g1") == first
    back = ask(turned, revert_to=before.revision)
    assert isinstance(back, ReferenceInfo)
    assert (back.axes, back.vectors, back.to_axes) == ("detector", before.vectors, IDENTITY)
    assert ask(turned, revert_to=before.revision) == back


def test_axes_stay_while_the_reference_changes(turned: Desk) -> None:
    ask(turned, axes="g1")
    region = ask(turned, region=(0, 0, 4, 4))
    assert isinstance(region, ReferenceInfo)
    assert region.axes == "g1"
    values = ask(turned, values=(14.0, 0.0, 0.0, 14.0), axes="scan")
    assert isinstance(values, ReferenceInfo)
    assert (values.kind, values.axes) == ("values", "scan")


def test_along_g1_follows_the_reference(turned: Desk) -> None:
    told = ask(turned, values=(0.0, 14.0, -14.0, 0.0), axes="g1")
    assert isinstance(told, ReferenceInfo)
    np.testing.assert_allclose(told.to_axes, turn(-np.pi / 2).ravel(), atol=1e-12)


def test_the_median_still_follows_the_data_after_a_change_of_axes(desk: Desk) -> None:
    desk.planned()
    desk.store((0, 300))
    desk.turn()
    desk.turn()
    assert isinstance(ask(desk, axes="g1"), ReferenceInfo)
    desk.store((300, POSITIONS - 300))
    desk.end()
    desk.finish()
    current = scan_of(desk).references.current
    assert current is not None
    assert (current.kind, current.positions, current.axes) == ("median", POSITIONS, "g1")


def test_axes_of_a_scan_that_nobody_knows_are_refused(desk: Desk) -> None:
    analysed(desk, known_plan())
    told = ask(desk, axes="scan")
    assert isinstance(told, str)
    assert "--rotation" in told
    assert scan_of(desk).references.current is not None


def test_a_plan_chooses_the_first_axes(desk: Desk) -> None:
    calibration = known_calibration().model_copy(update={"scan_axes": TURNED})
    analysed(desk, known_plan(calibration=calibration, axes="scan"))
    current = scan_of(desk).references.current
    assert current is not None
    assert (current.kind, current.axes) == ("median", "scan")


def test_a_known_distortion_is_taken_out_of_the_maps_and_not_of_the_stored_vectors(desk: Desk) -> None:
    ellipse = EllipsePlan(source="given", ratio=1.04, angle_deg=30.0)
    analysed(desk, known_plan(calibration=known_calibration().model_copy(update={"ellipse": ellipse})))
    scan = scan_of(desk)
    assert scan.revision is not None
    np.testing.assert_allclose(
        scan.revision.results.read("g1", 0, POSITIONS).mean(axis=0), LATTICE.vectors()[0], atol=0.1
    )
    current = scan.references.current
    assert current is not None
    bent = np.array(current.distortion).reshape(2, 2)
    long, short = np.linalg.eigvalsh(bent)[::-1]
    assert long / short == pytest.approx(1.04)
    # D^-1 F D of what the undistorted detector would have shown
    seen = SPECIMEN.deformation().reshape(-1, 2, 2)
    true = bent @ seen @ np.linalg.inv(bent)
    left, _, right = np.linalg.svd(true)
    rotation = left @ right
    expected = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    got = maps(desk)["theta"]
    off = (got - np.median(got)) - (expected - np.median(expected))
    assert float(np.sqrt(np.mean(off**2))) < 1.2e-3
