from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daemon.small_scan import POSITIONS, frames, new_folder
from livestrain_daemon.scan.seen import FramesSeen
from livestrain_daemon.scanfolder import FrameState, FrameWriter

STORED, MISSING, RECYCLED = FrameState.STORED, FrameState.MISSING, FrameState.RECYCLED


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[FrameWriter]:
    with FrameWriter(new_folder(tmp_path / "scan")) as one:
        yield one


@pytest.fixture
def seen(writer: FrameWriter) -> Iterator[FramesSeen]:
    one = FramesSeen(writer.layout.folder)
    yield one
    one.close()


def test_it_begins_with_what_the_ledger_says(writer: FrameWriter) -> None:
    writer.write_run(3, frames()[3:5])
    writer.mark([(10, 4)], MISSING)
    one = FramesSeen(writer.layout.folder)
    assert (one.positions, one.stored, one.missing) == (POSITIONS, 2, 4)
    one.close()


def test_a_hint_is_news_once(seen: FramesSeen) -> None:
    assert seen.note([(0, 4), (8, 2)], STORED) == [(0, 4), (8, 2)]
    assert seen.note([(2, 8)], STORED) == [(4, 4)]
    assert seen.note([(0, 10)], STORED) == []
    assert seen.stored == 10


def test_an_overwritten_frame_has_come_all_the_same(seen: FramesSeen) -> None:
    seen.note([(0, 4)], STORED)
    seen.note([(1, 2)], RECYCLED)
    assert (seen.stored, seen.missing) == (4, 0)


@pytest.mark.parametrize("run", [(POSITIONS, 1), (0, POSITIONS + 1), (1 << 62, 1), (5, 1 << 62)])
def test_a_hint_beyond_the_scan_is_ignored(seen: FramesSeen, run: tuple[int, int]) -> None:
    assert seen.note([run, (0, 1)], STORED) == [(0, 1)]
    assert seen.stored == 1


def test_an_empty_hint_is_no_news(seen: FramesSeen) -> None:
    assert seen.note([(0, 0), (POSITIONS, 0)], STORED) == []


def test_the_ledger_tells_of_hints_that_were_lost(writer: FrameWriter, seen: FramesSeen) -> None:
    seen.note([(0, 2)], STORED)
    writer.write_run(0, frames()[:5])
    writer.mark([(9, 1)], MISSING)
    assert seen.read_ledger() == [(2, 3)]
    assert seen.read_ledger() == []
    assert (seen.stored, seen.missing) == (5, 1)


def test_nobody_else_can_change_what_was_seen(seen: FramesSeen) -> None:
    with pytest.raises(ValueError, match="read-only"):
        seen.states[0] = STORED
    assert seen.states.dtype == np.uint8
