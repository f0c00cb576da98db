import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from livestrain_daemon.errors import NotAScan
from livestrain_daemon.scanfolder import Journal, boot_id, provenance, read_journal


def test_lines_are_read_in_order_with_their_time(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("scan_started", scan_id="s", shape=(3, 4), folder=tmp_path)
        journal.append("synced", runs=[(np.int64(0), 5)])
        journal.sync()
    first, second = read_journal(tmp_path)
    assert (first["kind"], first["shape"], first["folder"]) == ("scan_started", [3, 4], str(tmp_path))
    assert second["runs"] == [[0, 5]]
    assert first["utc_ns"] <= second["utc_ns"]
    assert first["utc"].endswith("Z")
    assert datetime.fromisoformat(first["utc"]).timestamp() == pytest.approx(first["utc_ns"] / 1e9, abs=1e-3)


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("reference", vectors=np.array([1.5, np.nan, np.inf]), found=np.float32(2))
    (line,) = read_journal(tmp_path)
    assert (line["vectors"], line["found"]) == ([1.5, None, None], 2.0)


def test_a_journal_is_continued(tmp_path: Path) -> None:
    for kind in ("one", "two"):
        with Journal(tmp_path) as journal:
            journal.append(kind)
    assert [line["kind"] for line in read_journal(tmp_path)] == ["one", "two"]


@pytest.mark.parametrize("torn", [b'{"kind": "sy', b"\x00" * 700, b'{"kind": "x"}', "µ".encode()[:1]])
def test_a_torn_last_line_is_left_out_and_never_continued(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(tmp_path) as journal:
        journal.append("one")
    with path.open("ab") as file:
        file.write(torn)
    assert [line["kind"] for line in read_journal(tmp_path)] == ["one"]
    with Journal(tmp_path) as journal:
        journal.append("two")
    assert [line["kind"] for line in read_journal(tmp_path)] == ["one", "two"]


@pytest.mark.parametrize("bad", [b"{", b"\x00\x00", b"[1]", b'{"a": 1}', b"", b"\xff", b"[" * 100_000])
def test_a_bad_line_in_the_middle_is_named(tmp_path: Path, bad: bytes) -> None:
    good = json.dumps({"kind": "x"}).encode()
    (tmp_path / "journal.jsonl").write_bytes(good + b"\n" + bad + b"\n" + good + b"\n")
    with pytest.raises(NotAScan, match=r"journal\.jsonl: line 2 is no"):
        read_journal(tmp_path)


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == []


def test_provenance_tells_versions_and_host() -> None:
    made = provenance()
    assert set(made["versions"]) == {"python", "livestrain", "numpy", "numba", "h5py"}
    assert "unknown" not in made["versions"].values()
    assert made["boot_id"] == boot_id()
    assert json.loads(json.dumps(made)) == made
