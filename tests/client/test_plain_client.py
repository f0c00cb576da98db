"""The how-to's program, taken from its page, run against the wire."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from helpers.waiting import wait_until
from helpers.wire_daemon import WireDaemon
from livestrain_wire.messages import MapPatch, SnapshotRequest

PAGE = Path(__file__).parents[2] / "docs/how-to/subscribe-with-pyzmq.md"


def program() -> str:
    """The one code block of the page."""
    return PAGE.read_text().split("```python\n")[1].split("```")[0]


def test_it_is_under_thirty_lines_and_needs_only_three_packages() -> None:
    lines = program().strip().splitlines()
    assert len(lines) < 30
    assert [line for line in lines if "import" in line] == ["import msgpack, numpy as np, zmq"]


def test_it_ends_with_the_same_bits_though_patches_are_lost_and_the_reference_changes(tmp_path: Path) -> None:
    e_xx = np.random.default_rng(1).normal(0, 0.01, (20, 30)).astype(np.float32)
    with WireDaemon(largest_chunk=250) as daemon:
        scan = daemon.begin({"e_xx": e_xx})
        daemon.acknowledge((0, 100))
        code = program().replace("tcp://127.0.0.1:5551", daemon.maps_endpoint)
        code = code.replace("tcp://127.0.0.1:5552", daemon.control_endpoint)
        file = tmp_path / "array.npy"
        client = subprocess.Popen([sys.executable, "-c", code + f"np.save({str(file)!r}, array)\n"])
        try:
            wait_until(lambda: any(isinstance(asked, SnapshotRequest) for asked in daemon.requests), 20, "a snapshot")
            daemon.acknowledge((100, 200))
            daemon.withheld = lambda message: isinstance(message, MapPatch) and message.sequence == 4
            for first in range(300, 500, 50):
                daemon.acknowledge((first, 50))
            daemon.refer_anew()
            daemon.acknowledge((500, 50))
            daemon.end()
            assert client.wait(20) == 0
        finally:
            client.kill()
    expected = np.where(scan.known, scan.truth("e_xx").ravel(), np.nan)
    assert np.load(file).tobytes() == expected.astype(np.float64).tobytes()
