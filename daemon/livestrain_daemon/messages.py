"""Messages between the processes of one daemon, over ipc; small descriptors, never frames."""

from typing import Annotated, Any, Literal

from pydantic import Field

from livestrain_core.types import Template
from livestrain_wire.messages import Count, Message, Run, ScanId, ScanStart, by_type

# --- intake -> main -------------------------------------------------------------------------------------------------


class IntakeReady(Message):
    """The intake's socket is bound."""

    type: Literal["intake_ready"] = "intake_ready"
    pid: int
    endpoint: str


class DetectorSeen(Message):
    """What the detector that frames are taken from is doing."""

    type: Literal["detector_seen"] = "detector_seen"
    name: str
    endpoint: str
    state: Literal["connecting", "waiting", "receiving"]
    trouble: str
    """What kept it from being reached or begun last, while nothing has come since; empty: nothing."""


class ScanOpened(Message):
    """A scan folder with its frames file exists; frames are being stored."""

    type: Literal["scan_opened"] = "scan_opened"
    scan_id: ScanId
    folder: str
    start: ScanStart
    started_ns: Count
    recording: bool
    resumed: bool = False
    """True where the folder was there already, from before a restart of the daemon."""


class ScanRefused(Message):
    """A scan could not be opened, and why: its frames are counted and thrown away."""

    type: Literal["scan_refused"] = "scan_refused"
    scan_id: str
    text: str
    resuming: bool = False
    """True where main had asked to go on with it."""


class Stored(Message):
    """A hint: these positions are in the frames file (the ledger is the truth)."""

    type: Literal["stored"] = "stored"
    scan_id: ScanId
    runs: tuple[Run, ...]


class Recycled(Message):
    """A hint: these positions' slots in the ring now hold newer frames."""

    type: Literal["recycled"] = "recycled"
    scan_id: ScanId
    runs: tuple[Run, ...]


class IntakeCounts(Message):
    """What has been counted so far; sent a few times a second while something changes."""

    type: Literal["intake_counts"] = "intake_counts"
    scan_id: str
    """Empty for what belongs to no scan."""
    stored: Count
    queued: Count
    """Frames between the socket and the file: the disk's lag."""
    faults: dict[str, Count]


class FaultSeen(Message):
    """The first fault of its kind in this scan."""

    type: Literal["fault_seen"] = "fault_seen"
    scan_id: str
    kind: str
    text: str


class Synced(Message):
    """These positions are on the disk, whatever happens to the power."""

    type: Literal["synced"] = "synced"
    scan_id: ScanId
    runs: tuple[Run, ...]


class ScanClosed(Message):
    """No more frames will be stored; every position is stored, recycled or missing."""

    type: Literal["scan_closed"] = "scan_closed"
    scan_id: ScanId
    reason: Literal["complete", "aborted", "superseded", "silence", "stopped"]
    stored: Count
    missing: Count
    faults: dict[str, Count]


class RoomWanted(Message):
    """A new scan waits for so much free space; answered by `RoomMade` when old scans are removed, or cannot be."""

    type: Literal["room_wanted"] = "room_wanted"
    id: str
    """Comes back with the answer: one that comes too late is not taken for that of the next scan."""
    bytes: Count


# --- main -> intake -------------------------------------------------------------------------------------------------


class SetArmed(Message):
    """Accept scans, or ignore them."""

    type: Literal["set_armed"] = "set_armed"
    armed: bool


class ResumeScan(Message):
    """Go on with a scan that an earlier daemon left unfinished; answered by `ScanOpened` (resumed)."""

    type: Literal["resume_scan"] = "resume_scan"
    folder: str


class CloseScan(Message):
    """End the scan in progress now; answered by `ScanClosed`."""

    type: Literal["close_scan"] = "close_scan"


class Released(Message):
    """Every stage is done with these positions: their slots in the ring may be overwritten."""

    type: Literal["released"] = "released"
    scan_id: ScanId
    runs: tuple[Run, ...]


class RoomMade(Message):
    """All that could be done about `RoomWanted` is done."""

    type: Literal["room_made"] = "room_made"
    id: str


class StopIntake(Message):
    """Close the scan in progress, if any, then exit."""

    type: Literal["stop_intake"] = "stop_intake"


# --- main -> worker -------------------------------------------------------------------------------------------------


class Task(Message):
    """Work for one worker; answered by `TaskDone` or `TaskFailed` with the same number."""

    number: Count
    folder: str


