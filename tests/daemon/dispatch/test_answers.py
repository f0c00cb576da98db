"""What becomes of the pool by what a worker answers."""

import time
from dataclasses import replace
from typing import Any

import psutil
import pytest

from daemon.dispatch.puppet import Puppet
from helpers.waiting import wait_until
from livestrain_daemon.dispatch.held import PREPARED_KEPT
from livestrain_daemon.dispatch.pool import PREPARE_ATTEMPTS


def broken(*_: object) -> None:
    raise KeyError("nobody has thought of it")


def test_a_plan_that_can_never_be_prepared_is_given_up(puppet: Puppet) -> None:
    for _ in range(PREPARE_ATTEMPTS):
        puppet.fail(1)
    assert set(puppet.lost) == {"no"}
    puppet.fail(1)
    assert puppet.lost[-1] == "no worker could prepare the plan"


@pytest.mark.parametrize(
    "changes", [{"done": broken}, {"done": broken, "untaken": broken}, {"done": broken, "lost": broken}]
)
def test_an_answer_that_cannot_be_taken_ends_nothing_and_is_counted(puppet: Puppet, changes: dict[str, Any]) -> None:
    puppet.hand(replace(puppet.job(1), **changes))
    assert puppet.pool.internal_errors == len(changes)
    assert puppet.lost == (["KeyError: 'nobody has thought of it'"] if len(changes) == 1 else [])
    puppet.do(1)
    assert (puppet.pool.outstanding, puppet.pool.internal_errors) == (0, len(changes))


def test_an_answer_that_can_be_taken_is_no_internal_error(puppet: Puppet) -> None:
    puppet.do(1)
    assert (puppet.pool.internal_errors, puppet.lost) == (0, [])


@pytest.mark.parametrize("stopped", [True, False])
def test_a_worker_that_hangs_while_it_prepares_is_found_and_one_that_computes_is_not(stopped: bool) -> None:
    puppet = Puppet(["/bin/sh", "-c", "while :; do :; done"], timeout_seconds=0.5)
    try:
        (worker,) = puppet.pool._workers.values()
        if stopped:
            psutil.Process(worker.process.pid).suspend()
        assert puppet.offer(puppet.job(1)) == 2
        # the sign of life that was asked for before
        puppet.answer()
        patience = time.monotonic() + 1.5

        def over() -> bool:
            puppet.pool.maintain()
            return puppet.pool.deaths > 0 or time.monotonic() > patience

        wait_until(over, what="a death, or none")
        assert puppet.pool.deaths == stopped
        assert puppet.lost == (["the worker used no processor time for 0.5 s"] if stopped else [])
    finally:
        puppet.close()


def test_only_failures_in_a_row_give_a_plan_up(puppet: Puppet) -> None:
    for _ in range(2 * PREPARE_ATTEMPTS):
        puppet.fail(1)
        puppet.do(1)
        puppet.replace()
    assert set(puppet.lost) == {"no"}
    assert puppet.prepared == 2 * PREPARE_ATTEMPTS


def test_revisions_in_use_are_prepared_once_and_old_ones_are_forgotten(puppet: Puppet) -> None:
    for revision in range(3 * PREPARED_KEPT):
        puppet.do(revision)
        puppet.do(0)
    assert puppet.prepared == 3 * PREPARED_KEPT
    (worker,) = puppet.pool._workers.values()
    assert len(worker.prepared) == PREPARED_KEPT
    puppet.do(1)
    assert puppet.prepared == 3 * PREPARED_KEPT + 1
