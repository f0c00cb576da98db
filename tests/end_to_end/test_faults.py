"""What breaks in the middle of a scan changes no bit of its result; each fault beside the same scan without it."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from helpers.rig import RenderedScan, Rig, follow, maps_of, running, suspend
from helpers.waiting import wait_until
from livestrain_client.live import Live
from livestrain_simulator.sender import FrameSender


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, scan: RenderedScan) -> tuple[Path, dict[str, bytes]]:
    """The plan and the maps of the scan as they are when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with running(folder) as rig, rig.live() as live:
        scan.send(rig, "scan")
        follow(live, "scan")
        assert live.plan is not None
        plan = folder / "plan.json"
        plan.write_text(json.dumps(live.plan.plan))
        return plan, maps_of(live)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, undisturbed: tuple[Path, dict[str, bytes]]) -> Iterator[Rig]:
    """A daemon with that plan and no spare worker, for faults that it gets over; each test has a scan id of its own."""
    with running(tmp_path_factory.mktemp("planned"), analysis__plan=str(undisturbed[0])) as rig:
        yield rig


@pytest.fixture(scope="module")
def spared(tmp_path_factory: pytest.TempPathFactory, undisturbed: tuple[Path, dict[str, bytes]]) -> Iterator[Rig]:
    """As `planned`, with a spare worker and little patience."""
    settings = {"analysis__plan": str(undisturbed[0]), "workers__timeout_seconds": "4", "workers__spares": "1"}
    with running(tmp_path_factory.mktemp("spared"), **settings) as rig:
        yield rig


def _disturbed(rig: Rig, scan: RenderedScan, scan_id: str, disturb: Callable[[Rig], None]) -> dict[str, bytes]:
    """The maps of a subscriber that was there from the start, with something done to the daemon in the middle."""
    with rig.live() as live:
        with FrameSender(rig.ports.frames_endpoint) as sender:
            sender.start(scan.start(scan_id))
            scan.send_frames(sender, 0, 500)
            wait_until(lambda: live.poll(0.02) and _has_maps(live, scan_id), what="the first maps")
            disturb(rig)
            scan.send_frames(sender, 500)
            sender.end("complete", 1024)
            sender.flush()
        follow(live, scan_id, 90)
        return maps_of(live)


def _has_maps(live: Live, scan_id: str) -> bool:
    return live.scan is not None and live.scan.start.scan_id == scan_id and "e_xx" in live.maps


@pytest.mark.parametrize("daemon", ["planned", "spared"])
def test_a_killed_worker_changes_no_bit(
    scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]], daemon: str, request: pytest.FixtureRequest
) -> None:
    killed: list[psutil.Process] = []

    def kill_workers(rig: Rig) -> None:
        killed.extend(rig.workers())
        for worker in killed:
            worker.kill()

    rig: Rig = request.getfixturevalue(daemon)
    assert _disturbed(rig, scan, "killed-worker", kill_workers) == undisturbed[1]
    assert killed
    assert not {*killed} & {*rig.workers()}


