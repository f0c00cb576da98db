import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from livestrain_simulator.cli import replay_app, simulate_app
from livestrain_simulator.patterns import Camera, Renderer
from livestrain_simulator.specimen import si_sige
from livestrain_wire.messages import ScanEnd
from simulator.receiving import receiving

SMALL = ["--scan", "4x5", "--shape", "64", "--frames-per-message", "6"]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "livestrain_simulator.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_simulate_sends_a_scan_and_reports_it_as_one_line_of_json(tmp_path: Path) -> None:
    truth, probe = tmp_path / "truth.npz", tmp_path / "probe.npy"
    with receiving() as receiver:
        done = run(
            "simulate", *SMALL, "--endpoint", receiver.endpoint, "--scan-id", "abc", "--encoding", "bslz4", "--json",
            "--truth", str(truth), "--vacuum-probe", str(probe),
        )  # fmt: skip
        start, frames, end = receiver.whole_scan()
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["scan_id"], facts["frames"], facts["messages"], facts["lost"]) == ("abc", 20, 4, 0)
    assert facts["bytes"] == frames.nbytes == 20 * 64 * 64 * 2
    assert facts["frames_per_second"] > 0
    assert (start.scan_id, start.scan_shape, end.reason, end.frames_sent) == ("abc", (4, 5), "complete", 20)
    assert np.load(probe).shape == (64, 64)
    with np.load(truth) as saved:
        assert saved["e_xx"].shape == (4, 5)
        assert saved["centre"].shape == (4, 5, 2)


def test_simulated_frames_are_those_that_the_renderer_makes() -> None:
    with receiving() as receiver:
        options = [*SMALL, "--shape", "128", "--endpoint", receiver.endpoint, "--seed", "7", "--order", "serpentine"]
        done = CliRunner().invoke(simulate_app, [*options, "--flyback", "1"])
        start, frames, _ = receiver.whole_scan()
    assert done.exit_code == 0, done.output
    expected = Renderer(si_sige((4, 5)), Camera(seed=7)).frames(np.array([0, 4, 9, 5, 10]))
    np.testing.assert_array_equal(frames[[0, 4, 6, 10, 12]], expected)
    assert (start.order, start.flyback_frames, len(frames)) == ("serpentine", 1, 24)


def test_looped_frames_repeat_and_fill_the_scan() -> None:
    with receiving() as receiver:
        done = CliRunner().invoke(simulate_app, [*SMALL, "--endpoint", receiver.endpoint, "--loop", "8"])
        frames = receiver.whole_scan()[1]
    assert done.exit_code == 0, done.output
    assert "sent 20 frames" in done.stdout
    np.testing.assert_array_equal(frames[8:16], frames[:8])
    np.testing.assert_array_equal(frames[16:], frames[:4])


def test_faults_asked_for_are_made_and_counted() -> None:
    faults = ["--drop", "0.2", "--duplicate", "0.2", "--json"]
    with receiving() as receiver:
        done = CliRunner().invoke(simulate_app, [*SMALL, "--endpoint", receiver.endpoint, *faults])
        messages = receiver.scan()
    facts = json.loads(done.stdout)
    assert facts["faults"]["drop"] == facts["lost"] > 0
    arrived = sum(getattr(header, "count", 0) for header, _ in messages)
    assert arrived == 20 - facts["faults"]["drop"] + facts["faults"]["duplicate"]


def test_a_scan_can_be_aborted() -> None:
    with receiving() as receiver:
        done = CliRunner().invoke(simulate_app, [*SMALL, "--endpoint", receiver.endpoint, "--abort-at", "9", "--json"])
        _, frames, end = receiver.whole_scan()
    assert json.loads(done.stdout)["aborted"] is True
    assert (len(frames), end.reason) == (9, "aborted")


def test_a_sender_told_to_go_ends_its_scan_as_aborted() -> None:
    with receiving() as receiver:
        options = ["--scan", "50x50", "--shape", "64", "--frames-per-message", "1", "--rate", "100"]
        command = [sys.executable, "-m", "livestrain_simulator.cli", "simulate", *options]
        with subprocess.Popen([*command, "--endpoint", receiver.endpoint], stderr=subprocess.PIPE, text=True) as sender:
            for _ in range(4):
                receiver.message()
            sender.send_signal(signal.SIGTERM)
            end = receiver.scan()[-1][0]
            assert sender.stderr is not None
            said = sender.stderr.read()
    assert isinstance(end, ScanEnd)
    assert end.reason == "aborted"
    assert sender.returncode == 130
    assert said.splitlines()[-1] == "livestrain: interrupted: the scan ends as aborted"


