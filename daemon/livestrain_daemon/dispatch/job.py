from collections.abc import Callable
from dataclasses import dataclass

from livestrain_daemon.messages import Task, TaskDone


@dataclass(frozen=True)
class Job:
    """Work for one worker, and whom its end concerns."""

    task: Callable[[int], Task]
    """Makes the message, given its number."""
    done: Callable[[TaskDone, bytes], None]
    """Called once with the acknowledgement and its payload."""
    lost: Callable[[str, bool], None]
    """Called once with the reason if there will be no acknowledgement, and whether the job is under suspicion."""
    limit_seconds: float
    """After this time the worker is taken for hung [s]."""
    payload: bytes = b""
    is_work: bool = True
    """False for what only asks for a sign of life."""
    untaken: Callable[[str], None] | None = None
    """Called with the reason if ``done`` raised; None: it counts as lost, under suspicion."""
    computes: bool = False
    """It never waits: a worker that uses no processor time in it is hung, long before the limit."""
    alone: bool = False
    """It shares a worker with no other job, so that the worker's death is beyond doubt its own doing."""
    prepare: tuple[str, int] | None = None
    """(folder, revision) that the worker must have prepared before."""
