"""Publishes a scan's Bragg vector map at fixed counts of positions and at the end; a worker makes it."""

from typing import Any

import structlog

from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.messages import TaskDone, VectorMapTask
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_daemon.vectors import vector_kind
from livestrain_wire.messages import BraggVectorMap, VectorMapInfo
from livestrain_wire.topics import vector_map_topic

log = structlog.get_logger()

FIRST_MAP = 256
"""Analysed positions at which the first map is published; again at each doubling, and at the end."""
LIMIT_SECONDS = 60.0
"""Making a map may take so long [s]."""
MOST_PIXELS = 1 << 20
"""Maps of larger detectors are made on request only."""


class VectorMapper:
    """
    The Bragg vector map of one scan.

    Parameters
    ----------
    scan
        Whose.
    surroundings
        The workers, which make it, and the publisher.
    """

    def __init__(self, scan: LiveScan, surroundings: Surroundings) -> None:
        self._scan = scan
        self._around = surroundings
        self._running = False
        self._made: tuple[int, int] | None = None
        self._next = FIRST_MAP

    @property
    def settled(self) -> bool:
        """True when the map of everything analysed has been published, or there is none."""
        return not self._running and (not self._wanted or self._made == self._state)

    def step(self) -> None:
        """Starts a map at each of the fixed counts, and after the last position."""
        if self._running or not self._wanted:
            return
        revision, analysed = self._state
        if self._made is None or self._made[0] != revision:
            self._made, self._next = (revision, 0), FIRST_MAP
        due = analysed >= self._next
        while self._next <= analysed:
            self._next *= 2
        if due or (self._scan.analysed_all and not self.settled):
            self._make((revision, analysed))

    @property
    def _wanted(self) -> bool:
        revision = self._scan.revision
        rows, columns = self._scan.opened.start.frame_shape
        return (
            revision is not None
            and rows * columns <= MOST_PIXELS
            and vector_kind(revision.results.layout.outputs) is not None
            and revision.positions_done.counts().analysed > 0
        )

    @property
    def _state(self) -> tuple[int, int]:
        """Plan revision, and positions analysed under it."""
        revision = self._scan.revision
        return (revision.plan.revision, revision.positions_done.counts().analysed) if revision else (0, 0)

    def _make(self, state: tuple[int, int]) -> None:
        self._running = True

        def task(number: int) -> VectorMapTask:
            return VectorMapTask(number=number, folder=str(self._scan.folder), revision=state[0])

        def done(found: TaskDone, payload: bytes) -> None:
            self._running, self._made = False, state
            if not self._scan.forgotten and self._state[0] == state[0]:
                self._publish(found.result, payload)

        def lost(reason: str, suspect: bool) -> None:
            # the end of the scan does not wait for a map that cannot be made
            self._running, self._made = False, state
            log.error("the Bragg vector map was not made", scan=self._scan.id, reason=reason)

        self._around.jobs.submit(Job(task=task, done=done, lost=lost, limit_seconds=LIMIT_SECONDS))

    def _publish(self, about: dict[str, Any], payload: bytes) -> None:
        publisher = self._around.publisher
        topic = vector_map_topic(self._scan.id)
        found = BraggVectorMap(
            **publisher.next(topic), scan_id=self._scan.id, about=VectorMapInfo.model_validate(about)
        )
        publisher.send(topic, found, payload)