def test_replay_sends_the_frames_of_a_file(tmp_path: Path) -> None:
    cube = np.random.default_rng(0).poisson(3.0, (4, 5, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "scan.npy", cube)
    with receiving() as receiver:
        options = [str(tmp_path / "scan.npy"), "--endpoint", receiver.endpoint, "--json", "--rate", "2000"]
        done = CliRunner().invoke(replay_app, options)
        frames = receiver.whole_scan()[1]
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["frames"] == 20
    assert frames.tobytes() == cube.tobytes()


def test_nobody_listening_exits_69_with_one_line_and_no_result() -> None:
    with receiving() as receiver:
        nowhere = receiver.endpoint
    done = CliRunner().invoke(simulate_app, [*SMALL, "--endpoint", nowhere, "--wait", "0.2"])
    assert done.exit_code == 69
    assert done.stdout == ""
    assert "nobody accepted frames" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--scan", "4y5"], ["--shape", "0"], ["--rate", "fast"], ["--rate", "-1"], ["--specimen", "gold"],
        ["--drop", "1.5"], ["--drop", "0.6", "--corrupt", "0.6"], ["--scan-id", "no/slash"], ["--nonuniformity", "2"],
        ["--order", "explicit", "--flyback", "2"], ["--scan", "9" * 5000], ["--rate", "1e-300"], ["--radius", "nan"],
        ["--spacing", "inf"], ["--wait", "inf"], ["--loop", "9" * 20],
    ],
)  # fmt: skip
def test_wrong_options_exit_2(wrong: list[str]) -> None:
    with receiving() as receiver:
        done = CliRunner().invoke(simulate_app, [*SMALL, "--endpoint", receiver.endpoint, *wrong])
        assert not receiver.socket.poll(0)
    assert done.exit_code == 2
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("wrong", "limit"),
    [
        (["--dose", "1e30"], "equal to 1000000000"), (["--dose", "inf"], "equal to 1000000000"),
        (["--dose", "nan"], "equal to 1000000000"), (["--dose", "-1"], "greater than or equal to 0"),
        (["--shape", "65536"], "at most 67108864"), (["--scan", "65536x65536"], "at most 16777216"),
    ],
)  # fmt: skip
def test_what_would_never_end_is_refused_with_its_limit(wrong: list[str], limit: str) -> None:
    done = CliRunner().invoke(simulate_app, [*SMALL, "--endpoint", "tcp://127.0.0.1:9", *wrong])
    assert done.exit_code == 2
    assert wrong[0] in done.stderr.splitlines()[-1]
    assert limit in done.stderr.splitlines()[-1]


def test_the_largest_dose_is_sent_in_time() -> None:
    with receiving() as receiver:
        done = CliRunner().invoke(simulate_app, [*SMALL, "--endpoint", receiver.endpoint, "--dose", "1e9"])
        frames = receiver.whole_scan()[1]
    assert (done.exit_code, len(frames)) == (0, 20)
    assert "pixels held more than their type can" in done.stdout


def test_a_sender_told_to_go_waits_for_no_full_receiver() -> None:
    with receiving(queued_messages=1) as receiver:
        options = ["--scan", "300x300", "--shape", "128", "--loop", "64", "--wait", "600"]
        command = [sys.executable, "-m", "livestrain_simulator.cli", "simulate", *options]
        with subprocess.Popen([*command, "--endpoint", receiver.endpoint], stderr=subprocess.PIPE, text=True) as sender:
            receiver.message()
            sender.send_signal(signal.SIGTERM)
            assert sender.wait(20) in {69, 130}
            assert sender.stderr is not None
            assert "Traceback" not in sender.stderr.read()


def test_an_endpoint_that_is_none_exits_69() -> None:
    done = CliRunner().invoke(simulate_app, [*SMALL, "--endpoint", "nonsense"])
    assert done.exit_code == 69


def test_replay_tells_no_frames_from_unreadable_and_unsuitable(tmp_path: Path) -> None:
    np.save(tmp_path / "map.npy", np.zeros((4, 4)))
    np.save(tmp_path / "complex.npy", np.zeros((2, 2, 8, 8), np.complex64))
    np.save(tmp_path / "stack.npy", np.zeros((4, 8, 8), np.uint8))
    codes = {
        name: CliRunner().invoke(replay_app, [str(tmp_path / name), "--endpoint", "tcp://127.0.0.1:9"]).exit_code
        for name in ("map.npy", "complex.npy", "stack.npy", "absent.npy")
    }
    assert codes == {"map.npy": 3, "complex.npy": 2, "stack.npy": 2, "absent.npy": 74}


def test_a_truth_file_that_cannot_be_written_exits_74(tmp_path: Path) -> None:
    done = CliRunner().invoke(simulate_app, [*SMALL, "--truth", str(tmp_path / "absent" / "truth.npz")])
    assert done.exit_code == 74


def test_listing_the_verbs_loads_nothing_heavy() -> None:
    heavy = "[name for name in ('numba', 'h5py', 'numpy') if name in sys.modules]"
    code = f"import sys, livestrain_simulator.cli; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_fault_that_no_scan_can_have_is_refused_before_anything_is_sent() -> None:
    result = CliRunner().invoke(simulate_app, ["--scan", "8x8", "--short-by", "10000", "--wait", "0.1"])
    assert result.exit_code == 2, result.output
    assert "--short-by: expected 64 frames at most, found 10000" in result.output
    assert "sending to" not in result.output
