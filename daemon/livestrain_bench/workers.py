"""Several processes at a time: what each more of them brings."""

import time
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

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
    with Crew(path, estimator, workers, pass_seconds) as crew:
        rates = [(crew.rate(1), crew.rate(workers)) for _ in range(rounds)]
    one, together = np.array(rates).T
    return Scaling(workers, float(one.max()), float(together.max()), float(np.median(together / one)))


class Crew:
    """
    Processes that do a worker's own work on a case, when they are told to; for a ``with`` block.

    Parameters
    ----------
    path
        File of the case; each process reads it for itself.
    estimator
        Which of ours.
    size
        Number of processes.
    pass_seconds
        Each measurement takes at least this long [s].

    Raises
    ------
    NoCases
        A process cannot measure the case.
    """

    def __init__(self, path: Path, estimator: EstimatorName, size: int, pass_seconds: float = PASS_SECONDS) -> None:
        self._path = path
        self._members: list[tuple[BaseProcess, Connection]] = []
        context = get_context("spawn")
        try:
            for _ in range(size):
                here, there = context.Pipe()
                process: BaseProcess = context.Process(target=_serve, args=(there, path, estimator), daemon=True)
                process.start()
                there.close()
                self._members.append((process, here))
            seconds = max(_answer(link, path) for _, link in self._members)
        except BaseException:
            self.close()
            raise
        self._passes = max(int(np.ceil(pass_seconds / seconds)), 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def rate(self, count: int) -> float:
        """Frames per second of so many of the processes that start together."""
        start = time.perf_counter()
        links = [link for _, link in self._members[:count]]
        for link in links:
            link.send(self._passes)
        frames = sum(_answer(link, self._path) for link in links)
        return frames / (time.perf_counter() - start)

    def close(self) -> None:
        """End them."""
        for process, link in self._members:
            link.close()
            process.join(5.0)
            if process.is_alive():
                process.kill()
                process.join()


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
