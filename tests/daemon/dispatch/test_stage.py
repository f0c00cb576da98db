import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from livestrain_daemon.dispatch.stage import Order, StageProgress
from livestrain_daemon.scanfolder import ResultState
from livestrain_wire.messages import Run

UNITS = 40
PENDING, ANALYSED, FAILED, DROPPED, MISSING = ResultState
runs = st.integers(0, UNITS - 1).flatmap(lambda first: st.tuples(st.just(first), st.integers(0, UNITS - first)))
steps = st.lists(st.tuples(st.sampled_from(["offer", "take", "finish", "drop", "reopen"]), runs), max_size=30)


class Row:
    """A ledger row in memory."""

    def __init__(self, states: NDArray[np.uint8]) -> None:
        self.states = states.copy()

    def write_ledger(self, stage: str, first: int, states: int, count: int) -> None:
        assert stage == "diffraction"
        assert 0 <= first < first + count <= UNITS
        self.states[first : first + count] = states


def new_stage(states: NDArray[np.uint8] | None = None) -> tuple[StageProgress, Row]:
    known = np.zeros(UNITS, np.uint8) if states is None else states
    row = Row(known)
    return StageProgress("diffraction", known, row), row


@given(steps, st.sampled_from([ANALYSED, FAILED, MISSING]), st.sampled_from(["sequential", "newest"]))
def test_counts_add_up_and_the_ledger_says_the_same_whatever_happens(
    todo: list[tuple[str, Run]], state: ResultState, order: Order
) -> None:
    stage, row = new_stage()
    for what, run in todo:
        if what == "offer":
            stage.offer([run])
        elif what == "take":
            taken = stage.take(run[1], order)
            assert all((stage.states()[first : first + count] == PENDING).all() for first, count in taken)
        elif what == "finish":
            before = stage.states().copy()
            changed = stage.finish([run], state)
            now_different = np.flatnonzero(before != stage.states()).tolist()
            assert now_different == [p for first, count in changed for p in range(first, first + count)]
        elif what == "drop":
            stage.drop([run])
        else:
            stage.reopen([run], MISSING, FAILED)
        counts = stage.counts()
        assert sum(counts.model_dump().values()) == UNITS
        assert counts.pending == stage.unfinished == int((stage.states() == PENDING).sum())
        assert stage.waiting <= stage.unfinished
        np.testing.assert_array_equal(row.states, stage.states())


def test_states_from_the_ledger_of_an_earlier_life_are_kept() -> None:
    states = np.array([ANALYSED, FAILED, DROPPED, MISSING] * 10, np.uint8)
    stage, _ = new_stage(states)
    stage.offer([(0, UNITS)])
    assert stage.waiting == 0
    assert stage.counts().model_dump() == {"analysed": 10, "failed": 10, "dropped": 10, "missing": 10, "pending": 0}


@pytest.mark.parametrize(("order", "expected"), [("sequential", [(2, 3)]), ("newest", [(20, 1), (30, 2)])])
def test_the_order_decides_what_is_taken_first(order: Order, expected: list[Run]) -> None:
    stage, _ = new_stage()
    stage.offer([(2, 5), (20, 1), (30, 2)])
    assert stage.take(3, order) == expected


def test_what_has_a_final_state_is_not_offered_again() -> None:
    stage, _ = new_stage()
    stage.finish([(3, 2)], ANALYSED)
    stage.offer([(0, 8)])
    assert stage.take(100, "sequential") == [(0, 3), (5, 3)]


def test_the_first_final_state_stays() -> None:
    stage, _ = new_stage()
    assert stage.finish([(3, 2)], ANALYSED) == [(3, 2)]
    assert stage.finish([(2, 4)], FAILED) == [(2, 1), (5, 1)]
    assert stage.states()[2:6].tolist() == [FAILED, ANALYSED, ANALYSED, FAILED]


def test_only_waiting_units_are_dropped() -> None:
    stage, _ = new_stage()
    stage.offer([(0, 10)])
    stage.take(4, "sequential")
    stage.drop([(0, 6)])
    assert stage.states()[:6].tolist() == [PENDING] * 4 + [DROPPED] * 2
    assert stage.waiting == 4


def test_a_missing_unit_that_comes_after_all_can_be_worked_on() -> None:
    stage, _ = new_stage()
    stage.finish([(0, 4)], MISSING)
    stage.reopen([(1, 2)], MISSING)
    stage.offer([(1, 2)])
    assert stage.take(10, "sequential") == [(1, 2)]
    assert stage.counts().missing == 2


def test_nobody_else_can_change_the_states() -> None:
    stage, _ = new_stage()
    with pytest.raises(ValueError, match="read-only"):
        stage.states()[0] = ANALYSED
