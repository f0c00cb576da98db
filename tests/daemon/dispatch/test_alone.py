"""Jobs that must be alone in a worker."""

from dataclasses import replace

from daemon.dispatch.puppet import Puppet, without_preparation


def test_a_job_that_must_be_alone_waits_for_an_empty_worker_and_keeps_it(puppet: Puppet) -> None:
    assert puppet.offer(without_preparation(puppet), without_preparation(puppet, alone=True)) == 1
    assert puppet.offer(without_preparation(puppet)) == 0, "the one that waits comes first"
    puppet.answer()
    assert puppet.offer(without_preparation(puppet), without_preparation(puppet)) == 1
    (worker,) = puppet.pool._workers.values()
    assert [held.job.alone for held in worker.held] == [True]
    puppet.answer()
    assert puppet.offer(without_preparation(puppet), without_preparation(puppet)) == 2


def test_a_job_that_must_be_alone_comes_after_its_preparation_not_behind_it(puppet: Puppet) -> None:
    suspected: list[bool] = []
    job = replace(puppet.job(1), alone=True, lost=lambda reason, suspect: suspected.append(suspect))
    assert puppet.offer(job) == 1
    (worker,) = puppet.pool._workers.values()
    puppet.answer()
    assert puppet.offer(without_preparation(puppet)) == 1
    assert [held.job.alone for held in worker.held] == [True]
    # its worker dies without a word
    puppet.replace()
    puppet.pool.maintain()
    assert suspected == [True]
    assert puppet.pool._prepare_failures == {}


def test_a_job_that_must_be_alone_outlives_the_worker_that_it_waits_for(puppet: Puppet) -> None:
    assert puppet.offer(without_preparation(puppet), without_preparation(puppet, alone=True)) == 1
    puppet.replace()
    assert puppet.offer() == 1
    (worker,) = puppet.pool._workers.values()
    assert [held.job.alone for held in worker.held] == [True]


def test_jobs_that_need_not_be_alone_share_a_worker(puppet: Puppet) -> None:
    assert puppet.offer(without_preparation(puppet), without_preparation(puppet)) == 2
