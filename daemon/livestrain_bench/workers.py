"""Several processes at a time: what each more of them brings."""

import time
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from livestrain_bench import ours
from livestrain_bench.case import read_case
from livestrain_bench.errors import NoCases
from livestrain_bench.ours import EstimatorName

PASS_SECONDS = 1.0
START_SECONDS = 180.0
"""A process may take so long to load, calibrate and compile [s]."""


@dataclass(frozen=True)
class Scaling:
    """One process against several on the same work."""

    workers: int
    fps_one: float
    fps_all: float
    gain: float
    """The median over rounds of all processes' rate over that of one just before [1]."""

    def facts(self) -> dict[str, object]:
        """Everything, as plain values."""
        return asdict(self)


def scaling(
    path: Path, estimator: EstimatorName, workers: int, rounds: int, pass_seconds: float = PASS_SECONDS
) -> Scaling:
    """
    Measure the same case in one process and in several at a time.

    Parameters
    ----------
    path
        File of the case; each process reads it for itself.
    estimator
        Which of ours.
    workers
        Number of processes.
    rounds
        How often both are timed, in turn.
    pass_seconds
        Each measurement takes at least this long [s].

    Returns
    -------
    Scaling
        Best rates and the gain.

    Raises
    ------
    NoCases
        A process could not measure the case.
    """
    context = get_context("spawn")
    crew: list[tuple[BaseProcess, Connection]] = []
    try:
        for _ in range(workers):
            here, there = context.Pipe()
            process: BaseProcess = context.Process(target=_serve, args=(there, path, estimator), daemon=True)
            process.start()
            there.close()
            crew.append((process, here))
        seconds = max(_answer(link, path) for _, link in crew)
        passes = max(int(np.ceil(pass_seconds / seconds)), 1)
        links = [link for _, link in crew]
        rates = [(_rate(links[:1], passes, path), _rate(links, passes, path)) for _ in range(rounds)]
    finally:
        for process, link in crew:
            link.close()
            process.join(5.0)
            if process.is_alive():
                process.kill()
                process.join()
    one, together = np.array(rates).T
    return Scaling(workers, float(one.max()), float(together.max()), float(np.median(together / one)))


def _rate(links: list[Connection], passes: int, path: Path) -> float:
    """Frames per second of processes that start together."""
    start = time.perf_counter()
    for link in links:
        link.send(passes)
    frames = sum(_answer(link, path) for link in links)
    return frames / (time.perf_counter() - start)


def _answer(link: Connection, path: Path) -> float:
    try:
        value = link.recv() if link.poll(START_SECONDS) else "no answer"
    except EOFError:
        value = "the process ended"
    if isinstance(value, str):
        raise NoCases(f"{path.name} cannot be measured by a worker: {value}")
    return float(value)


def _serve(link: Connection, path: Path, estimator: EstimatorName) -> None:
    """Say how long one pass takes, then do as many passes as asked for, each time, and say how many frames it was."""
    case = read_case(path)
    prepared = ours.prepare(case.given, estimator)
    if isinstance(prepared, str):
        link.send(prepared)
        return
    frames = case.given.frames
    ours.run(frames, prepared)
    start = time.perf_counter()
    ours.run(frames, prepared)
    link.send(time.perf_counter() - start)
    while True:
        try:
            passes = link.recv()
        except EOFError:
            return
        for _ in range(passes):
            ours.run(frames, prepared)
        link.send(float(passes * len(frames)))
