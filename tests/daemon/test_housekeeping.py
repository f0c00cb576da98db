"""The spool within its limits, with scans in memory that must not be touched."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.desk import EVERYTHING, Desk, entries, only
from helpers.waiting import wait_until
from livestrain_daemon import housekeeping
from livestrain_daemon.config import AnalysisConfig, Config, SpoolConfig
from livestrain_daemon.errors import StorageError
from livestrain_daemon.housekeeping import Housekeeper, named_scans
from livestrain_daemon.intake_config import IntakeConfig, ScanGeometry
from livestrain_daemon.messages import RoomMade
from livestrain_daemon.retention import Limits
from livestrain_daemon.scanfolder import FrameWriter, Spool, open_frames
from livestrain_daemon.scanfolder.files import free_bytes
from livestrain_daemon.scanfolder.hold import held
from livestrain_daemon.scanfolder.removal import NAMES_FILE, PREFIX, leftovers, set_aside
from livestrain_wire.messages import Event, ScanEntry

HUGE = 1 << 60


class Kept:
    """A desk with a housekeeper."""

    def __init__(self, desk: Desk, limits: Limits, named: Collection[str] = ()) -> None:
        self.desk = desk
        self.told: list[RoomMade] = []
        self.spool = Spool.joined(desk.folder)
        self.keeper = Housekeeper(self.spool, limits, desk.scans, desk.publisher, self.told.append, named)

    def scan(self, scan_id: str) -> None:
        """A scan that begins, is analysed and ends."""
        self.desk.planned(scan_id=scan_id)
        self.desk.store(*EVERYTHING, scan_id=scan_id)
        self.desk.end(scan_id)
        self.desk.finish()

    def settle(self) -> None:
        """Turns until there is nothing to do."""

        def idle() -> bool:
            self.keeper.turn()
            return not (self.keeper._looking or self.keeper._reader.waiting or self.keeper._remover.waiting)

        # what one look has removed another one sees
        for _ in range(2):
            wait_until(idle, 20, "the housekeeper")

    def answer(self) -> None:
        """Turns until the intake has been answered."""

        def told() -> bool:
            self.keeper.turn()
            return bool(self.told)

        wait_until(told, 20, "the answer")

    def left(self) -> list[str]:
        """The scans that there are."""
        return sorted(path.name for path in self.desk.folder.iterdir() if (path / "frames.h5").exists())

    def listed(self) -> list[ScanEntry]:
        """The list that a client gets."""
        found: list[list[ScanEntry]] = []
        self.keeper.entries(found.append, lambda reason, text: None)
        self.settle()
        return found[0]

    def removed_by_hand(self, scan_id: str) -> str:
        """Empty where it was removed, else why not."""
        said: list[str] = []
        self.keeper.remove(scan_id, lambda: said.append(""), lambda reason, text: said.append(text))
        self.settle()
        assert len(said) == 1
        return said[0]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Callable[..., Kept]]:
    with _desk(tmp_path) as make:
        yield make


@contextmanager
def _desk(folder: Path) -> Iterator[Callable[..., Kept]]:
    made: list[Kept] = []
    with Desk(folder) as desk:

        def make(named: Collection[str] = (), **limits: int) -> Kept:
            made.append(Kept(desk, Limits(**limits), named))
            return made[-1]

        yield make
        for one in made:
            one.keeper.close()


def test_the_oldest_scan_goes_when_there_is_one_too_many(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=2)
    for name in "abc":
        spool.scan(name)
        spool.settle()
    assert spool.left() == ["b", "c"]
    assert spool.keeper.removed == {"count": 1}
    (event,) = [event for event in only(spool.desk.heard(), Event) if event.name == "scan_removed"]
    assert event.text.startswith("scan a of ")
    assert event.text.endswith(" MB is removed: more scans than spool.keep_scans")


def test_without_limits_all_stay(kept: Callable[..., Kept]) -> None:
    spool = kept()
    for name in "abc":
        spool.scan(name)
        spool.settle()
    assert spool.left() == ["a", "b", "c"]
    assert spool.keeper.removed == {}


def test_a_scan_whose_analysis_lags_stays_until_it_is_done(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    spool.desk.planned(scan_id="a")
    spool.desk.store(*EVERYTHING, scan_id="a")
    spool.desk.end("a")
    spool.desk.planned(scan_id="b")
    spool.settle()
    states = {entry.scan_id: entry.state for entry in spool.listed()}
    assert states == {"a": "analysing", "b": "receiving"}
    assert spool.left() == ["a", "b"]
    spool.desk.store(*EVERYTHING, scan_id="b")
    spool.desk.end("b")
    spool.desk.finish()
    spool.settle()
    assert spool.left() == ["b"]
    assert spool.desk.scans.find("a") is None


def test_a_retained_scan_stays_until_it_is_released(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    spool.scan("a")
    spool.keeper.retain("a", True)
    spool.scan("b")
    spool.scan("c")
    spool.settle()
    assert spool.left() == ["a", "c"]
    assert [entry.retained for entry in spool.listed()] == [False, True]
    spool.keeper.retain("a", False)
    spool.settle()
    assert spool.left() == ["c"]
    with pytest.raises(StorageError, match="no scan b in "):
        spool.keeper.retain("b", True)


def test_retaining_while_the_spool_is_looked_at_is_not_too_late(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    spool.keeper.turn()
    wait_until(lambda: spool.keeper._reader._outcomes, 20, "the look")
    spool.keeper.retain("a", True)
    spool.settle()
    assert spool.left() == ["a", "b"]


def test_room_is_made_for_a_scan_that_needs_it(kept: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    # the desk keeps its files open, so that their space does not come back
    monkeypatch.setattr(housekeeping, "FREED_SECONDS", 0.05)
    spool = kept(scans=9)
    for name in "abc":
        spool.scan(name)
    spool.settle()
    size = spool.listed()[0].size_bytes
    # other programs use the same disk, by less than this
    spool.keeper.make_room(free_bytes(spool.desk.folder) + size // 2)
    spool.answer()
    assert spool.keeper.removed["room"] >= 1
    assert "c" in spool.left()


def test_where_there_can_be_no_room_nothing_is_removed_and_the_intake_hears_of_it(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=9)
    for name in "abc":
        spool.scan(name)
    spool.keeper.make_room(HUGE)
    spool.answer()
    assert spool.told == [RoomMade()]
    assert spool.left() == ["a", "b", "c"]
    (event,) = [event for event in only(spool.desk.heard(), Event) if event.name == "spool_over_limit"]
    assert event.text.startswith("the new scan needs ")


def test_without_limits_there_is_no_room_to_wait_for(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.scan("a")
    spool.keeper.make_room(HUGE)
    spool.answer()
    assert spool.left() == ["a"]


def test_a_limit_that_cannot_be_kept_is_told_once(kept: Callable[..., Kept]) -> None:
    spool = kept(size_bytes=1)
    for name in "abc":
        spool.scan(name)
        spool.settle()
    assert spool.left() == ["c"]
    events = [event for event in only(spool.desk.heard(), Event) if event.name == "spool_over_limit"]
    assert len(events) == 1
    assert "must stay take" in events[0].text


def test_a_scan_is_removed_by_hand_once_it_is_over_and_released(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.scan("a")
    spool.desk.planned(scan_id="b")
    assert spool.removed_by_hand("b") == "scan b is not over: receiving"
    spool.keeper.retain("a", True)
    assert spool.removed_by_hand("a") == "scan a is retained: release it first"
    spool.keeper.retain("a", False)
    assert spool.removed_by_hand("a") == ""
    assert spool.removed_by_hand("a").startswith("no scan a in ")
    assert spool.left() == ["b"]
    assert spool.keeper.removed == {"asked": 1}


def test_the_newest_scan_can_be_removed_by_hand_while_it_is_shown(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.scan("a")
    assert spool.removed_by_hand("a") == ""
    assert spool.desk.scans.newest is None
    spool.scan("b")
    assert spool.left() == ["b"]


def test_an_unfinished_scan_stays_as_long_as_it_may_be_gone_on_with(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    spool.desk.planned(scan_id="a")
    spool.desk.store(*EVERYTHING, scan_id="a")
    spool.desk.scans.forget("a")
    spool.scan("b")
    spool.settle()
    assert [entry.state for entry in spool.listed()] == ["ended", "unfinished"]
    assert spool.left() == ["a", "b"]


def test_a_scan_that_nobody_goes_on_with_is_given_up_and_that_is_said(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    spool.keeper.expect_no_more()
    _left_unfinished(spool, "a")
    spool.scan("b")
    spool.settle()
    assert spool.left() == ["b"]
    (event,) = [event for event in only(spool.desk.heard(), Event) if event.name == "scan_removed"]
    assert event.text.endswith("though it was never analysed to its end")


def test_what_an_earlier_daemon_has_not_deleted_is_deleted_at_the_start(kept: Callable[..., Kept]) -> None:
    first = kept()
    first.scan("a")
    first.desk.scans.forget("a")
    set_aside(first.desk.folder / "a")
    assert len(leftovers(first.desk.folder)) == 1
    kept().settle()
    assert leftovers(first.desk.folder) == []


def test_a_scan_that_cannot_be_removed_is_told_left_and_tried_again_later(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    # no folder can be given the name of a link that points nowhere
    in_the_way = spool.desk.folder / f"{PREFIX}a"
    in_the_way.symlink_to("nowhere")
    spool.settle()
    assert spool.left() == ["a", "b"]
    assert spool.removed_by_hand("a").endswith("cannot be removed: Not a directory")
    in_the_way.unlink()
    spool.scan("c")
    spool.settle()
    assert spool.left() == ["a", "c"]
    spool.keeper._stuck = dict.fromkeys(spool.keeper._stuck, 0.0)
    spool.keeper._next_look = 0.0
    spool.settle()
    assert spool.left() == ["c"]


def test_an_id_that_cannot_be_noted_is_no_reason_to_keep_a_scan(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    (spool.desk.folder / NAMES_FILE).mkdir()
    spool.settle()
    assert spool.left() == ["b"]
    assert spool.spool.is_taken("a")
    (spool.desk.folder / NAMES_FILE).rmdir()
    kept(scans=1).settle()
    assert leftovers(spool.desk.folder) == []
    assert spool.spool.is_taken("a")


def test_a_scan_that_the_configuration_names_stays(kept: Callable[..., Kept]) -> None:
    spool = kept(named={"a"}, scans=1)
    for name in "abc":
        spool.scan(name)
    spool.settle()
    assert spool.left() == ["a", "c"]
    assert spool.removed_by_hand("a") == "scan a is named in the configuration"


def test_the_scans_that_the_configuration_names_are_those_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "spool")
    spool = tmp_path / "spool"
    analysis = AnalysisConfig(
        plan=spool / "a" / "results-0001.h5",
        vacuum_probe=tmp_path / "link" / "b" / "image.npy",
        dark=tmp_path / "dark.npy",
        gain=spool / "c",
    )
    assert named_scans(analysis, spool) == {"a", "b", "c"}
    assert named_scans(AnalysisConfig(), spool) == set()


def test_every_file_that_the_configuration_names_counts(tmp_path: Path) -> None:
    intake = IntakeConfig(scan=ScanGeometry(shape=(4, 4), positions=tmp_path / "spool" / "a" / "positions.npy"))
    config = Config(spool=SpoolConfig(folder=tmp_path / "spool"), intake=intake)
    assert named_scans(config, config.spool.folder) == {"a"}
    assert named_scans(Config(spool=config.spool), config.spool.folder) == set()


def test_a_scan_that_is_a_link_is_named_by_its_name_in_the_spool(tmp_path: Path) -> None:
    (tmp_path / "store" / "cal").mkdir(parents=True)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "cal").symlink_to(tmp_path / "store" / "cal")
    assert named_scans(AnalysisConfig(plan=tmp_path / "spool" / "cal"), tmp_path / "spool") == {"cal"}


def test_an_unfinished_scan_is_removed_by_hand_only_when_nobody_goes_on_with_it(kept: Callable[..., Kept]) -> None:
    spool = kept()
    _left_unfinished(spool, "a")
    assert spool.removed_by_hand("a") == "scan a is unfinished, and may still be gone on with"
    spool.keeper.expect_no_more()
    assert spool.removed_by_hand("a") == ""


def test_a_scan_that_is_being_written_is_not_removed_though_nobody_has_heard_of_it(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.keeper.expect_no_more()
    _left_unfinished(spool, "a")
    with FrameWriter(open_frames(spool.desk.folder / "a")):
        assert spool.removed_by_hand("a").endswith("a: is being written or exported: try again")
    assert spool.removed_by_hand("a") == ""


def test_a_scan_that_is_being_exported_is_passed_over_until_that_is_done(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    with held(spool.desk.folder / "a"):
        spool.settle()
        assert spool.left() == ["a", "b"]
    spool.keeper._stuck = dict.fromkeys(spool.keeper._stuck, 0.0)
    spool.keeper._next_look = 0.0
    spool.settle()
    assert spool.left() == ["b"]


def _left_unfinished(spool: Kept, scan_id: str) -> None:
    spool.desk.planned(scan_id=scan_id)
    spool.desk.store(*EVERYTHING, scan_id=scan_id)
    spool.desk.let_go(scan_id)
    spool.desk.scans.forget(scan_id)


def test_a_retained_scan_has_it_in_its_journal(kept: Callable[..., Kept]) -> None:
    spool = kept()
    spool.scan("a")
    spool.keeper.retain("a", True)
    assert len(entries(spool.desk, "retained", "a")) == 1


def test_a_scan_whose_results_are_on_their_way_to_the_disk_stays_until_they_are_there(
    kept: Callable[..., Kept],
) -> None:
    spool = kept(scans=1)
    spool.desk.planned(scan_id="a")
    spool.desk.store(*EVERYTHING, scan_id="a")
    spool.desk.end("a")
    hand = spool.desk.scans.find("a")
    assert hand is not None
    while not hand.scan.final:
        spool.desk.work()
        spool.desk.scans.flush()
        spool.desk.scans.step()
    assert hand.scan.syncing == 1
    spool.settle()
    assert spool.removed_by_hand("a") == "the results of scan a are being forced to the disk: try again"
    spool.desk.work()
    assert hand.scan.syncing == 0
    assert spool.removed_by_hand("a") == ""


def test_a_disk_that_is_gone_ends_the_wait_for_room_and_nothing_else(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=9)
    spool.keeper.make_room(HUGE)
    spool.keeper._room_until = time.monotonic() + 60
    spool.spool.folder /= "gone"
    spool.keeper.turn()
    assert spool.told == [RoomMade()]


def test_what_is_deleted_while_remains_are_looked_at_is_not_forgotten(kept: Callable[..., Kept]) -> None:
    spool = kept(scans=1)
    for name in "ab":
        spool.scan(name)
    with (spool.desk.folder / "a" / "frames.h5").open("rb"):
        spool.settle()
        # both wait for their outcome to be taken: a look at the remains, and another removal
        spool.keeper._next_remains = 0.0
        spool.keeper.turn()
        spool.scan("c")
        with (spool.desk.folder / "b" / "frames.h5").open("rb"):
            spool.settle()
            spool.settle()
            assert len(spool.keeper._remains) == 2
            assert spool.keeper._open_elsewhere == sum(one.size_bytes for one in spool.keeper._remains)
