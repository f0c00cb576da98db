from livestrain_daemon.dispatch.job import Job
from livestrain_daemon.dispatch.queue import ATTEMPTS, JobQueue
from livestrain_daemon.messages import PrepareTask


def job(name: str, lost: list[str] | None = None) -> Job:
    return Job(
        task=lambda number: PrepareTask(number=number, folder=name, revision=1),
        done=lambda done, payload: None,
        lost=lambda reason, suspect: None if lost is None else lost.append(reason),
        limit_seconds=1.0,
    )


def name_of(found: Job | None) -> str | None:
    return None if found is None else found.task(1).folder


def test_what_somebody_waits_for_comes_before_ranges() -> None:
    ranges = [job("range")]
    queue = JobQueue(lambda: [lambda: ranges.pop() if ranges else None])
    queue.submit(job("now"))
    assert [name_of(queue.next_job()) for _ in range(3)] == ["now", "range", None]


def test_the_first_source_that_has_something_is_asked_first() -> None:
    queue = JobQueue(lambda: [lambda: None, lambda: job("second"), lambda: job("third")])
    assert name_of(queue.next_job()) == "second"


def test_a_job_whose_workers_die_is_tried_again_and_then_lost() -> None:
    lost: list[str] = []
    queue = JobQueue(tuple)
    queue.submit(job("fatal", lost))
    for attempt in range(ATTEMPTS):
        found = queue.next_job()
        assert found is not None
        assert lost == []
        found.lost(f"death {attempt}", True)
    assert queue.next_job() is None
    assert lost == [f"death {ATTEMPTS - 1}"]


def test_a_job_whose_answer_cannot_be_taken_is_not_tried_again() -> None:
    lost: list[str] = []
    queue = JobQueue(tuple)
    queue.submit(job("answered", lost))
    found = queue.next_job()
    assert found is not None
    assert found.untaken is not None
    found.untaken("KeyError: 'name'")
    assert (queue.next_job(), lost) == (None, ["KeyError: 'name'"])


def test_a_job_that_only_waited_behind_another_is_tried_for_ever() -> None:
    lost: list[str] = []
    queue = JobQueue(tuple)
    queue.submit(job("innocent", lost))
    for _ in range(3 * ATTEMPTS):
        found = queue.next_job()
        assert found is not None
        found.lost("the worker was ended by SIGKILL", False)
    assert lost == []
