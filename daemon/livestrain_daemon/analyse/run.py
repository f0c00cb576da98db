"""A recorded file through the daemon's own pipeline, from its first frame to its last value."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from livestrain_daemon.config import Config
from livestrain_daemon.daemon import Daemon
from livestrain_daemon.errors import Unavailable
from livestrain_daemon.intake.recorded_file import RecordedFile
from livestrain_daemon.intake_config import ScanGeometry
from livestrain_daemon.plan import DIFFRACTION
from livestrain_daemon.scan.scans import Scans
from livestrain_wire.messages import Progress, ScanEnded, StageCounts

A_DAY = 86400.0
LARGEST_RANGE = 1024
"""Positions in a task, so that workers seldom wait for the next one."""
LONGEST_TASK = 60.0
"""So long may it take at least, where frames are large [s]."""


@dataclass(frozen=True)
class Outcome:
    """What has become of a file."""

    scan_id: str
    folder: str
    reason: str
    """Why the scan ended: complete, or aborted where the file could not be read to its end, or stopped by a user."""
    positions: int
    stored: int
    missing: int
    analysed: int
    failed: int
    dropped: int
    pending: int
    """Not analysed, because a user has stopped it."""
    lattice: bool
    """A lattice was found or given: there is strain."""
    faults: dict[str, int]
    seconds: float
    """From the first frame, or the moment when the workers were ready if that was later, to the last value [s]."""
    frames_per_second: float
    """Positions analysed in that time."""
    worker_seconds: float
    """That workers were busy, all together [s]."""


def configured(config: Config, sockets: Path, geometry: ScanGeometry, workers: int | None) -> Config:
    """
    The configuration of a daemon that does nothing but analyse one file.

    Parameters
    ----------
    config
        What a user wants.
    sockets
        A folder of its own, so that a daemon that serves is not in the way.
    geometry
        How the frames run over the scan.
    workers
        Processes that analyse; None: as configured, else one for each core.
    """
    given = config.workers.model_fields_set
    publish = {
        "maps_endpoint": f"ipc://{sockets}/maps",
        "control_endpoint": f"ipc://{sockets}/control",
        "http_port": 0,
    }
    tasks = {
        "largest_range": max(config.workers.largest_range, LARGEST_RANGE),
        "timeout_seconds": max(config.workers.timeout_seconds, LONGEST_TASK),
        "order": "sequential",
    }
    count = workers or (config.workers.count if "count" in given else len(os.sched_getaffinity(0)))
    spares = config.workers.spares if "spares" in given else 0
    return config.model_copy(
        update={
            # a file waits, has no live edge, and may lie on a slow disk
            "intake": config.intake.model_copy(update={"scan": geometry, "silence_seconds": A_DAY}),
            "spool": config.spool.model_copy(update={"when_full": "wait"}),
            "workers": config.workers.model_copy(update={"count": count, "spares": spares, **tasks}),
            "publish": config.publish.model_copy(update=publish),
        }
    )


def analyse(
    config: Config,
    file: RecordedFile,
    geometry: ScanGeometry,
    workers: int | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """
    Analyse a file as if a detector had sent it, and write the same scan folder.

    Parameters
    ----------
    config
        As the daemon has it: spool, plan, calibration.
    file
        The file.
    geometry
        How its frames run over the scan.
    workers
        Processes that analyse; None: as configured, else one for each core.
    tell
        Hears how far it is, a few times a second.

    Raises
    ------
    DaemonError
        If something that is needed is not to be had, or no scan can be made of the file.
    """
    with tempfile.TemporaryDirectory(prefix="livestrain-analyse-") as sockets:
        daemon = Daemon(configured(config, Path(sockets), geometry, workers), file)
        watch = _Watch(tell, lambda: daemon.workers_warm)
        daemon.run(watch.done)
    if watch.end is None:
        left = (
            f"in the middle; what there is lies in {watch.folder}" if watch.folder else "before its analysis had begun"
        )
        raise Unavailable(f"{file.path}: stopped {left}")
    return _outcome(watch.end, watch, daemon.worker_seconds)


class _Watch:
    """Looks on until the scan is final."""

    def __init__(self, tell: Callable[[Progress], None], warm: Callable[[], bool]) -> None:
        self._tell = tell
        self._warm = warm
        self._told: Progress | None = None
        self._began: float | None = None
        self.seconds = 0.0
        self.folder = ""
        self.lattice = False
        self.end: ScanEnded | None = None

    def done(self, scans: Scans) -> bool:
        """
        True once there is nothing left to do.

        Raises
        ------
        Unavailable
            If no scan was made of the file.
        """
        if scans.last_refusal:
            raise Unavailable(f"the scan was refused: {scans.last_refusal}")
        if scans.newest is None:
            return False
        if self._began is None and self._warm():
            self._began = time.monotonic()
        scan = scans.newest.scan
        progress = scan.announcer.progress
        if progress is not None and progress is not self._told:
            self._told = progress
            self._tell(progress)
        self.folder = str(scan.folder)
        self.lattice = scan.revision is not None and scan.revision.plan.calibration.g1 is not None
        if scan.announcer.end is not None and self.end is None:
            self.end = scan.announcer.end
            self.seconds = time.monotonic() - self._began if self._began is not None else self.end.seconds
        return scan.final and scan.feed.idle


def _outcome(end: ScanEnded, watch: _Watch, worker_seconds: float) -> Outcome:
    counts = end.stages.get(DIFFRACTION, StageCounts())
    return Outcome(
        scan_id=end.scan_id,
        folder=watch.folder,
        reason=end.reason,
        positions=end.positions,
        stored=end.stored,
        missing=end.missing,
        analysed=counts.analysed,
        failed=counts.failed,
        dropped=counts.dropped,
        pending=end.positions - end.missing - counts.analysed - counts.failed - counts.dropped,
        lattice=watch.lattice,
        faults=dict(end.faults),
        seconds=watch.seconds,
        frames_per_second=counts.analysed / watch.seconds if watch.seconds > 0 else 0.0,
        worker_seconds=worker_seconds,
    )
