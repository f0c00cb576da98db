"""Scans in memory as the main process has them, with real sockets and folders; tasks are done here and now."""

import traceback
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import zmq

from daemon import small_scan
from helpers.waiting import wait_until
from livestrain_daemon.config import Config
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.dispatch.queue import JobQueue, Source
from livestrain_daemon.messages import FROM_WORKER, Recycled, ScanClosed, ScanOpened, Stored, TaskDone
from livestrain_daemon.plan import Plan
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.scans import ScanInHand, Scans
from livestrain_daemon.scan.surroundings import GivenImages, Surroundings
from livestrain_daemon.scanfolder import FrameState, FrameWriter, open_frames, read_journal
from livestrain_daemon.worker.tasks import Tasks
from livestrain_wire.closing import MOMENT_MS
from livestrain_wire.codec import decode, encode
from livestrain_wire.messages import MAP_MESSAGES, Published, Run
from livestrain_wire.topics import Topic, decode_topic

Kind = TypeVar("Kind")

EVERYTHING: tuple[Run, ...] = ((0, small_scan.POSITIONS),)


class Heard(NamedTuple):
    """A published message."""

    topic: Topic
    message: Published
    payload: bytes


def kinds(heard: list[Heard]) -> list[str]:
    """The types of the messages, in their order."""
    return [one.message.type for one in heard]


def only(heard: list[Heard], kind: type[Kind]) -> list[Kind]:
    """The messages of one type, in their order."""
    return [one.message for one in heard if isinstance(one.message, kind)]


