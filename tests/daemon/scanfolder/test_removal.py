"""A scan is there whole or not at all, and its space comes back when nobody has it open."""

import subprocess
import sys
from pathlib import Path

import pytest

from daemon.scanfolder.scans import ask, child, new_scan
from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import Spool, open_frames
from livestrain_daemon.scanfolder.removal import (
    NAMES_FILE,
    NAMES_KEPT,
    delete,
    forget_oldest_names,
    leftovers,
    removed_names,
    set_aside,
)

HOLD = """
import json, sys
held = open(sys.argv[1], "rb")
for line in sys.stdin:
    held.seek(0)
    print(json.dumps(len(held.read())), flush=True)
"""
SMALL_FILES = """
import resource, signal, sys
from pathlib import Path
from livestrain_daemon.scanfolder.removal import forget_oldest_names
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
forget_oldest_names(Path(sys.argv[1]))
"""
CRASH = """
import os, shutil, sys
from pathlib import Path
from livestrain_daemon.scanfolder import removal
aside = removal.set_aside(Path(sys.argv[1]))
if sys.argv[2] == "halfway":
    (aside / "frames.h5").unlink()
os._exit(9)
"""


def test_what_is_set_aside_is_no_scan_and_what_is_deleted_is_gone(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        new_scan(tmp_path / "a")
        new_scan(tmp_path / "b")
        aside = set_aside(tmp_path / "a")
        assert spool.scans() == ["b"]
        assert leftovers(tmp_path) == [aside]
        assert delete(aside).size_bytes == 0
        assert leftovers(tmp_path) == []
        assert open_frames(tmp_path / "b").positions == 20


def test_the_id_of_a_removed_scan_is_not_given_again_not_even_after_a_restart(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        new_scan(spool.new_folder("a"))
        assert spool.is_taken("a")
        delete(set_aside(tmp_path / "a"))
        assert spool.is_taken("a")
        assert not spool.is_taken("b")
    with Spool(tmp_path) as spool:
        assert spool.new_folder("a") == tmp_path / "a-2"


@pytest.mark.parametrize("how", ["at once", "halfway"])
def test_a_crash_leaves_what_the_next_start_deletes(tmp_path: Path, how: str) -> None:
    new_scan(tmp_path / "a")
    assert subprocess.run([sys.executable, "-c", CRASH, str(tmp_path / "a"), how], check=False).returncode == 9
    with Spool(tmp_path) as spool:
        assert spool.scans() == []
        (left,) = leftovers(tmp_path)
        delete(left)
        assert leftovers(tmp_path) == []


def test_a_program_that_reads_the_scan_keeps_it_until_it_closes_it(tmp_path: Path) -> None:
    layout = new_scan(tmp_path / "a")
    size = layout.path.stat().st_size
    with child(HOLD, layout.path) as reader:
        assert ask(reader) == size
        remains = delete(set_aside(tmp_path / "a"))
        assert remains.size_bytes >= size
        assert not (tmp_path / "a").exists()
        assert ask(reader) == size
        remains.look()
        assert remains.size_bytes >= size
    remains.look()
    assert remains.size_bytes == 0


def test_deleting_twice_is_deleting_once(tmp_path: Path) -> None:
    new_scan(tmp_path / "a")
    aside = set_aside(tmp_path / "a")
    delete(aside)
    assert delete(aside).size_bytes == 0


def test_a_leftover_of_the_same_name_is_in_nobody_s_way(tmp_path: Path) -> None:
    for _ in range(2):
        new_scan(tmp_path / "a")
        set_aside(tmp_path / "a")
    assert [path.name for path in leftovers(tmp_path)] == [".removed-a", ".removed-a+"]


def test_a_folder_that_is_not_there_cannot_be_set_aside(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened: No such file"):
        set_aside(tmp_path / "a")


def test_the_list_of_ids_does_not_grow_for_ever(tmp_path: Path) -> None:
    forget_oldest_names(tmp_path)
    assert removed_names(tmp_path) == set()
    (tmp_path / NAMES_FILE).write_text("".join(f"s{number}\n" for number in range(NAMES_KEPT + 5)))
    forget_oldest_names(tmp_path)
    names = removed_names(tmp_path)
    assert len(names) == NAMES_KEPT
    assert "s4" not in names
    assert f"s{NAMES_KEPT + 4}" in names


def test_a_full_disk_keeps_the_list_of_ids_as_it_is_and_lets_the_daemon_start(tmp_path: Path) -> None:
    lines = "".join(f"s{number}\n" for number in range(NAMES_KEPT + 5))
    (tmp_path / NAMES_FILE).write_text(lines)
    # so much can be written that the list cannot be
    assert subprocess.run([sys.executable, "-c", SMALL_FILES, str(tmp_path)], check=False).returncode == 0
    assert (tmp_path / NAMES_FILE).read_text() == lines
    forget_oldest_names(tmp_path)
    assert len(removed_names(tmp_path)) == NAMES_KEPT


def test_a_short_list_of_ids_is_left_alone(tmp_path: Path) -> None:
    names = tmp_path / NAMES_FILE
    names.write_text("a\n")
    before = names.stat()
    forget_oldest_names(tmp_path)
    assert (names.stat().st_ino, names.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_id_is_noted_once_its_files_are_gone_and_until_then_the_folder_tells_it(tmp_path: Path) -> None:
    new_scan(tmp_path / "a")
    # half a line, as a loss of power leaves it
    (tmp_path / NAMES_FILE).write_text("z")
    aside = set_aside(tmp_path / "a")
    assert removed_names(tmp_path) == {"a", "z"}
    delete(aside)
    assert (tmp_path / NAMES_FILE).read_text() == "z\na\n"


def test_an_id_that_cannot_be_noted_is_told_by_an_empty_folder(tmp_path: Path) -> None:
    new_scan(tmp_path / "a")
    (tmp_path / NAMES_FILE).mkdir()
    aside = set_aside(tmp_path / "a")
    delete(aside)
    assert list(aside.iterdir()) == []
    assert leftovers(tmp_path) == [aside]
    assert "a" in removed_names(tmp_path)
    (tmp_path / NAMES_FILE).rmdir()
    delete(aside)
    assert leftovers(tmp_path) == []
    assert removed_names(tmp_path) == {"a"}
