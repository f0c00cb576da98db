"""A calibration proposed, looked at, applied once; with what is known beside the frames."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.control.window import Window
from daemon.small_scan import CAMERA, LATTICE, POSITIONS, SCAN, known_calibration, known_plan
from livestrain_core.ellipse import distortion_matrix
from livestrain_daemon.messages import Stored
from livestrain_daemon.plan import Plan, parse_plan, stages_for
from livestrain_daemon.scanfolder import read_journal
from livestrain_simulator.patterns import vacuum_probe
from livestrain_wire.messages import (
    ApplyCalibrationRequest,
    CalibrateReply,
    CalibrateRequest,
    GivenValues,
    PlanReply,
    ReferenceReply,
    ReferenceRequest,
    Refused,
    Reply,
)


def plan_of(window: Window) -> Plan:
    newest = window.desk.scans.newest
    assert newest is not None
    assert newest.scan.revision is not None
    return newest.scan.revision.plan


def proposed(window: Window, id_: str = "1", **given: Any) -> CalibrateReply:
    """What is proposed when only these values are to be set."""
    request = CalibrateRequest(id=id_, keep=True, given=GivenValues.model_validate(given))
    return window.get(CalibrateReply, request)


def ring(bent: NDArray[np.float64]) -> bytes:
    """A halo of 22 px around the middle of the detector, as a payload."""
    away = np.moveaxis(np.indices(CAMERA.shape), 0, -1) - np.array(CAMERA.centre)
    radius = np.hypot(*np.moveaxis(away @ np.linalg.inv(bent).T, -1, 0))
    image = np.random.default_rng(1).poisson(400 * np.exp(-((radius - 22.0) ** 2) / 18.0) + 40)
    return bytes(image.astype("<f4").tobytes())


def test_a_proposal_changes_nothing_and_is_applied_by_its_name(analysed: Window) -> None:
    told = analysed.get(CalibrateReply, CalibrateRequest(id="1"))
    assert (told.revision, plan_of(analysed).revision) == (None, 1)
    applied = analysed.get(CalibrateReply, ApplyCalibrationRequest(id="2", proposal=told.proposal))
    assert (applied.revision, applied.calibration) == (2, told.calibration)
    assert plan_of(analysed).calibration.model_dump(mode="json") == told.calibration


def test_applying_twice_is_applying_once(analysed: Window) -> None:
    told = proposed(analysed, rotation_deg=3.0)
    revisions = [
        analysed.get(CalibrateReply, ApplyCalibrationRequest(id=id_, proposal=told.proposal)).revision
        for id_ in ("2", "3", "2")
    ]
    assert revisions == [2, 2, 2]
    assert plan_of(analysed).revision == 2


def test_a_proposal_made_for_an_older_plan_is_outdated(analysed: Window) -> None:
    told = proposed(analysed, rotation_deg=3.0)
    analysed.get(PlanReply, analysed.change(detectors=[]))
    reason, text = analysed.refused(ApplyCalibrationRequest(id="2", proposal=told.proposal))
    assert reason == "outdated"
    assert "plan revision 1" in text


@pytest.mark.parametrize("apply", [False, True])
def test_a_calibration_that_waits_while_the_plan_is_changed_undoes_nothing(analysed: Window, apply: bool) -> None:
    request = CalibrateRequest(id="1", keep=True, apply=apply, given=GivenValues(rotation_deg=3.0))
    hand = analysed.desk.scans.newest
    assert hand is not None
    replies: list[Reply] = []
    analysed.requests.handle(request, b"", lambda reply, payload=b"": replies.append(reply))
    waiting = analysed.desk.next_job()
    assert waiting is not None
    analysed.get(PlanReply, analysed.change(calibration={"search_px": 5.5}))
    analysed.desk.do(waiting)
    analysed.desk.work()
    if not apply:
        (told,) = replies
        assert isinstance(told, CalibrateReply)
        reason, _ = analysed.refused(ApplyCalibrationRequest(id="2", proposal=told.proposal))
    else:
        (refusal,) = replies
        assert isinstance(refusal, Refused)
        reason = refusal.reason
    assert reason == "outdated"
    assert (plan_of(analysed).revision, plan_of(analysed).calibration.search_px) == (2, 5.5)


def test_a_proposal_that_nobody_made_is_refused(looked_at: Window) -> None:
    assert looked_at.refused(ApplyCalibrationRequest(id="1", proposal="none"))[0] == "outdated"


def test_the_descan_is_found_from_positions_all_over_the_scan_and_not_from_a_part(looked_at: Window) -> None:
    positions = tuple(range(0, POSITIONS, 11))
    told = looked_at.get(CalibrateReply, CalibrateRequest(id="1", positions=positions)).calibration
    assert told["positions"] == list(positions)
    descan = told["descan"]
    assert descan is not None
    assert descan["source"] == "command"
    # the simulated camera moves by so much over the whole scan
    for way, count, total in (("per_row", SCAN[0], CAMERA.descan_px[0]), ("per_column", SCAN[1], CAMERA.descan_px[1])):
        axis = 0 if way == "per_row" else 1
        assert descan[way][axis] * count == pytest.approx(total, abs=0.15)
    corner = tuple(SCAN[1] * row + column for row in range(4) for column in range(4))
    for part in (tuple(range(SCAN[1])), corner):
        found = looked_at.get(CalibrateReply, CalibrateRequest(id=f"{len(part)}", positions=part))
        assert found.calibration["descan"] is None


def test_a_position_counts_once_in_a_calibration(looked_at: Window) -> None:
    positions = tuple(range(0, POSITIONS, 11))
    once = looked_at.get(CalibrateReply, CalibrateRequest(id="1", positions=positions)).calibration
    often = looked_at.get(CalibrateReply, CalibrateRequest(id="2", positions=positions * 40)).calibration
    assert often == once


def test_positions_beyond_the_scan_are_refused(looked_at: Window) -> None:
    refused = looked_at.refused(CalibrateRequest(id="1", positions=(0, POSITIONS)))
    assert refused == ("bad_request", f"expected positions below {POSITIONS}, found {POSITIONS}")
    found = looked_at.get(CalibrateReply, CalibrateRequest(id="2", positions=(0, POSITIONS - 1)))
    assert found.calibration["positions"] == [0, POSITIONS - 1]


def test_large_frames_are_calibrated_on_as_many_as_fit_into_a_gibibyte(window: Window) -> None:
    window.desk.open(scan_shape=(3, 6), frame_shape=(4096, 4096), dtype="uint32")
    reason, text = window.refused(CalibrateRequest(id="1", positions=tuple(range(17))))
    assert (reason, text) == ("bad_request", "expected at most 16 positions of such frames, found 17")
    # as many as that are tried, though none is stored
    told = window.get(CalibrateReply, CalibrateRequest(id="2", positions=tuple(range(16)))).calibration
    assert told["reason"] == "none of the 16 positions asked for is stored"


def test_known_values_are_set_and_everything_else_is_kept(looked_at: Window) -> None:
    before = plan_of(looked_at).calibration
    told = proposed(looked_at, rotation_deg=-12.5, flip="rows", pixel_size=0.25).calibration
    assert told["scan_axes"] == {"source": "command", "how": "as given", "rotation_deg": -12.5, "flip": "rows"}
    assert told["pixel_size"] == {"source": "command", "how": "as given", "size": 0.25, "unit": "mrad"}
    assert (told["centre"], told["g1"], told["source"]) == (list(before.centre), list(before.g1 or ()), before.source)


def test_a_pixel_comes_from_the_semiangle_or_a_spacing(looked_at: Window) -> None:
    radius = plan_of(looked_at).calibration.radius_px
    told = proposed(looked_at, semiangle_mrad=2.0).calibration["pixel_size"]
    assert (told["size"], told["unit"]) == (pytest.approx(2.0 / radius), "mrad")
    told = proposed(looked_at, "2", spacing_nm=0.192).calibration["pixel_size"]
    length = float(np.hypot(*LATTICE.vectors()[0]))
    assert (told["size"], told["unit"]) == (pytest.approx(1 / (0.192 * length)), "1/nm")
    assert "0.192 nm" in told["how"]


def test_a_spacing_that_gives_no_possible_pixel_is_refused_in_one_line(looked_at: Window) -> None:
    reason, text = looked_at.refused(CalibrateRequest(id="1", keep=True, given=GivenValues(spacing_nm=1e-9)))
    assert reason == "no_calibration"
    assert text.startswith("expected a pixel of more than 0 and at most 1e+06 1/nm")


def test_a_descan_beyond_any_detector_is_no_request(looked_at: Window) -> None:
    beyond = GivenValues.model_construct(descan=(1e6, 0.0, 0.0, 0.0, 0.0, 0.0))
    reply, _ = looked_at.counter.ask(looked_at.client, CalibrateRequest.model_construct(id="1", given=beyond))
    assert isinstance(reply, Refused)
    assert (reply.reason, "given.descan" in reply.text) == ("bad_request", True)
    most = (65536.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert proposed(looked_at, "2", descan=most).calibration["descan"]["origin"] == [65536.0, 0.0]


def test_a_known_lattice_tells_the_ellipse(looked_at: Window) -> None:
    told = proposed(looked_at, lattice_shape=(1.02, 90.0)).calibration["ellipse"]
    assert told["ratio"] == pytest.approx(1.02, abs=1e-6)
    reason, text = looked_at.refused(CalibrateRequest(id="2", keep=True, given=GivenValues(lattice_shape=(1.9, 45.0))))
    assert (reason, "to 1" in text) == ("no_calibration", True)


def test_a_ring_in_an_image_tells_the_ellipse(looked_at: Window) -> None:
    request = CalibrateRequest(id="1", keep=True, ring_image=True, given=GivenValues(ring=(14, 30)))
    told = looked_at.get(CalibrateReply, request, ring(distortion_matrix(1.03, np.radians(60)))).calibration["ellipse"]
    assert told["ratio"] == pytest.approx(1.03, abs=0.004)
    assert told["angle_deg"] == pytest.approx(60, abs=4)
    assert told["how"].startswith("ring from 14 to 30 px in an image")


def test_a_ring_through_the_disks_of_one_crystal_is_refused_in_words(looked_at: Window) -> None:
    reason, text = looked_at.refused(CalibrateRequest(id="1", keep=True, given=GivenValues(ring=(9, 19))))
    assert reason == "no_calibration"
    assert "one crystal" in text


def test_probe_and_ring_come_in_one_payload(looked_at: Window) -> None:
    probe = vacuum_probe(CAMERA).astype("<f4").tobytes()
    request = CalibrateRequest(id="1", vacuum_probe=True, ring_image=True, given=GivenValues(ring=(14, 30)))
    told = looked_at.get(CalibrateReply, request, probe + ring(np.eye(2))).calibration
    assert told["vacuum_probe"] is True
    assert told["ellipse"]["ratio"] == pytest.approx(1.0, abs=0.01)
    assert looked_at.refused(request.model_copy(update={"id": "2"}), probe)[0] == "bad_request"


def test_what_was_set_stays_through_a_new_calibration(analysed: Window) -> None:
    descan = (31.0, 31.0, 0.01, 0.0, 0.0, 0.02)
    told = proposed(analysed, rotation_deg=90.0, ellipse=(1.02, 10.0), descan=descan)
    analysed.get(CalibrateReply, ApplyCalibrationRequest(id="2", proposal=told.proposal))
    again = analysed.get(CalibrateReply, CalibrateRequest(id="3")).calibration
    assert again["source"] == "command"
    for part in ("scan_axes", "ellipse", "descan"):
        assert again[part] == told.calibration[part]


def test_a_new_ellipse_reaches_the_strain_maps(analysed: Window) -> None:
    told = proposed(analysed, ellipse=(1.04, 0.0))
    analysed.get(CalibrateReply, ApplyCalibrationRequest(id="2", proposal=told.proposal))
    analysed.desk.finish()
    reply = analysed.get(ReferenceReply, ReferenceRequest(id="3", axes="g1"))
    assert reply.reference.distortion == pytest.approx((1.04**0.5, 0, 0, 1.04**-0.5))


def test_the_plan_with_its_sources_is_in_the_journal(analysed: Window) -> None:
    told = proposed(analysed, rotation_deg=5.0)
    analysed.get(CalibrateReply, ApplyCalibrationRequest(id="2", proposal=told.proposal))
    plans = [entry["plan"] for entry in read_journal(analysed.desk.folder / "small") if entry["kind"] == "plan"]
    scan_axes = parse_plan(plans[-1]).calibration.scan_axes
    assert scan_axes is not None
    assert (scan_axes.source, scan_axes.rotation_deg) == ("command", 5.0)


def test_nothing_can_be_kept_before_there_is_a_plan(window: Window) -> None:
    window.desk.open()
    window.desk.store((0, 20))
    reason, text = window.refused(CalibrateRequest(id="1", keep=True, given=GivenValues(rotation_deg=5.0)))
    assert (reason, text) == ("no_calibration", "the scan has no plan yet that could be kept")


def polycrystal(count: int, bent: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Frames of one square crystal each, turned at random, on a distorted detector."""
    rng = np.random.default_rng(3)
    r, c = np.indices(CAMERA.shape)
    means = np.full((count, *CAMERA.shape), 2.0)
    for mean in means:
        quarters = (np.arange(4) + rng.uniform()) * np.pi / 2
        around = 20.0 * np.stack([np.cos(quarters), np.sin(quarters)], axis=1) @ bent.T
        for height, (row, column) in ((400.0, (0.0, 0.0)), *((60.0, place) for place in around)):
            inside = np.hypot(r - CAMERA.centre[0] - row, c - CAMERA.centre[1] - column) < CAMERA.radius_px
            mean[inside] += height
    return rng.poisson(means).astype(np.uint16)


