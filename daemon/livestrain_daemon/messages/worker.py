"""Messages between main and its workers."""

from typing import Annotated, Any, Literal

from pydantic import Field

from livestrain_core.types import Template
from livestrain_wire.messages import Count, Message, Run, by_type

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
