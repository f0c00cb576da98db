from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from client.cli.scan import SHAPE, VERBS
from helpers.wire_daemon import WireDaemon
from livestrain_client.cli import verbs


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two real packages on the path: one with the client's verbs, one of a stranger."""
    own = "".join(f"{verb} = livestrain_client.cli.{verb}:app\n" for verb in VERBS)
    own += "disarm = livestrain_client.cli.arm:disarm_app\n"
    strange = "wander = livestrain_daemon_absent.cli:app\ngreet = strange:app\nfall = strange:fall\n"
    (tmp_path / "strange.py").write_text(
        "import typer\n"
        "app = typer.Typer(help='Greet somebody.\\n\\nMore.')\n"
        "@app.command()\n"
        "def greet(name: str):\n    typer.echo('hello ' + name)\n"
        "fall = typer.Typer(pretty_exceptions_enable=False)\n"
        "class Wrong(Exception):\n    exit_code = 78\n"
        "@fall.command()\n"
        "def fall_over(how: str):\n    raise {'config': Wrong, 'io': OSError, 'bug': KeyError}[how]('over')\n"
    )
    for name, entries in (("own", own), ("strange", strange)):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{verbs.GROUP}]\n{entries}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("LIVESTRAIN_PUBLISH__MAPS_ENDPOINT", "LIVESTRAIN_PUBLISH__CONTROL_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireDaemon]:
    """A daemon that the environment points to, with a scan in progress."""
    with WireDaemon() as daemon:
        monkeypatch.setenv("LIVESTRAIN_PUBLISH__MAPS_ENDPOINT", daemon.maps_endpoint)
        monkeypatch.setenv("LIVESTRAIN_PUBLISH__CONTROL_ENDPOINT", daemon.control_endpoint)
        e_xx = np.zeros(SHAPE, np.float32)
        e_xx[4, 5] = 0.5
        daemon.begin({"e_xx": e_xx, "total": np.ones(SHAPE, np.uint32)}, derived=())
        daemon.acknowledge((0, 30))
        yield daemon
