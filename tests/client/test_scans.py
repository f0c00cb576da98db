"""The verb ``scans``: the history for people and machines, what is retained and what is deleted."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helpers.wire_daemon import WireDaemon
from livestrain_client.cli import INTERRUPTED, exits
from livestrain_client.cli.command import run
from livestrain_client.cli.scans import began, size, state
from livestrain_wire.messages import RemoveRequest, RetainRequest, ScanEntry, ScansRequest

BEGAN_NS = 1_760_000_000_000_000_000


def entry(number: int, **fields: object) -> ScanEntry:
    about = {
        "scan_id": f"scan-{number}",
        "folder": f"/spool/scan-{number}",
        "state": "ended",
        "began_ns": BEGAN_NS + number,
        "scan_shape": (12, 34),
        "stored": 400,
        "missing": 8,
        "analysed": 397,
        "failed": 2,
        "dropped": 1,
        "reason": "silence",
        "size_bytes": 123_456_789,
    }
    return ScanEntry.model_validate({**about, **fields})


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireDaemon]:
    with WireDaemon() as daemon:
        monkeypatch.setenv("LIVESTRAIN_PUBLISH__CONTROL_ENDPOINT", daemon.control_endpoint)
        daemon.history = [entry(number) for number in reversed(range(300))]
        yield daemon


def test_a_line_tells_what_a_person_wants_to_know(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.history = [entry(2, state="receiving", reason=""), entry(1, retained=True), entry(0)]
    assert run(["scans"]) == exits.OK
    title, newest, retained, oldest = capsys.readouterr().out.splitlines()
    assert (
        " ".join(title.split())
        == "scan began positions stored missing analysed failed dropped faults size state folder"
    )
    assert newest.split()[-2:] == ["receiving", "/spool/scan-2"]
    assert "silence, retained" in retained
    local = datetime.fromtimestamp(BEGAN_NS / 1e9, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    expected = f"scan-0 {local} 12 x 34 400 8 397 2 1 0 123 MB silence /spool/scan-0"
    assert oldest.split() == expected.split()


def test_a_scan_with_faults_is_told_from_one_without(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    faults = {"wrong_count": 1, "duplicate": 2, "flyback": 40}
    daemon.history = [entry(1, faults=faults), entry(0, faults={"flyback": 40})]
    assert run(["scans"]) == exits.OK
    _, wrong, clean = capsys.readouterr().out.splitlines()
    # the last count before the size
    assert [line.split(" 123 MB ")[0].split()[-1] for line in (wrong, clean)] == ["3", "0"]
    assert run(["scans", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out.splitlines()[0])["faults"] == faults


def test_brackets_in_names_of_folders_are_no_markup(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.history = [entry(0, folder="/data/[red]alloy [/]/a")]
    assert run(["scans"]) == exits.OK
    assert capsys.readouterr().out.splitlines()[1].endswith("/data/[red]alloy [/]/a")


def test_so_many_are_listed_as_asked_for_over_several_pages(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    for limit, asked in ((1, 1), (20, 1), (290, 2), (1000, 2)):
        daemon.requests.clear()
        assert run(["scans", "-n", str(limit), "--json"]) == exits.OK
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [one["scan_id"] for one in told] == [f"scan-{number}" for number in reversed(range(300))][:limit]
        assert sum(isinstance(request, ScansRequest) for request in daemon.requests) == asked


def test_no_scan_is_lost_or_told_twice_where_many_began_at_the_same_time(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.history = [entry(number, began_ns=BEGAN_NS) for number in reversed(range(100, 400))]
    assert run(["scans", "-n", "1000", "--json"]) == exits.OK
    told = [json.loads(line)["scan_id"] for line in capsys.readouterr().out.splitlines()]
    assert told == [f"scan-{number}" for number in reversed(range(100, 400))]


def test_an_empty_spool_says_so(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.history = []
    assert run(["scans"]) == exits.OK
    assert capsys.readouterr().err.strip() == "there are no scans"


def test_scans_are_retained_and_released_by_name(daemon: WireDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scans", "--keep", "a", "--keep", "b", "--release", "c"]) == exits.OK
    asked = [(one.scan_id, one.retained) for one in daemon.requests if isinstance(one, RetainRequest)]
    assert asked == [("a", True), ("b", True), ("c", False)]
    assert capsys.readouterr().err.splitlines() == ["a is retained", "b is retained", "c is no longer retained"]


def test_a_scan_is_deleted_only_after_a_yes(
    daemon: WireDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def deleted() -> list[str]:
        return [request.scan_id for request in daemon.requests if isinstance(request, RemoveRequest)]

    for said, told in (("n\n", "a stays"), ("", "livestrain: interrupted, there was no answer; --yes asks nothing")):
        answer = tmp_path / "answer"
        answer.write_text(said)
        with answer.open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            assert run(["scans", "--remove", "a"]) == INTERRUPTED
        assert capsys.readouterr().err.splitlines()[-1].endswith(told)
        assert deleted() == []
    assert run(["scans", "--remove", "a", "--yes"]) == exits.OK
    assert deleted() == ["a"]
    (tmp_path / "answer").write_text("y\n")
    with (tmp_path / "answer").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert run(["scans", "--remove", "b"]) == exits.OK
    assert deleted() == ["a", "b"]


def test_an_id_that_cannot_be_one_is_refused_before_anything_is_asked(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scans", "--keep", "../../etc"]) == exits.USAGE
    assert "'../../etc'" in capsys.readouterr().err
    assert run(["watch", "--scan", "a b"]) == exits.USAGE
    assert "'a b' cannot be the id of a scan" in " ".join(capsys.readouterr().err.split())
    assert daemon.requests == []


def test_without_a_daemon_a_folder_is_listed_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = tmp_path / "one"
    scan.mkdir()
    (scan / "frames.h5").touch()
    start = {"scan_shape": [2, 3], "frame_shape": [4, 5], "dtype": "uint8"}
    line = {"kind": "scan_started", "utc_ns": BEGAN_NS, "start": start, "recording": True}
    (scan / "journal.jsonl").write_text(json.dumps(line) + "\n")
    assert run(["scans", "--spool", str(tmp_path), "--json"]) == exits.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["scan_id"], told["state"], told["scan_shape"]) == ("one", "unfinished", [2, 3])
    assert run(["scans", "--spool", str(tmp_path), "--remove", "one"]) == exits.USAGE
    assert run(["scans", "--spool", str(tmp_path / "nothing")]) == exits.IO
    assert "nothing is no folder" in capsys.readouterr().err


def test_no_daemon_is_told_by_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scans", "--control", "tcp://127.0.0.1:1", "--deadline", "0.2"]) == exits.UNAVAILABLE
    assert "127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_500_000, "1.5 MB"),
        (77_300_000_000, "77.3 GB"),
        (10**15, "1e+03 TB"),
    ],
)
def test_sizes_are_told_in_a_unit_that_fits(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text


def test_a_state_is_the_reason_once_it_is_over() -> None:
    assert state(entry(1)) == "silence"
    assert state(entry(1, state="analysing")) == "analysing"
    assert state(entry(1, state="unfinished", retained=True)) == "unfinished, retained"
    assert len(began(entry(1))) == 19
