"""A whole daemon, told to end when it has hardly begun."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from helpers.waiting import wait_until
from livestrain_daemon.config import Config
from livestrain_daemon.daemon import Daemon
from livestrain_daemon.messages import FaultSeen, ScanClosed, ScanOpened, ScanRefused, Stored

CONFIG = """
[intake]
endpoint = "tcp://127.0.0.1:*"
[publish]
maps_endpoint = "tcp://127.0.0.1:*"
control_endpoint = "tcp://127.0.0.1:*"
http_port = 0
[spool]
folder = "spool"
reserve_mib = 0
[workers]
spares = 0
"""


def test_a_daemon_told_to_end_during_its_start_ends(tmp_path: Path) -> None:
    (tmp_path / "livestrain.toml").write_text(CONFIG)
    log = tmp_path / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIVESTRAIN_")}
    with log.open("w") as words:
        daemon = subprocess.Popen(
            [Path(sys.executable).with_name("livestrain"), "serve", "-c", "livestrain.toml"],
            cwd=tmp_path,
            env=environment,
            stderr=words,
        )
        try:
            wait_until(lambda: "serving" in log.read_text(), 60, "the start")
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
        finally:
            daemon.kill()
            daemon.wait()
    assert "Traceback" not in log.read_text()
    assert log.read_text().rstrip().endswith("stopped")


def test_whatever_the_sockets_bring_the_loop_goes_on(tmp_path: Path) -> None:
    fields = {
        "intake": {"endpoint": "tcp://127.0.0.1:*"},
        "publish": {"maps_endpoint": "tcp://127.0.0.1:*", "control_endpoint": "tcp://127.0.0.1:*", "http_port": 0},
        "spool": {"folder": tmp_path / "spool", "reserve_mib": 0},
        "workers": {"spares": 0},
    }
    daemon = Daemon(Config.model_validate(fields))
    try:
        start = {"scan_id": "a", "scan_shape": (2, 2), "frame_shape": (4, 4), "dtype": "uint8"}
        for message in (
            ScanOpened.model_validate(
                {"scan_id": "a", "folder": "/nowhere/a", "start": start, "started_ns": 1, "recording": True}
            ),
            Stored(scan_id="a", runs=((0, 1 << 62),)),
            FaultSeen(scan_id="", kind="bad_message", text="x" * 10_000),
            ScanRefused(scan_id="../..", text=""),
            ScanClosed(scan_id="a", reason="complete", stored=0, missing=4, faults={}),
        ):
            daemon._scans.take(message)
        for parts in ([b"nobody", b""], [b"worker-1", b"\xc1"], [b"worker-1", b"\x80", b"payload"]):
            daemon._pool.take(parts)

        def ready() -> bool:
            daemon.turn()
            return daemon._intake.ready

        wait_until(ready, what="the intake")
        assert daemon.http_port > 0
    finally:
        daemon._close()
