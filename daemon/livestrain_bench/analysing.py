"""A file analysed by the daemon's pipeline, against its workers alone on the same frames."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from livestrain_bench.case import read_case
from livestrain_bench.errors import NoCases
from livestrain_bench.ours import EstimatorName

COLUMNS = 256
"""Scan columns of the file that is analysed."""
RUN_SECONDS = 600.0
"""An analysis may take so long [s]."""
AGAIN = "livestrain_daemon.analyse.again"
"""Run by itself, as the verb is."""
VERB = "from livestrain_client.cli import main; main()"


class Alone:
    """
    Processes that do again what a daemon's workers did with a scan, with nobody beside them; for a ``with`` block.

    Parameters
    ----------
    folder
        Of the scan.
    revision
        Of the plan that they follow.
    size
        Number of processes, which share the scan.

    Raises
    ------
    NoCases
        If one cannot do it.
    """

    def __init__(self, folder: Path, revision: int, size: int) -> None:
        self._members: list[subprocess.Popen[str]] = []
        with ExitStack() as stack:
            for part in range(size):
                command = [sys.executable, "-m", AGAIN, str(folder), str(revision), str(part), str(size)]
                member = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                self._members.append(stack.enter_context(member))
                stack.callback(member.kill)
            for member in self._members:
                self._heard(member)
            self.rate()
            self._closing = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def rate(self) -> tuple[float, float]:
        """
        Positions per second of all of them, which start together; and per second of their processor time.

        Raises
        ------
        NoCases
            If one has ended.
        """
        start = time.perf_counter()
        for member in self._members:
            # one that has ended says nothing, which is noticed below
            with suppress(BrokenPipeError):
                if member.stdin is not None:
                    os.write(member.stdin.fileno(), b"once\n")
        answers = [self._heard(member) for member in self._members]
        positions = sum(answer[0] for answer in answers)
        return positions / (time.perf_counter() - start), positions / sum(answer[1] for answer in answers)

    def _heard(self, member: "subprocess.Popen[str]") -> tuple[int, float]:
        line = member.stdout.readline() if member.stdout is not None else ""
        if not line:
            raise NoCases(f"a worker alone has ended with code {member.wait()}")
        positions, seconds = line.split()
        return int(positions), float(seconds)


@dataclass(frozen=True)
class Turn:
    """The workers alone, and the file just behind them."""

    own: float
    """Positions per second of the workers alone."""
    processor: float
    """The same, per second of their processor time."""
    seconds: float
    """That the file took [s]."""
    busy_seconds: float
    """In which each worker was busy with it, on average [s]."""
    positions: int
    """Of the file."""

    @property
    def ratio(self) -> float:
        """The file's rate over that of the workers alone [1]."""
        return self.positions / self.seconds / self.own


@dataclass(frozen=True)
class Analysing:
    """How fast a file is analysed."""

    workers: int
    frames: int
    fps_own: float
    """The best of as many workers alone: what they do with the frames that a scan folder holds already."""
    fps_processor: float
    """The best of one of them, per second of its processor time, which other work on the machine takes less part in."""
    fps_file: float
    """The best of the whole: read, stored, analysed, reduced, written; under a given plan."""
    ratio: float
    """The file's rate over that of the workers alone just before, in the round in which it was the median [1]."""
    busy: float
    """The part of the time in which the workers were busy, in the same round [1]."""
    slowed: float
    """
    Their rate while they were busy over that alone, in the same round [1]: the ratio is the product of both.

    Below one because the intake and the main process take memory and processor time from them.
    """

    @classmethod
    def of(cls, turns: Sequence[Turn], workers: int) -> Self:
        """What the rounds say together."""
        middle = sorted(turns, key=lambda turn: turn.ratio)[len(turns) // 2]
        return cls(
            workers,
            middle.positions,
            max(turn.own for turn in turns),
            max(turn.processor for turn in turns),
            max(turn.positions / turn.seconds for turn in turns),
            middle.ratio,
            middle.busy_seconds / middle.seconds,
            middle.positions / middle.busy_seconds / middle.own,
        )

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
    turns = []
    with tempfile.TemporaryDirectory(prefix="livestrain-bench-", dir=folder) as name:
        scratch = Path(name)
        scan = scratch / "scan.npy"
        np.save(scan, np.resize(given.frames, (rows, COLUMNS, *given.frames.shape[1:])))
        environment = {**os.environ, "LIVESTRAIN_ANALYSIS__ESTIMATOR": estimator}
        if given.usable is not None:
            np.save(scratch / "usable.npy", given.usable)
            environment["LIVESTRAIN_ANALYSIS__USABLE_PIXELS"] = str(scratch / "usable.npy")
        first = Path(_run(scan, scratch / "first", environment, "--workers", str(workers))["folder"])
        plan = scratch / "plan.json"
        plan.write_text(json.dumps(found := _plan_of(first)))
        with Alone(first, found["revision"], workers) as alone:
            for turn in range(rounds):
                own, of_processor = alone.rate()
                spool = scratch / f"turn-{turn}"
                said = _run(scan, spool, environment, "--workers", str(workers), "--plan", str(plan))
                shutil.rmtree(spool)
                busy = said["worker_seconds"] / workers
                turns.append(Turn(own, of_processor, said["seconds"], busy, said["positions"]))
    return Analysing.of(turns, workers)


def _run(scan: Path, spool: Path, environment: dict[str, str], *options: str) -> dict[str, Any]:
    command = [sys.executable, "-c", VERB, "analyse", str(scan), "--spool", str(spool), "--json", *options]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if outcome.returncode:
        raise NoCases(f"{scan.name} cannot be analysed: {outcome.stderr.strip()[-500:]}")
    said: dict[str, Any] = json.loads(outcome.stdout)
    if said["analysed"] != said["positions"]:
        raise NoCases(f"{scan.name}: expected {said['positions']} positions analysed, found {said['analysed']}")
    return said


def _plan_of(folder: Path) -> dict[str, Any]:
    """The plan that held last."""
    entries = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    plans: list[dict[str, Any]] = [entry["plan"] for entry in entries if entry["kind"] == "plan"]
    return plans[-1]
