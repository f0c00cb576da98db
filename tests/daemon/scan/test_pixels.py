"""Pixels that the detector marks, and counts from which it says that they are saturated."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon import small_scan
from daemon.desk import EVERYTHING, Desk, only
from daemon.small_scan import CAMERA
from livestrain_daemon.errors import StorageError
from livestrain_daemon.plan import Plan
from livestrain_daemon.scan.surroundings import GivenImages
from livestrain_daemon.scanfolder.marked import UNUSABLE_FILE, load_unusable, store_unusable
from livestrain_daemon.unusable import unusable_runs
from livestrain_wire.messages import Event

MARKED = np.zeros(CAMERA.shape, np.bool_)
MARKED[[3, 3, 40], [7, 8, 63]] = True


def planned(folder: Path, given: GivenImages, marked: NDArray[np.bool_] | None, **more: Any) -> tuple[Plan, list[str]]:
    """The plan of a scan whose detector marks pixels, and the names of its events."""
    settings = {name: more.pop(name) for name in ("analysis",) if name in more}
    small_scan.new_folder(folder / "small", **more)
    if marked is not None:
        store_unusable(folder / "small", marked)
    with Desk(folder, given, **settings) as desk:
        hand = desk.open(resumed=True)
        desk.store(*EVERYTHING)
        desk.turn()
        assert hand.scan.revision is not None
        return hand.scan.revision.plan, [event.name for event in only(desk.heard(), Event)]


def test_pixels_that_the_detector_marks_are_used_by_nothing(tmp_path: Path) -> None:
    plan, told = planned(tmp_path, GivenImages(), MARKED)
    assert plan.unusable == unusable_runs(~MARKED)
    assert "detector_pixels" in told


def test_they_join_those_of_the_configuration(tmp_path: Path) -> None:
    usable = np.ones(CAMERA.shape, np.bool_)
    usable[3, 8] = usable[0, 0] = False
    plan, _ = planned(tmp_path, GivenImages(usable_pixels=usable), MARKED)
    assert plan.unusable == unusable_runs(usable & ~MARKED)


def test_without_them_nothing_is_left_out_or_told(tmp_path: Path) -> None:
    plan, told = planned(tmp_path, GivenImages(), None)
    assert (plan.unusable, plan.corrections.saturation) == ((), None)
    assert "detector_pixels" not in told


@pytest.mark.parametrize(("configured", "holds"), [(None, 5000.0), (300.0, 300.0)])
def test_the_saturation_of_the_detector_holds_where_the_configuration_has_none(
    tmp_path: Path, configured: float | None, holds: float
) -> None:
    plan, told = planned(tmp_path, GivenImages(), None, saturation=5000.0, analysis={"saturation": configured})
    assert plan.corrections.saturation == holds
    assert ("detector_pixels" in told) == (configured is None)


def test_a_damaged_file_is_told_and_not_used(tmp_path: Path) -> None:
    plan, told = planned(tmp_path, GivenImages(), np.ones((3, 3), np.bool_))
    assert plan.unusable == ()
    assert "detector_pixels_not_used" in told


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"something else"])
def test_what_is_no_such_file_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    assert load_unusable(tmp_path, CAMERA.shape) is None
    (tmp_path / UNUSABLE_FILE).write_bytes(content)
    with pytest.raises(StorageError, match=UNUSABLE_FILE):
        load_unusable(tmp_path, CAMERA.shape)
