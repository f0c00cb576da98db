from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from livestrain_daemon.dispatch.job import Job

ATTEMPTS = 3
"""So often is a job tried whose worker dies."""

Source = Callable[[], Job | None]


class JobQueue:
    """
    What workers should do next: first what somebody waits for, then the scans' ranges.

    Parameters
    ----------
    sources
        Gives those that are asked, in order, for their next range whenever nothing is urgent.
    """

    def __init__(self, sources: Callable[[], Iterable[Source]]) -> None:
        self._urgent: deque[Job] = deque()
        self._sources = sources

    def submit(self, job: Job, attempts: int = ATTEMPTS) -> None:
        """
        A job beside the ranges; it is tried again if its worker dies.

        Parameters
        ----------
        job
            The job.
        attempts
            Workers that it may cost.
        """

        def lost(reason: str, suspect: bool) -> None:
            left = attempts - suspect
            if left > 0:
                self.submit(job, left)
            else:
                job.lost(reason, suspect)

        # its work is done: trying again would raise again
        self._urgent.append(replace(job, lost=lost, untaken=lambda reason: job.lost(reason, True)))

    def next_job(self) -> Job | None:
        """What a worker should do now; None when there is nothing."""
        if self._urgent:
            return self._urgent.popleft()
        for source in self._sources():
            job = source()
            if job is not None:
                return job
        return None
