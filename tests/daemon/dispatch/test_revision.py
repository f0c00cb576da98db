import numpy as np
import pytest

from livestrain_daemon.config import WorkersConfig
from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.dispatch.revision import RevisionWork
from livestrain_daemon.dispatch.stage import StageProgress
from livestrain_daemon.messages import AnalyseTask, TaskDone
from livestrain_daemon.runset import size
from livestrain_daemon.scanfolder import ResultState
from livestrain_wire.messages import Run

UNITS = 20


class Row:
    def write_ledger(self, stage: str, first: int, states: int, count: int) -> None:
        """Kept nowhere."""


class Work:
    """The work of a revision and what it has told."""

    def __init__(self, blocks: int = 0, largest: int = 8, **settings: object) -> None:
        self.analysed: list[tuple[str, list[Run]]] = []
        self.failed: list[tuple[str, list[Run], str]] = []
        self.stage = StageProgress("diffraction", np.zeros(UNITS, np.uint8), Row())
        stages = {"diffraction": self.stage}
        if blocks:
            stages["reduction"] = StageProgress("reduction", np.zeros(blocks, np.uint8), Row())
        config = WorkersConfig.model_validate({"order": "sequential", "attempts": 2, **settings})
        self.work = RevisionWork(
            "/scan",
            3,
            stages,
            {"diffraction": largest, "reduction": 1},
            config,
            lambda stage, runs: self.analysed.append((stage, runs)),
            lambda stage, runs, reason: self.failed.append((stage, runs, reason)),
        )

    def job(self) -> tuple[Job, AnalyseTask]:
        job = self.work.next_job()
        assert job is not None
        task = job.task(1)
        assert isinstance(task, AnalyseTask)
        return job, task


def done(seconds: float = 0.01, recycled: tuple[Run, ...] = ()) -> TaskDone:
    return TaskDone(number=1, seconds=seconds, recycled=recycled)


def test_a_task_names_folder_revision_stage_and_positions() -> None:
    work = Work()
    work.stage.offer([(0, 20)])
    job, task = work.job()
    assert (task.folder, task.revision, task.stage, task.runs) == ("/scan", 3, "diffraction", ((0, 8),))
    assert job.prepare == ("/scan", 3)


def test_an_acknowledgement_makes_positions_analysed() -> None:
    work = Work()
    work.stage.offer([(0, 20)])
    job, task = work.job()
    job.done(done(), b"")
    assert work.analysed == [("diffraction", list(task.runs))]
    assert work.stage.counts().analysed == 8
    assert work.work.unfinished == 12


def test_positions_without_frames_are_dropped_and_not_told() -> None:
    work = Work()
    work.stage.offer([(0, 8)])
    job, _ = work.job()
    job.done(done(recycled=((2, 3),)), b"")
    assert work.analysed == [("diffraction", [(0, 2), (5, 3)])]
    assert (work.stage.counts().analysed, work.stage.counts().dropped) == (5, 3)


def test_a_worker_can_only_drop_positions_that_it_was_given() -> None:
    work = Work()
    work.stage.offer([(0, 20)])
    job, _ = work.job()
    job.done(done(recycled=((6, 9), (19, 500))), b"")
    assert (work.stage.counts().analysed, work.stage.counts().dropped) == (6, 2)


def test_positions_that_were_settled_meanwhile_are_not_told_again() -> None:
    work = Work()
    work.stage.offer([(0, 8)])
    job, _ = work.job()
    work.stage.finish([(2, 3)], ResultState.DROPPED)
    job.done(done(), b"")
    job.done(done(), b"")
    assert work.analysed == [("diffraction", [(0, 2), (5, 3)]), ("diffraction", [])]


def test_a_lost_range_is_handed_out_again_before_new_ones() -> None:
    work = Work()
    work.stage.offer([(0, 20)])
    job, task = work.job()
    job.lost("the worker was ended by SIGKILL", True)
    again, repeated = work.job()
    assert repeated.runs == task.runs
    again.done(done(), b"")
    assert work.stage.counts().analysed == 8
    assert work.failed == []


