"""The work that one plan revision of one scan makes: ranges, retries, bisection."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from livestrain_daemon.config import WorkersConfig
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.dispatch.stage import StageProgress
from livestrain_daemon.messages import AnalyseTask, Task, TaskDone
from livestrain_daemon.runset import RunSet, size, split
from livestrain_daemon.scanfolder import ResultState
from livestrain_wire.messages import Run

log = structlog.get_logger()

TASK_SECONDS = 0.02
"""Time that one task should take: long enough to pay for its messages, short enough to see the map grow [s]."""


@dataclass(frozen=True)
class _Range:
    """A range whose worker died or failed, so many times; after the first it has a worker for itself."""

    stage: StageProgress
    runs: tuple[Run, ...]
    failures: int = 0
    alone: bool = False


class RevisionWork:
    """
    Hands out the ranges of a revision's stages, and sees to it that each ends.

    Parameters
    ----------
    folder
        The scan folder.
    revision
        The plan revision.
    stages
        In the order in which they take turns.
    units_per_task
        Most units in a task, by stage (blocks are larger than positions).
    config
        Order, attempts and time-out.
    analysed
        Called with stage and runs after each acknowledgement.
    failed
        Called with stage, runs and reason when positions are given up.
    """

    def __init__(
        self,
        folder: str,
        revision: int,
        stages: dict[str, StageProgress],
        units_per_task: dict[str, int],
        config: WorkersConfig,
        analysed: Callable[[str, list[Run]], None],
        failed: Callable[[str, list[Run], str], None],
    ) -> None:
        self.folder = folder
        self.revision = revision
        self.stages = stages
        self._most = units_per_task
        self._config = config
        self._analysed = analysed
        self._failed = failed
        self._suspects: deque[_Range] = deque()
        self._turns = deque(stages)
        self._seconds_per_unit = dict.fromkeys(stages, 0.0)

    @property
    def unfinished(self) -> int:
        """Units of all stages without a final state."""
        return sum(stage.unfinished for stage in self.stages.values())

    def next_job(self) -> Job | None:
        """The next range to work on; ranges that failed before come first."""
        if self._suspects:
            return self._job(self._suspects.popleft())
        for _ in range(len(self._turns)):
            stage = self.stages[self._turns[0]]
            self._turns.rotate(-1)
            if stage.waiting:
                runs = stage.take(self._range_size(stage.name), self._config.order)
                return self._job(_Range(stage, tuple(runs)))
        return None

    def _range_size(self, stage: str) -> int:
        per_unit = self._seconds_per_unit[stage]
        wanted = int(TASK_SECONDS / per_unit) if per_unit else 8
        return max(1, min(wanted, self._most[stage]))

    def _job(self, work: _Range) -> Job:
        def task(number: int) -> Task:
            return AnalyseTask(
                number=number, folder=self.folder, revision=self.revision, stage=work.stage.name, runs=work.runs
            )

        return Job(
            task=task,
            done=lambda done, payload: self._done(work, done),
            lost=lambda reason, suspect: self._lost(work, reason, suspect),
            limit_seconds=self._config.timeout_seconds,
            alone=work.alone,
            prepare=(self.folder, self.revision),
        )

    def _done(self, work: _Range, done: TaskDone) -> None:
        name = work.stage.name
        per_unit = done.seconds / size(work.runs)
        before = self._seconds_per_unit[name]
        self._seconds_per_unit[name] = per_unit if not before else before + 0.25 * (per_unit - before)
        finished = RunSet(work.runs)
        for first, count in done.recycled:
            work.stage.finish(finished.overlap(first, count), ResultState.DROPPED)
            finished.remove(first, count)
        self._analysed(name, work.stage.finish(finished, ResultState.ANALYSED))

    def _lost(self, work: _Range, reason: str, suspect: bool) -> None:
        if not suspect:
            self._suspects.append(work)
        elif not work.alone:
            # the acknowledgement of a finished range may die with the worker that the next one killed
            self._suspects.append(replace(work, failures=min(1, self._config.attempts - 1), alone=True))
        elif work.failures + 1 < self._config.attempts:
            self._suspects.append(replace(work, failures=work.failures + 1))
        elif size(work.runs) > 1:
            for half in split(work.runs):
                self._suspects.append(replace(work, runs=tuple(half)))
        else:
            log.error("gave up on a position", stage=work.stage.name, position=work.runs[0][0], reason=reason)
            if work.stage.finish(work.runs, ResultState.FAILED):
                self._failed(work.stage.name, list(work.runs), reason)
