"""A scan while it is taken, analysed and looked at: what has come, under which plan, against which reference."""

import time
from pathlib import Path

import numpy as np
import structlog

from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.messages import ScanClosed, ScanOpened, SyncTask, TaskDone
from livestrain_daemon.plan import Plan
from livestrain_daemon.publish.feed import MapFeed
from livestrain_daemon.scan.announcer import Announcer, Standing
from livestrain_daemon.scan.axes import resolved
from livestrain_daemon.scan.notebook import Notebook
from livestrain_daemon.scan.references import References
from livestrain_daemon.scan.revision import Revision
from livestrain_daemon.scan.seen import FramesSeen
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_daemon.scanfolder import FrameState, ResultState, revisions, runs_of
from livestrain_wire.messages import ReferenceInfo, Run

log = structlog.get_logger()

SYNC_SECONDS = 300.0
"""Forcing the results to a busy disk may take so long [s]."""
LEDGER_SECONDS = 0.5
"""How often the intake's ledger is read, in case a hint was lost [s]."""


class LiveScan:
    """
    One scan and all that changes about it.

    Parameters
    ----------
    opened
        What the intake said when it opened the folder.
    surroundings
        Configuration, publisher and workers, shared with other scans.
    references
        From an earlier life of the daemon, else empty.
    """

    def __init__(self, opened: ScanOpened, surroundings: Surroundings, references: References) -> None:
        self.opened = opened
        self.id = opened.scan_id
        self.folder = Path(opened.folder)
        self.notebook = Notebook(self.id, self.folder, surroundings.publisher)
        self.seen = FramesSeen(self.folder)
        self.references = references
        self.revision: Revision | None = None
        self.closed: ScanClosed | None = None
        self.faults: dict[str, int] = {}
        self.syncing = 0
        """Tasks that force results to the disk and are not done."""
        self.forgotten = False
        """True once the files are given back; what a worker still answers is of no use then."""
        self.feed = MapFeed(self.id, surroundings.publisher)
        self.announcer = Announcer(self.id, surroundings.publisher, self.notebook.note)
        self._surroundings = surroundings
        self._older: list[Revision] = []
        self._final = False
        self._suspended = False
        self._released = np.zeros(self.seen.positions, np.bool_)
        self._next_ledger = 0.0

    # --- from the intake ---

    def frames_stored(self, runs: list[Run] | tuple[Run, ...]) -> None:
        """A hint that frames are in the file."""
        self._offer(self.seen.note(runs, FrameState.STORED))

    def frames_recycled(self, runs: tuple[Run, ...]) -> None:
        """A hint that frames were overwritten in the ring."""
        self.seen.note(runs, FrameState.RECYCLED)
        if self.revision is not None:
            self.revision.frames_recycled(runs)

    def close_intake(self, closed: ScanClosed) -> None:
        """The intake says that no more frames will come."""
        self.seen.read_ledger()
        self._close_frames(closed)

    def close_without_intake(self) -> None:
        """There is no intake any more that could say so: what has not come is missing."""
        self.seen.read_ledger()
        self.seen.give_up()
        stored, missing = self.seen.stored, self.seen.missing
        self._close_frames(
            ScanClosed(scan_id=self.id, reason="stopped", stored=stored, missing=missing, faults=self.faults)
        )

    def suspend(self) -> None:
        """No more frames will come in this life of the daemon; the next one goes on."""
        self._offer(self.seen.read_ledger())
        self._suspended = True
        text = f"{self.seen.stored} of {self.seen.positions} frames are stored; the rest is taken by the next daemon"
        self.notebook.tell("suspended", text, "warning")

    @property
    def drained(self) -> bool:
        """True when a suspended scan has nothing left to do for now."""
        waiting = self.revision is not None and any(stage.waiting for stage in self.revision.work.stages.values())
        return self._suspended and not waiting and self.feed.idle

    def _close_frames(self, closed: ScanClosed) -> None:
        self.closed = closed
        self.faults = dict(closed.faults)
        if self.revision is not None:
            self.revision.catch_up(self.seen.states, closed=True)
        self.announcer.closed(closed)

    # --- plan and reference ---

    @property
    def stopped_coming(self) -> bool:
        """True when the intake has closed the scan."""
        return self.closed is not None

    def next_revision(self) -> int:
        """The number that a new plan gets: no results file has it, not even one of a plan that failed."""
        taken = self.revision.plan.revision if self.revision else 0
        try:
            return max(taken, *revisions(self.folder), 0) + 1
        except OSError:
            return taken + 1

    def begin_revision(self, plan: Plan) -> None:
        """From now on results are made under this plan; its results file is there already."""
        if self.revision is not None:
            self._older.append(self.revision)
        self.revision = self._open_revision(plan)
        self._final = False
        self.revision.catch_up(self.seen.states, self.stopped_coming)
        self.feed.revision_changed()
        self.announcer.plan_changed(self.revision)
        # what was taken over from the revision before goes out like fresh results
        self.feed.acknowledged(runs_of(self.revision.positions_done.states() == ResultState.ANALYSED))
        self._refer_to(plan)

    def resume_revision(self, plan: Plan, rebooted: bool) -> None:
        """
        Goes on with a plan of an earlier life of the daemon.

        Parameters
        ----------
        plan
            The plan that held last.
        rebooted
            True where the machine has started again since: no result is sure to have reached the disk.
        """
        self.revision = self._open_revision(plan)
        if rebooted:
            self.revision.forget_results()
        self.revision.catch_up(self.seen.states, self.stopped_coming)
        self.announcer.plan_changed(self.revision)
        if self.references.current is None:
            self._refer_to(plan)

    def adopt_reference(self, info: ReferenceInfo, by_command: bool = False) -> ReferenceInfo:
        """Strain is measured against this from now on; the maps that depend on it go out again."""
        before = self.references.current
        adopted = self.references.adopt(
            info if self.revision is None else resolved(info, self.revision.plan.calibration), by_command
        )
        if adopted != before:
            self.notebook.note("reference", reference=adopted.model_dump(mode="json"))
            self.feed.reference_changed(self.seen.positions)
            self._final = False
        return adopted

    # --- the work ---

    def next_job(self) -> Job | None:
        """The next range that a worker should analyse."""
        if self.revision is None or self.revision.work.unfinished == 0:
            return None
        return self.revision.work.next_job()

    def released(self) -> list[Run]:
        """Positions that no stage needs any more, and did at the last call."""
        if self._final:
            done = np.ones(self.seen.positions, np.bool_)
        elif self.revision is not None:
            done = self.revision.finished(self.seen.positions, self.seen.reader.layout.slots)
        else:
            return []
        news = runs_of(done & ~self._released)
        self._released |= done
        return news

    def step(self) -> None:
        """Looks after what no message tells of; called every few milliseconds."""
        now = time.monotonic()
        if now >= self._next_ledger and not self.stopped_coming:
            self._next_ledger = now + LEDGER_SECONDS
            self._offer(self.seen.read_ledger())
        self.announcer.step(self._standing)

    def flush(self) -> None:
        """Sends new values to the subscribers."""
        if self.revision is not None and not self.feed.idle:
            self.feed.flush(self.revision, self.references.current)

    @property
    def analysed_all(self) -> bool:
        """True when every position has its final state under the current plan."""
        return self.stopped_coming and self.revision is not None and self.revision.work.unfinished == 0

    @property
    def final(self) -> bool:
        """True when nothing more will change unless somebody asks for it."""
        return self._final

    def finish(self) -> None:
        """All that could be done is done, measured against the last reference, and sent."""
        self._final = True
        if self.revision is not None:
            self.syncing += 1
            self._surroundings.jobs.submit(self._sync_results(self.revision.plan.revision))
        self.announcer.ended(self._standing)

    def release_again(self) -> None:
        """A new intake has not been told what it may overwrite."""
        self._released[:] = False

    def _sync_results(self, revision: int) -> Job:
        def done(answer: TaskDone, payload: bytes) -> None:
            self.syncing -= 1

        def lost(reason: str, suspect: bool) -> None:
            self.syncing -= 1
            log.error("results were not forced to the disk", scan=self.id, reason=reason)

        return Job(
            task=lambda number: SyncTask(number=number, folder=str(self.folder), revision=revision),
            done=done,
            lost=lost,
            limit_seconds=SYNC_SECONDS,
        )

    def close(self) -> None:
        """Gives all files back."""
        self.forgotten = True
        for revision in (*self._older, *([self.revision] if self.revision else [])):
            revision.close()
        self.seen.close()
        self.notebook.close()

    def _open_revision(self, plan: Plan) -> Revision:
        def analysed(stage: str, runs: list[Run]) -> None:
            # a worker may still acknowledge ranges of an older plan, whose maps are no longer published
            if self.revision is opened:
                self._analysed(stage, runs)

        opened = Revision(self.folder, plan, self._surroundings.config.workers, analysed, self._failed)
        return opened

    def _refer_to(self, plan: Plan) -> None:
        """Strain is measured against the plan's lattice until there is a median, unless a user has given values."""
        calibration = plan.calibration
        if calibration.g1 is None or calibration.g2 is None:
            return
        self.references.restart_medians()
        if self.references.follows_data or self.references.current is None:
            vectors = (*calibration.g1, *calibration.g2)
            region, axes = self.references.region, self.references.axes(plan.axes)
            self.adopt_reference(ReferenceInfo(revision=0, kind="plan", vectors=vectors, region=region, axes=axes))
        else:
            # the same vectors may mean something else under this plan's axes and distortion
            self.adopt_reference(self.references.current)

    @property
    def _standing(self) -> Standing:
        return Standing(self.seen, self.revision, self.closed, self.faults, self._final)

    def _offer(self, news: list[Run]) -> None:
        if news and self.revision is not None:
            self.revision.frames_stored(news, self.seen.states, self.stopped_coming)

    def _analysed(self, stage: str, runs: list[Run]) -> None:
        if self.revision is not None and stage in self.revision.published_stages:
            self.feed.acknowledged(runs)

    def _failed(self, stage: str, runs: list[Run], reason: str) -> None:
        if self.revision is not None:
            self.revision.blank(stage, runs)
        self.notebook.failed(stage, runs, reason)
