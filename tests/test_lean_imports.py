"""Processes and verbs that compute nothing do not wait for numba."""

import subprocess
import sys
from importlib.metadata import entry_points

IMPORTING = """
import importlib, sys

# an import of it now fails, wherever it stands
sys.modules["numba"] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
heavy = ("scipy", "matplotlib", "pandas")
print(*(name for name in heavy if name in sys.modules))
"""

VERBS = sorted(
    {point.module for group in ("livestrain.verbs", "livestrain.benches") for point in entry_points(group=group)}
)
WHEN_RUN = (
    "livestrain_client.cli.command",
    "livestrain_daemon.config",
    "livestrain_daemon.daemon",
    "livestrain_daemon.doctor",
    "livestrain_daemon.export",
    "livestrain_daemon.export.pack",
    "livestrain_daemon.given",
    "livestrain_daemon.intake.process",
    "livestrain_simulator.replay",
    "livestrain_simulator.send",
)
"""What verbs import when they run, and the processes that the daemon starts beside its workers."""


def imported_without_numba(*names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", IMPORTING, *names], capture_output=True, text=True, timeout=60, check=False
    )


def test_verbs_the_daemon_and_its_intake_are_imported_without_numba() -> None:
    done = imported_without_numba(*VERBS, *WHEN_RUN)
    assert (done.stderr, done.stdout.split()) == ("", [])


def test_a_worker_is_not() -> None:
    done = imported_without_numba("livestrain_daemon.worker.process")
    assert done.returncode == 1
    assert "import of numba halted" in done.stderr


def test_what_derived_maps_take_is_imported_beside_the_loop() -> None:
    code = """
import sys
from livestrain_daemon.scan.values import prepare_derived
before = "numba" in sys.modules
prepare_derived().join()
print(before, "numba" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.stdout, done.stderr) == ("False True\n", "")