class PingTask(Task):
    """Nothing to do but to answer: a sign of life."""

    type: Literal["ping"] = "ping"


class OpenRevisionTask(Task):
    """Lay out the results file of a plan revision, unless it is there."""

    type: Literal["open_revision"] = "open_revision"
    plan: dict[str, Any]
    carry_from: Count | None = None
    """A revision whose results hold under this plan, too."""
    carry_stages: tuple[str, ...] = ()
    """The stages whose results are copied from it."""


class PrepareTask(Task):
    """Compile and load what a plan revision needs."""

    type: Literal["prepare"] = "prepare"
    revision: Count


class AnalyseTask(Task):
    """Run a stage over a range of positions."""

    type: Literal["analyse"] = "analyse"
    revision: Count
    stage: str
    runs: tuple[Run, ...]


class CalibrateTask(Task):
    """
    Find centre, disk, lattice and descan on these positions.

    Images follow as one payload part: the vacuum probe if ``vacuum_probe``, then the ring's if ``ring_image``.
    """

    type: Literal["calibrate_on"] = "calibrate_on"
    positions: tuple[Count, ...]
    source: Literal["automatic", "command"] = "automatic"
    """Who wants it."""
    vacuum_probe: bool = False
    template: Template = "disk"
    """What disks are compared with."""
    probe: tuple[float, float] | None = None
    """Radius and edge of the disks where they are known and nothing tells them otherwise [px]."""
    unusable: tuple[Run, ...] = ()
    corrections: dict[str, Any] | None = None
    """The plan's corrections, field by field; None: nothing is done to frames."""
    keep: dict[str, Any] | None = None
    """A calibration to keep instead of finding one."""
    ring: tuple[float, float] | None = None
    """Inner and outer radius around a ring that tells the elliptic distortion [px]."""
    ring_image: bool = False


class MedianTask(Task):
    """The median lattice vectors over good positions of a region, or of all."""

    type: Literal["median"] = "median"
    revision: Count
    region: tuple[Count, Count, Count, Count] | None = None


class SyncTask(Task):
    """Force the results of a revision to the disk."""

    type: Literal["sync"] = "sync"
    revision: Count


class PatternTask(Task):
    """The sum of all finished blocks' patterns."""

    type: Literal["add_blocks"] = "add_blocks"
    revision: Count
    kind: Literal["sum", "largest"]
    blocks: tuple[Run, ...]
    """The blocks that are finished."""


class VectorMapTask(Task):
    """The Bragg vector map of all analysed positions, as float32."""

    type: Literal["map_vectors"] = "map_vectors"
    revision: Count
    sampling: int = 1
    centred: bool = True


class StopWorker(Message):
    """Exit after what has been acknowledged."""

    type: Literal["stop_worker"] = "stop_worker"


# --- worker -> main -------------------------------------------------------------------------------------------------


class WorkerReady(Message):
    """A worker has imported and compiled all it needs."""

    type: Literal["worker_ready"] = "worker_ready"
    pid: int


class TaskDone(Message):
    """The task's results are in the file (or in ``result`` and a payload part)."""

    type: Literal["task_done"] = "task_done"
    number: Count
    seconds: Annotated[float, Field(ge=0, le=1e6)]
    """Time spent on it [s]."""
    spans: dict[str, float] = Field(default_factory=dict)
    """Where the time went, by part [s]."""
    recycled: tuple[Run, ...] = ()
    """Positions whose frames were overwritten before or while they were read: no results."""
    result: dict[str, Any] = Field(default_factory=dict)
    """The outcome of anything but an analysis."""


class TaskFailed(Message):
    """The task raised; nothing of it counts."""

    type: Literal["task_failed"] = "task_failed"
    number: Count
    text: str


FROM_INTAKE = by_type(
    IntakeReady,
    DetectorSeen,
    ScanOpened,
    ScanRefused,
    Stored,
    Recycled,
    IntakeCounts,
    FaultSeen,
    Synced,
    ScanClosed,
    RoomWanted,
)
TO_INTAKE = by_type(SetArmed, Released, ResumeScan, CloseScan, RoomMade, StopIntake)
TO_WORKER = by_type(
    SyncTask,
    PingTask,
    OpenRevisionTask,
    PrepareTask,
    AnalyseTask,
    CalibrateTask,
    MedianTask,
    PatternTask,
    VectorMapTask,
    StopWorker,
)
FROM_WORKER = by_type(WorkerReady, TaskDone, TaskFailed)
