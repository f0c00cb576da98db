"""What the world is told about a scan as a whole: its start, plan, progress and end."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from livestrain_daemon.messages import ScanClosed, ScanOpened
from livestrain_daemon.plan import DIFFRACTION
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.scan.progress import Rate, lag_of
from livestrain_daemon.scan.revision import Revision
from livestrain_daemon.scan.seen import FramesSeen
from livestrain_daemon.scanfolder import provenance
from livestrain_wire.messages import PlanChanged, Progress, ScanEnded, ScanStarted, StageCounts
from livestrain_wire.topics import Topic

log = structlog.get_logger()

PROGRESS_SECONDS = 0.2


@dataclass(frozen=True)
class Standing:
    """How far a scan is."""

    seen: FramesSeen
    revision: Revision | None
    closed: ScanClosed | None
    faults: dict[str, int]
    final: bool
    """True when nothing more will change unless somebody asks for it."""


class Announcer:
    """
    Publishes, journals and logs a scan's milestones.

    Parameters
    ----------
    scan_id
        Whose.
    publisher
        Where to.
    note
        Writes a line of the scan's journal, given its kind and fields.
    """

    def __init__(self, scan_id: str, publisher: Publisher, note: Callable[..., None]) -> None:
        self._id = scan_id
        self._publisher = publisher
        self._note = note
        self._stored_rate = Rate()
        self._analysed_rate = Rate()
        self._next_progress = 0.0
        self._began = time.monotonic()
        self._seconds = 0.0
        self.started: ScanStarted | None = None
        self.plan: PlanChanged | None = None
        self.progress: Progress | None = None
        self.end: ScanEnded | None = None

    def opened(self, opened: ScanOpened) -> None:
        """The scan has begun, or goes on after a restart of the daemon."""
        topic = Topic(self._id, "scan", "start")
        self.started = ScanStarted(
            **self._publisher.next(topic),
            start=opened.start,
            folder=opened.folder,
            started_ns=opened.started_ns,
            recording=opened.recording,
        )
        self._publisher.send(topic, self.started)
        kind = "scan_resumed" if opened.resumed else "scan_started"
        rows, columns = opened.start.scan_shape
        log.info(kind, scan=self._id, rows=rows, columns=columns, folder=opened.folder)
        self._note(
            kind, provenance=provenance(), recording=opened.recording, start=opened.start.model_dump(mode="json")
        )

    def plan_changed(self, revision: Revision) -> None:
        """Results are made under another plan from now on."""
        topic = Topic(self._id, "plan", "current")
        plan = revision.plan.model_dump(mode="json")
        self.plan = PlanChanged(
            **self._publisher.next(topic),
            scan_id=self._id,
            revision=revision.plan.revision,
            plan=plan,
            maps=revision.maps,
        )
        self._publisher.send(topic, self.plan)
        self._note("plan", plan=plan)
        lattice = "with a lattice" if revision.plan.calibration.g1 else "without a lattice"
        log.info("plan in force", scan=self._id, revision=revision.plan.revision, calibration=lattice)

    def closed(self, closed: ScanClosed) -> None:
        """The intake has closed the scan."""
        facts = closed.model_dump(mode="json", include={"reason", "stored", "missing", "faults"})
        self._note("intake_closed", **facts)
        log.info("no more frames", scan=self._id, reason=closed.reason, stored=closed.stored, missing=closed.missing)

    def step(self, standing: Standing) -> None:
        """Publishes progress if it is time."""
        now = time.monotonic()
        if now >= self._next_progress and not standing.final:
            self._next_progress = now + PROGRESS_SECONDS
            self._send_progress(standing, final=False)

    def ended(self, standing: Standing) -> None:
        """Nothing more will change."""
        progress = self._send_progress(standing, final=True)
        # a new reference or plan ends the scan once more, and does not make it longer
        self._seconds = self._seconds or time.monotonic() - self._began
        topic = Topic(self._id, "scan", "end")
        self.end = ScanEnded(
            **self._publisher.next(topic),
            scan_id=self._id,
            reason=standing.closed.reason if standing.closed else "stopped",
            positions=progress.positions,
            stored=progress.stored,
            missing=progress.missing,
            stages=progress.stages,
            faults=progress.faults,
            seconds=self._seconds,
        )
        self._publisher.send(topic, self.end)
        fields = self.end.model_dump(mode="json", exclude={"v", "type", "epoch", "sequence"})
        self._note("scan_ended", revision=progress.revision, **fields)
        counts = progress.stages.get(DIFFRACTION, StageCounts()).model_dump()
        log.info("scan ended", scan=self._id, reason=self.end.reason, seconds=round(self.end.seconds, 2), **counts)

    def _send_progress(self, standing: Standing, final: bool) -> Progress:
        seen, revision = standing.seen, standing.revision
        stages = revision.counts(seen.states) if revision else {}
        counts = stages.get(DIFFRACTION, StageCounts(pending=seen.positions))
        lag = lag_of(counts, seen.positions, seen.stored, seen.missing)
        stored_rate = self._stored_rate.update(seen.stored)
        analysed_rate = self._analysed_rate.update(counts.analysed)
        to_come = seen.positions - seen.stored - seen.missing
        topic = Topic(self._id, "progress", "counts")
        self.progress = Progress(
            **self._publisher.next(topic),
            scan_id=self._id,
            revision=revision.plan.revision if revision else 0,
            positions=seen.positions,
            stored=seen.stored,
            missing=seen.missing,
            stages=stages,
            frames_per_second=stored_rate,
            analysed_per_second=analysed_rate,
            lag_positions=lag,
            lag_seconds=lag / analysed_rate if analysed_rate else 0.0,
            eta_seconds=to_come / stored_rate if stored_rate and standing.closed is None else None,
            faults=standing.faults,
            final=final,
        )
        self._publisher.send(topic, self.progress)
        return self.progress
