from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from livestrain_daemon.runset import RunSet, size, split
from livestrain_wire.messages import Run

TOP = 60
runs = st.tuples(st.integers(0, TOP), st.integers(0, TOP // 2))
steps = st.lists(st.tuples(st.sampled_from(["add", "remove", "first", "last"]), runs), max_size=30)


def positions(some: list[Run]) -> list[int]:
    return [position for first, count in some for position in range(first, first + count)]


@given(steps)
def test_it_holds_what_a_set_of_numbers_holds_after_the_same_steps(todo: list[tuple[str, Run]]) -> None:
    kept = RunSet()
    expected: set[int] = set()
    for what, (first, count) in todo:
        here = set(range(first, first + count))
        if what == "add":
            kept.add(first, count)
            expected |= here
        elif what == "remove":
            kept.remove(first, count)
            expected -= here
        else:
            ordered = sorted(expected)
            wanted = ordered[:count] if what == "first" else ordered[len(ordered) - min(count, len(ordered)) :]
            taken = kept.take_first(count) if what == "first" else kept.take_last(count)
            assert positions(taken) == wanted
            expected -= set(wanted)
        assert positions(list(kept)) == sorted(expected)
        assert len(kept) == len(expected)
        assert _apart(list(kept))


@given(st.lists(runs, max_size=12), runs)
def test_the_overlap_is_what_two_sets_share(some: list[Run], window: Run) -> None:
    overlap = RunSet(some).overlap(*window)
    assert positions(overlap) == sorted(set(positions(some)) & set(positions([window])))
    assert all(count > 0 for _, count in overlap)


@given(st.lists(runs.filter(lambda run: run[1] > 0), max_size=12))
def test_the_halves_hold_every_position_once_and_differ_by_one_at_most(some: list[Run]) -> None:
    before, after = split(some)
    assert positions(before) + positions(after) == positions(some)
    assert size(before) + size(after) == size(some)
    assert 0 <= size(after) - size(before) <= 1


def test_neighbours_become_one_run() -> None:
    assert list(RunSet([(5, 5), (0, 5), (12, 1)])) == [(0, 10), (12, 1)]


def test_taking_nothing_takes_nothing() -> None:
    kept = RunSet([(3, 4)])
    assert kept.take_first(0) == kept.take_last(0) == []
    assert len(kept) == 4


def _apart(some: list[Run]) -> bool:
    return all(count > 0 for _, count in some) and all(
        first + count < later for (first, count), (later, _) in pairwise(some)
    )
