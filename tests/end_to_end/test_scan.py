"""A scan streams in, its maps stream out."""

import json
from pathlib import Path

import h5py
import numpy as np

from helpers.rig import RenderedScan, Rig, follow, maps_of, running
from helpers.waiting import wait_until
from livestrain_client.live import Live
from livestrain_simulator.sender import FrameSender


def test_every_frame_becomes_a_value_near_the_truth(rig: Rig, scan: RenderedScan) -> None:
    with rig.live() as live:
        scan.send(rig, "truth")
        follow(live, "truth")
        counts = live.progress.stages["diffraction"] if live.progress else None
        strain = {name: live.maps[name].values for name in ("e_xx", "e_yy", "e_xy", "theta")}
        total = live.maps["total"].values
    assert counts is not None
    assert (counts.analysed, counts.failed, counts.dropped, counts.missing, counts.pending) == (1024, 0, 0, 0, 0)
    assert np.array_equal(total.ravel(), scan.frames.sum(axis=(1, 2), dtype=np.uint64))
    for name, values in strain.items():
        difference = values - getattr(scan.specimen, name)
        # the reference is the median, so only differences to it are known
        assert np.sqrt(np.mean((difference - np.median(difference)) ** 2)) < 1.5e-3, name


def test_whoever_joins_whenever_ends_with_the_same_bits(rig: Rig, scan: RenderedScan) -> None:
    with rig.live() as from_the_start, FrameSender(rig.ports.frames_endpoint) as sender:
        sender.start(scan.start("joining"))
        scan.send_frames(sender, 0, 512)
        wait_until(lambda: (p := rig.status().plan) is not None and p.scan_id == "joining", what="the first plan")
        with rig.live() as late:
            scan.send_frames(sender, 512)
            sender.end("complete", 1024)
            sender.flush()
            follow(late, "joining")
            follow(from_the_start, "joining")
            with rig.live() as afterwards:
                follow(afterwards, "joining")
                assert maps_of(late) == maps_of(from_the_start)
                assert maps_of(afterwards) == maps_of(from_the_start)


def test_the_files_hold_what_the_subscribers_got(rig: Rig, scan: RenderedScan) -> None:
    with rig.live() as live:
        scan.send(rig, "files")
        follow(live, "files")
        maps = {name: state.values.copy() for name, state in live.maps.items() if not state.info.derived}
    folder = Path(rig.status().scan.folder)  # type: ignore[union-attr]
    with h5py.File(folder / "results-0001.h5") as results:
        for name, values in maps.items():
            assert results[f"maps/{name}"][...].tobytes() == values.tobytes(), name
    with h5py.File(folder / "frames.h5") as frames:
        assert np.array_equal(frames["frames"][...].reshape(scan.frames.shape), scan.frames)
    kinds = [json.loads(line)["kind"] for line in (folder / "journal.jsonl").read_text().splitlines()]
    for expected in ("scan_started", "plan", "reference", "intake_closed", "scan_ended"):
        assert expected in kinds


def test_a_scan_that_stops_short_ends_with_the_rest_missing(rig: Rig, scan: RenderedScan) -> None:
    scan.send(rig, "short", stop=700)
    status = rig.wait_until_final("short")
    assert status.ended is not None
    counts = status.ended.stages["diffraction"]
    assert (status.ended.stored, counts.analysed, counts.missing) == (700, 700, 324)
    reduced = status.ended.stages["reduction"]
    assert (reduced.analysed, reduced.missing) == (700, 324)
    scan.send(rig, "whole")
    after = rig.wait_until_final("whole")
    assert after.ended is not None
    assert after.ended.stages["diffraction"].analysed == 1024


def test_the_summed_pattern_is_the_sum_of_the_frames(rig: Rig, scan: RenderedScan) -> None:
    scan.send(rig, "summed")
    rig.wait_until_final("summed")
    with rig.control() as control:
        summed, largest = control.pattern("sum"), control.pattern("largest")
    assert np.array_equal(summed.pixels, scan.frames.sum(axis=0, dtype=np.uint64))
    assert np.array_equal(largest.pixels, scan.frames.max(axis=0))
    assert summed.about.positions == 1024


def test_a_position_s_frame_comes_with_what_was_found_in_it(rig: Rig, scan: RenderedScan) -> None:
    scan.send(rig, "frame")
    rig.wait_until_final("frame")
    with rig.control() as control:
        frame = control.frame(3, 5)
    assert np.array_equal(frame.pixels, scan.frames[3 * 32 + 5])
    assert frame.found.values["total"] == float(scan.frames[3 * 32 + 5].sum())
    assert frame.found.lattice is not None
    assert len(frame.found.disks) >= 9


