import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.scanfolder.scans import ask, child, new_scan, run_child
from livestrain_daemon.errors import StorageError, Unavailable
from livestrain_daemon.scanfolder import Journal, Spool
from livestrain_daemon.scanfolder.spool import file_system_type, not_local

HOLD = """
import json, os, sys
from pathlib import Path
from livestrain_daemon.scanfolder import Spool
spool = Spool(Path(sys.argv[1]))
for line in sys.stdin:
    print(json.dumps(os.getpid()), flush=True)
"""

WAIT = "import sys; sys.stdin.read()"


def test_a_spool_is_made_where_there_is_none(tmp_path: Path) -> None:
    with Spool.open(tmp_path / "a" / "b") as spool:
        assert spool.folder == tmp_path / "a" / "b"
        assert spool.free_bytes() > 0
        assert spool.scans() == []


def test_a_second_daemon_is_refused_by_the_process_of_the_first(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as first:
        pid = ask(first)
        with pytest.raises(Unavailable, match=f"is used by another daemon, process {pid}$"):
            Spool(tmp_path)
        assert Spool.joined(tmp_path).scans() == []
    Spool(tmp_path).close()


def test_a_daemon_that_was_killed_lets_go(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as first:
        ask(first)
        first.kill()
        first.wait()
        Spool(tmp_path).close()


def test_a_child_that_inherits_the_lock_keeps_others_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    command = [sys.executable, "-c", WAIT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(spool.lock_fd,)) as heir:
        spool.close()
        with pytest.raises(Unavailable, match=f"process {os.getpid()}"):
            Spool(tmp_path)
        assert heir.stdin is not None
        heir.stdin.close()
        heir.wait()
    Spool(tmp_path).close()


def test_a_child_that_does_not_inherit_it_keeps_nobody_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with subprocess.Popen([sys.executable, "-c", WAIT], stdin=subprocess.PIPE) as other:
        spool.close()
        Spool(tmp_path).close()
        assert other.stdin is not None
        other.stdin.close()


def test_a_file_in_the_place_of_the_spool_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be made"):
        Spool(tmp_path / "file")


def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    if not Path("/proc/sys").is_dir():
        pytest.skip("no /proc to try it on")
    # not even root can write there
    with pytest.raises(StorageError, match=r"^/proc/sys: (is not writable|cannot be)"):
        Spool(Path("/proc/sys"))
    Spool(tmp_path).close()


@pytest.mark.parametrize(
    ("kind", "name"),
    [(0x6969, "NFS"), (0x517B, "SMB"), (0xFF534D42, "CIFS"), (-11317950, "CIFS"), (0x65735546, "FUSE")],
)
def test_network_file_systems_are_known(kind: int, name: str) -> None:
    assert not_local(kind) == name


def test_a_local_file_system_is_accepted(tmp_path: Path) -> None:
    assert not_local(file_system_type(tmp_path)) is None
    assert not_local(file_system_type(Path("/proc"))) is None
    assert file_system_type(Path("/proc")) == 0x9FA0
    with pytest.raises(StorageError, match="No such file"):
        file_system_type(tmp_path / "nothing")


def test_a_used_id_gets_a_number(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        assert spool.new_folder("a") == tmp_path / "a"
        new_scan(tmp_path / "a")
        assert spool.new_folder("a") == tmp_path / "a-2"
        new_scan(tmp_path / "a-2")
        assert spool.new_folder("a") == tmp_path / "a-3"
        # an empty folder is not a scan
        assert spool.new_folder("a") == tmp_path / "a-3"
        assert spool.folder_of("a-2") == tmp_path / "a-2"


@pytest.mark.parametrize("scan_id", ["", ".", "..", "../x", "a/b", ".lock", "a\n", "a\x00", "x" * 100, "-a"])
def test_ids_that_leave_the_spool_are_refused(tmp_path: Path, scan_id: str) -> None:
    with Spool(tmp_path) as spool:
        with pytest.raises(StorageError, match=re.escape("cannot be the name of a scan folder")):
            spool.new_folder(scan_id)
        assert [entry.name for entry in tmp_path.iterdir()] == [".lock"]


def test_scans_are_listed_newest_first_and_the_unfinished_one_is_found(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        for name in ("c", "a", "b"):
            folder = spool.new_folder(name)
            with Journal(folder) as journal:
                journal.append("scan_started")
            new_scan(folder)
        # what is written later does not make a scan newer
        (tmp_path / "c" / "frames.h5").touch()
        spool.new_folder("empty")
        assert spool.scans() == ["b", "a", "c"]
        assert spool.unfinished() == tmp_path / "b"
        for name, left in (("b", "a"), ("a", "c")):
            with Journal(tmp_path / name) as journal:
                journal.append("scan_ended")
            assert spool.unfinished() == tmp_path / left
        with Journal(tmp_path / "c") as journal:
            journal.append("scan_ended")
        assert spool.unfinished() is None


def test_a_scan_with_a_damaged_journal_is_left_alone(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        new_scan(spool.new_folder("a"))
        assert spool.unfinished() == tmp_path / "a"
        (tmp_path / "a" / "journal.jsonl").write_text("{\n{}\n")
        assert spool.unfinished() is None


def test_a_process_that_ends_without_closing_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from livestrain_daemon.scanfolder import Spool; Spool(Path(sys.argv[1]))"
    )
    assert run_child(code, tmp_path).returncode == 0
    Spool(tmp_path).close()
