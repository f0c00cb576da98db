"""The scans in memory: what the intake says goes to the right one, and each is seen to its end."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.errors import PlanError, StorageError
from livestrain_daemon.messages import (
    DetectorSeen,
    FaultSeen,
    IntakeCounts,
    Recycled,
    Released,
    ScanClosed,
    ScanOpened,
    ScanRefused,
    Stored,
    Synced,
)
from livestrain_daemon.plan import Plan, recorded_plan
from livestrain_daemon.scan.counting import add_counts
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.planner import Planner
from livestrain_daemon.scan.referencer import Referencer
from livestrain_daemon.scan.references import References
from livestrain_daemon.scan.resuming import difference
from livestrain_daemon.scan.surroundings import Surroundings
from livestrain_daemon.scan.vectormapper import VectorMapper
from livestrain_daemon.scanfolder import has_rebooted, read_journal, revisions
from livestrain_wire.messages import Message, ReferenceInfo

log = structlog.get_logger()


@dataclass(frozen=True)
class ScanInHand:
    """A scan with those who plan it and keep its reference."""

    scan: LiveScan
    planner: Planner
    referencer: Referencer
    vector_mapper: VectorMapper

    def step(self) -> None:
        """Looks after what no message tells of."""
        self.scan.step()
        self.planner.step()
        self.referencer.step()
        self.vector_mapper.step()
        if not self.scan.final and self._complete:
            self.scan.finish()

    @property
    def _complete(self) -> bool:
        if self.planner.hopeless:
            return self.scan.stopped_coming
        settled = self.planner.settled and self.referencer.settled and self.vector_mapper.settled
        return self.scan.analysed_all and settled and self.scan.feed.idle


class Scans:
    """
    Scans by id, oldest first; a finished one stays until a newer one is there.

    Parameters
    ----------
    surroundings
        What every scan works with.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._scans: dict[str, ScanInHand] = {}
        self.orphan_faults: dict[str, int] = {}
        """What came in and belonged to no scan, by kind."""
        self.detector: DetectorSeen | None = None
        """What the detector that frames are taken from is doing; None where they come by our own protocol."""
        self.last_refusal = ""
        """The last scan that could not be opened, and why."""
        self.queued_frames = 0
        """Frames between the intake's socket and its file."""
        self.opened_total = 0
        # workers have compiled for this one before they are ready
        self._dtypes: set[str] = {"uint16"}
        self.finished_counts: dict[str, dict[str, float]] = {}
        """What the forgotten scans have counted: value by label by metric."""

    @property
    def newest(self) -> ScanInHand | None:
        """The scan in progress, or the last one."""
        return next(reversed(self._scans.values()), None)

    def find(self, scan_id: str | None) -> ScanInHand | None:
        """A scan by id; None: the newest."""
        return self.newest if scan_id is None else self._scans.get(scan_id)

    def all(self) -> tuple[ScanInHand, ...]:
        """Those in memory, oldest first."""
        return tuple(self._scans.values())

    @property
    def all_final(self) -> bool:
        """True when no scan has anything left to do."""
        return all(hand.scan.final for hand in self._scans.values())

    @property
    def all_drained(self) -> bool:
        """True when every scan is final, or suspended with all that is stored analysed and sent."""
        return all(hand.scan.final or hand.scan.drained for hand in self._scans.values())

    def sources(self) -> Iterable[Callable[[], Job | None]]:
        """Where workers get ranges from: the newest scan first."""
        return (hand.scan.next_job for hand in reversed(self._scans.values()))

    def take(self, message: Message) -> None:
        """Something that the intake has said."""
        match message:
            case ScanOpened():
                self._open(message)
            case ScanRefused(resuming=True) if message.scan_id in self._scans:
                self._abandon(message)
            case ScanRefused():
                log.error("scan refused", scan=message.scan_id, reason=message.text)
                self.last_refusal = f"{message.scan_id}: {message.text}"
                self._surroundings.publisher.event("", "scan_refused", f"{message.scan_id}: {message.text}", "error")
            case DetectorSeen():
                self.detector = message
            case IntakeCounts(scan_id=""):
                self.orphan_faults = message.faults
            case FaultSeen() if message.scan_id not in self._scans:
                log.warning(message.text, what=message.kind)
                self._surroundings.publisher.event("", message.kind, message.text, "warning")
            case Stored() | Recycled() | IntakeCounts() | FaultSeen() | Synced() | ScanClosed():
                hand = self._scans.get(message.scan_id)
                if hand is not None:
                    self._guarded(hand.scan, partial(self._pass_on, hand.scan, message))

    def step(self) -> None:
        """One turn of everything that is not driven by messages."""
        for hand in self.all():
            self._guarded(hand.scan, hand.step)

    def released(self) -> Iterator[Released]:
        """What the intake may overwrite in its ring."""
        for hand in self._scans.values():
            runs = hand.scan.released()
            if runs:
                yield Released(scan_id=hand.scan.id, runs=tuple(runs))

    def flush(self) -> None:
        """New values to the subscribers."""
        for hand in self.all():
            self._guarded(hand.scan, hand.scan.flush)

    def close(self) -> None:
        """Gives all files back."""
        for hand in self._scans.values():
            hand.scan.close()

    def intake_is_new(self) -> None:
        """It knows nothing of what has been released."""
        for hand in self._scans.values():
            hand.scan.release_again()

    def _guarded(self, scan: LiveScan, work: Callable[[], None]) -> None:
        """A scan whose files cannot be used any more is given up; the others go on."""
        try:
            work()
        except StorageError as error:
            scan.notebook.tell(
                "scan_unusable", f"the scan is given up until the daemon is started again: {error}", "error"
            )
            self._forget(scan.id)

    def suspend(self) -> None:
        """The intake has ended in the middle: what is stored is analysed, the rest waits for the next daemon."""
        for hand in self.all():
            if not hand.scan.stopped_coming:
                self._guarded(hand.scan, hand.scan.suspend)

    def finish(self) -> None:
        """Every scan ends as it is: what is not analysed now never will be."""
        for hand in self.all():
            if not hand.scan.final:
                self._guarded(hand.scan, hand.scan.finish)

    def _abandon(self, refused: ScanRefused) -> None:
        scan = self._scans[refused.scan_id].scan
        if not scan.stopped_coming:
            scan.notebook.tell("not_resumed", f"the intake could not go on with the scan: {refused.text}", "error")
            scan.close_without_intake()

    def _pass_on(
        self, scan: LiveScan, message: Stored | Recycled | IntakeCounts | FaultSeen | Synced | ScanClosed
    ) -> None:
        match message:
            case Stored():
                scan.frames_stored(message.runs)
            case Recycled():
                scan.frames_recycled(message.runs)
            case IntakeCounts():
                scan.faults = dict(message.faults)
                self.queued_frames = message.queued
            case FaultSeen():
                # others of the kind are not told one by one
                scan.notebook.tell(
                    message.kind, f"{message.text} (the first of its kind; status counts all)", "warning"
                )
            case Synced():
                scan.notebook.note("synced", runs=message.runs)
            case ScanClosed():
                self.queued_frames = 0
                scan.close_intake(message)

    def _open(self, opened: ScanOpened) -> None:
        known = self._scans.get(opened.scan_id)
        if known is not None and opened.resumed:  # the intake was started again
            return
        if known is not None:  # its folder was deleted, and the name has come again
            self._forget(opened.scan_id)
        self._forget_finished()
        plan, references = self._recorded(Path(opened.folder)) if opened.resumed else (None, References())
        try:
            scan = LiveScan(opened, self._surroundings, references)
        except StorageError as error:
            self._tell_damage("scan_unusable", opened, error)
            return
        self.opened_total += 1
        hand = self._scans[opened.scan_id] = ScanInHand(
            scan,
            Planner(scan, self._surroundings),
            Referencer(scan, self._surroundings),
            VectorMapper(scan, self._surroundings),
        )
        scan.announcer.opened(opened)
        dtype = opened.start.dtype
        if dtype not in self._dtypes:
            self._dtypes.add(dtype)
            text = f"first scan of {dtype} since the start: it waits a minute or two if kernels have to be compiled"
            log.info(text, scan=opened.scan_id)
        try:
            if plan is not None and plan.revision in revisions(scan.folder):
                self._resume(hand, plan)
        except StorageError as error:
            self._tell_damage("results_unusable", opened, error)

    def _resume(self, hand: ScanInHand, plan: Plan) -> None:
        scan = hand.scan
        apart = difference(scan.seen.reader.layout, plan)
        if not apart:
            scan.resume_revision(plan, has_rebooted(scan.folder))
            return
        number = scan.next_revision()
        scan.notebook.tell(
            "results_of_another_version",
            f"the results of plan revision {plan.revision} are of another version: the file {apart}; revision {number} "
            "has the same plan, and all frames that are still there are analysed again",
            "warning",
        )
        hand.planner.open(plan.model_copy(update={"revision": number}))

    def _recorded(self, folder: Path) -> tuple[Plan | None, References]:
        """What an earlier life of the daemon has noted; nothing, if that cannot be read."""
        try:
            entries = read_journal(folder)
            references = [entry["reference"] for entry in entries if entry["kind"] == "reference"]
            return recorded_plan(entries), References(ReferenceInfo.model_validate(fields) for fields in references)
        except (StorageError, PlanError, KeyError, ValueError) as error:
            log.error("the journal cannot be read: the scan is analysed anew", folder=str(folder), reason=str(error))
            return None, References()

    def _tell_damage(self, name: str, opened: ScanOpened, error: StorageError) -> None:
        log.error(name, scan=opened.scan_id, reason=str(error))
        self._surroundings.publisher.event("", name, f"{opened.scan_id}: {error}", "error")

    def forget(self, scan_id: str) -> None:
        """Its folder has been removed."""
        if scan_id in self._scans:
            self._forget(scan_id)

    def _forget_finished(self) -> None:
        for scan_id in [scan_id for scan_id, hand in self._scans.items() if hand.scan.final]:
            self._forget(scan_id)

    def _forget(self, scan_id: str) -> None:
        scan = self._scans.pop(scan_id).scan
        add_counts(self.finished_counts, scan)
        scan.close()
        self._surroundings.publisher.forget(scan_id)
