"""The page docs/reference/scan-folder.md against files that a daemon and the scan folder's own code have made."""

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import livestrain_daemon.scan
from docs.pages import read, rows, section
from helpers.rig import RenderedScan, Rig
from livestrain_daemon.scanfolder import FrameState, ResultState, Ring, create_frames
from livestrain_daemon.scanfolder.history import RELEASED, RETAINED
from livestrain_wire.messages import ScanStart

PAGE = read("reference/scan-folder.md")


@pytest.fixture(scope="module")
def folder(rig: Rig) -> Path:
    """The folder of a finished scan."""
    RenderedScan((16, 16)).send(rig, "folder")
    rig.wait_until_final("folder")
    return rig.spool / "folder"


def _datasets(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item.dtype}) if isinstance(item, h5py.Dataset) else None)
    return found


def _described(title: str) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in rows(section(PAGE, title)) if not row[0].isdigit()}


def _types_agree(described: dict[str, list[str]], found: dict[str, Any]) -> None:
    for name, dtype in found.items():
        stated = described[name][1]
        if re.fullmatch(r"(u?int|float)\d+|bool", stated):
            assert dtype == np.dtype(stated), name


def test_the_frames_file_has_what_the_page_lists(folder: Path) -> None:
    described = _described("frames.h5")
    found = _datasets(folder / "frames.h5")
    # one dataset under two names is visited once
    assert set(described) - {"ring"} == set(found) | {"frames", "scan/frames/data"}
    _types_agree(described, found)


def test_a_ring_s_frames_file_has_what_the_page_lists(tmp_path: Path) -> None:
    start = ScanStart(scan_id="ring", scan_shape=(4, 4), frame_shape=(8, 8), dtype="uint16")
    ring = Ring(tmp_path / "frames.ring", 1 << 16)
    (tmp_path / "ring").mkdir()
    create_frames(tmp_path / "ring", start, {}, ring)
    ring.close()
    assert set(_datasets(tmp_path / "ring" / "frames.h5")) == {"ledger", "checksums", "ring"}
    with h5py.File(tmp_path / "ring" / "frames.h5") as file:
        for name in ("ring_path", "ring_id", "ring_slots"):
            assert name in file.attrs
            assert f"`{name}`" in PAGE


def test_the_results_file_has_what_the_page_lists(folder: Path) -> None:
    described = _described("results-NNNN.h5")
    found = _datasets(folder / "results-0001.h5")
    assert set(described) == set(found)
    _types_agree(described, found)


def test_every_attribute_is_on_the_page(folder: Path) -> None:
    for name, title in (("frames.h5", "frames.h5"), ("results-0001.h5", "results-NNNN.h5")):
        with h5py.File(folder / name) as file:
            own = set(file.attrs) - {
                *("emd_group_type", "version_major", "version_minor", "UUID", "authoring_program", "authoring_user")
            }
        for attribute in own:
            assert f"`{attribute}`" in section(PAGE, title), attribute


def test_the_states_are_those_of_the_ledgers() -> None:
    listed = {row[1]: int(row[0]) for row in rows(section(PAGE, "frames.h5")) if row[0].isdigit()}
    assert listed == {state.name.lower(): state.value for state in FrameState}
    line = ", ".join(f"{state.value} {state.name.lower()}" for state in ResultState)
    assert f"States in `ledger/*`: {line}" in PAGE


def test_the_journal_s_lines_are_on_the_page(folder: Path) -> None:
    described = _described("journal.jsonl")
    package = Path(livestrain_daemon.scan.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
    elsewhere = {"scan_started", "scan_resumed", RETAINED, RELEASED}
    assert set(described) == {*re.findall(r'\._?note\(\s*"(\w+)"', source), *elsewhere}
    for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        fields = set(re.findall(r"`(\w+)`", f"`{described[entry['kind']][0]}`"))
        assert set(entry) == {"kind", "utc", "utc_ns"} | fields, entry["kind"]