def test_a_range_that_is_not_under_suspicion_is_handed_out_forever() -> None:
    work = Work()
    work.stage.offer([(0, 8)])
    for _ in range(10):
        job, task = work.job()
        assert task.runs == ((0, 8),)
        job.lost("another range killed the worker", False)
    job, _ = work.job()
    job.done(done(), b"")
    assert work.stage.counts().analysed == 8


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_bisection_fails_the_one_position_that_kills_and_no_other(attempts: int) -> None:
    work = Work(largest=16, attempts=attempts)
    work.stage.offer([(0, 16)])
    tries = 0
    while work.work.unfinished > 4:
        job, task = work.job()
        if any(first <= 11 < first + count for first, count in task.runs):
            tries += 1
            job.lost("boom", True)
        else:
            job.done(done(), b"")
        counts = work.stage.counts()
        assert sum(counts.model_dump().values()) == UNITS
    assert work.failed == [("diffraction", [(11, 1)], "boom")]
    assert (work.stage.counts().analysed, work.stage.counts().failed) == (15, 1)
    assert work.work.next_job() is None
    # the first range is 8 positions, tried once more by itself; then 4, 2, 1, each tried once
    assert tries == max(attempts, 2) + 3


def test_a_position_is_given_up_only_after_it_had_a_worker_for_itself() -> None:
    """The acknowledgement of an innocent range may be lost with the worker that the next range killed."""
    work = Work(largest=1, attempts=1)
    work.stage.offer([(0, 2)])
    innocent, _ = work.job()
    guilty, _ = work.job()
    assert not innocent.alone
    assert not guilty.alone
    innocent.lost("the worker was ended by SIGKILL", True)
    guilty.lost("the worker was ended by SIGKILL", False)
    innocent, task = work.job()
    assert (innocent.alone, task.runs) == (True, ((0, 1),))
    innocent.done(done(), b"")
    for alone in (False, True):
        guilty, task = work.job()
        assert (guilty.alone, task.runs) == (alone, ((1, 1),))
        assert work.failed == []
        guilty.lost("the worker was ended by SIGKILL", True)
    assert work.failed == [("diffraction", [(1, 1)], "the worker was ended by SIGKILL")]
    assert work.stage.counts().analysed == 1


def test_a_range_that_never_fails_is_never_split() -> None:
    work = Work(largest=16)
    work.stage.offer([(0, 16)])
    sizes = []
    while work.work.unfinished > 4:
        job, task = work.job()
        sizes.append(size(task.runs))
        job.done(done(0.001 * sizes[-1]), b"")
    assert sizes == [8, 8]
    assert work.failed == []


def test_ranges_become_as_large_as_the_time_allows() -> None:
    work = Work(largest=100)
    work.stage.offer([(0, 20)])
    job, _ = work.job()
    job.done(done(8 * 0.005), b"")
    _, task = work.job()
    assert size(task.runs) == 4


def test_a_slow_position_still_makes_a_range_of_one() -> None:
    work = Work()
    work.stage.offer([(0, 20)])
    job, _ = work.job()
    job.done(done(500.0), b"")
    _, task = work.job()
    assert size(task.runs) == 1


def test_stages_take_turns() -> None:
    work = Work(blocks=4, largest=2)
    work.stage.offer([(0, 4)])
    work.work.stages["reduction"].offer([(0, 2)])
    order = [work.job()[1].stage for _ in range(4)]
    assert order == ["diffraction", "reduction", "diffraction", "reduction"]
    assert work.work.next_job() is None


def test_the_newest_positions_come_first_if_so_configured() -> None:
    work = Work(order="newest")
    work.stage.offer([(0, 20)])
    assert work.job()[1].runs == ((12, 8),)