def test_a_reference_region_changes_the_strain_and_undo_brings_it_back(rig: Rig, scan: RenderedScan) -> None:
    with rig.live() as live:
        scan.send(rig, "undo")
        follow(live, "undo")
        before = maps_of(live)
        with rig.control() as control:
            changed = control.reference(region=(0, 0, 4, 32))
            _wait_for_reference(live, changed.reference.revision)
            corner = live.maps["e_xx"].values[0:4].astype(np.float64)
            assert abs(np.median(corner)) < 2e-4
            assert maps_of(live)["e_xx"] != before["e_xx"]
            for _ in range(2):  # sent twice, it undoes once
                undone = control.reference(revert_to=changed.previous)
            _wait_for_reference(live, undone.reference.revision)
        assert maps_of(live) == before


def _wait_for_reference(live: Live, revision: int) -> None:
    def there() -> bool:
        live.poll(0.02)
        # each map comes for itself
        derived = [state for state in live.maps.values() if state.reference_revision]
        anew = all(state.reference_revision == revision and state.known.all() for state in derived)
        return anew and live.final

    wait_until(there, what=f"reference revision {revision}")


def test_a_changed_plan_fills_a_new_file_while_frames_still_come(rig: Rig, scan: RenderedScan) -> None:
    detectors = [{"name": "ring", "inner": 2.0, "outer": 5.0}]
    with rig.live() as live:
        with FrameSender(rig.ports.frames_endpoint) as sender, rig.control() as control:
            sender.start(scan.start("changed"))
            scan.send_frames(sender, 0, 512)
            wait_until(lambda: (p := rig.status().plan) is not None and p.scan_id == "changed", what="the first plan")
            reply = control.set_plan({"detectors": detectors}, based_on=1)
            assert reply.revision == 2
            scan.send_frames(sender, 512)
            sender.end("complete", 1024)
            sender.flush()
        follow(live, "changed")
        assert live.plan is not None
        assert live.plan.revision == 2
        assert bool(live.maps["ring"].known.all())
        assert "bright_field" not in live.maps
        folder = Path(rig.status().scan.folder)  # type: ignore[union-attr]
        with h5py.File(folder / "results-0001.h5") as old, h5py.File(folder / "results-0002.h5") as new:
            both = ~np.isnan(old["maps/total"][...])
            assert both.any()
            assert np.array_equal(old["maps/g1"][...][both], new["maps/g1"][...][both], equal_nan=True)
            assert not np.isnan(new["maps/ring"][...]).any()


def test_a_recorded_plan_gives_the_same_bits_again(tmp_path: Path, rig: Rig, scan: RenderedScan) -> None:
    with rig.live() as live:
        scan.send(rig, "recorded")
        follow(live, "recorded")
        first = maps_of(live)
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps(live.plan.plan if live.plan else None))
    with running(tmp_path, analysis__plan=str(plan), workers__count="2") as another, another.live() as live:
        scan.send(another, "scan")
        follow(live, "scan")
        assert maps_of(live) == first


def test_sigterm_analyses_what_is_stored_and_the_next_daemon_goes_on(tmp_path: Path, scan: RenderedScan) -> None:
    with running(tmp_path) as rig:
        scan.send(rig, "scan", stop=800, end=False)
        wait_until(lambda: (p := rig.status().progress) is not None and p.stored == 800, what="800 frames")
        assert rig.daemon.stop() == 0
        with h5py.File(rig.spool / "scan" / "results-0001.h5") as results:
            assert int((results["ledger/diffraction"][...] == 1).sum()) == 800
        rig.start()
        scan.send(rig, "scan", first=800)
        ended = rig.wait_until_final("scan").ended
        assert ended is not None
        counts = ended.stages["diffraction"]
        assert (counts.analysed, counts.missing) == (1024, 0)


def test_a_stopped_scan_ends_with_the_rest_missing(rig: Rig, scan: RenderedScan) -> None:
    scan.send(rig, "stopped", stop=700, end=False)
    wait_until(lambda: (p := rig.status().progress) is not None and p.stored == 700, what="700 frames")
    with rig.control() as control:
        control.stop("scan")
    ended = rig.wait_until_final("stopped").ended
    assert ended is not None
    assert (ended.reason, ended.stages["diffraction"].analysed, ended.missing) == ("stopped", 700, 324)