def test_a_hung_worker_is_replaced_and_changes_no_bit_when_it_wakes(
    spared: Rig, scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    stopped: list[psutil.Process] = []

    def hang(rig: Rig) -> None:
        wait_until(lambda: all(w.state != "starting" for w in rig.status().workers), what="a warm spare")
        stopped.extend(rig.workers())
        for worker in stopped:
            suspend(worker)

    assert _disturbed(spared, scan, "hung-worker", hang) == undisturbed[1]
    assert stopped
    for worker in stopped:
        # it was killed and reaped, so there is nobody left to wake
        with pytest.raises(ProcessLookupError):
            os.kill(worker.pid, signal.SIGCONT)


def test_a_killed_daemon_goes_on_with_the_same_scan(
    planned: Rig, scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    def restart(rig: Rig) -> None:
        wait_until(lambda: (p := rig.status().progress) is not None and p.stored == 500, what="500 frames")
        rig.kill()
        rig.start()

    assert _disturbed(planned, scan, "killed-daemon", restart) == undisturbed[1]


def test_a_daemon_killed_between_the_last_frame_and_the_end_finishes_the_analysis(
    tmp_path: Path, scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    plan, expected = undisturbed
    with running(tmp_path, analysis__plan=str(plan), intake__silence_seconds="2") as rig, rig.live() as live:
        scan.send(rig, "scan", end=False)
        wait_until(lambda: (p := rig.status().progress) is not None and p.stored == 1024, what="all frames")
        rig.kill()
        rig.start()
        follow(live, "scan")
        assert maps_of(live) == expected


def test_a_killed_intake_is_started_again_and_goes_on(
    planned: Rig, scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    def kill_intake(rig: Rig) -> None:
        wait_until(lambda: (p := rig.status().progress) is not None and p.stored == 500, what="500 frames")
        (intake,) = [child for child in rig.children() if "livestrain_daemon.intake" in child.cmdline()]
        intake.kill()
        gone = wait_until(lambda: not intake.is_running() or None, what="the end of the intake")
        assert gone

    assert _disturbed(planned, scan, "killed-intake", kill_intake) == undisturbed[1]


def test_lost_frames_are_missing_and_nothing_else_changes(
    planned: Rig, scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    expected = undisturbed[1]
    with planned.live() as live:
        with FrameSender(planned.ports.frames_endpoint) as sender:
            sender.start(scan.start("lost-frames"))
            scan.send_frames(sender, 0, 300)
            scan.send_frames(sender, 310)
            sender.end("complete", 1024)
            sender.flush()
        follow(live, "lost-frames")
        total = live.maps["total"].values.ravel()
        assert np.flatnonzero(np.isnan(total)).tolist() == list(range(300, 310))
        whole = np.frombuffer(expected["total"], total.dtype)
        assert np.array_equal(np.delete(total, range(300, 310)), np.delete(whole, range(300, 310)))
        assert live.progress is not None
        assert live.progress.missing == 10
        assert live.progress.stages["diffraction"].missing == 10


def test_garbage_on_every_socket_harms_nobody(
    planned: Rig, scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    import zmq

    from helpers.hostile import hostile_multiparts, hostile_streams

    corpus = [parts for _, parts in hostile_multiparts()]
    refused: list[int] = []

    def throw(rig: Rig) -> None:
        ports = rig.ports
        for endpoint in (ports.frames_endpoint, ports.control_endpoint, ports.maps_endpoint):
            host, port = endpoint.removeprefix("tcp://").split(":")
            for _, stream in hostile_streams():
                with socket.create_connection((host, int(port)), timeout=10) as raw, suppress(ConnectionError):
                    raw.sendall(stream)
        with zmq.Context() as context:
            for endpoint, kind in ((ports.frames_endpoint, zmq.PUSH), (ports.control_endpoint, zmq.DEALER)):
                with context.socket(kind) as sender:
                    sender.setsockopt(zmq.LINGER, 10_000)
                    sender.setsockopt(zmq.SNDTIMEO, 10_000)
                    sender.connect(endpoint)
                    for parts in corpus:
                        sender.send_multipart(parts)
                        if kind == zmq.DEALER:
                            # each is answered, so none is lost on the way
                            assert sender.poll(10_000), parts
                            refused.append(len(sender.recv_multipart()))

    assert _disturbed(planned, scan, "garbage", throw) == undisturbed[1]
    assert len(refused) == len(corpus)


def test_a_ring_too_small_for_a_lagging_analysis_drops_the_oldest_and_counts_them(
    tmp_path: Path, scan: RenderedScan
) -> None:
    # 8 MiB hold 256 of the 1024 frames; the workers sleep meanwhile
    with running(tmp_path, spool__record="false", spool__ring_mib="8") as rig, rig.live() as live:
        with FrameSender(rig.ports.frames_endpoint) as sender:
            sender.start(scan.start("scan"))
            scan.send_frames(sender, 0, 128)
            wait_until(lambda: live.poll(0.02) and "e_xx" in live.maps, what="the first maps")
            for worker in rig.workers():
                suspend(worker)
            scan.send_frames(sender, 128)
            sender.end("complete", 1024)
            sender.flush()
        wait_until(lambda: (p := rig.status().progress) is not None and p.stored == 1024, what="all frames")
        for worker in rig.workers():
            os.kill(worker.pid, signal.SIGCONT)
        follow(live, "scan")
        assert live.progress is not None
        counts = live.progress.stages["diffraction"]
        assert counts.analysed + counts.dropped == 1024
        assert counts.dropped >= 512
        assert int(live.maps["total"].known.sum()) == counts.analysed
        with rig.control() as control:
            assert np.array_equal(control.frame(31, 31).pixels, scan.frames[1023])


def test_a_ring_that_is_fast_enough_drops_nothing(
    tmp_path: Path, scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    plan, expected = undisturbed
    settings = {"spool__record": "false", "spool__ring_mib": "64", "analysis__plan": str(plan)}
    with running(tmp_path, **settings) as rig, rig.live() as live:
        for scan_id in ("first", "second"):
            scan.send(rig, scan_id)
            follow(live, scan_id)
            assert maps_of(live) == expected


POISON = '''
import os
import numpy as np
from livestrain_daemon.scanfolder import Output


class Poison:
    """Kills its process at position 77 and raises at position 300."""

    def outputs(self, plan, kind):
        return (Output("poison", dtype="float32"),)

    def prepare(self, plan, kind):
        return self

    def analyse(self, frames, positions, earlier):
        if 77 in positions:
            os.kill(os.getpid(), 9)
        if 300 in positions:
            raise ValueError("no good")
        return {"poison": positions.astype(np.float32)}
'''


def test_positions_that_kill_or_raise_fail_with_the_reason_and_cost_no_other(
    tmp_path: Path, scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, expected = undisturbed
    package = tmp_path / "package"
    (package / "poison-1.0.dist-info").mkdir(parents=True)
    (package / "poison.py").write_text(POISON)
    (package / "poison-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: poison\nVersion: 1.0\n")
    (package / "poison-1.0.dist-info" / "entry_points.txt").write_text(
        "[livestrain.analyses]\npoison = poison:Poison\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package))
    fields = json.loads(plan.read_text())
    fields["stages"]["diffraction"].append("poison")
    poisoned = tmp_path / "plan.json"
    poisoned.write_text(json.dumps(fields))
    settings = {"analysis__plan": str(poisoned), "workers__attempts": "1", "workers__largest_range": "4"}
    with running(tmp_path, **settings, workers__spares="2") as rig, rig.live() as live:
        scan.send(rig, "scan")
        follow(live, "scan", 90)
        assert live.progress is not None
        counts = live.progress.stages["diffraction"]
        assert (counts.analysed, counts.failed) == (1022, 2)
        total = live.maps["total"].values.ravel()
        assert np.flatnonzero(np.isnan(total)).tolist() == [77, 300]
        whole = np.frombuffer(expected["total"], total.dtype)
        assert np.array_equal(np.delete(total, [77, 300]), np.delete(whole, [77, 300]))
    lines = [json.loads(line) for line in (rig.spool / "scan" / "journal.jsonl").read_text().splitlines()]
    reasons = {line["runs"][0][0]: line["reason"] for line in lines if line["kind"] == "failed"}
    assert "SIGKILL" in reasons[77]
    assert reasons[300] == "ValueError: no good"


def test_a_ring_that_holds_the_sender_back_drops_nothing(
    tmp_path: Path, scan: RenderedScan, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    plan, expected = undisturbed
    # 2 MiB hold 64 of the 1024 frames
    settings = {"spool__record": "false", "spool__ring_mib": "2", "spool__when_full": "wait"}
    with running(tmp_path, **settings, analysis__plan=str(plan)) as rig, rig.live() as live:
        for scan_id in ("first", "second"):
            scan.send(rig, scan_id)
            follow(live, scan_id)
            assert maps_of(live) == expected
            assert live.progress is not None
            # blocks of 256 positions do not fit into the ring: their patterns are lost, and that is said
            assert live.progress.stages["diffraction"].dropped == 0
