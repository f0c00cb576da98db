"""What the world is told about a scan as a whole: its start, plan, progress and end."""

import time
from typing import TYPE_CHECKING

import structlog

from livestrain_daemon.messages import ScanClosed
from livestrain_daemon.plan import DIFFRACTION
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.scan.progress import Rate, lag_of
from livestrain_daemon.scanfolder import boot_id
from livestrain_wire.messages import PlanChanged, Progress, ScanEnded, ScanStarted, StageCounts
from livestrain_wire.topics import Topic

if TYPE_CHECKING:
    from livestrain_daemon.scan.live import LiveScan
    from livestrain_daemon.scan.revision import Revision

log = structlog.get_logger()

PROGRESS_SECONDS = 0.2


class Announcer:
    """
    Publishes, journals and logs a scan's milestones.

    Parameters
    ----------
    scan
        Whose.
    publisher
        Where to.
    """

    def __init__(self, scan: "LiveScan", publisher: Publisher) -> None:
        self._scan = scan
        self._publisher = publisher
        self._stored_rate = Rate()
        self._analysed_rate = Rate()
        self._next_progress = 0.0
        self._began = time.monotonic()
        self.started: ScanStarted | None = None
        self.plan: PlanChanged | None = None
        self.progress: Progress | None = None
        self.end: ScanEnded | None = None

    def opened(self) -> None:
        """The scan has begun, or goes on after a restart of the daemon."""
        opened = self._scan.opened
        topic = Topic(self._scan.id, "scan", "start")
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
        log.info(kind, scan=self._scan.id, rows=rows, columns=columns, folder=opened.folder)
        self._scan.note(kind, boot_id=boot_id(), recording=opened.recording, start=opened.start.model_dump(mode="json"))

    def plan_changed(self, revision: "Revision") -> None:
        """Results are made under another plan from now on."""
        topic = Topic(self._scan.id, "plan", "current")
        plan = revision.plan.model_dump(mode="json")
        self.plan = PlanChanged(
            **self._publisher.next(topic),
            scan_id=self._scan.id,
            revision=revision.plan.revision,
            plan=plan,
            maps=revision.maps,
        )
        self._publisher.send(topic, self.plan)
        self._scan.note("plan", plan=plan)
        lattice = "with a lattice" if revision.plan.calibration.g1 else "without a lattice"
        log.info("plan in force", scan=self._scan.id, revision=revision.plan.revision, calibration=lattice)

    def closed(self, closed: ScanClosed) -> None:
        """The intake has closed the scan."""
        self._scan.note("intake_closed", reason=closed.reason, stored=closed.stored, missing=closed.missing)
        log.info(
            "no more frames", scan=self._scan.id, reason=closed.reason, stored=closed.stored, missing=closed.missing
        )

    def step(self) -> None:
        """Publishes progress if it is time."""
        now = time.monotonic()
        if now >= self._next_progress and not self._scan.final:
            self._next_progress = now + PROGRESS_SECONDS
            self._send_progress(final=False)

    def ended(self) -> None:
        """Nothing more will change."""
        scan = self._scan
        progress = self._send_progress(final=True)
        topic = Topic(scan.id, "scan", "end")
        self.end = ScanEnded(
            **self._publisher.next(topic),
            scan_id=scan.id,
            reason=scan.closed.reason if scan.closed else "stopped",
            positions=progress.positions,
            stored=progress.stored,
            missing=progress.missing,
            stages=progress.stages,
            faults=progress.faults,
            seconds=time.monotonic() - self._began,
        )
        self._publisher.send(topic, self.end)
        fields = self.end.model_dump(mode="json", exclude={"v", "type", "epoch", "sequence"})
        scan.note("scan_ended", revision=progress.revision, **fields)
        counts = progress.stages.get(DIFFRACTION, StageCounts()).model_dump()
        log.info("scan ended", scan=scan.id, reason=self.end.reason, seconds=round(self.end.seconds, 2), **counts)

    def _send_progress(self, final: bool) -> Progress:
        scan = self._scan
        seen = scan.seen
        stages = scan.revision.counts(seen.states) if scan.revision else {}
        counts = stages.get(DIFFRACTION, StageCounts(pending=seen.positions))
        lag = lag_of(counts, seen.positions, seen.stored, seen.missing)
        stored_rate = self._stored_rate.update(seen.stored)
        analysed_rate = self._analysed_rate.update(counts.analysed)
        to_come = seen.positions - seen.stored - seen.missing
        topic = Topic(scan.id, "progress", "counts")
        self.progress = Progress(
            **self._publisher.next(topic),
            scan_id=scan.id,
            revision=scan.revision.plan.revision if scan.revision else 0,
            positions=seen.positions,
            stored=seen.stored,
            missing=seen.missing,
            stages=stages,
            frames_per_second=stored_rate,
            analysed_per_second=analysed_rate,
            lag_positions=lag,
            lag_seconds=lag / analysed_rate if analysed_rate else 0.0,
            eta_seconds=to_come / stored_rate if stored_rate and not scan.stopped_coming else None,
            faults=scan.faults,
            final=final,
        )
        self._publisher.send(topic, self.progress)
        return self.progress
