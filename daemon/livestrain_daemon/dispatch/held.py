"""A worker process as the pool sees it: what it holds and what it has prepared."""

import subprocess
from collections import deque
from dataclasses import dataclass, field

from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.messages import PingTask
from livestrain_daemon.processes import processor_seconds

PREPARED_KEPT = 8
"""Revisions that are known to be prepared in a worker; one that was not used lately is prepared again."""


@dataclass
class HeldJob:
    """A job that a worker has."""

    job: Job
    number: int
    started: float = 0.0


@dataclass
class WorkerProcess:
    """A process with its state."""

    process: subprocess.Popen[bytes]
    identity: bytes
    started: float
    ready: bool = False
    last_given: float = 0.0
    doomed: str = ""
    held: deque[HeldJob] = field(default_factory=deque)
    prepared: dict[tuple[str, int], None] = field(default_factory=dict)
    """Folder and revision; the one used last comes last."""

    _used: float = 0.0
    _used_at: float = 0.0

    def idle_seconds(self, now: float) -> float:
        """How long it has used no processor time for the task that it is at [s]."""
        used = processor_seconds(self.process.pid)
        if used != self._used:
            self._used, self._used_at = used, now
        return now - max(self._used_at, self.held[0].started)

    def uses(self, what: tuple[str, int]) -> None:
        """Remember that this revision is prepared, and forget those of long ago."""
        self.prepared.pop(what, None)
        self.prepared[what] = None
        while len(self.prepared) > PREPARED_KEPT:
            del self.prepared[next(iter(self.prepared))]


def ping(limit_seconds: float) -> Job:
    """
    A question for a sign of life.

    Parameters
    ----------
    limit_seconds
        After this time without an answer the worker is taken for hung [s].

    Returns
    -------
    Job
        Whose end concerns nobody.
    """
    return Job(
        task=lambda number: PingTask(number=number, folder=""),
        done=lambda done, payload: None,
        lost=lambda reason, suspect: None,
        limit_seconds=limit_seconds,
        is_work=False,
    )
