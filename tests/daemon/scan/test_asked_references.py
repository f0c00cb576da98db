"""The reference of a scan in hand: the median that follows, and what a user asks for."""

import pytest

from daemon.desk import EVERYTHING, Desk, entries, only
from daemon.small_scan import POSITIONS
from livestrain_daemon.scan.derived import COMPONENTS, DERIVED_NAMES, ERRORS
from livestrain_wire.messages import MapWhole, ReferenceInfo, ReferenceRequest


def test_the_median_follows_at_the_fixed_counts_and_at_the_end(desk: Desk) -> None:
    scan = desk.planned()
    found = []
    for first in range(0, POSITIONS, 20):
        desk.store((first, 20))
        desk.turn()
        desk.turn()
        assert scan.references.current is not None
        found.append((scan.references.current.kind, scan.references.current.positions))
    desk.end()
    desk.finish()
    assert [one for place, one in enumerate(found) if place == 0 or one != found[place - 1]] == [
        ("plan", 0),
        ("median", 260),
    ]
    assert scan.references.current is not None
    assert scan.references.current.positions == POSITIONS
    assert [entry["reference"]["positions"] for entry in entries(desk, "reference")] == [0, 260, POSITIONS]  # type: ignore[index]


def ask(desk: Desk, **fields: object) -> list[ReferenceInfo | str]:
    """What came of a request for a reference."""
    hand = desk.scans.newest
    assert hand is not None
    told: list[ReferenceInfo | str] = []
    hand.referencer.request(ReferenceRequest.model_validate({"id": "1", **fields}), told.append, told.append)
    desk.work()
    assert len(told) == 1
    return told


def test_a_region_of_a_user_becomes_the_reference_and_the_maps_go_out_again(analysed: Desk) -> None:
    (told,) = ask(analysed, region=(2, 3, 5, 7))
    assert isinstance(told, ReferenceInfo)
    assert (told.kind, told.region, told.positions) == ("region", (2, 3, 5, 7), 12)
    analysed.finish()
    heard = analysed.heard()
    wholes = only(heard, MapWhole)
    assert {message.name for message in wholes} >= {*COMPONENTS, *ERRORS}
    assert {message.name for message in wholes} <= DERIVED_NAMES
    assert all(message.runs == EVERYTHING and message.reference_revision == told.revision for message in wholes)


def test_values_of_a_user_hold_until_the_user_goes_back(analysed: Desk) -> None:
    hand = analysed.scans.newest
    assert hand is not None
    before = hand.scan.references.current
    assert before is not None
    (given,) = ask(analysed, values=(14.0, 0.0, 0.0, 14.0))
    assert isinstance(given, ReferenceInfo)
    analysed.finish()
    assert hand.scan.references.current == given
    (back,) = ask(analysed, revert_to=before.revision)
    assert isinstance(back, ReferenceInfo)
    assert back.vectors == before.vectors
    (again,) = ask(analysed, revert_to=before.revision)
    assert again == back


def test_a_median_that_comes_while_the_scan_runs_is_not_taken_for_a_request(desk: Desk) -> None:
    scan = desk.planned()
    desk.store((0, 100))
    desk.turn()
    (chosen,) = ask(desk, region=(0, 0, 3, 20))
    desk.store((100, POSITIONS - 100))
    desk.turn()
    desk.turn()
    followed = scan.references.current
    assert isinstance(chosen, ReferenceInfo)
    assert followed is not None
    assert followed.kind == chosen.kind == "region"
    (moved,) = ask(desk, axes="g1")
    assert isinstance(moved, ReferenceInfo)
    desk.end()
    desk.finish()
    assert (chosen.source, chosen.undo_to, moved.undo_to) == ("command", 1, followed.revision)
    (back,) = ask(desk, revert_to=moved.undo_to)
    assert isinstance(back, ReferenceInfo)
    assert (back.axes, back.undo_to) == ("detector", 1)
    (first,) = ask(desk, revert_to=back.undo_to)
    assert isinstance(first, ReferenceInfo)
    assert (first.kind, first.undo_to) == ("plan", None)


@pytest.mark.parametrize(
    "values", [(0.0, 0.0, 0.0, 0.0), (1e6, 0.0, 0.0, 1e-5), (float("inf"), 0.0, 0.0, 1.0), (float("nan"),) * 4]
)
def test_values_that_are_no_lattice_are_refused_and_do_no_harm(
    analysed: Desk, values: tuple[float, float, float, float]
) -> None:
    (told,) = ask(analysed, values=values)
    assert isinstance(told, str)
    assert "span an area" in told
    analysed.finish()
    assert only(analysed.heard(), MapWhole) == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((0.0, 14.0, 14.0, 0.0), "mirrored: there will be no strain"),
        ((1.0, 0.0, 0.0, 1.0), "would be strained by -9"),
        ((22.0, 0.0, 0.0, 14.0), "would be strained by 5"),
        ((1e150, 0.0, 0.0, 1e150), "expected 50 % at most"),
    ],
)
def test_values_that_cannot_be_the_lattice_of_the_plan_are_refused_with_both(
    analysed: Desk, values: tuple[float, float, float, float], reason: str
) -> None:
    (told,) = ask(analysed, values=values)
    assert isinstance(told, str)
    assert reason in told
    assert analysed.scans.newest is not None
    assert analysed.scans.newest.scan.revision is not None
    g1 = analysed.scans.newest.scan.revision.plan.calibration.g1
    assert g1 is not None
    assert f"plan, g1 ({g1[0]:.5g}, {g1[1]:.5g})" in told
    assert f"found g1 ({values[0]:.5g}, {values[1]:.5g})" in told
    assert "\n" not in told


@pytest.mark.parametrize("values", [(20.0, 0.0, 0.0, 14.0), (0.0, 14.0, -14.0, 0.0), (10.0, -10.0, 10.0, 10.0)])
def test_values_of_a_strained_or_turned_lattice_are_taken(
    analysed: Desk, values: tuple[float, float, float, float]
) -> None:
    (told,) = ask(analysed, values=values)
    assert isinstance(told, ReferenceInfo)
    assert told.vectors == values


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"region": (0, 0, 0, 0)}, "no good position in rows 0:0, columns 0:0 yet"),
        ({"region": (1 << 60, 0, 1 << 61, 5)}, "expected a region within 18 x 20 positions"),
        ({"revert_to": 99}, "there is no reference revision 99"),
    ],
)
def test_a_reference_that_cannot_be_had_is_refused(analysed: Desk, fields: dict[str, object], reason: str) -> None:
    (told,) = ask(analysed, **fields)
    assert isinstance(told, str)
    assert reason in told


def test_a_scan_without_a_lattice_has_no_reference(desk: Desk) -> None:
    desk.open()
    assert ask(desk, median=True) == ["the scan has no lattice"]
