from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.desk import Desk
from daemon.small_scan import LATTICE, POSITIONS
from livestrain_daemon.publish import feed as module
from livestrain_daemon.scan.derived import DERIVED_NAMES
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scan.values import read_maps
from livestrain_daemon.scanfolder import ResultState
from livestrain_wire.messages import MapPatch, MapWhole, ReferenceInfo, Run


class Told(NamedTuple):
    message: MapPatch | MapWhole
    values: NDArray[np.float64]


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush that takes its time, so that what one of them sends does not depend on the machine."""
    monkeypatch.setattr(module, "FLUSH_SECONDS", 60.0)


@pytest.fixture
def scan(desk: Desk) -> Iterator[LiveScan]:
    """A scan whose results are all in the file and none acknowledged; nothing is left to tell."""
    scan = desk.planned()
    desk.store((0, POSITIONS))
    while (job := desk.next_job()) is not None:
        desk.do(job)
    assert scan.revision is not None
    scan.revision.positions_done.reopen([(0, POSITIONS)], ResultState.ANALYSED)
    scan.feed.revision_changed()
    desk.heard()
    return scan  # type: ignore[return-value]


def acknowledge(scan: LiveScan, *runs: Run) -> None:
    assert scan.revision is not None
    scan.revision.positions_done.finish(runs, ResultState.ANALYSED)
    scan.feed.acknowledged(list(runs))


def told(desk: Desk, name: str) -> list[Told]:
    return [
        Told(message, np.frombuffer(payload, np.dtype(message.dtype).newbyteorder("<")).astype(np.float64))
        for topic, message, payload in desk.heard()
        if isinstance(message, MapPatch | MapWhole) and topic.name == name
    ]


def expected(scan: LiveScan, name: str, runs: tuple[Run, ...]) -> NDArray[np.float64]:
    assert scan.revision is not None
    values = read_maps([name], scan.revision.results, scan.references.current, 0, POSITIONS)[name]
    return np.concatenate([values[first : first + count].ravel() for first, count in runs]).astype(np.float64)


@pytest.mark.parametrize(
    "runs", [((0, 1),), ((POSITIONS - 1, 1),), ((0, POSITIONS),), tuple((first, 1) for first in range(3, 200, 7))]
)
@pytest.mark.parametrize("name", ["total", "e_xy", "centre_of_mass", "disks_used"])
def test_a_patch_holds_exactly_the_acknowledged_positions(
    desk: Desk, scan: LiveScan, runs: tuple[Run, ...], name: str
) -> None:
    acknowledge(scan, *runs)
    scan.flush()
    (one,) = told(desk, name)
    assert isinstance(one.message, MapPatch)
    assert one.message.runs == runs
    assert one.message.revision == 1
    assert one.message.reference_revision == (1 if name in DERIVED_NAMES else 0)
    np.testing.assert_array_equal(one.values, expected(scan, name, runs))
    assert scan.feed.idle


def test_what_is_acknowledged_between_two_flushes_is_sent_once(desk: Desk, scan: LiveScan) -> None:
    for first in (30, 0, 10, 20):
        acknowledge(scan, (first, 10))
    acknowledge(scan, (50, 2))
    scan.flush()
    (one,) = told(desk, "total")
    assert one.message.runs == ((0, 40), (50, 2))
    scan.flush()
    assert told(desk, "total") == []


def test_nothing_is_sent_when_nothing_is_new(desk: Desk, scan: LiveScan) -> None:
    scan.flush()
    assert desk.heard() == []


def test_a_large_gap_splits_patches_into_windows(desk: Desk, scan: LiveScan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 100)
    acknowledge(scan, (5, 3), (90, 40), (300, 60))
    scan.flush()
    patches = told(desk, "total")
    assert [one.message.runs for one in patches] == [((5, 3), (90, 15)), ((105, 25),), ((300, 60),)]
    together = np.concatenate([one.values for one in patches])
    np.testing.assert_array_equal(together, expected(scan, "total", ((5, 3), (90, 40), (300, 60))))


def test_a_flush_that_takes_too_long_leaves_the_rest_for_the_next(
    desk: Desk, scan: LiveScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 100)
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.004)
    now = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: 0.003 * next(now))
    acknowledge(scan, (0, POSITIONS))
    assert scan.revision is not None
    scan.feed.flush(scan.revision, scan.references.current)
    assert not scan.feed.idle
    runs: list[Run] = []
    for _ in range(10):
        scan.flush()
    runs = [run for one in told(desk, "total") for run in one.message.runs]
    assert runs == [(0, 100), (100, 100), (200, 100), (300, 60)]
    assert scan.feed.idle


def test_a_new_reference_sends_derived_maps_whole_and_stored_ones_not(
    desk: Desk, scan: LiveScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 100)
    acknowledge(scan, (10, 30), (150, 5))
    scan.flush()
    desk.heard()
    g1, g2 = (1.01 * LATTICE.vectors()).tolist()
    scan.adopt_reference(ReferenceInfo(revision=0, kind="values", vectors=(*g1, *g2)))
    for _ in range(4):
        assert not scan.feed.idle
        scan.flush()
    assert scan.feed.idle
    heard = desk.heard()
    wholes = [one.message for one in heard if isinstance(one.message, MapWhole)]
    assert scan.revision is not None
    assert {message.name for message in wholes} == {info.name for info in scan.revision.maps if info.derived}
    assert [one for one in heard if isinstance(one.message, MapPatch)] == []
    mine = [(m.first, m.runs, m.reference_revision) for m in wholes if m.name == "e_xx"]
    assert mine == [(True, ((10, 30),), 2), (False, ((150, 5),), 2)]


def test_a_new_reference_voids_the_maps_even_where_nothing_is_analysed(desk: Desk, scan: LiveScan) -> None:
    scan.adopt_reference(ReferenceInfo(revision=0, kind="values", vectors=(10.0, 0.0, 0.0, 10.0)))
    scan.flush()
    (one,) = told(desk, "theta")
    assert isinstance(one.message, MapWhole)
    assert (one.message.first, one.message.runs, len(one.values)) == (True, (), 0)


def test_a_reference_that_changes_while_maps_go_out_starts_them_again(
    desk: Desk, scan: LiveScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 100)
    acknowledge(scan, (0, POSITIONS))
    scan.flush()
    desk.heard()
    scan.adopt_reference(ReferenceInfo(revision=0, kind="values", vectors=(10.0, 0.0, 0.0, 10.0)))
    scan.flush()
    scan.adopt_reference(ReferenceInfo(revision=0, kind="values", vectors=(11.0, 0.0, 0.0, 11.0)))
    while not scan.feed.idle:
        scan.flush()
    parts = [(one.message.reference_revision, one.message.runs) for one in told(desk, "e_yy")]
    assert parts == [(2, ((0, 100),)), (3, ((0, 100),)), (3, ((100, 100),)), (3, ((200, 100),)), (3, ((300, 60),))]


def test_what_waited_under_an_old_plan_is_not_sent(desk: Desk, scan: LiveScan) -> None:
    acknowledge(scan, (0, 50))
    scan.feed.revision_changed()
    assert scan.feed.idle
    scan.flush()
    assert desk.heard() == []
