"""Scans that the configuration names files of."""

from collections.abc import Callable
from pathlib import Path

from daemon.housekeeping.kept import Kept
from livestrain_daemon.config import AnalysisConfig, Config, SpoolConfig
from livestrain_daemon.housekeeping import named_scans
from livestrain_daemon.intake_config import IntakeConfig, ScanGeometry


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