class Desk:
    """
    Everything of the main process but its loop, its children and its public endpoints.

    Parameters
    ----------
    folder
        For scans and sockets.
    given
        What the configuration would name.
    settings
        Sections of the configuration.
    """

    def __init__(self, folder: Path, given: GivenImages | None = None, **settings: Any) -> None:
        self.folder = folder
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        sender = self.context.socket(zmq.PUB)
        sender.bind(f"ipc://{folder}/maps")
        self._ear = self.context.socket(zmq.SUB)
        self._ear.set(zmq.RCVHWM, 0)
        self._ear.connect(f"ipc://{folder}/maps")
        self._ear.subscribe(b"")
        wait_until(lambda: (sender.send(b"are you there?"), self._ear.poll(5))[1], what="the subscription")
        self.publisher = Publisher(sender)
        self.jobs = JobQueue(self._sources)
        config = Config.model_validate({"workers": {"order": "sequential"}, **settings})
        self.around = Surroundings(config, given or GivenImages(), self.publisher, self.jobs)
        self.scans = Scans(self.around)
        self.tasks = Tasks()
        self.done: list[str] = []
        """The types of the tasks done so far."""
        self._writers: dict[str, FrameWriter] = {}

    def _sources(self) -> Iterable[Source]:
        return self.scans.sources()

    # --- what the intake does ---

    def open(self, scan_id: str = "small", resumed: bool = False, **start: Any) -> ScanInHand:
        """A scan begins, or goes on."""
        folder = self.folder / scan_id
        layout = open_frames(folder) if resumed else small_scan.new_folder(folder, **start)
        self._writer(scan_id)
        self.scans.take(
            ScanOpened(
                scan_id=scan_id,
                folder=str(folder),
                start=layout.start,
                started_ns=1,
                recording=True,
                resumed=resumed,
            )
        )
        hand = self.scans.find(scan_id)
        assert hand is not None
        return hand

    def let_go(self, scan_id: str = "small") -> None:
        """The intake has the file open no more."""
        self._writers.pop(scan_id).close()

    def _writer(self, scan_id: str) -> FrameWriter:
        if scan_id not in self._writers:
            self._writers[scan_id] = FrameWriter(open_frames(self.folder / scan_id))
        return self._writers[scan_id]

    def write(self, runs: Iterable[Run], scan_id: str = "small") -> None:
        """Frames get into the file; nobody is told."""
        for first, count in runs:
            self._writer(scan_id).write_run(first, np.ascontiguousarray(small_scan.frames()[first : first + count]))

    def store(self, *runs: Run, scan_id: str = "small") -> None:
        """Frames get into the file, and main is told."""
        self.write(runs, scan_id)
        self.scans.take(Stored(scan_id=scan_id, runs=runs))

    def recycle(self, *runs: Run, scan_id: str = "small") -> None:
        """Frames are overwritten, and main is told."""
        self._writer(scan_id).mark(runs, FrameState.RECYCLED)
        self.scans.take(Recycled(scan_id=scan_id, runs=runs))

    def end(self, scan_id: str = "small") -> None:
        """The intake closes the scan; what has not come is missing."""
        writer = self._writer(scan_id)
        states = writer.ledger()
        expected = [(int(position), 1) for position in np.flatnonzero(states == FrameState.EXPECTED)]
        writer.mark(expected, FrameState.MISSING)
        missing = int((writer.ledger() == FrameState.MISSING).sum())
        stored = small_scan.POSITIONS - missing
        self.let_go(scan_id)
        self.scans.take(
            ScanClosed(scan_id=scan_id, reason="complete", stored=stored, missing=missing, faults={"late": 2})
        )

    # --- what the workers do ---

    def next_job(self) -> Job | None:
        """What a worker would be given."""
        return self.jobs.next_job()

    def do(self, job: Job) -> None:
        """A task as a worker would do it, its message and its answer packed and unpacked."""
        task = job.task(1)
        try:
            outcome = self.tasks.run(task, job.payload)
        except Exception as error:
            self.done.append(f"{task.type} failed")
            job.lost(f"{type(error).__name__}: {error}", True)
            traceback.clear_frames(error.__traceback__)
            return
        self.done.append(task.type)
        answer = TaskDone(number=1, seconds=0.01, recycled=outcome.recycled, result=outcome.result)
        message = decode(encode(answer), FROM_WORKER)
        assert isinstance(message, TaskDone)
        job.done(message, outcome.payload)

    def work(self, most: int = 10_000) -> None:
        """Jobs until there are no more."""
        for _ in range(most):
            job = self.next_job()
            if job is None:
                return
            self.do(job)

    def turn(self) -> None:
        """One turn of the main loop."""
        self.scans.step()
        self.work()
        self.scans.flush()

    def finish(self) -> None:
        """Turns until no scan has anything left to do."""
        for _ in range(50):
            self.turn()
            if self.scans.all_final:
                return
        raise AssertionError("the scans did not become final")

    def planned(self, plan: Plan | None = None, scan_id: str = "small") -> LiveScan:
        """A scan under a known plan, which is told to all."""
        hand = self.open(scan_id)
        plan = plan or small_scan.known_plan()
        small_scan.lay_out(hand.scan.folder, plan)
        hand.scan.begin_revision(plan)
        return hand.scan

    # --- what subscribers hear ---

    def heard(self) -> list[Heard]:
        """All that has been published since it was asked last."""
        found: list[Heard] = []
        # what is sent last arrives last
        mark = f"mark-{len(self.done)}".encode()
        self.publisher._socket.send_multipart([mark])
        while True:
            assert self._ear.poll(5000), "the mark did not come"
            parts = self._ear.recv_multipart()
            if parts == [mark]:
                return found
            if len(parts) == 1:
                continue
            message = decode(parts[1], MAP_MESSAGES)
            assert isinstance(message, Published)
            found.append(Heard(decode_topic(parts[0]), message, parts[2] if len(parts) > 2 else b""))

    def close(self) -> None:
        """Gives everything back."""
        self.tasks.close()
        self.scans.close()
        for writer in self._writers.values():
            writer.close()
        self.context.destroy(linger=MOMENT_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def entries(desk: Desk, kind: str, scan_id: str = "small") -> list[dict[str, object]]:
    """What the journal of a scan has of one kind."""
    return [entry for entry in read_journal(desk.folder / scan_id) if entry["kind"] == kind]
