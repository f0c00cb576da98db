"""A real full disk: a small file system in memory, mounted where only one child process sees it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import os, sys
from pathlib import Path
import numpy as np
from livestrain_daemon.errors import StorageError
from livestrain_daemon.scanfolder import *
from livestrain_wire.messages import ScanStart
disk = Path(sys.argv[1])

def start(side):
    return ScanStart(scan_id="s", scan_shape=(4, 4), frame_shape=(side, side), dtype="uint16")

def fill_up():
    with open(disk / "filler", "wb", buffering=0) as filler:
        for piece in (1 << 16, 1):
            try:
                while filler.write(bytes(piece)):
                    pass
            except OSError:
                pass

def tell(attempt):
    try:
        attempt()
        print("done")
    except StorageError as error:
        print(error)
"""


def on_a_small_disk(folder: Path, code: str) -> list[str]:
    """What the code prints where 4 MiB are all the space there is."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare command to mount a small disk with")
    mount = f'mount -t tmpfs -o size=4m small "{folder}" || exit 99; exec "$0" -c "$1" "{folder}"'
    command = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", mount, sys.executable, BEGIN + code]
    child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if child.returncode == 99 or "unshare failed" in child.stderr:
        pytest.skip(f"a small disk cannot be mounted here: {child.stderr.strip()}")
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()


def test_what_does_not_fit_is_refused_with_the_numbers_and_leaves_nothing(tmp_path: Path) -> None:
    said = on_a_small_disk(
        tmp_path,
        """
tell(lambda: create_frames(disk, start(512), {}, None))
tell(lambda: create_results(disk, 1, (4, 4), {"a": [Output("x", (512, 512))]}, {}, {}))
tell(lambda: Ring(disk / "ring", 1 << 24))
print(sorted(os.listdir(disk)))
""",
    )
    assert [line.split(" bytes")[0].split()[-1] for line in said[:3]] == ["9437328", "17956880", "16777216"]
    assert all(" has 4194304 free" in line for line in said[:3])
    assert said[3] == "['ring.lock']"


def test_what_fits_is_stored_even_if_the_disk_is_filled_up_meanwhile(tmp_path: Path) -> None:
    said = on_a_small_disk(
        tmp_path,
        """
layout = create_frames(disk, start(256), {}, None)
with FrameWriter(layout) as writer:
    fill_up()
    block = np.ones((16, 256, 256), np.uint16)
    tell(lambda: writer.write_run(0, block))
    tell(writer.sync)
    print((writer.ledger() == FrameState.STORED).all())
""",
    )
    assert said == ["done", "done", "True"]


def test_a_journal_on_a_full_disk_fails_and_stays_whole(tmp_path: Path) -> None:
    said = on_a_small_disk(
        tmp_path,
        """
journal = Journal(disk)
journal.append("one", text="x" * 4000)
fill_up()
tell(lambda: journal.append("two", text="x" * 4000))
print([line["kind"] for line in read_journal(disk)])
(disk / "filler").unlink()
tell(lambda: journal.append("three"))
print([line["kind"] for line in read_journal(disk)])
""",
    )
    assert "journal.jsonl" in said[0]
    assert said[1:] == ["['one']", "done", "['one', 'three']"]
