"""A disk that holds few scans: old ones make room for new ones, if that is wanted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCANS = """
import json, sys
from pathlib import Path
from helpers.rig import RenderedScan, running
from helpers.waiting import wait_until
disk, limits = Path(sys.argv[1]), json.loads(sys.argv[2])
def is_over(status, name):
    return status.last_refusal or (status.ended is not None and status.ended.scan_id == name)
# 3.9 MB each, and their results
scan = RenderedScan((10, 12))
with running(disk, spool__reserve_mib="4", **limits) as rig:
    with rig.control() as control:
        for number in range(3):
            name = f"scan-{number}"
            scan.send(rig, name)
            wait_until(lambda: is_over(control.status(), name), 60)
            if control.status().last_refusal:
                break
        status = control.status()
        listed = [entry.model_dump() for entry in control.scans().scans]
print(json.dumps({"refused": status.last_refusal, "scans": listed}))
"""


def on_a_small_disk(folder: Path, **limits: str) -> dict[str, object]:
    """What becomes of three scans where 15 MiB are all the space there is."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare command to mount a small disk with")
    mount = f'mount -t tmpfs -o size=15m small "{folder}" || exit 99; exec "$0" -c "$1" "{folder}" "$2"'
    command = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", mount, sys.executable, SCANS]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    child = subprocess.run(
        [*command, json.dumps(limits)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "PYTHONPATH": path},
    )
    if child.returncode == 99 or "unshare failed" in child.stderr:
        pytest.skip(f"a small disk cannot be mounted here: {child.stderr.strip()}")
    assert child.returncode == 0, child.stderr
    found: dict[str, object] = json.loads(child.stdout.splitlines()[-1])
    return found


def test_within_limits_the_oldest_scans_make_room_for_new_ones(tmp_path: Path) -> None:
    found = on_a_small_disk(tmp_path, spool__keep_scans="100")
    scans = found["scans"]
    assert isinstance(scans, list)
    assert found["refused"] == ""
    assert len(scans) == 2
    for entry, number in zip(scans, reversed(range(3)), strict=False):
        assert (entry["scan_id"], entry["state"], entry["reason"]) == (f"scan-{number}", "ended", "complete")
        assert (entry["stored"], entry["missing"], entry["analysed"]) == (120, 0, 120)
