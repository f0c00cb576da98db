"""Where an export may be written: never over the scan, a device or a folder, and over the rest only by force."""

import dataclasses
import os
import stat
from pathlib import Path
from shutil import copytree

import pytest

from daemon.scanfolder.scans import new_scan, pixels, scan_start
from livestrain_daemon.export import FORMATS, Choice, Exported, ExportError, read_scan, write_scan
from livestrain_daemon.export.pack import pack_frames
from livestrain_daemon.export.placing import write_whole
from livestrain_daemon.scanfolder import FrameWriter, Ring


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file that may be written."""
    return tmp_path / "out"


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A scan folder that a failing test may spoil."""
    return copytree(folder, tmp_path / "own")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def table(folder: Path) -> Exported:
    return read_scan(folder, Choice(maps=("e_xx",)))


@pytest.mark.parametrize("name", ["frames.h5", "results-0001.h5", "journal.jsonl", "new.csv", "deep/new.csv", ""])
def test_nothing_is_written_into_the_scan_folder(own: Path, tmp_path: Path, name: str) -> None:
    before = contents(own)
    (tmp_path / "link").symlink_to(own)
    for output in (own / name, tmp_path / "link" / name, tmp_path / "link" / ".." / "own" / name):
        with pytest.raises(ExportError, match="lies in the scan folder"):
            write_scan(table(own), "csv", output, force=True)
        with pytest.raises(ExportError, match="lies in the scan folder"):
            pack_frames(own, output, force=True)
    assert contents(own) == before


def test_no_folder_of_files_is_written_into_the_scan_folder(own: Path) -> None:
    before = contents(own)
    with pytest.raises(ExportError, match="lies in the scan folder"):
        write_scan(table(own), "tiff", own / "maps", force=True)
    assert contents(own) == before


def test_links_out_of_the_scan_folder_and_into_it_are_no_way_around(own: Path, tmp_path: Path) -> None:
    before = contents(own)
    (tmp_path / "into").symlink_to(own / "frames.h5")
    (tmp_path / "target").write_text("precious")
    (own / "out").symlink_to(tmp_path / "target")
    for output in (tmp_path / "into", own / "out"):
        with pytest.raises(ExportError, match="lies in the scan folder"):
            write_scan(table(own), "csv", output, force=True)
    (own / "out").unlink()
    assert contents(own) == before


def test_a_ring_that_holds_the_frames_is_not_replaced(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring", 8 * 84)
    layout = new_scan(tmp_path / "s", scan_start(), ring)
    with FrameWriter(layout) as writer:
        writer.write_run(0, pixels(layout))
    with pytest.raises(ExportError, match="lies in the scan folder"):
        pack_frames(tmp_path / "s", layout.frames_path, force=True)
    assert pack_frames(tmp_path / "s", tmp_path / "beside") == tmp_path / "beside"
    ring.close()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("by_link", [False, True])
def test_what_is_no_regular_file_is_never_replaced(folder: Path, place: Path, force: bool, by_link: bool) -> None:
    node = place.with_name("node")
    os.mkfifo(node)
    if by_link:
        place.symlink_to(node)
    output = place if by_link else node
    with pytest.raises(ExportError, match="exists already and is no file"):
        write_scan(table(folder), "csv", output, force=force)
    with pytest.raises(ExportError, match="exists already and is no file"):
        pack_frames(folder, output, force=force)
    assert stat.S_ISFIFO(node.stat().st_mode)
    assert place.is_symlink() == by_link


def test_a_folder_in_the_place_of_one_of_the_files_is_kept(folder: Path, place: Path) -> None:
    (place / "e_xx.tif").mkdir(parents=True)
    with pytest.raises(ExportError, match=r"e_xx\.tif: exists already and is no file"):
        write_scan(table(folder), "tiff", place, force=True)


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_is_replaced_only_by_force_and_its_target_never(folder: Path, place: Path, dangling: bool) -> None:
    target = place.with_name("target")
    if not dangling:
        target.write_text("precious")
    place.symlink_to(target)
    with pytest.raises(ExportError, match="exists already; --force replaces it"):
        write_scan(table(folder), "csv", place)
    assert place.is_symlink()
    assert write_scan(table(folder), "csv", place, force=True) == [place]
    assert not place.is_symlink()
    assert target.exists() != dangling
    assert dangling or target.read_text() == "precious"


def test_a_link_that_leads_to_itself_is_refused_in_a_line(folder: Path, place: Path) -> None:
    place.symlink_to(place)
    with pytest.raises(ExportError, match="cannot be looked at"):
        write_scan(table(folder), "csv", place, force=True)


def test_what_a_format_cannot_hold_becomes_an_export_error_and_leaves_nothing(place: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("half")
        raise ValueError("name already exists")

    with pytest.raises(ExportError, match="cannot be written: name already exists"):
        write_whole(place, write)
    assert list(place.parent.iterdir()) == []


def called(scan: Exported, name: str) -> Exported:
    """The same scan, with its first virtual detector called otherwise."""
    renamed = next(one for one in scan.maps if one.is_virtual)
    maps = tuple(dataclasses.replace(one, name=name) if one is renamed else one for one in scan.maps)
    return dataclasses.replace(scan, maps=maps)


COLLISIONS = [
    ("py4dstem", "strain_map"),
    ("py4dstem", "_v_uncal"),
    ("py4dstem", "metadatabundle"),
    ("hspy", "virtual_images"),
    ("hspy", "bragg_vector_map"),
    ("tiff", "bragg_vector_map"),
    ("png", "bragg_vector_map"),
    ("csv", "row"),
    ("csv", "why"),
]


@pytest.mark.parametrize(("to", "name"), COLLISIONS)
def test_a_virtual_detector_named_like_something_else_is_refused_by_name(
    folder: Path, place: Path, to: str, name: str
) -> None:
    scan = read_scan(folder, Choice(maps=("bright_field",)))
    with pytest.raises(ExportError, match=rf"two .* would be called '.*\b{name}"):
        write_scan(called(scan, name), to, place)
    assert list(place.parent.iterdir()) == []


@pytest.mark.parametrize("to", FORMATS)
def test_any_other_name_is_taken(folder: Path, place: Path, to: str) -> None:
    scan = read_scan(folder, Choice(maps=("bright_field",)))
    assert write_scan(called(scan, "ring_4"), to, place)
