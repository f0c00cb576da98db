"""A file analysed by the daemon's pipeline, against the worker's own work on the same frames."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from livestrain_bench.case import read_case
from livestrain_bench.errors import NoCases
from livestrain_bench.ours import EstimatorName
from livestrain_bench.workers import Crew

COLUMNS = 256
"""Scan columns of the file that is analysed."""
RUN_SECONDS = 600.0
"""An analysis may take so long [s]."""
VERB = "from livestrain_client.cli import main; main()"


@dataclass(frozen=True)
class Analysing:
    """How fast a file is analysed."""

    workers: int
    frames: int
    fps_own: float
    """The worker's own work in as many processes alone: disks, lattice, strain, virtual detectors; frames in memory."""
    fps_file: float
    """The whole of it: read, stored, analysed, reduced, written; under a given plan."""
    ratio: float
    """The median over rounds of the file's rate over that of the worker's own work just before [1]."""
    busy: float
    """The median part of the time in which the workers were busy [1]."""

    def facts(self) -> dict[str, object]:
        """Everything, as plain values."""
        return asdict(self)


def analysing(
    path: Path, estimator: EstimatorName, workers: int, frames: int, rounds: int, folder: Path | None = None
) -> Analysing:
    """
    Measure both in turns.

    Parameters
    ----------
    path
        File of the case whose frames are repeated.
    estimator
        Which of ours.
    workers
        Processes that analyse the file.
    frames
        Frames in the file at least; whole rows are made.
    rounds
        How often.
    folder
        Where the file and the scans go; None: where temporary files go.

    Raises
    ------
    NoCases
        If the case cannot be measured or the file not analysed.
    """
    given = read_case(path).given
    rows = -(-frames // COLUMNS)
    with (
        tempfile.TemporaryDirectory(prefix="livestrain-bench-", dir=folder) as name,
        Crew(path, estimator, workers) as crew,
    ):
        scratch = Path(name)
        scan = scratch / "scan.npy"
        np.save(scan, np.resize(given.frames, (rows, COLUMNS, *given.frames.shape[1:])))
        environment = {**os.environ, "LIVESTRAIN_ANALYSIS__ESTIMATOR": estimator}
        if given.usable is not None:
            np.save(scratch / "usable.npy", given.usable)
            environment["LIVESTRAIN_ANALYSIS__USABLE_PIXELS"] = str(scratch / "usable.npy")
        first = _run(scan, scratch / "first", environment, "--workers", str(workers))
        plan = scratch / "plan.json"
        plan.write_text(json.dumps(_plan_of(Path(first["folder"]))))
        turns = []
        for turn in range(rounds):
            own = crew.rate(workers)
            spool = scratch / f"turn-{turn}"
            said = _run(scan, spool, environment, "--workers", str(workers), "--plan", str(plan))
            turns.append((own, said["frames_per_second"], said["worker_seconds"] / (workers * said["seconds"])))
    own, of_file, busy = np.array(turns).T
    return Analysing(
        workers,
        rows * COLUMNS,
        float(own.max()),
        float(of_file.max()),
        float(np.median(of_file / own)),
        float(np.median(busy)),
    )


def _run(scan: Path, spool: Path, environment: dict[str, str], *options: str) -> dict[str, Any]:
    command = [sys.executable, "-c", VERB, "analyse", str(scan), "--spool", str(spool), "--json", *options]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if outcome.returncode:
        raise NoCases(f"{scan.name} cannot be analysed: {outcome.stderr.strip()[-500:]}")
    said: dict[str, Any] = json.loads(outcome.stdout)
    if said["analysed"] != said["positions"]:
        raise NoCases(f"{scan.name}: expected {said['positions']} positions analysed, found {said['analysed']}")
    (spool / Path(said["folder"]).name / "frames.h5").unlink()
    return said


def _plan_of(folder: Path) -> dict[str, Any]:
    """The plan that held last."""
    entries = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    plans: list[dict[str, Any]] = [entry["plan"] for entry in entries if entry["kind"] == "plan"]
    return plans[-1]
