import math

import pytest

from livestrain_daemon.scan.references import FIRST_MEDIAN, References, spans_area
from livestrain_wire.messages import ReferenceInfo

VECTORS = (10.0, 0.0, 0.0, 10.0)
PLAN = ReferenceInfo(revision=0, kind="plan", vectors=VECTORS)
VALUES = ReferenceInfo(revision=0, kind="values", vectors=(9.0, 0.0, 0.0, 9.0))


def test_each_new_reference_gets_the_next_revision() -> None:
    references = References()
    before = references.current
    assert before is None
    assert references.adopt(PLAN).revision == 1
    assert references.adopt(VALUES).revision == 2
    assert references.current == VALUES.model_copy(update={"revision": 2})
    assert references.get(1) == PLAN.model_copy(update={"revision": 1})
    assert references.get(3) is None


def test_the_reference_that_holds_already_is_not_adopted_again() -> None:
    references = References()
    first = references.adopt(PLAN)
    assert references.adopt(PLAN) is first
    assert references.adopt(first) is first


def test_going_back_is_a_new_revision_with_the_old_vectors() -> None:
    references = References()
    first = references.adopt(PLAN)
    references.adopt(VALUES)
    back = references.adopt(first)
    assert (back.revision, back.vectors, back.kind) == (3, VECTORS, "plan")
    assert references.adopt(first) is back


def median(shift: float, **fields: object) -> ReferenceInfo:
    return ReferenceInfo.model_validate(
        {"revision": 0, "kind": "median", "vectors": (10.0 + shift, 0.0, 0.0, 10.0), **fields}
    )


def undone(references: References) -> ReferenceInfo:
    """What holds after an undo."""
    current = references.current
    assert current is not None
    assert current.undo_to is not None
    back = references.get(current.undo_to)
    assert back is not None
    return references.adopt(back, by_command=True)


def test_a_median_between_a_request_and_its_undo_is_not_what_is_undone() -> None:
    references = References()
    references.adopt(PLAN)
    references.adopt(VALUES, by_command=True)
    region = references.adopt(median(0.1, kind="region", region=(0, 0, 2, 2)), by_command=True)
    later = references.adopt(median(0.2, kind="region", region=(0, 0, 2, 2)))
    assert (region.source, region.undo_to, later.source, later.undo_to) == ("command", 2, "automatic", 2)
    assert undone(references).vectors == VALUES.vectors


def test_each_undo_goes_one_request_further_back_until_there_is_none() -> None:
    references = References()
    references.adopt(PLAN)
    references.adopt(median(0.3))
    references.adopt(VALUES, by_command=True)
    references.adopt(median(0.5), by_command=True)
    references.adopt(median(0.6))
    assert undone(references).vectors == VALUES.vectors
    last = undone(references)
    assert (last.kind, last.vectors) == ("median", median(0.3).vectors)
    assert last.undo_to is None
    # a new request can be undone again
    references.adopt(VALUES, by_command=True)
    assert undone(references).vectors == last.vectors


def test_going_back_by_name_can_be_repeated_and_undone() -> None:
    references = References()
    first = references.adopt(PLAN)
    values = references.adopt(VALUES, by_command=True)
    other = references.adopt(median(0.5), by_command=True)
    back = references.adopt(first, by_command=True)
    assert back.undo_to == other.revision
    assert references.adopt(first, by_command=True) is back
    assert undone(references).vectors == other.vectors
    undo = references.adopt(values, by_command=True)
    assert undo.undo_to == first.revision
    assert references.adopt(values, by_command=True) is undo


def test_a_reference_of_an_older_journal_has_nothing_to_undo() -> None:
    recorded = VALUES.model_dump(mode="json", exclude={"source", "undo_to"}) | {"revision": 3}
    current = References([ReferenceInfo.model_validate(recorded)]).current
    assert current is not None
    assert (current.source, current.undo_to) == ("automatic", None)


def test_an_earlier_life_is_taken_up_where_it_ended() -> None:
    earlier = [info.model_copy(update={"revision": revision}) for revision, info in ((1, PLAN), (2, VALUES))]
    references = References(earlier)
    assert references.current == earlier[1]
    assert references.adopt(PLAN).revision == 3


def test_medians_are_due_once_at_each_doubling() -> None:
    references = References()
    assert not references.median_due(10_000)
    references.adopt(PLAN)
    due = [count for count in range(0, 3000, 8) if references.median_due(count)]
    assert due == [FIRST_MEDIAN, 2 * FIRST_MEDIAN, 4 * FIRST_MEDIAN, 8 * FIRST_MEDIAN]


def test_a_jump_over_several_counts_makes_one_median_due() -> None:
    references = References([PLAN])
    assert references.median_due(5000)
    assert not references.median_due(8191)
    assert references.median_due(8192)


def test_a_new_plan_starts_the_counts_anew() -> None:
    references = References([PLAN])
    assert references.median_due(FIRST_MEDIAN)
    references.restart_medians()
    assert references.median_due(FIRST_MEDIAN)


def test_values_of_a_user_do_not_follow_the_data() -> None:
    references = References([VALUES])
    assert not references.follows_data
    assert not references.median_due(FIRST_MEDIAN)


def test_a_region_stays_wanted() -> None:
    references = References([PLAN.model_copy(update={"kind": "region", "region": (0, 0, 2, 2)})])
    assert references.follows_data
    assert references.region == (0, 0, 2, 2)


@pytest.mark.parametrize(
    "vectors",
    [
        (0.0, 0.0, 0.0, 0.0),
        (1.0, 2.0, 2.0, 4.0),
        (math.nan, 0.0, 0.0, 1.0),
        (math.inf, 0.0, 0.0, 1.0),
        (1e6, 0.0, 0.0, 1e-5),
        (1e200, 0.0, 0.0, 1e200),
    ],
)
def test_vectors_that_span_no_area_are_recognised(vectors: tuple[float, float, float, float]) -> None:
    assert not spans_area(vectors)


@pytest.mark.parametrize("vectors", [VECTORS, (3.0, 4.0, -4.0, 3.0), (0.0, 10.0, 10.0, 0.0), (1e-3, 0.0, 0.0, 1e-3)])
def test_vectors_that_span_an_area_are_good(vectors: tuple[float, float, float, float]) -> None:
    assert spans_area(vectors)
