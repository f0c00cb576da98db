"""The state machine of the scan in progress: what opens it, what closes it, and whose frames are whose."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import structlog

from livestrain_daemon.errors import StorageError
from livestrain_daemon.intake.continuing import Beginning, goes_on
from livestrain_daemon.intake.detectors.events import Trouble
from livestrain_daemon.intake.faults import Faults
from livestrain_daemon.intake.folders import ScanFolders
from livestrain_daemon.intake.openscan import OpenScan
from livestrain_daemon.intake.payload import Block
from livestrain_daemon.intake.receiver import Arrival
from livestrain_daemon.intake.strays import Strays
from livestrain_daemon.intake.unpacking import Payload
from livestrain_daemon.messages import (
    CloseScan,
    FaultSeen,
    ResumeScan,
    ScanClosed,
    ScanOpened,
    ScanRefused,
    SetArmed,
    StopIntake,
)
from livestrain_daemon.scanfolder.listed import Table
from livestrain_wire.errors import NewerProtocol, WireError
from livestrain_wire.messages import Frames, Message, ScanEnd, ScanStart

COMPLETE_SECONDS = 2.0
"""A scan with all its frames, and no more of them for so long, has ended, whether anybody says so or not [s]."""

_log = structlog.get_logger(__name__)


class Session:
    """
    Takes what arrives, in order, in one thread.

    Parameters
    ----------
    folders
        Where scans are made and found again.
    tell
        Sends a message to main.
    retire
        Takes over a closed scan, to force the rest of it to the disk.
    silence_seconds
        A scan that is not heard of for so long has ended.
    armed
        New scans are accepted.
    """

    def __init__(
        self,
        folders: ScanFolders,
        tell: Callable[[Message], None],
        retire: Callable[[OpenScan], None],
        silence_seconds: float,
        armed: bool,
    ) -> None:
        self._folders = folders
        self._tell = tell
        self._retire = retire
        self._silence_seconds = silence_seconds
        self._armed = armed
        self._strays = Strays()
        self._interrupted = folders.unfinished()
        self._unusable: Block | None = None
        """What the detector said of its pixels at the latest start of a scan."""
        self.scan: OpenScan | None = None
        """The scan in progress."""
        self.stopped = False
        """Main has asked the intake to end."""
        self.idle_faults = Faults(self._teller(""))
        """Of what belongs to no scan."""

    @property
    def faults(self) -> Faults:
        """Faults count for the scan in progress, if there is one."""
        return self.scan.faults if self.scan else self.idle_faults

    def take(self, arrival: Arrival) -> None:
        """Do what a message asks for."""
        match arrival.message:
            case Frames():
                self._take_frames(arrival.message, arrival.parts or arrival.payload or memoryview(b""))
            case ScanStart():
                self._take_start(arrival)
            case ScanEnd():
                self._take_end(arrival.message)
            case WireError() | Trouble():
                self._note(arrival.message, arrival.scan_id)
            case SetArmed():
                self._armed = arrival.message.armed
            case ResumeScan():
                self._take_resume(Path(arrival.message.folder))
            case CloseScan():
                self.close("stopped")
            case StopIntake():
                self.suspend()
                self.stopped = True

    def tick(self) -> None:
        """End a scan that has all its frames, or has fallen silent; to be called when nothing waits."""
        if self.scan is None:
            return
        silent = time.monotonic() - self.scan.heard
        if self.scan.filled and silent > COMPLETE_SECONDS:
            self.close("complete")
        elif silent > self._silence_seconds:
            self.close("silence")

    def suspend(self) -> None:
        """Leave the scan in progress as it is: the next daemon goes on with it."""
        if self.scan is None:
            return
        self.tell_stored()
        scan, self.scan = self.scan, None
        _log.info("scan suspended", scan_id=scan.scan_id, stored=scan.stored_count)
        self._retire(scan)

    def close(self, reason: str) -> None:
        """End the scan in progress, if there is one; what has not come is missing."""
        scan = self.scan
        if scan is None:
            return
        if scan.filled:
            # who ended it matters only where frames were still to come
            reason = "complete"
        scan.close()
        self.tell_stored()
        self.scan = None
        for sender_id in scan.sender_ids:
            self._strays.remember(sender_id, "late")
        self.idle_faults.tell_again()
        missing = scan.missing_count
        closed = {
            "scan_id": scan.scan_id,
            "reason": reason,
            "stored": scan.placement.positions - missing,
            "missing": missing,
            "faults": dict(+scan.faults.counts),
        }
        self._tell(ScanClosed.model_validate(closed))
        _log.debug("scan closed", **closed)
        self._retire(scan)

    def tell_stored(self) -> None:
        """Tell main what has been stored since it was last told."""
        if self.scan:
            for message in self.scan.news():
                self._tell(message)

    def _note(self, fault: WireError | Trouble, scan_id: str | None) -> None:
        if isinstance(fault, Trouble):
            is_here = scan_id is None or self._scan_of(scan_id) is not None
            faults = self.faults if is_here else self.idle_faults
            faults.add(fault.kind, fault.text, fault.frames or 1)
        elif isinstance(fault, NewerProtocol):
            self.faults.add("newer_protocol", str(fault))
        else:
            self.faults.add("bad_message", str(fault))

    def _take_frames(self, message: Frames, payload: Payload) -> None:
        scan = self._scan_of(message.scan_id)
        if scan is None:
            self._count_stray(message.scan_id, message.count)
            return
        if scan.repeated:
            scan.repeated = False
            if scan.conflicts(message):
                self._open(scan.begun_again, scan.placement.table, self._unusable)
                if self.scan is None:
                    self._count_stray(message.scan_id, message.count)
                    return
                scan = self.scan
        scan.store(message, payload)
        scan.heard = time.monotonic()

    def _take_start(self, arrival: Arrival) -> None:
        start, payload, unusable = arrival.message, arrival.payload, arrival.unusable
        if not isinstance(start, ScanStart):
            return
        if payload is not None and len(payload) % 4:
            self.faults.add("bad_message", f"scan_start: expected uint32 positions, found {len(payload)} bytes")
            return
        table = np.frombuffer(payload, "<u4") if payload else None
        scan = self.scan
        if scan and scan.start == start and scan.placement.has_table(table):
            # a repeated start does no harm; whether it is a new scan of the same name, its first frames tell
            scan.repeated, scan.begun_again = bool(scan.stored_count), start
            return
        if arrival.beginning != "seen" and self._goes_on(start, table, arrival.beginning):
            return
        self._open(start, table, unusable)

    def _goes_on(self, start: ScanStart, table: Table | None, beginning: Beginning) -> bool:
        """Whether a start that only frames have told of is of the scan in progress, or of an interrupted one."""
        interrupted = self._interrupted
        if self.scan is None and self._armed and interrupted and goes_on(interrupted[0], start, beginning):
            self._resume_interrupted()
        scan = self.scan
        if scan is None or not goes_on(scan.start, start, beginning) or not scan.placement.has_table(table):
            return False
        if beginning == "nameless" and not self._just_interrupted(scan):
            return False
        scan.interrupted_ns = None
        scan.sender_ids.add(start.scan_id)
        # frames that it has already are of another scan
        scan.repeated, scan.begun_again = bool(scan.stored_count), start
        _log.info("scan goes on", scan_id=scan.scan_id, stored=scan.stored_count)
        return True

    def _just_interrupted(self, scan: OpenScan) -> bool:
        """No silence has ended it."""
        before = scan.interrupted_ns
        return before is not None and time.time_ns() - before < self._silence_seconds * 1e9

    def _take_end(self, message: ScanEnd) -> None:
        scan = self._scan_of(message.scan_id)
        if scan:
            scan.compare(message.frames_sent)
            self.close(message.reason)
        elif message.scan_id not in self._strays:
            in_progress = f"of scan {self.scan.start.scan_id}" if self.scan else "of no scan"
            text = f"expected the end {in_progress}, found that of scan {message.scan_id}, which has not been started"
            # no frame is lost with it
            self.faults.add("unknown_scan", text, 0)

    def _take_resume(self, folder: Path) -> None:
        if self.scan and self.scan.folder == folder:
            self._tell_opened(self.scan, resumed=True)
        elif self.scan:
            text = f"{folder} is not resumed: scan {self.scan.scan_id} is in progress"
            self._tell(ScanRefused(scan_id=folder.name, text=text, resuming=True))
        else:
            self._resume(folder, asked=True)

    def _scan_of(self, sender_id: str) -> OpenScan | None:
        """The scan in progress if it has this id; else one that a restart of the daemon interrupted."""
        if self.scan and sender_id in self.scan.sender_ids:
            return self.scan
        # only scans from before this process can be found here: of all others it knows that they have ended
        if self.scan is None and self._armed and self._interrupted and self._interrupted[0].scan_id == sender_id:
            self._resume_interrupted()
        return self.scan if self.scan and sender_id in self.scan.sender_ids else None

    def _resume_interrupted(self) -> None:
        """Resume what a restart of the daemon interrupted, if nobody has done anything else with it."""
        interrupted, self._interrupted = self._interrupted, None
        if interrupted and interrupted == self._folders.unfinished():
            self._resume(interrupted[1], asked=False)

    def _count_stray(self, sender_id: str, frames: int) -> None:
        kind, text = self._strays.fault(sender_id, self.scan.start.scan_id if self.scan else None)
        self.faults.add(kind, text, frames)

    def _open(self, start: ScanStart, table: Table | None, unusable: Block | None) -> None:
        """Open a new scan, and close the one in progress if that succeeds."""
        if not self._armed:
            self._strays.remember(start.scan_id, "not_armed")
            self.faults.add("not_armed", f"scan {start.scan_id} is ignored, because the daemon is not armed", 0)
            return
        try:
            self._unusable = unusable
            layout, placement = self._folders.lay_out(start, table, unusable)
            self.close("superseded")
            scan = self._folders.open(layout, placement, self._teller)
        except (StorageError, ValueError, OSError) as error:
            self._refuse(start.scan_id, str(error))
            return
        self._adopt(scan, resumed=False)

    def _resume(self, folder: Path, *, asked: bool) -> None:
        try:
            scan = self._folders.resume(folder, self._teller)
        except (StorageError, ValueError, OSError) as error:
            self._refuse(folder.name, str(error), resuming=asked)
            return
        if scan.complete and not asked:
            # it had been closed; main waits for its results only
            self._strays.remember(scan.start.scan_id, "late")
            self._retire(scan)
            return
        self._adopt(scan, resumed=True)
        if scan.complete:
            self.close("complete")

    def _adopt(self, scan: OpenScan, resumed: bool) -> None:
        self._strays.forget(scan.start.scan_id)
        self._interrupted = None
        self.scan = scan
        self._tell_opened(scan, resumed)

    def _tell_opened(self, scan: OpenScan, resumed: bool) -> None:
        opened = ScanOpened(
            scan_id=scan.scan_id,
            folder=str(scan.folder),
            start=scan.start.model_copy(update={"scan_id": scan.scan_id}),
            started_ns=scan.started_ns,
            recording=scan.recording,
            resumed=resumed,
        )
        self._tell(opened)
        _log.debug("scan opened", scan_id=scan.scan_id, folder=str(scan.folder), resumed=resumed)

    def _refuse(self, sender_id: str, text: str, resuming: bool = False) -> None:
        self._strays.remember(sender_id, "refused")
        self._tell(ScanRefused(scan_id=sender_id, text=text, resuming=resuming))
        _log.debug("scan refused", scan_id=sender_id, reason=text)

    def _teller(self, scan_id: str) -> Callable[[str, str], None]:
        def tell(kind: str, text: str) -> None:
            self._tell(FaultSeen(scan_id=scan_id, kind=kind, text=text))
            _log.debug("fault seen", scan_id=scan_id, kind=kind, reason=text)

        return tell
