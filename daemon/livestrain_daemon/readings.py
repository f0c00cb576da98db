"""Where the metrics' values come from."""

from livestrain_daemon.control.socket import Control
from livestrain_daemon.dispatch.pool import WorkerPool
from livestrain_daemon.housekeeping import Housekeeper
from livestrain_daemon.intake_link import IntakeLink
from livestrain_daemon.metrics import Reading
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.scan.counting import Values, add, add_counts
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.progress import lag_of
from livestrain_daemon.scan.scans import Scans

STATES = ("starting", "idle", "busy", "spare")


class Readings:
    """
    Reads the values of all metrics; what finished scans have counted is kept when they are forgotten.

    Parameters
    ----------
    scans, pool, intake, publisher, control, housekeeper
        What is counted.
    """

    def __init__(
        self,
        scans: Scans,
        pool: WorkerPool,
        intake: IntakeLink,
        publisher: Publisher,
        control: Control,
        housekeeper: Housekeeper,
    ) -> None:
        self._scans = scans
        self._pool = pool
        self._intake = intake
        self._publisher = publisher
        self._control = control
        self._housekeeper = housekeeper

    def read(self, free_bytes: int, longest_step: float) -> Reading:
        """All values now."""
        scans = [hand.scan for hand in self._scans.all()]
        values: Values = {name: dict(by_label) for name, by_label in self._scans.finished_counts.items()}
        for kind, count in self._scans.orphan_faults.items():
            add(values, "livestrain_frame_faults_total", kind, count)
        for scan in scans:
            add_counts(values, scan)
        add(values, "livestrain_scans_total", "", self._scans.opened_total)
        add(values, "livestrain_analysis_lag_positions", "", sum(_lag(scan) for scan in scans))
        add(values, "livestrain_intake_queue_frames", "", self._scans.queued_frames)
        add(values, "livestrain_intake_restarts_total", "", self._intake.restarts)
        for state in STATES:
            add(values, "livestrain_workers", state, sum(w.state == state for w in self._pool.status()))
        add(values, "livestrain_worker_deaths_total", "", self._pool.deaths)
        add(values, "livestrain_worker_tasks_total", "", self._pool.tasks_done)
        add(values, "livestrain_internal_errors_total", "", self._pool.internal_errors)
        add(values, "livestrain_worker_busy_seconds_total", "", self._pool.busy_seconds)
        for part, seconds in self._pool.span_seconds.items():
            add(values, "livestrain_worker_part_seconds_total", part, seconds)
        add(values, "livestrain_published_messages_total", "", self._publisher.messages_sent)
        add(values, "livestrain_published_bytes_total", "", self._publisher.bytes_sent)
        add(values, "livestrain_control_requests_total", "", self._control.requests)
        add(values, "livestrain_control_garbage_total", "", self._control.garbage)
        for why, count in self._housekeeper.removed.items():
            add(values, "livestrain_scans_removed_total", why, count)
        add(values, "livestrain_spool_free_bytes", "", free_bytes)
        add(values, "livestrain_loop_longest_step_seconds", "", longest_step)
        return Reading(values)


def _lag(scan: LiveScan) -> int:
    if scan.revision is None:
        return scan.seen.stored
    return lag_of(scan.revision.positions_done.counts(), scan.seen.positions, scan.seen.stored, scan.seen.missing)