def test_the_disks_of_many_crystals_tell_the_ellipse_and_it_is_applied_without_a_lattice(window: Window) -> None:
    without = known_calibration().model_copy(update={"g1": None, "g2": None, "hk": ()})
    desk = window.desk
    desk.planned(known_plan(calibration=without, stages=stages_for(without)))
    desk._writers["small"].write_run(0, polycrystal(40, distortion_matrix(1.04, np.radians(30))))
    desk.scans.take(Stored(scan_id="small", runs=((0, 40),)))
    told = window.get(CalibrateReply, CalibrateRequest(id="1", keep=True, given=GivenValues(ring=(15, 26))))
    ellipse = told.calibration["ellipse"]
    assert "disks of 40 frames" in ellipse["how"]
    assert ellipse["ratio"] == pytest.approx(1.04, abs=0.006)
    assert ellipse["angle_deg"] == pytest.approx(30, abs=5)
    assert window.get(CalibrateReply, ApplyCalibrationRequest(id="2", proposal=told.proposal)).revision == 2


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_vacuum_probe_without_a_disk_is_refused_and_changes_nothing(looked_at: Window, value: float) -> None:
    request = CalibrateRequest(id="1", apply=True, vacuum_probe=True)
    reason, text = looked_at.refused(request, np.full(CAMERA.shape, value, "<f4").tobytes())
    assert reason == "no_calibration"
    assert text.startswith("the vacuum probe shows no disk: ")
    assert plan_of(looked_at).revision == 1
    good = looked_at.get(CalibrateReply, CalibrateRequest(id="2", vacuum_probe=True), probe_image())
    assert good.calibration["vacuum_probe"]


def probe_image() -> bytes:
    return bytes(vacuum_probe(CAMERA).astype("<f4").tobytes())
